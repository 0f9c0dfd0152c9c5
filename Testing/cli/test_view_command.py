"""`autovolume view` before its page opens: what it opens, and what it refuses."""

from __future__ import annotations

import re
import socket

import pytest

from AutoVolumeCalibrationLib.browser import needs
from calibrations import calibration
from command_line import SAMPLE, content_of

pytest.importorskip("slicer", reason="needs slicer-core (the extra browser)", exc_type=ImportError)
pytest.importorskip("trame_server", reason="needs trame (the extra browser)")


@pytest.fixture
def opened(monkeypatch):
    """What would have been served, without a server."""
    from AutoVolumeCalibrationLib.browser import serving

    served = []

    def serve(plan, port, on_ready, close_after_s):
        served.append((plan, port, close_after_s))

    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.setattr(needs, "can_draw", lambda: True)
    return served


def test_a_plan_is_saved_where_it_was_opened(autovolume, planned_dicom, opened):
    assert autovolume("view", planned_dicom.folder, "--port", "8123").code == 0
    ((plan, port, close_after_s),) = opened
    assert (plan.folder, port, close_after_s) == (planned_dicom.folder, 8123, None)
    assert list(plan.sources) == content_of(planned_dicom.folder)["sources"]


def test_it_ends_after_its_window_where_asked_to(autovolume, planned_dicom, opened):
    assert autovolume("view", planned_dicom.folder, "--close-after", "60").code == 0
    assert opened[0][2] == 60.0
    ran = autovolume("view", planned_dicom.folder, "--close-after", "0")
    assert ran.code == 2 and "is not a positive number" in ran.err


def test_a_plan_is_saved_elsewhere_where_the_user_says(autovolume, planned_dicom, opened, tmp_path):
    assert autovolume("view", planned_dicom.folder, "--output", tmp_path / "other").code == 0
    assert opened[0][0].folder == tmp_path / "other"


def test_scouts_without_an_output_cannot_be_saved(autovolume, opened):
    assert autovolume("view", SAMPLE / "dicom", "--protocol", "BrainAcPc").code == 0
    assert opened[0][0].folder is None
    assert opened[0][0].calibration.model is not None


def test_flags_of_planning_have_no_effect_on_a_plan(autovolume, planned_dicom, opened):
    ran = autovolume("view", planned_dicom.folder, "--box", "AxialWholeBrain")
    assert ran.code == 2 and "--box has no effect on a plan" in ran.err
    assert opened == []


def test_results_that_were_not_opened_are_not_replaced(autovolume, planned_dicom, opened, tmp_path):
    calibration().save(tmp_path)
    ran = autovolume("view", planned_dicom.folder, "--output", tmp_path)
    assert ran.code == 2 and "already holds" in ran.err
    assert f"autovolume view {tmp_path}" in ran.err and "overwrit" not in ran.err  # there is no such flag here
    assert opened == []


def test_a_folder_of_several_plans_is_answered_with_the_first(autovolume, opened, tmp_path):
    for name in ("b", "a"):
        calibration().save(tmp_path / name)
    ran = autovolume("view", tmp_path)
    assert ran.code == 2
    assert f"{tmp_path}: holds 2 folders with plans. Name one of them: autovolume view {tmp_path / 'a'}" in ran.err
    assert opened == []


@pytest.mark.parametrize("name", ["slicer", "trame", "trame_rca"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(autovolume, planned_dicom, opened, monkeypatch, name):
    monkeypatch.setattr(needs, "find_spec", lambda wanted: None if wanted == name else wanted)
    ran = autovolume("view", planned_dicom.folder)
    assert ran.code == 2
    assert re.search(rf'{name} is missing.*-m pip install "autovolume\[browser\]"', ran.err)


def test_a_machine_that_cannot_draw_is_refused(autovolume, planned_dicom, opened, monkeypatch):
    monkeypatch.setattr(needs, "can_draw", lambda: False)
    ran = autovolume("view", planned_dicom.folder)
    assert ran.code == 2 and "libEGL" in ran.err
    assert opened == []


def test_a_port_in_use_is_named_before_anything_is_read(autovolume, opened, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = autovolume("view", tmp_path / "none", "--port", port)
    assert ran.code == 2
    assert f"127.0.0.1:{port}: cannot be used for the page" in ran.err and "--port" in ran.err
    assert opened == []


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_cannot_be_is_refused(autovolume, opened, tmp_path, port):
    ran = autovolume("view", tmp_path / "none", "--port", port)
    assert ran.code == 2 and "--port" in ran.err
