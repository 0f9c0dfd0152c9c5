"""Planning by hand, without a model: a typical anatomy that follows the landmarks the user places.

The reference constellation starts unrotated where the scouts cross. Its landmarks count as predictions that share one
large error of the pose (``frame.fit_frame``): only the placed landmarks determine the pose, and the statistics of the
anatomy fill in the rest. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..anatomy.protocol import Protocol
from ..detection.model_info import ModelInfo
from ..geometry.coordinates import unit
from ..planning.checks.check import ERROR, Check
from ..scouts.stack import ScoutStack, require_usable
from .calibration import Calibration
from .pipeline import plan_from_landmarks

#: Takes the place of a model's name.
NAME = "typical anatomy"

#: What plans of earlier versions have in its place.
EARLIER_NAME = "typical head"

#: The images were not used: standard deviation of each landmark's position, mm per axis ...
UNSEEN_SD_MM = 20.0

#: ... and of the pose that all of them share: rotation (rad), log scale, translation (mm).
POSE_SD = (0.2, 0.2, 0.2, 0.1, 25.0, 25.0, 25.0)


def plan_by_hand(stacks: Sequence[ScoutStack], protocol: Protocol, *, box: str | None = None) -> Calibration:
    """A plan for a typical anatomy where the scouts cross, for the user to correct.

    Args:
        box: name of one of the protocol's boxes, its first when None.

    Raises:
        InputError: the scouts cannot be planned on.
    """
    require_usable(stacks)
    reference = protocol.constellation.reference_mm
    middle = (reference.min(axis=0) + reference.max(axis=0)) / 2
    positions = scouts_center_mm(stacks) + reference - middle
    predicted = _unseen(zip(protocol.constellation.names, positions, strict=True))
    model = ModelInfo(NAME, "0" * 64, "none", np.diag(np.square(POSE_SD)))
    plan = plan_from_landmarks(stacks, protocol, (), predicted=predicted, model=model, box=box)
    # Any other finding follows from this one.
    text = f"This is a typical {protocol.anatomy or 'anatomy'}, not yet the patient's."
    return replace(plan, checks=(Check("by hand", ERROR, text),))


def first_landmarks(protocol: Protocol) -> tuple[str, ...]:
    """The three landmarks that determine the pose best, to be placed first: the frame's line, and the one farthest off.

    Of the midline where there are others on it: the user finds them all in one plane.
    """
    start, end = protocol.frame.line[0][0], protocol.frame.line[1][0]
    places = dict(zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True))
    middle = [each.name for each in protocol.constellation.landmarks if each.mirror is None]
    others = [name for name in middle if name not in (start, end)]
    others = others or [name for name in places if name not in (start, end)]
    along = unit(places[end] - places[start])
    return (
        start,
        end,
        max(others, key=lambda name: float(np.linalg.norm(np.cross(along, places[name] - places[start])))),
    )


def is_by_hand(calibration: Calibration) -> bool:
    """Whether the plan began with a typical anatomy instead of a model."""
    return calibration.model is not None and calibration.model.name in (NAME, EARLIER_NAME)


def propagate_corrections(calibration: Calibration) -> Calibration:
    """The plan with every other landmark moved to where the user's landmarks predict it; these stay."""
    placed = [landmark for landmark in calibration.landmarks if landmark.status == CORRECTED]
    cleared = [landmark for landmark in calibration.landmarks if landmark.status == MISSING]
    return plan_from_landmarks(
        calibration.stacks,
        calibration.protocol,
        [*placed, *cleared],
        predicted=_unseen(calibration.frame.expected_mm.items()),
        model=calibration.model,
        box=calibration.box.name,
        timings_s=calibration.timings_s,
    )


def scouts_center_mm(stacks: Sequence[ScoutStack]) -> np.ndarray:
    """(3,) RAS where the middle slices of the stacks cross; along a missing plane's normal the images' middle."""
    normals = np.array([stack.normal for stack in stacks])
    depths = np.array([(stack.positions_mm[0] + stack.positions_mm[-1]) / 2 for stack in stacks])
    images = np.mean([s.center_mm for stack in stacks for s in stack.slices], axis=0)
    return images + np.linalg.lstsq(normals, depths - normals @ images, rcond=None)[0]


def _unseen(positions: Iterable[tuple[str, np.ndarray]]) -> list[Landmark]:
    covariance = np.eye(3) * UNSEEN_SD_MM**2
    return [Landmark(name, position, covariance, 0.0, PREDICTED) for name, position in positions]
