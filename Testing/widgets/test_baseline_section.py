"""Same box as an earlier visit: compared in the background, shown as one step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.follow_up.follow_up import FollowUp
from AutoVolumeCalibrationLib.core.workflow.checked_plan import with_follow_up

slicer = pytest.importorskip("slicer", exc_type=ImportError)

SHIFT = np.array([0.0, 5.0, 0.0])


@pytest.fixture
def followed(planned, monkeypatch, tmp_path):
    """The panel with a plan; the user chooses a folder, and the baseline's box lies 5 mm further to the front."""
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))

    def follow(calibration, path, settings):
        assert path == tmp_path
        box = replace(calibration.box, center_mm=calibration.box.center_mm + SHIFT)
        return with_follow_up(calibration, FollowUp(str(path), box, 0.1, 0.1, 0.9, 3.0, np.zeros(3), np.zeros(3)))

    planned.panel.baseline.follow = follow
    return planned


def test_it_waits_for_a_plan(panel):
    panel.load()
    assert not panel.ui.baselineButton.enabled
    assert panel.ui.baselineButton.toolTip == "Calibrate first, or start by hand."


def test_the_box_is_the_baseline_s_and_one_step(followed):
    before = followed.calibration.box.center_mm
    followed.click(followed.ui.baselineButton)
    followed.wait()
    assert followed.calibration.box.center_mm == pytest.approx(before + SHIFT)
    assert "5.0 mm from the plan by landmarks alone" in followed.ui.statusLabel.text
    followed.click(followed.ui.undoButton)
    assert followed.calibration.box.center_mm == pytest.approx(before)
    assert followed.calibration.follow_up is None


def test_the_box_stays_while_a_landmark_is_dragged_and_in_the_scene(followed):
    followed.click(followed.ui.baselineButton)
    followed.wait()
    box = followed.calibration.box
    followed.move("AC", [0, 2, 0])
    assert followed.calibration.box.center_mm == pytest.approx(box.center_mm)
    kept = followed.current.engine.calibration(followed.current.study)
    assert kept.follow_up.box.center_mm == pytest.approx(box.center_mm)


def test_errors_are_shown_and_the_plan_stays(followed):
    def fail(*_):
        raise InputError("its slices and these scouts have too little anatomy in common", source="earlier")

    followed.panel.baseline.follow, before = fail, followed.calibration
    followed.click(followed.ui.baselineButton)
    followed.wait()
    assert followed.ui.statusLabel.text.startswith("earlier: its slices and these scouts")
    assert followed.calibration is before
