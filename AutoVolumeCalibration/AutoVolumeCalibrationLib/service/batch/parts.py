"""A batch in parts that share an output folder: which studies a part has, its table, and the table of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..engine.outcome import Outcome
from ..engine.records import Records
from .manifest import SUMMARY, Study, part_summary
from .resume import study_key
from .table import write_table

#: Which part, from 1, of how many; None for a batch in one part.
Shard = tuple[int, int] | None


def studies_of_part(studies: Sequence[Study], shard: Shard) -> Sequence[Study]:
    """Every N-th study: neighbours in a list are often alike, and take alike long."""
    return studies if shard is None else studies[shard[0] - 1 :: shard[1]]


def table_name(shard: Shard) -> str:
    """The file name of the part's table."""
    return SUMMARY if shard is None else part_summary(*shard)


def write_whole_table(
    output: Path, studies: Sequence[Study], own: Mapping[str, Outcome], records: Records, request_key: str
) -> None:
    """Write the table of all parts where every study has its outcome: by the part that ends last.

    Args:
        studies: of all parts; own: study name -> outcome of this part.
        request_key: outcomes of other requests do not count.
    """
    known = {study.name: own.get(study.name) or _recorded(study, records, request_key) for study in studies}
    outcomes = {name: outcome for name, outcome in known.items() if outcome is not None}
    if len(outcomes) == len(studies):
        write_table(output / SUMMARY, in_order(studies, outcomes))


def in_order(studies: Sequence[Study], outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    """The outcomes there are, in the order of the studies."""
    return [outcomes[study.name] for study in studies if study.name in outcomes]


def _recorded(study: Study, records: Records, request_key: str) -> Outcome | None:
    record = records.read(study.name)
    return record.outcome if record.key == study_key(request_key, study.scouts) else None
