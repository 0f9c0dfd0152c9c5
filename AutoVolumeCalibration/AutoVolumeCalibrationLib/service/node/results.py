"""The DICOM objects of a plan, in the forms that its destinations take.

The same plan gives the same objects with the same UIDs (``core.exports``), so none counts twice. The picture of a plan
states no run time here: it would be another picture, and so another object, whenever the same study is planned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.errors import InputError, UsageError
from ...core.exports.forms import FORMS
from ...core.exports.plan_source import plan_source
from ...core.files.dicom_parsing import parse_dicom
from ...core.install_remedy import install_remedy
from ...core.report.overview import draw_overview
from ...core.storage.results import OVERVIEW_FILE
from ...core.workflow.calibration import Calibration
from ..planning import Drawings

#: What a plan looks like in the spool: its picture is the same whenever it is planned.
DRAWINGS: Drawings = {OVERVIEW_FILE: lambda plan, path: draw_overview(replace(plan, timings_s={}), path)}

#: Forms that are made with highdicom.
_NEED_HIGHDICOM = frozenset({"dicom-sr", "gsps"})


@dataclass(frozen=True)
class PlanObject:
    """A DICOM object: its SOP instance UID and its file."""

    uid: str
    path: Path


@dataclass(frozen=True)
class PlanObjects:
    """What was made of a plan.

    Attributes:
        by_form: name of the form -> the object.
        notes: why a form is missing, a clause each.
    """

    by_form: Mapping[str, PlanObject]
    notes: tuple[str, ...]


def write_objects(plan: Calibration, plan_folder: Path, forms: Iterable[str], folder: Path) -> PlanObjects:
    """Write a plan in some DICOM forms (``FORMS``), each into a file in ``folder``; earlier ones are replaced.

    A form that these scouts do not allow is left out and noted: the plan itself is good.

    Args:
        plan_folder: where the plan was saved, with its picture.

    Raises:
        UsageError: a file cannot be written.
    """
    source = replace(plan_source(plan), folder=plan_folder)
    objects, notes = {}, []
    folder.mkdir(parents=True, exist_ok=True)
    for form in sorted(set(forms)):
        path = folder / f"{form}.dcm"
        try:
            FORMS[form].write(source, path, "")
        except InputError as error:
            notes.append(f"not sent as {form}: {error.what}")
            continue
        objects[form] = PlanObject(str(parse_dicom(path, stop_before_pixels=True).SOPInstanceUID), path)
    return PlanObjects(objects, tuple(notes))


def require_packages(forms: Iterable[str]) -> None:
    """Raise UsageError where a package is missing that a form needs, before there is anything to write."""
    from importlib.util import find_spec

    needed = sorted(_NEED_HIGHDICOM & set(forms))
    if needed and find_spec("highdicom") is None:
        what = f"the Python package highdicom is missing, which {needed[0]} needs"
        raise UsageError(what, remedy=install_remedy("highdicom", "service"))
