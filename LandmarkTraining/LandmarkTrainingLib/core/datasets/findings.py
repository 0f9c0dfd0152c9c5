"""Findings about a data set, and the report that the user reads before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING

#: Studies named in a line of the report; of the others it gives the number.
NAMED_STUDIES = 5

_TITLES = {ERROR: "To fix before training", WARNING: "To review"}


@dataclass(frozen=True)
class Finding:
    """One problem: ``level`` is "error" or "warning"; ``study`` is "" for the whole set."""

    level: str
    study: str
    message: str
    remedy: str


def has_errors(findings: Sequence[Finding]) -> bool:
    """Whether anything must be fixed before training."""
    return any(finding.level == ERROR for finding in findings)


def report(findings: Sequence[Finding], studies: int) -> str:
    """The findings as Markdown, errors first; findings that several studies share are listed once."""
    counts = {level: sum(finding.level == level for finding in findings) for level in _TITLES}
    lines = [f"Studies: {studies}, errors: {counts[ERROR]}, warnings: {counts[WARNING]}."]
    for level, title in _TITLES.items():
        shared: dict[tuple[str, str], list[str]] = {}
        for finding in findings:
            if finding.level == level:
                shared.setdefault((finding.message, finding.remedy), []).append(finding.study)
        if shared:
            lines += ["", f"## {title}", ""]
        lines += [f"- {_named(names)}{message}. {remedy}" for (message, remedy), names in shared.items()]
    return "\n".join(lines) + "\n"


def _named(studies: Sequence[str]) -> str:
    named = list(dict.fromkeys(study for study in studies if study))
    if not named:
        return ""
    more = f" and {len(named) - NAMED_STUDIES} more" if len(named) > NAMED_STUDIES else ""
    return f"**{', '.join(named[:NAMED_STUDIES])}{more}**: "
