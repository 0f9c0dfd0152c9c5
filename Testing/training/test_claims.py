"""Claims of a plan: confirmed or contradicted only where trainings and people show it."""

import numpy as np
import pytest

from LandmarkTrainingLib.core.experiments.ablations.claims import (
    CONFIRMED,
    CONTRADICTED,
    NOT_TESTED,
    OPEN,
    claims_table,
    judged,
)
from LandmarkTrainingLib.core.experiments.ablations.plan import Claim

SUBJECTS = [f"p{number // 4}" for number in range(48)]


def trained(mean, seeds=3, seed_sd=0.1, number=0):
    """Errors of so many trainings on 48 slices of 12 people, 5 landmarks each."""
    rng = np.random.default_rng(number)
    person = np.repeat(np.random.default_rng(99).standard_normal(12), 4)[:, None]
    return [mean + person + seed_sd * rng.standard_normal() + rng.standard_normal((48, 5)) for _ in range(seeds)]


MEASURED = {
    "good": {None: trained(4.0, number=1), 0: trained(4.0, number=1), 4: [e - 0.5 for e in trained(4.0, number=1)]},
    "bad": {None: trained(6.0, number=2)},
    "wild": {None: trained(4.6, seed_sd=2.0, number=3)},
    "once": {None: trained(4.0, seeds=1, number=4)},
}


@pytest.mark.parametrize(
    ("better", "than", "given", "verdict"),
    [
        ("good", "bad", (None, None), CONFIRMED),
        ("bad", "good", (None, None), CONTRADICTED),
        ("good", "wild", (None, None), OPEN),
        ("good", "good", (4, 0), CONFIRMED),
        ("once", "bad", (None, None), f"{OPEN} (fewer than 3 seeds)"),
        ("good", "later", (None, None), f"{NOT_TESTED} yet"),
        ("", "", (None, None), NOT_TESTED),
    ],
)
def test_a_claim_gets_the_verdict_that_the_trainings_allow(better, than, given, verdict):
    (finding,) = judged([Claim("text", "source", better, than, *given)], MEASURED, SUBJECTS)
    assert finding.verdict == verdict
    line = claims_table([finding]).splitlines()[-1]
    assert line.startswith("| text (source) |") and line.rstrip(" |").endswith(verdict)


def test_many_claims_need_stronger_evidence():
    """The same difference that one claim shows is open among many (Holm)."""
    slight = {
        "good": {None: trained(4.0, seed_sd=0.03, number=1)},
        "slight": {None: trained(4.5, seed_sd=0.03, number=8)},
    }
    claim = Claim("text", "source", "good", "slight")
    (alone,) = judged([claim], slight, SUBJECTS)
    among = judged([claim] * 400, slight, SUBJECTS)
    assert alone.verdict == CONFIRMED and among[0].verdict == OPEN
    assert among[0].p_value == pytest.approx(min(1, 400 * alone.p_value))
