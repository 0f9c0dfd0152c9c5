"""``export_plan``: every form from a folder and from a plan at hand, and what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.api import Calibration, export_plan, read_scouts
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.exports import forms
from AutoVolumeCalibrationLib.core.exports.doors.mrd import read_mrd
from AutoVolumeCalibrationLib.core.exports.doors.nifti import read_nifti
from AutoVolumeCalibrationLib.core.exports.doors.pulseq_example import gradient_echo_3d
from AutoVolumeCalibrationLib.core.exports.doors.pulseq_placement import read_sequence_geometry
from AutoVolumeCalibrationLib.core.exports.doors.scanhub import read_scanhub
from AutoVolumeCalibrationLib.core.exports.forms import FORMS
from AutoVolumeCalibrationLib.core.exports.scan_geometry import ScanGeometry, scan_geometry
from calibrations import calibration, scout_stacks
from dicom_localizers import write_localizer

READERS: dict[str, tuple[str, Callable[[Path], ScanGeometry], str]] = {
    "nifti": ("plan.nii.gz", read_nifti, "SimpleITK"),
    "scanhub": ("plan.json", read_scanhub, "json"),
    "mrd": ("plan.h5", read_mrd, "ismrmrd"),
    "pulseq": ("plan.seq", read_sequence_geometry, "pypulseq"),
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """A plan on DICOM scouts of a patient who lies feet first."""

    def feet_first(dataset, _index: int) -> None:
        dataset.PatientPosition = "FFS"

    folder = tmp_path_factory.mktemp("scouts")
    write_localizer(scout_stacks(), folder, edit=feet_first)
    return calibration(stacks=read_scouts([folder]))


@pytest.mark.parametrize("form", READERS)
def test_every_file_gives_the_geometry_back(
    plan: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    name, read, package = READERS[form]
    pytest.importorskip(package)
    # Coarse: the example has some thousand lines otherwise.
    monkeypatch.setattr(forms, "gradient_echo_3d", lambda geometry: gradient_echo_3d(geometry, pixel_mm=40.0))
    path = tmp_path / name
    assert export_plan(plan, form, path).notes == ()
    found, planned = read(path), scan_geometry(plan.prescription)
    np.testing.assert_allclose(found.center_mm, planned.center_mm, atol=1e-3)
    np.testing.assert_allclose(found.directions, planned.directions, atol=1e-6)
    np.testing.assert_allclose(found.fov_mm, planned.fov_mm, atol=2e-3)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_position_of_the_patient_comes_from_the_scouts(plan: Calibration, tmp_path: Path) -> None:
    export_plan(plan, "scanhub", tmp_path / "plan.json")
    assert '"patient_position": "FFS"' in (tmp_path / "plan.json").read_text(encoding="utf-8")
    export_plan(plan, "scanhub", tmp_path / "other.json", patient_position="HFP")
    assert '"patient_position": "HFP"' in (tmp_path / "other.json").read_text(encoding="utf-8")


def test_without_a_stated_position_the_assumption_is_noted(tmp_path: Path) -> None:
    (note,) = export_plan(calibration(), "scanhub", tmp_path / "plan.json").notes
    assert "head first supine (HFS) is assumed" in note


def test_nothing_is_overwritten_unasked(plan: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="already exists"):
        export_plan(plan, "scanhub", path)
    assert path.read_text(encoding="utf-8") == "mine"
    export_plan(plan, "scanhub", path, overwrite=True)
    assert path.read_text(encoding="utf-8") != "mine"


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "plan.dcm"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not DICOM"):
        export_plan(calibration(), "dicom-sc", path, overwrite=True)
    assert [(one.name, one.read_text(encoding="utf-8")) for one in tmp_path.iterdir()] == [("plan.dcm", "mine")]


def test_names_that_do_not_fit_the_form_are_refused(plan: Calibration, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not end with \.nii\.gz or \.nii"):
        export_plan(plan, "nifti", tmp_path / "plan.dcm")
    with pytest.raises(UsageError, match="'pdf' is not a form of export.*dicom-sr"):
        export_plan(plan, "pdf", tmp_path / "plan.pdf")


@pytest.mark.parametrize(
    ("form", "output", "package", "extra"),
    [
        ("dicom-sr", "plan.dcm", "highdicom", "dicom"),
        ("pulseq", "plan.seq", "pypulseq", "doors"),
        ("mrd", "plan.h5", "ismrmrd", "doors"),
        ("openigtlink", "localhost:18944", "pyigtl", "doors"),
    ],
)
def test_a_missing_package_is_named_with_the_remedy(
    plan: Calibration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    output: str,
    package: str,
    extra: str,
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf'{package} is missing.*pip install "autovolume\[{extra}\]"'):
        export_plan(plan, form, output if ":" in output else tmp_path / output)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"calibration\.json"):
        export_plan(tmp_path, "nifti", tmp_path / "plan.nii")


def test_every_form_has_its_suffixes() -> None:
    assert [name for name, form in FORMS.items() if not form.suffixes] == ["openigtlink"]
