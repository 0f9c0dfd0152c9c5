"""Promote a trained bundle to the default model: if a comparison shows that it is better, and reversibly.

Where the comparison leaves that open (too few people, no gain beyond noise), the user may decide to promote it anyway:
the decision and the evidence are kept with the model. A model that was shown to be worse is not promoted.

The bundle is copied into the user's models (``core.models.store``) under a new name, ``<name>-<number>``.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import remove_stale, temporary_beside, write_text
from AutoVolumeCalibrationLib.core.models.bundle import load_model, metadata_json, read_metadata
from AutoVolumeCalibrationLib.core.models.store import (
    DEFAULT_ANATOMY,
    NO_MODEL,
    CurrentModel,
    Promotion,
    bundle_anatomy,
    default_folder,
    default_models,
    model_folders,
    read_current,
    user_models_folder,
    write_current,
)

from ..evaluation.case_measures import PRIMARY
from .box_verdict import AS_GOOD, BETTER, FEW_PEOPLE, UNDECIDED
from .comparison_report import read_comparison
from .comparison_run import NO_WEIGHTS

#: Key of a bundle's metadata: what its promotion rests on.
PROMOTION = "promotion"

#: What the user accepts who promotes a model that was not shown to be better.
CONSEQUENCE = (
    "Every plan that names no other model is made with it. If it is worse, boxes are turned or shifted more than "
    "before, and nothing else shows it."
)

_COMPARE_AGAIN = "Compare the bundle with the current model again."


def promote(bundle_folder: Path, comparison: Path, *, anyway: bool = False) -> Path:
    """Make a bundle the default model of its anatomy; returns the folder of its copy.

    Args:
        comparison: the ``comparison.json`` of exactly these weights with the model that is the default now.
        anyway: also where the comparison leaves open whether it is better; recorded in the copy's metadata.

    Raises:
        UsageError: the comparison does not show it to be better, is of other weights or another current model, or the
            folder of the user's models cannot be written. Nothing is changed.
        ModelError: the bundle or ``current.json`` is damaged.
        InputError: the comparison is damaged.
    """
    model = load_model(bundle_folder, "cpu")  # runs all checks that a model must pass before use
    anatomy = bundle_anatomy(bundle_folder)
    current, before = read_current(), default_models().get(anatomy, NO_MODEL)
    reason = _reason(read_comparison(comparison), comparison, model.sha256, anatomy, anyway)
    folder = user_models_folder()
    name = _free_name(model.name)
    promoted_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    _copy(
        bundle_folder,
        folder / name,
        {"promoted_at": promoted_at, "replaced": before, **reason},
    )
    step = Promotion(name, model.sha256, before, promoted_at, reason)
    try:
        write_current(replace(current.with_model(anatomy, name), history=(*current.history, step)))
    except BaseException:
        shutil.rmtree(folder / name, ignore_errors=True)
        raise
    return folder / name


def roll_back(anatomy: str = DEFAULT_ANATOMY) -> str:
    """Restore the previous default model of an anatomy; returns its name. No bundle is removed.

    Returns:
        ``NO_MODEL`` where the anatomy had none before.

    Raises:
        UsageError: the present one was not promoted.
        ModelError: the previous model is gone, or ``current.json`` is damaged.
    """
    current = read_current()
    name = current.of(anatomy)
    before = _before(current, anatomy)
    if before is None:
        what = f"{name} replaced no other model" if name else f"no model of {anatomy} was promoted"
        raise UsageError(what, remedy="Name the model to use.")
    if before and before not in model_folders():
        raise ModelError(
            f"the previous model {before} is gone",
            source=str(user_models_folder()),
            remedy="Put its bundle back.",
        )
    write_current(current.with_model(anatomy, before))
    return before


def previous_model(anatomy: str = DEFAULT_ANATOMY) -> str | None:
    """Name of the model that ``roll_back`` returns to, None if there is none; raises like ``history``."""
    return _before(read_current(), anatomy)


def history() -> tuple[Promotion, ...]:
    """Every promotion of all anatomies, oldest first, including those that were rolled back.

    Raises:
        ModelError: ``current.json`` is damaged.
    """
    return read_current().history


def _before(current: CurrentModel, anatomy: str) -> str | None:
    """The model that the anatomy's promoted one replaced, ``NO_MODEL`` where it was the first; None: none promoted."""
    steps = [step for step in current.history if step.model == current.of(anatomy)]
    return steps[-1].before if steps else None


def may_override(outcome: str | None) -> bool:
    """Whether the user may promote a model with this outcome of its comparison, better or not; None: unknown."""
    return outcome in (BETTER, AS_GOOD, UNDECIDED, FEW_PEOPLE)


def _reason(comparison: dict[str, Any], path: Path, sha256: str, anatomy: str, anyway: bool) -> dict[str, Any]:
    """The comparison's result for the weights; UsageError unless they may replace the current model."""
    first, *others = comparison["models"]
    if first["sha256"] != _current_sha256(anatomy):
        raise UsageError(
            f"compares with {first['name']}, which is not the current model", source=str(path), remedy=_COMPARE_AGAIN
        )
    found = [other for other in others if other["sha256"] == sha256]
    if not found:
        raise UsageError(
            f"does not compare the weights {sha256[:8]} of this bundle", source=str(path), remedy=_COMPARE_AGAIN
        )
    verdict = found[0]["verdict"]
    if not verdict or "outcome" not in verdict:
        raise UsageError("has no verdict on the boxes", source=str(path), remedy=_COMPARE_AGAIN)
    _require_permission(found[0]["name"], verdict, path, anyway)
    return {
        "data": {key: comparison["data"][key] for key in ("kind", "fingerprint", "cases", "subjects")},
        "compared_with": {"name": first["name"], "sha256": first["sha256"]},
        "protocol": comparison["protocol"],
        "outcome": verdict["outcome"],
        "anyway": verdict["outcome"] != BETTER,
        "boxes": verdict["boxes"],
        PRIMARY: found[0]["differences"][PRIMARY],
        "reasons": verdict["reasons"],
    }


def _require_permission(name: str, verdict: dict[str, Any], path: Path, anyway: bool) -> None:
    """UsageError unless the model is better, or the user may promote it anyway and does."""
    outcome, why = verdict["outcome"], " ".join(verdict["reasons"]).rstrip(".")
    if outcome == BETTER or (anyway and may_override(outcome)):
        return
    if not may_override(outcome):
        remedy = "Keep the current model, and use this one by its folder where it fits better."
        raise UsageError(f"shows {name} to be worse. {why}", source=str(path), remedy=remedy)
    remedy = f"Compare on more people, keep the current model, or promote it with --anyway. {CONSEQUENCE}"
    raise UsageError(f"does not show {name} to be better. {why}", source=str(path), remedy=remedy)


def _current_sha256(anatomy: str) -> str:
    """Of the weights of the default model; ``NO_WEIGHTS`` where the anatomy has none."""
    folder = default_folder(anatomy)
    return str(read_metadata(folder)["weights"]["sha256"]) if folder else NO_WEIGHTS


def _free_name(name: str) -> str:
    """``name-1`` or the next number that is free; a number at the end of the name is replaced."""
    stem = re.sub(r"-\d+$", "", re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")) or "model"
    taken = {*model_folders(), *(step.model for step in history())}
    taken |= {path.name for path in user_models_folder().glob(f"{stem}-*")}
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def _copy(bundle: Path, target: Path, promotion: dict[str, Any]) -> None:
    """Copy a bundle under its new name, with what its promotion rests on, atomically: built beside and renamed."""
    remove_stale(target.parent)
    temporary = temporary_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(bundle, temporary, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        metadata = {**read_metadata(temporary), "name": target.name, PROMOTION: promotion}
        write_text(temporary / "configs" / "metadata.json", metadata_json(metadata))
        temporary.rename(target)
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror or error})",
            source=str(target),
            remedy="Check the folder, its permissions and the free disk space.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
