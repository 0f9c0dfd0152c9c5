"""Folds for cross-validation. All cases of a subject are in the same fold: slices of one head are alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AutoVolumeCalibrationLib.core.errors import UsageError


def subject_folds(subjects: Sequence[str], folds: int, seed: int) -> list[list[int]]:
    """Split the cases into folds of about equal size, subject by subject.

    Subjects with the most cases are assigned first, each to the fold with the fewest cases so far;
    ``seed`` shuffles those with equally many cases. The order of the cases does not affect which subjects share a fold.

    Args:
        subjects: of each case.

    Returns:
        For each fold the indices of its cases, ascending.

    Raises:
        UsageError: fewer than two folds, or fewer subjects than folds.
    """
    cases = _cases_of(subjects)
    if not 2 <= folds <= len(cases):
        remedy = "Give at least 2 folds and no more than there are subjects."
        raise UsageError(f"{len(cases)} subjects cannot be split into {folds} folds", source="folds", remedy=remedy)
    names = sorted(cases)
    np.random.default_rng(seed).shuffle(names)
    dealt: list[list[str]] = [[] for _ in range(folds)]
    counts = [0] * folds
    for name in sorted(names, key=lambda name: -len(cases[name])):
        fold = min(range(folds), key=lambda i: (counts[i], len(dealt[i])))
        dealt[fold].append(name)
        counts[fold] += len(cases[name])
    return [sorted(index for name in names for index in cases[name]) for names in dealt]


def leave_one_subject_out(subjects: Sequence[str]) -> list[list[int]]:
    """One fold for each subject, by name: the indices of its cases. UsageError with fewer than two subjects."""
    cases = _cases_of(subjects)
    if len(cases) < 2:
        raise UsageError(f"{len(cases)} subjects are too few to leave one out", remedy="Add cases of other subjects.")
    return [cases[name] for name in sorted(cases)]


def _cases_of(subjects: Sequence[str]) -> dict[str, list[int]]:
    cases: dict[str, list[int]] = {}
    for index, name in enumerate(subjects):
        cases.setdefault(name, []).append(index)
    return cases
