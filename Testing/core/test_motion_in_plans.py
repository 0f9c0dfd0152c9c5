"""Motion in whole plans of the sample study: found, corrected for, kept; and not found where nothing moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about, rotation_vector
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.motion.motion import FOUND, NONE, motion_to_dict
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.storage.results import calibration_to_dict, saved_from_dict
from AutoVolumeCalibrationLib.core.workflow import pipeline

SHIFT_MM, ROTATION_DEG = np.array([0.0, 3.2, 2.4]), np.array([1.8, 0.0, 2.4])


@pytest.fixture(scope="module")
def stacks():
    return read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])


@pytest.fixture(scope="module")
def shifted(stacks):
    """The sample with its axial stack 4 mm and 3 deg from where it was acquired."""
    return [_moved(stack) if stack.plane == "axial" else stack for stack in stacks]


@pytest.fixture(scope="module")
def plans(stacks, shifted):
    """Of the sample as it is and with the stack moved."""
    protocol, model = load_protocol("BrainAcPc"), load_model()
    return [pipeline.calibrate(scouts, protocol, model) for scouts in (stacks, shifted)]


def _moved(stack):
    rotation = rotation_about(np.deg2rad(ROTATION_DEG))
    middle = stack.slices[len(stack.slices) // 2].center_mm
    slices = (
        replace(
            s,
            origin_mm=rotation @ (s.origin_mm - middle) + middle + SHIFT_MM,
            column_axis=rotation @ s.column_axis,
            row_axis=rotation @ s.row_axis,
        )
        for s in stack.slices
    )
    return replace(stack, slices=tuple(slices))


def finding(plan, name):
    return next((check for check in plan.checks if check.name == name), None)


def test_the_sample_did_not_move(plans):
    assert plans[0].motion.state == NONE and finding(plans[0], "motion") is None


def test_a_stack_of_the_sample_that_moved_is_named_with_its_size(plans):
    motion = plans[1].motion
    assert motion.state == FOUND
    (offset,) = motion.offsets
    assert offset.plane == "axial"
    assert offset.size_deg == pytest.approx(3.0, abs=0.5)
    assert offset.rotation_deg == pytest.approx(-ROTATION_DEG, abs=0.5)
    check = finding(plans[1], "motion")
    assert check.level == "warning" and "axial plane by" in check.message
    assert "sagittal and coronal" in check.message


def test_the_box_follows_the_planes_that_agree(plans):
    still, moved = plans
    turn = np.rad2deg(np.linalg.norm(rotation_vector(moved.box.axes @ still.box.axes.T)))
    assert turn < 0.7
    assert np.linalg.norm(moved.box.center_mm - still.box.center_mm) < 0.8


def test_motion_stays_through_refits_and_files(plans):
    moved = plans[1]
    again = pipeline.refit(moved, moved.landmarks)
    assert again.motion is moved.motion and finding(again, "motion") == finding(moved, "motion")
    saved = saved_from_dict(calibration_to_dict(moved), "here")
    assert motion_to_dict(saved.motion) == motion_to_dict(moved.motion)
    earlier = calibration_to_dict(moved)
    del earlier["motion"]
    assert saved_from_dict(earlier, "here").motion is None
