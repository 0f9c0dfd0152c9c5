"""A plan in the words of the page, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.exports.dicom.plan_record import plan_record, record_digest
from ...core.files.json_files import read_json, require_schema
from ...core.planning.checks.check import Check
from ...core.planning.console.card import ConsoleCard, card_from_dict
from ...core.planning.risk.finding import risk_in_words
from ...core.report.content import VERDICTS
from ...core.storage.results import CALIBRATION_FILE
from ..batch.resume import proof_of

_REMEDY = "Plan it again."

#: Plans whose digest is remembered: those of some weeks.
_MOST_DIGESTS = 10_000


@dataclass(frozen=True)
class PlanView:
    """What the page shows of a plan.

    Attributes:
        sha256: digest that names it.
        level: of the worst check; verdict: in words.
        title: protocol and box.
        checks: worst first.
        cards: of the consoles; none in plans of earlier versions.
        risk: in words, empty where the model states none or a check says it.
        model: name and digest of the weights; model_sha256: the whole digest.
    """

    sha256: str
    level: str
    verdict: str
    title: str
    checks: tuple[Check, ...]
    cards: tuple[ConsoleCard, ...]
    risk: str
    model: str
    model_sha256: str


def read_plan_view(folder: Path) -> PlanView | None:
    """The plan in a folder, None where there is none; InputError where it is damaged."""
    if not (folder / CALIBRATION_FILE).exists():
        return None
    content = _content(folder)
    checks, model, risk = tuple(Check(**entry) for entry in content["checks"]), content["model"], content.get("risk")
    level = checks[0].level if checks else "ok"
    words = risk_in_words(risk["probability"]) if risk else ""
    return PlanView(
        sha256=_digest(content),
        level=level,
        verdict=VERDICTS[level],
        title=f"{content['protocol']}, {content['box']['name']}",
        checks=checks,
        cards=tuple(card_from_dict(card) for card in content.get("console", ())),
        risk="" if any(words in check.message for check in checks) else words,
        model=f"{model['name']} ({model['sha256'][:12]})" if model else "no model",
        model_sha256=model["sha256"] if model else "",
    )


def plan_digest(folder: Path) -> str:
    """The digest of the plan in a folder, read once; empty where there is none or it is damaged."""
    proof = proof_of(folder)
    return _known_digest(folder, proof) if proof else ""


@lru_cache(maxsize=_MOST_DIGESTS)
def _known_digest(folder: Path, _proof: str) -> str:
    try:
        return _digest(_content(folder))
    except InputError:
        return ""


def _content(folder: Path) -> Mapping[str, Any]:
    path = folder / CALIBRATION_FILE
    content: Mapping[str, Any] = read_json(path, InputError, _REMEDY)
    require_schema(content, "calibration", path, InputError, _REMEDY)
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return record_digest(plan_record(content))
