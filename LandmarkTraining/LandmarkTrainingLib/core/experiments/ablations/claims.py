"""What a comparison says about the claims of its plan: confirmed, contradicted, open, not tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluation.metrics import markdown_table
from ...evaluation.statistics import holm
from .people_and_seeds import Difference, difference, person_means
from .plan import Claim

#: Fewer trainings of either variant decide nothing: how far seeds differ is then hardly known.
FEWEST_SEEDS = 3

CONFIRMED, CONTRADICTED, OPEN, NOT_TESTED = "confirmed", "contradicted", "open", "not tested"


@dataclass(frozen=True)
class Finding:
    """A claim with what was measured; ``difference`` is None where nothing was, ``p_value`` is Holm's."""

    claim: Claim
    difference: Difference | None
    p_value: float
    verdict: str


#: Number of given landmarks (None: without guidance) -> errors of each training, in the order of ``seeds``.
Errors = Mapping[int | None, Sequence[np.ndarray]]


def judged(claims: Sequence[Claim], measured: Mapping[str, Errors], subjects: Sequence[str]) -> list[Finding]:
    """Every claim with its verdict, in their order.

    A claim is confirmed (contradicted) where the 95 % interval over people and seeds lies below (above) 0, Holm's p is
    below 0.05, and both variants have ``FEWEST_SEEDS`` trainings.

    Args:
        measured: variant -> its errors, of the variants that are trained.
        subjects: of the slices.
    """
    found = [_difference(claim, measured, subjects) for claim in claims]
    corrected = holm([difference.p_value if difference else np.nan for difference in found])
    return [
        Finding(claim, difference, p_value, _verdict(claim, difference, p_value))
        for claim, difference, p_value in zip(claims, found, corrected, strict=True)
    ]


def claims_table(findings: Sequence[Finding]) -> str:
    """Markdown: the claim, the difference with its interval and sizes of the effect, the verdict."""
    rows = []
    for finding in findings:
        claim, found = finding.claim, finding.difference
        numbers = ["", "", "", ""]
        if found:
            interval = found.interval
            reach = f" [{interval.low:+.2f}, {interval.high:+.2f}]"
            over = "" if found.over_seeds else " (people only)"
            numbers = [
                f"{interval.estimate:+.2f}{reach}{over}",
                f"{found.percent:+.0f} %, {found.per_person_sd:+.1f} sd",
                f"{finding.p_value:.2g}",
                f"{found.seeds[0]} and {found.seeds[1]}",
            ]
        rows.append([f"{claim.text} ({claim.source})", _compared(claim), *numbers, finding.verdict])
    header = ["claim", "first less second", "mm [95 %]", "relative, per person", "p (Holm)", "seeds", "verdict"]
    return markdown_table(header, rows)


def _difference(claim: Claim, measured: Mapping[str, Errors], subjects: Sequence[str]) -> Difference | None:
    first = measured.get(claim.better, {}).get(claim.better_given)
    second = measured.get(claim.than, {}).get(claim.than_given)
    if not claim.is_tested or first is None or second is None:
        return None
    same = claim.better == claim.than
    return difference(person_means(first, subjects), person_means(second, subjects), same_trainings=same)


def _verdict(claim: Claim, found: Difference | None, p_value: float) -> str:
    if not claim.is_tested:
        return NOT_TESTED
    if found is None:
        return f"{NOT_TESTED} yet"
    if min(found.seeds) < FEWEST_SEEDS:
        return f"{OPEN} (fewer than {FEWEST_SEEDS} seeds)"
    if not p_value < 0.05 or 0 in found.interval:
        return OPEN
    return CONFIRMED if found.interval.high < 0 else CONTRADICTED


def _compared(claim: Claim) -> str:
    if not claim.is_tested:
        return ""
    return f"{_with_given(claim.better, claim.better_given)} - {_with_given(claim.than, claim.than_given)}"


def _with_given(name: str, given: int | None) -> str:
    return name if given is None else f"{name}, {given} given"
