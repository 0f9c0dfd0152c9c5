"""``--slab``: the slices of a series that the site likes, for this patient and, as a protocol, for the next ones."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from calibrations import ellipsoid_head
from command_line import MIDDLE_SLICES, PLANNED_CODES, RESULT_FILES, SAMPLE, assert_refused, content_of, files_in
from dicom_localizers import write_localizer

pytestmark = pytest.mark.usefixtures("no_picture")


@pytest.fixture
def series(tmp_path):
    """Ten axial slices of 6 mm with 1 mm between them, 240 mm wide."""
    geometry = ScoutGeometry(slices=10, slice_spacing_mm=7.0, thickness_mm=6.0, pixel_mm=4.0, matrix=60)
    write_localizer(
        cut_three_planes(ellipsoid_head(), geometry, np.zeros(3), np.eye(3), ["axial"]), tmp_path / "series"
    )
    return tmp_path / "series"


def test_slices_and_field_of_view_are_those_of_the_series(autovolume, series, tmp_path):
    folder = tmp_path / "results"
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", folder, "--device", "cpu", "--slab", series)
    assert ran.code in PLANNED_CODES
    assert set(files_in(folder)) == RESULT_FILES | {"BrainAcPcSlab.json"}
    scan = content_of(folder)["prescription"]
    assert (scan["slices"], scan["slice_thickness_mm"], scan["gap_mm"]) == (10, 6, 1)
    assert (scan["fov_read_mm"], scan["fov_phase_mm"]) == (240, 240)
    first = next(line for line in ran.out.splitlines() if line.startswith("look"))
    assert first.startswith("look  coverage: The anatomy may reach beyond the box") and "superior" in first
    assert autovolume("refit", folder, "--landmarks", folder / "landmarks.mrk.json").code in PLANNED_CODES
    assert content_of(folder)["prescription"]["slices"] == 10


def test_a_series_that_does_not_fit_leaves_nothing_behind(autovolume, series, tmp_path):
    folder = tmp_path / "results"
    options = ("--output", folder, "--protocol", "BrainSagittal3D", "--slab", series)
    assert_refused(autovolume("calibrate", *MIDDLE_SLICES, *options), 2, "sagittal")
    assert not folder.exists()
    assert_refused(autovolume("check", *MIDDLE_SLICES, "--slab", SAMPLE / "dicom"), 3, "several orientations")


def test_the_plan_is_printed_with_the_console_cards(planned):
    assert all(vendor in planned.ran.out for vendor in ("Siemens: ", "GE: ", "Philips: "))
    cards = {card["vendor"]: card for card in content_of(planned.folder)["console"]}
    assert set(cards) == {"Siemens", "GE", "Philips"}
    oversampling = next(line for line in cards["Siemens"]["lines"] if line["label"] == "Phase oversampling")
    assert 10 <= int(oversampling["value"]) <= 40 and oversampling["unit"] == "%"


def test_the_sample_is_green_because_every_face_is_covered(planned):
    content = content_of(planned.folder)
    assert [check["name"] for check in content["checks"]] == ["ready"]
    assert "every face is covered" in content["checks"][0]["message"]
