"""What a series of images is, judged from its header alone: localizer, diagnostic series, or no scout at all.

The one place that knows what vendors and sites call things; the archive reader of the training module asks here too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .stack import ScoutStack

#: Kinds of series that can be planned on, best first.
LOCALIZER, DIAGNOSTIC, REFORMAT, PREPARATION = "localizer", "diagnostic series", "reformatted images", "preparation"
#: An image file (NRRD, NIfTI, ...) that states no more than its geometry.
IMAGE = "image"

#: Kinds that show no anatomy in place, and are used only where the user chooses them.
PROJECTION, PHASE, COMPLEX_PART = "projection", "phase images", "real or imaginary part"
MAP, LABELS, SCREENSHOT, OTHER = "parameter map", "label image or mask", "screenshot", "other object"

#: What vendors and sites call localizers, and scans that prepare the scanner: neither is planned by the user.
_LOCALIZER = re.compile(r"loc(?:ali[sz]er|\b|_)|scout|survey|3.?plane|plan.?scan|smartbrain", re.IGNORECASE)
_PREPARATION = re.compile(r"asset|calib|pre-?scan|coil|shim|b[01].?map|field.?map|sense.?ref|ref.?scan", re.IGNORECASE)

#: ImageType and FrameType: words of DICOM PS3.3 C.7.6.1.1.2 and C.8.13.3.1, and the vendors' own.
_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MNIP", "MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER"}
_REFORMATS = {"MPR", "REFORMATTED", "CPR", "CURVED", "MPR_THICK"}
_PHASES = {"P", "PHASE", "PHASE MAP", "PHASEMAP", "VELOCITY", "VELOCITY MAP"}
_PARTS = {"R", "I", "REAL", "IMAGINARY"}
_MAPS = {
    *("ADC", "ADC_UNSPECIFIED", "EADC", "FA", "RELCBF", "RELCBV", "RELMTT", "CBF", "CBV", "MTT", "TTP", "RCBF", "RCBV"),
    *("T1 MAP", "T2 MAP", "T2_STAR MAP", "T2* MAP", "R2 MAP", "FIELD MAP", "B0 MAP", "B1 MAP", "PERFUSION", "T1", "T2"),
}
_SCREENSHOTS = {"SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN_SAVE"}
#: Philips: PHASE or part with the sequence, as in ``R_IR``.
_PHILIPS_PART = re.compile(r"(?P<part>[PRI])_[A-Z0-9]+")


class NotAScout(InputError):
    """A sound file, but not a scout (a report, a screenshot, a CT, a mask): skipped where a whole folder is given."""


@dataclass(frozen=True)
class SeriesInfo:
    """One DICOM series or image file that was found: what it is, and whether it is used.

    Attributes:
        key: names the series among the others (``series`` of ``read_study`` takes it): UID, or the file's path.
        title: ``series 3``, or the path of an image file, for messages: nothing that identifies a patient.
        number: SeriesNumber as text; empty where none is stated.
        description: SeriesDescription or the file's name. It may identify a patient: show it, but do not store it.
        kind: one of this module's kinds.
        planes: (plane, number of slices) of each stack; none where there is no position.
        used: whether the plan rests on it.
        reason: why it is used or not, as part of a sentence.
        files: its files.
    """

    key: str = field(repr=False)
    title: str
    number: str
    description: str = field(repr=False)
    kind: str
    planes: tuple[tuple[str, int], ...]
    used: bool
    reason: str
    files: tuple[Path, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class ScoutStudy:
    """The scouts to plan on, and all series that were found with them.

    Attributes:
        stacks: at least two planes in one frame of reference.
        series: everything that was found, in the order of scanning, the used ones marked.
        notes: what the user should know about the choice, a sentence each.
    """

    stacks: tuple[ScoutStack, ...]
    series: tuple[SeriesInfo, ...] = ()
    notes: tuple[str, ...] = ()


def is_named_localizer(description: str, image_type: Sequence[str] = ()) -> bool:
    """Whether the header calls it a localizer."""
    return "LOCALIZER" in _words(image_type) or bool(_LOCALIZER.search(description))


def is_preparation(description: str) -> bool:
    """Whether the description is that of a scan that prepares the scanner."""
    return bool(_PREPARATION.search(description))


def kind_of_image(image_type: Sequence[str], component: str = "", technique: str = "") -> str | None:
    """The kind of an image other than a plain magnitude image: projection, phase, map, reformat, ...; else None.

    Args:
        image_type: ImageType, or an enhanced frame's FrameType.
        component: ComplexImageComponent; technique: VolumeBasedCalculationTechnique.
    """
    words = _words(image_type)
    own = set(words[2:])
    own |= {match["part"] for match in map(_PHILIPS_PART.fullmatch, own) if match}
    component, technique = component.strip().upper(), technique.strip().upper()
    if own & _SCREENSHOTS:
        return SCREENSHOT
    if set(words) & _PROJECTIONS or technique in _PROJECTIONS:
        return PROJECTION
    if own & _PHASES or component == "PHASE":
        return PHASE
    # A real part with a magnitude in its name is a magnitude image.
    if own & _PARTS or component in ("REAL", "IMAGINARY"):
        return COMPLEX_PART
    if own & _MAPS and words[:1] == ["DERIVED"]:
        return MAP
    if (own & _REFORMATS or technique in ("MPR", "CURVED_MPR")) and words[:1] != ["ORIGINAL"]:
        return REFORMAT
    return None


def uid_digest(uid: str) -> str:
    """What results keep of an identifier: enough to compare it with another, and nothing that leads to the patient."""
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _words(image_type: Sequence[str]) -> list[str]:
    return [str(word).strip().upper() for word in image_type]
