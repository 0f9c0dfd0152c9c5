"""Checks of the frame and the box: usual size, known well enough, inside of what the scouts show."""

from __future__ import annotations

import numpy as np

from ...errors import shortened
from ...geometry.oriented_box import FACES, outward_axis
from ...scouts.stack import ScoutStack
from ..box import TRUSTED_SD_MM
from ..margins import faces_at_risk
from .check import ERROR, WARNING, Check, level_above
from .evidence import Evidence

#: Head size over the reference's: outside the first range unusual, outside the second not a head.
USUAL_SCALE, POSSIBLE_SCALE = (0.82, 1.18), (0.65, 1.35)

#: Standard deviation of the rotation (largest of pitch, roll, yaw), degrees, and of a box face, mm.
TILT_SD_DEG = (2.5, 5.0)

FACE_SD_MM = (TRUSTED_SD_MM, 10.0)

#: A joint that is turned farther than this against its neutral pose, degrees: beyond what models are trained on, and
#: beyond what can be.
BENT_DEG = (25.0, 45.0)

#: A standard deviation above these says only that the value is not determined; the number would mean nothing.
UNDETERMINED_DEG, UNDETERMINED_MM = 45.0, 100.0

#: A stack shows a direction in its plane when the component of its normal along it is smaller than this.
ACROSS = 0.7


def size(e: Evidence) -> Check | None:
    """Is the anatomy as large as those that the model was made for?"""
    scale = e.frame.scale
    if not POSSIBLE_SCALE[0] < scale < POSSIBLE_SCALE[1]:
        return Check(
            "size", ERROR, f"The anatomy would be {scale:.2f} times the usual size: outside the range of the model."
        )
    if not USUAL_SCALE[0] < scale < USUAL_SCALE[1]:
        return Check("size", WARNING, f"Unusual size ({scale:.2f} times the reference): check the points.")
    return None


def bent(e: Evidence) -> Check | None:
    """Is a joint bent farther than joints are in a coil?"""
    for name, angle in e.frame.angles.items():
        level = level_above(abs(angle.deg), BENT_DEG)
        if level:
            return Check("joint", level, f"The {name} of the joint is {angle.deg:.0f} deg: check every point.")
    return None


def tilt(e: Evidence) -> Check | None:
    """Is the rotation known well enough?"""
    sd = np.rad2deg(np.sqrt(np.diagonal(e.frame.covariance)[:3]))
    level = level_above(sd.max(), TILT_SD_DEG)
    if level:
        axis = ("pitch", "roll", "yaw")[int(sd.argmax())]
        known = "is not determined" if sd.max() > UNDETERMINED_DEG else f"is uncertain (sd {sd.max():.1f} deg)"
        return Check("tilt", level, f"The {axis} {known}: add slices or place more points.")
    return None


def obliquity(e: Evidence) -> Check | None:
    """Slices unlike the training images: derotation makes the image upright, the slice itself stays oblique."""
    nearest = [np.abs(e.frame.axes @ stack.normal).max() for stack in e.stacks]
    angle = float(np.rad2deg(np.arccos(min(1.0, min(nearest)))))
    if angle > e.limits.oblique_deg:
        anatomy = e.protocol.anatomy or "anatomy"
        remedy = f"check the tilt, or repeat the scouts along the planes of the {anatomy}"
        return Check("oblique", WARNING, f"A scout plane is {angle:.0f} deg oblique to the {anatomy}: {remedy}.")
    return None


def faces(e: Evidence) -> Check | None:
    """Is it known well enough where each face lies?"""
    face = max(FACES, key=lambda name: e.box.face_sd_mm[name])
    sd = e.box.face_sd_mm[face]
    level = level_above(sd, FACE_SD_MM)
    if level:
        known = "is not determined" if sd > UNDETERMINED_MM else f"is uncertain (sd {sd:.0f} mm)"
        return Check("box", level, f"The {face} face {known}: check it or add margin.")
    return None


def coverage(e: Evidence) -> Check | None:
    """Does every face meet the stated coverage?"""
    at_risk = faces_at_risk(e.box, e.frame, e.protocol, e.stated_coverage)
    if not at_risk:
        return None
    first, *others = at_risk
    faces = [
        f"{first.face} up to {_capped_mm(first.beyond_mm)} (probability {first.probability:.0%})",
        *(f"{risk.face} {_capped_mm(risk.beyond_mm)} ({risk.probability:.0%})" for risk in others),
    ]
    remedy = "add slices or field of view, or move the slab" if e.rule.slab else "move these faces out"
    return Check("coverage", WARNING, f"The anatomy may reach beyond the box: {', '.join(faces)}; {remedy}.")


def _capped_mm(length_mm: float) -> str:
    return f"{length_mm:.1f} mm" if length_mm < UNDETERMINED_MM else f"over {UNDETERMINED_MM:.0f} mm"


def cut_off(e: Evidence) -> Check | None:
    """Is each landmark that the box's faces rest on inside the field of view of some plane that shows the face?"""
    outside = []
    for face in FACES:
        outward = outward_axis(e.box.axes, face)
        # A stack viewed along the face's normal shows the projection of what lies beyond its outermost slice, too.
        showing = [stack for stack in e.stacks if abs(stack.normal @ outward) < ACROSS]
        for name in e.rule.faces[face].landmarks:
            if name not in outside and not any(_inside(e.frame.expected_mm[name], stack) for stack in showing):
                outside.append(name)
    if outside:
        return Check(
            "field of view",
            WARNING,
            f"Anatomy is cut off at {shortened(outside)}: the box may be wrong there, enlarge the scouts.",
        )
    return None


def _inside(point: np.ndarray, stack: ScoutStack) -> bool:
    """Is the point's projection within the images of a stack?"""
    return any(scout_slice.shows(point) for scout_slice in stack.slices)
