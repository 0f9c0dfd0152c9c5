"""Whether a data set is of a protocol's anatomy: a network that learns it would find other landmarks, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.errors import InputError, shortened
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR
from AutoVolumeCalibrationLib.core.storage.dataset import study_folder, study_names

from .file_pairs import points_in
from .findings import Finding
from .reading import ANATOMY, read_points_of, read_provenance

#: A study with a smaller share of its points among the protocol's landmarks is of another anatomy.
FEWEST_KNOWN = 0.5


def misfit(
    study: str, landmarks: Sequence[Landmark], provenance: Mapping[str, Any], protocol: Protocol
) -> Finding | None:
    """The error of a study of another anatomy; None for one that fits, or that has no points."""
    stated = provenance.get(ANATOMY)
    if stated and protocol.anatomy and stated != protocol.anatomy:
        return Finding(
            ERROR,
            study,
            f"is of the anatomy {stated}, {protocol.name} of {protocol.anatomy}",
            f"Name a protocol of {stated}.",
        )
    names = list(points_in(landmarks))
    # A name in other letters is a misspelling, which the check of names reports.
    known = {name.casefold() for name in protocol.constellation.names}
    unknown = [name for name in names if name.casefold() not in known]
    if not names or len(names) - len(unknown) >= FEWEST_KNOWN * len(names):
        return None
    return Finding(
        ERROR,
        study,
        f"is of another anatomy: {len(unknown)} of its {len(names)} points are not landmarks of {protocol.name}, "
        f"such as {shortened(unknown)}",
        f"Name the protocol of its anatomy. {protocol.name} has: {', '.join(protocol.constellation.names)}.",
    )


def require_fit(folder: Path, protocol: Protocol) -> None:
    """Refuse a data set with a study of another anatomy.

    Raises:
        InputError: naming the study; also where a point list or provenance is damaged.
    """
    for name in study_names(folder):
        path = study_folder(folder, name)
        found = misfit(name, read_points_of(path), read_provenance(path), protocol)
        if found:
            raise InputError(found.message, source=str(path), remedy=found.remedy)
