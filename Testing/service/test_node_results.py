"""What the node makes of a plan for its destinations: the forms they name, the same every time, each sent once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts, read_study
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.service.node import planner as planners
from AutoVolumeCalibrationLib.service.node import results
from AutoVolumeCalibrationLib.service.node.configuration import Destination
from AutoVolumeCalibrationLib.service.node.outbox import Outbox
from AutoVolumeCalibrationLib.service.node.planner import StudyWork
from AutoVolumeCalibrationLib.service.node.results import DRAWINGS, write_objects
from AutoVolumeCalibrationLib.service.planning import PlanRequest, write_plan
from calibrations import calibration, scout_stacks
from dicom_localizers import write_localizer

SOP_CLASSES = {
    "dicom-sr": "1.2.840.10008.5.1.4.1.1.88.34",
    "dicom-sc": "1.2.840.10008.5.1.4.1.1.7",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
}


def planned(folder: Path, seconds: float = 1.5, edit: Callable | None = None) -> Calibration:
    """A plan of DICOM scouts, saved as the node saves it; its times differ whenever a study is planned again."""
    scouts = folder.parent / "images"
    write_localizer(scout_stacks(), scouts, edit=edit)
    plan = replace(calibration(read_scouts([scouts])), timings_s={"total": seconds})
    write_plan(plan, folder, [scouts], DRAWINGS)
    return plan


def test_the_same_plan_gives_the_same_objects_however_long_it_took(tmp_path):
    pytest.importorskip("highdicom")
    folder = tmp_path / "plan"
    first = write_objects(planned(folder, 1.5), folder, SOP_CLASSES, tmp_path / "a")
    again = write_objects(planned(folder, 97.25), folder, SOP_CLASSES, tmp_path / "b")
    assert set(first.by_form) == set(SOP_CLASSES)
    assert first.notes == ()
    for form, made in first.by_form.items():
        assert str(pydicom.dcmread(made.path).SOPClassUID) == SOP_CLASSES[form]
        assert made.uid == again.by_form[form].uid
        assert made.path.read_bytes() == again.by_form[form].path.read_bytes()


def test_a_form_that_the_scouts_do_not_allow_is_noted(tmp_path):
    folder = tmp_path / "plan"

    def without_frame(dataset: pydicom.Dataset, _index: int) -> None:
        del dataset.FrameOfReferenceUID

    made = write_objects(planned(folder, edit=without_frame), folder, ["dicom-sc"], tmp_path / "a")
    assert made.by_form == {}
    (note,) = made.notes
    assert note.startswith("not sent as dicom-sc: ")
    assert "FrameOfReferenceUID" in note


def test_scouts_cut_out_of_a_volume_have_no_dicom_form_and_the_reason_is_named(tmp_path):
    pytest.importorskip("highdicom")
    noise = np.random.default_rng(0).uniform(0, 900, (40, 40, 40)).astype(np.float32)
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = -100.0
    dense = ScoutGeometry(slices=36, slice_spacing_mm=5.0, thickness_mm=5.0, pixel_mm=5.0, matrix=40)
    write_localizer(cut_three_planes(Volume(noise, affine), dense)[2:], tmp_path / "images")
    plan, folder = calibration(read_study([tmp_path / "images"]).stacks), tmp_path / "plan"
    write_plan(plan, folder, [tmp_path / "images"], DRAWINGS)
    made = write_objects(plan, folder, SOP_CLASSES, tmp_path / "objects")
    assert made.by_form == {}
    assert len(made.notes) == len(SOP_CLASSES)
    assert all("cut out of a volume" in note for note in made.notes)
    assert list((tmp_path / "objects").iterdir()) == []


def test_what_was_not_planned_is_named_without_the_folders_of_the_spool(tmp_path):
    work = StudyWork("study", tmp_path / "images" / "study", tmp_path, PlanRequest("any"), "key")
    in_file = InputError("is damaged", source=str(tmp_path / "images" / "study" / "s" / "1.dcm"), remedy="Send it.")
    assert work.failed(in_file).message == f"{Path('s') / '1.dcm'}: is damaged. Send it."
    whole = InputError("no slices found", source=str(tmp_path / "images" / "study"), remedy="Send more.")
    assert work.failed(whole).message == "no slices found. Send more."


def test_each_destination_gets_its_forms_once(tmp_path, monkeypatch):
    pytest.importorskip("highdicom")
    seconds = iter([1.0, 2.0])
    monkeypatch.setattr(
        planners, "plan_study", lambda _request, _scouts, folder, _drawings: planned(folder, next(seconds))
    )
    destinations = (
        Destination("report", folder=tmp_path / "report", forms=("dicom-sr",)),
        Destination("share", folder=tmp_path / "share", forms=("dicom-sc", "gsps")),
    )
    spool = tmp_path / "spool"
    work = StudyWork("study", tmp_path / "images", spool, PlanRequest("any"), "key", spool, destinations, "ME")
    outboxes = [Outbox(spool, one, "ME") for one in destinations]
    for expected in ((1, 2), (0, 0)):  # planned again, as after a kill: nothing is sent twice
        assert work().exit_code == 0
        assert tuple(outbox.send() for outbox in outboxes) == expected
    sent = {pydicom.dcmread(path).SOPClassUID for path in (tmp_path / "share").iterdir()}
    assert sent == {SOP_CLASSES["dicom-sc"], SOP_CLASSES["gsps"]}
    (report,) = (tmp_path / "report").iterdir()
    assert report.stem == pydicom.dcmread(report).SOPInstanceUID


def test_a_missing_package_is_named_before_anything_is_received(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="highdicom"):
        results.require_packages(["dicom-sc", "gsps"])
    results.require_packages(["dicom-sc"])
