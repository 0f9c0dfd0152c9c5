"""A plan that was saved, opened again on the scouts that it was made on, and on no others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..anatomy.protocol_file import load_protocol
from ..errors import InputError
from ..scouts.identity import StackIdentity, difference
from ..scouts.reader import read_study
from ..scouts.stack import ScoutStack
from ..storage.results import SavedCalibration, read_results
from .calibration import Calibration
from .checked_plan import with_follow_up
from .pipeline import plan_from_landmarks

_REMEDY = "Give the scouts that it was made on, or calibrate again."


def reopen(folder: Path | str, *, scouts: Sequence[Path | str] = ()) -> Calibration:
    """The plan in a result folder, to be corrected further with ``refit`` and ``repredict``.

    Args:
        scouts: where its scouts are now, if they moved.

    Raises:
        InputError: there is no plan, or the scouts are gone or are not those that it was made on.
    """
    saved = read_results(folder)
    planned = plan_from_landmarks(
        stacks_of(saved, folder, scouts),
        load_protocol(saved.protocol),
        saved.landmarks,
        predicted=saved.predicted,
        model=saved.model,
        box=saved.box.name,
        timings_s=saved.timings_s,
        disagreeing=saved.disagreeing,
        motion=saved.motion,
        birge_ratios=saved.birge_ratios,
    )
    return with_follow_up(planned, saved.follow_up)


def stacks_of(saved: SavedCalibration, folder: Path | str, scouts: Sequence[Path | str] = ()) -> list[ScoutStack]:
    """The scouts of a saved plan, read again and compared with what the plan says about them.

    Args:
        folder: the plan's, for messages.
        scouts: where they are now; where they were when empty.

    Raises:
        InputError: the plan does not name its scouts, they are gone, or they are others.
    """
    paths = list(scouts or saved.sources)
    if not paths:
        raise InputError("does not say which scouts it was planned on", source=str(folder), remedy=_REMEDY)
    gone = [path for path in paths if not Path(path).exists()]
    if gone and not scouts:
        remedy = "Say where they are now, or calibrate again."
        raise InputError("the scouts of this plan are no longer there", source=str(gone[0]), remedy=remedy)
    stacks = _read(paths, saved.scouts)
    require_same_scouts(saved.scouts, stacks, str(paths[0]))
    return stacks


def require_same_scouts(known: Sequence[StackIdentity], stacks: Sequence[ScoutStack], source: str) -> None:
    """Raise InputError naming ``source`` where the stacks are not those of a plan; earlier plans do not know theirs."""
    differs = difference(known, stacks) if known else None
    if differs:
        raise InputError(f"these are not the scouts of this plan: {differs}", source=source, remedy=_REMEDY)


def _read(paths: Sequence[Path | str], known: Sequence[StackIdentity]) -> list[ScoutStack]:
    """The same series as then, although others may have arrived since; where they are gone, whatever is there."""
    series = list(dict.fromkeys(one.series for one in known if one.series))
    if series:
        try:
            return list(read_study(paths, force=True, series=series).stacks)
        except InputError:
            pass  # the second attempt says what is wrong
    return list(read_study(paths, force=True).stacks)
