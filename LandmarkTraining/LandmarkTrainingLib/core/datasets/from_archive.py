"""Studies from an archive: the localizer, and the box that the diagnostic series after it was planned with.

Every examination in an archive records where the user planned the slices: the volume of the diagnostic series lies in
the same frame of reference as the localizer. It does not record the landmarks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.dicom import NotAScout, read_dicom_headers, stacks_from_frames
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.series_geometry import SeriesGeometry, series_geometry
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.storage.results import box_to_dict

from .building import Candidate, Skipped
from .dicom_archive import FEWEST_SLICES, Series, find_series
from .planned_series import REFERENCE_SERIES, planned_series, planned_series_to_dict

#: Key of the reference box in a study's provenance, and the name of that box.
REFERENCE_BOX, REFERENCE_NAME = "reference_box", "reference"

_OTHER_SERIES = "Choose another diagnostic series by its description."


def archive_candidates(root: Path, wanted: str = "*") -> Iterator[Candidate | Skipped]:
    """The examinations below a folder of DICOM studies that have a localizer and a diagnostic series after it.

    Args:
        wanted: pattern (``fnmatch``, case does not matter) that the description of the diagnostic series has to match;
            the first match counts. A box rule should be learnt from series of one kind only.

    Raises:
        InputError: the folder holds no MR images.
    """
    for series in find_series(root):
        folder = str(series[0].paths[0].parent)
        planned = _planned(series, wanted)
        before = [one for one in series if one.localizer and (planned is None or one.order < planned.order)]
        if not before:
            yield Skipped(folder, "has no localizer before its diagnostic series. Export the whole examination.")
        elif planned is None:
            yield Skipped(
                folder,
                f"has no diagnostic series of {FEWEST_SLICES} slices or more like {wanted!r} after the localizer. "
                "Export the whole examination, or choose another series.",
            )
        else:
            yield Candidate(folder, partial(_study, before, planned), planned.patient or None)


def _planned(series: Sequence[Series], wanted: str) -> Series | None:
    """The first diagnostic series that matches and follows a localizer."""
    localizers = [one.order for one in series if one.localizer]
    for one in series:
        fits = fnmatch(one.description.lower(), f"*{wanted.lower()}*")
        if one.diagnostic and fits and localizers and one.order > min(localizers):
            return one
    return None


def _study(localizers: Sequence[Series], planned: Series) -> list[LabelledStudy]:
    geometry = _geometry(planned)
    stacks = tuple(read_scouts([path for one in localizers for path in one.paths]))
    provenance = {
        "kind": "archive",
        "coordinate_system": "RAS",
        REFERENCE_BOX: box_to_dict(geometry.box(REFERENCE_NAME)),
        REFERENCE_SERIES: planned_series_to_dict(planned_series(geometry)),
    }
    return [LabelledStudy("", stacks, (), provenance)]


def _geometry(planned: Series) -> SeriesGeometry:
    """The slices of the diagnostic series, from its headers alone: of several stacks the largest.

    Raises:
        InputError: it is a mosaic, or its slices are uneven.
    """
    folder = str(planned.paths[0].parent)
    try:
        frames = [frame for path in planned.paths for frame in read_dicom_headers(path)]
        plain = [frame for frame in frames if frame.kind is None]
        largest = max(stacks_from_frames(plain or frames, folder), key=lambda stack: len(stack.slices))
        return series_geometry(largest, folder)
    except NotAScout as error:
        # Its own remedy is about scouts.
        raise InputError(f"the diagnostic series: {error.what}", source=folder, remedy=_OTHER_SERIES) from error
    except InputError as error:
        raise InputError(f"the diagnostic series: {error.what}", source=error.source, remedy=_OTHER_SERIES) from error
