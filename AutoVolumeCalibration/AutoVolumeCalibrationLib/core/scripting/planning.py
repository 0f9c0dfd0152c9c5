"""Plan and plan again, for scripts: as ``workflow.pipeline``, with the result that saves and shows itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..workflow import pipeline
from .calibration import Calibration

if TYPE_CHECKING:
    from ..anatomy.landmark import Landmark
    from ..anatomy.protocol import Protocol
    from ..detection.landmark_model import LandmarkModel
    from ..scouts.stack import ScoutStack


def calibrate(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    model: LandmarkModel,
    *,
    box: str | None = None,
    corrections: Iterable[Landmark] = (),
    threshold: float | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Calibration:
    """Find the landmarks on the scouts and plan the box.

    Args:
        box: name of one of the protocol's boxes, its first when None.
        corrections: landmarks that the user placed; they stay where they are and guide the detection of the others.
        threshold: peak value, 0..1, below which a landmark is missing; the model's own when None.
        progress: called with the fraction of the slices done, 0..1.
        cancelled: called between batches of slices; True raises Cancelled.

    Raises:
        InputError: the scouts cannot be planned on, or too few landmarks are found.
        ProtocolError: the protocol has no such box.
        UsageError: the threshold is not between 0 and 1.
    """
    result = pipeline.calibrate(
        stacks,
        protocol,
        model,
        box=box,
        corrections=corrections,
        threshold=threshold,
        progress=progress,
        cancelled=cancelled,
    )
    return Calibration.of(result)


def refit(calibration: Calibration, corrections: Iterable[Landmark], *, box: str | None = None) -> Calibration:
    """Plan again from the predicted landmarks and the user's corrections, without the network; takes milliseconds.

    Args:
        corrections: all corrections that hold now, those of an earlier refit included.
        box: name of one of the protocol's boxes, the same as before when None.

    Raises:
        InputError: too few landmarks are left, or they do not determine a frame.
    """
    return Calibration.of(pipeline.refit(calibration, corrections, box=box))
