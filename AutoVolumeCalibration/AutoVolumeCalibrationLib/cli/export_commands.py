"""``export`` and ``import-sr``: plans in the forms of archives, scanners and other programs, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from .console import print_notes, say

#: As ``core.exports.forms`` has them; the core is imported only once a command runs.
FORMS = ("dicom-sr", "dicom-sc", "gsps", "pulseq", "openigtlink", "mrd", "scanhub", "nifti")
POSITIONS = ("HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL")


def register(commands: argparse._SubParsersAction) -> None:
    """Add both commands."""
    export = commands.add_parser("export", description="Write a plan as DICOM, or for a scanner or other software")
    export.add_argument("folder", type=Path, metavar="PLAN", help="output folder of calibrate")
    export.add_argument("--to", required=True, choices=FORMS, help="the form")
    export.add_argument(
        "--output", required=True, metavar="FILE|HOST:PORT", help="the file; for openigtlink the server's address"
    )
    export.add_argument("--scouts", nargs="+", default=(), metavar="SCOUT", help="where the scouts are, if they moved")
    export.add_argument(
        "--patient-position",
        choices=POSITIONS,
        help="how the patient lies, for pulseq, mrd and scanhub (default: that of the scouts, else HFS)",
    )
    export.add_argument("--overwrite", action="store_true", help="replace FILE")
    export.set_defaults(run=run_export)

    back = commands.add_parser("import-sr", description="Restore a plan from the DICOM structured report of export")
    back.add_argument("report", type=Path, metavar="FILE", help="what export --to dicom-sr wrote")
    back.add_argument("--output", required=True, type=Path, metavar="DIR", help="output folder")
    back.add_argument("--protocol", type=Path, metavar="FILE", help="of the plan, where it is not a shipped one")
    back.add_argument("--scouts", nargs="+", default=(), metavar="SCOUT", help="of the plan, for refit")
    back.add_argument("--overwrite", action="store_true", help="replace results in DIR")
    back.set_defaults(run=run_import)


def run_export(arguments: argparse.Namespace) -> int:
    """``autovolume export``."""
    from ..core.exports import forms

    exported = forms.export_plan(
        arguments.folder,
        arguments.to,
        arguments.output,
        scouts=arguments.scouts,
        patient_position=arguments.patient_position,
        overwrite=arguments.overwrite,
    )
    print_notes(exported.notes)
    say(f"{forms.FORMS[arguments.to].title}: {exported.target}")
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """``autovolume import-sr``."""
    from ..core.exports.plan_import import import_plan

    saved = import_plan(
        arguments.report,
        arguments.output,
        protocol=arguments.protocol,
        scouts=arguments.scouts,
        overwrite=arguments.overwrite,
    )
    if not arguments.scouts:
        print_notes(["The plan does not know where its scouts are: give --scouts to refit."])
    say(f"{saved.prescription.to_text()}\n\n      results in {arguments.output}")
    return 0
