"""Planning by hand, without a model: a typical head that follows the points a person places.

The reference constellation is put straight where the scouts cross. Its points count as predictions that share one
large error of the pose (``frame.fit_frame``), so nothing but the placed points decides where the head lies, and what
is known of heads in general fills in the rest. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..anatomy.protocol import Protocol
from ..detection.model_info import ModelInfo
from ..planning.checks import ERROR, Check
from ..scouts.stack import ScoutStack, require_usable
from .calibration import Calibration
from .pipeline import plan_from_landmarks

#: Stands where else the name of a model stands.
NAME = "typical head"

#: Nobody looked at the image: how far off each point may be, mm per axis ...
UNSEEN_SD_MM = 20.0

#: ... and all of them together: rotation (rad), log scale, translation (mm).
POSE_SD = (0.2, 0.2, 0.2, 0.1, 25.0, 25.0, 25.0)


def plan_by_hand(stacks: Sequence[ScoutStack], protocol: Protocol, *, box: str | None = None) -> Calibration:
    """A plan for a typical head where the scouts cross, to be corrected by a person.

    Args:
        box: name of one of the protocol's boxes, its first when None.

    Raises:
        InputError: the scouts cannot be planned on.
    """
    require_usable(stacks)
    reference = protocol.constellation.reference_mm
    middle = (reference.min(axis=0) + reference.max(axis=0)) / 2
    places = scouts_center_mm(stacks) + reference - middle
    predicted = _unseen(zip(protocol.constellation.names, places, strict=True))
    model = ModelInfo(NAME, "0" * 64, "none", np.diag(np.square(POSE_SD)))
    plan = plan_from_landmarks(stacks, protocol, (), predicted=predicted, model=model, box=box)
    # What else there is to find fault with follows from this.
    return replace(plan, checks=(Check("by hand", ERROR, "This is a typical head, not yet the patient's."),))


def is_by_hand(calibration: Calibration) -> bool:
    """Whether the plan began with a typical head instead of a model."""
    return calibration.model is not None and calibration.model.name == NAME


def propagate_corrections(calibration: Calibration) -> Calibration:
    """The plan with every point that no person placed where the placed ones let expect it; those stay."""
    placed = [mark for mark in calibration.landmarks if mark.status == CORRECTED]
    cleared = [mark for mark in calibration.landmarks if mark.status == MISSING]
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


def _unseen(places: Iterable[tuple[str, np.ndarray]]) -> list[Landmark]:
    covariance = np.eye(3) * UNSEEN_SD_MM**2
    return [Landmark(name, place, covariance, 0.0, PREDICTED) for name, place in places]
