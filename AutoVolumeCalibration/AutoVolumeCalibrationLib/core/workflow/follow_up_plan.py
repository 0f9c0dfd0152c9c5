"""Plan a follow-up: the box of the baseline, where the scouts of this visit show the same anatomy.

The landmarks of both visits say roughly how the patient lies now; the images bring the scouts of this visit onto those
of the baseline. The plan by landmarks alone stays the plan where the images do not match.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..follow_up.follow_up import FollowUp, between_boxes, box_at_follow_up
from ..follow_up.registration import Registration, register
from ..geometry.oriented_box import OrientedBox
from ..geometry.rotations import rotation_vector
from ..planning.frame import AnatomicalFrame
from .calibration import Calibration
from .checked_plan import with_follow_up

#: What is compared of the images reaches so far beyond the landmarks of the baseline, mm.
AROUND_MM = 10.0


def follow(calibration: Calibration, baseline: Calibration, source: Path | str) -> Calibration:
    """The plan of this visit with the box of the baseline.

    Args:
        calibration: this visit, planned by its landmarks.
        source: where the baseline is, for messages and the saved plan.

    Raises:
        InputError: the visits were planned for different anatomies, or their slices hardly cross in it.
    """
    if calibration.protocol.anatomy != baseline.protocol.anatomy:
        raise InputError(
            f"the baseline shows {baseline.protocol.anatomy}, these scouts {calibration.protocol.anatomy}",
            source=str(source),
            remedy="Give the baseline of the same anatomy.",
        )
    start = between_frames(calibration.frame, baseline.frame)
    region = landmark_region(baseline.frame, baseline.box)
    registration = register(calibration.stacks, baseline.stacks, start, region)
    if registration is None:
        raise InputError(
            "its slices and these scouts have too little anatomy in common",
            source=str(source),
            remedy="Check that it shows the same region, or plan without the baseline.",
        )
    return with_follow_up(calibration, _followed(calibration, baseline, registration, start, str(source)))


def between_frames(frame: AnatomicalFrame, baseline: AnatomicalFrame) -> np.ndarray:
    """(4, 4) rigid from the RAS of ``frame`` to that of ``baseline``, so that the axes and origins coincide."""
    transform = np.eye(4)
    transform[:3, :3] = baseline.axes.T @ frame.axes
    transform[:3, 3] = baseline.origin_mm - transform[:3, :3] @ frame.origin_mm
    return transform


def landmark_region(frame: AnatomicalFrame, box: OrientedBox) -> OrientedBox:
    """What the landmarks of the baseline enclose, along the axes of its box, and AROUND_MM more."""
    local = np.array(list(frame.expected_mm.values())) @ box.axes.T
    low, high = local.min(axis=0), local.max(axis=0)
    return OrientedBox("region", (low + high) / 2 @ box.axes, box.axes, high - low + 2 * AROUND_MM)


def _followed(
    calibration: Calibration, baseline: Calibration, registration: Registration, start: np.ndarray, source: str
) -> FollowUp:
    named = replace(baseline.box, name=calibration.box.name)
    box = box_at_follow_up(named, registration)
    rotation_deg, shift_mm = between_boxes(calibration.box, box)
    variances = [np.linalg.eigvalsh(registration.covariance[part, part])[-1] for part in (slice(0, 3), slice(3, 6))]
    return FollowUp(
        baseline=source,
        box=box,
        sd_deg=float(np.rad2deg(np.sqrt(variances[0]))),
        sd_mm=float(np.sqrt(variances[1])),
        correlation=registration.correlation,
        chi_square=_chi_square(calibration.frame, baseline.frame, registration, start),
        rotation_deg=rotation_deg,
        shift_mm=shift_mm,
    )


def _chi_square(
    frame: AnatomicalFrame, baseline: AnatomicalFrame, registration: Registration, start: np.ndarray
) -> float:
    """Of the difference between the images' answer and the landmarks', at the origin of the baseline's frame."""
    step = registration.to_baseline @ np.linalg.inv(start)
    moved = step[:3, :3] @ baseline.origin_mm + step[:3, 3] - baseline.origin_mm
    difference = np.concatenate([baseline.axes @ rotation_vector(step[:3, :3]), baseline.axes @ moved])
    # The axes of both frames coincide after the start: their covariances add.
    return float(
        difference
        @ np.linalg.solve(frame.covariance + baseline.covariance + _at_origin(baseline, registration), difference)
    )


def _at_origin(baseline: AnatomicalFrame, registration: Registration) -> np.ndarray:
    """(6, 6) of the registration about the origin of the frame, along its axes."""
    arm = baseline.origin_mm - registration.center_mm
    change = np.eye(6)
    # The origin moves by shift + rotation x arm = shift - [arm]x rotation.
    change[3:, :3] = -np.cross(arm, np.eye(3)).T
    axes = np.kron(np.eye(2), baseline.axes)
    whole: np.ndarray = axes @ change @ registration.covariance @ change.T @ axes.T
    return whole
