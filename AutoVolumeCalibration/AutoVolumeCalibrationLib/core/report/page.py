"""A plan on one page: a single HTML file that prints on A4, without scripts, links and patient data.

The picture is embedded. Names of studies and files are left out unless the caller gives a title: a Calibration holds
no other data of the patient than the images.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ... import __version__
from ..files.atomic_write import atomic_path
from ..planning.checks.check import OK, WARNING
from ..planning.console.card import ConsoleCard
from .content import (
    VERDICTS,
    angles_text,
    cards_in_order,
    coverage_level,
    face_rows,
    findings,
    landmarks_text,
    margins_text,
    model_text,
    passed,
    points_to_check,
    side_text,
    size_text,
    worst_level,
)
from .overview import planes_jpeg
from .style import LEVEL_COLOURS, LEVEL_SIGNS, LEVEL_WORDS

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration

#: Width of the picture, and how much narrower a further row of checks and points makes it, so that all fit the page.
_PICTURE_MM, _LEAST_PICTURE_MM, _ROW_MM = 178.0, 96.0, 8.2
#: Rows beside the faces that leave the picture its full width; rows of which no more points to check are listed.
_ROWS_BESIDE_FACES, _MOST_ROWS = 15, 23
#: Characters of a row, and names in a group of points.
_ROW_CHARACTERS, _MOST_NAMES = 60, 6
#: Characters of a model's digest.
_DIGEST = 12

_STYLE = """
@page { size: A4; margin: 8mm 10mm; }
* { box-sizing: border-box; }
body { font: 7.9pt/1.25 "DejaVu Sans", Verdana, Arial, sans-serif; color: #111; background: #fff; margin: 0 auto;
  max-width: 190mm; }
h1 { font-size: 14pt; margin: 0; }
h2 { font-size: 8.6pt; margin: 2.2mm 0 0.6mm; border-bottom: 0.3mm solid #777; }
p { margin: 0.5mm 0; }
header { border-left: 4mm solid; padding: 0.5mm 0 0.5mm 3mm; margin-bottom: 1.5mm;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
img { display: block; margin: 0 auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.15mm 2mm 0.15mm 0; font-weight: normal; }
th { color: #444; white-space: nowrap; }
.columns { display: grid; grid-template-columns: repeat(3, 1fr); gap: 3mm; }
.halves { display: grid; grid-template-columns: 4fr 3fr; gap: 5mm; }
.card { border: 0.3mm solid #777; padding: 0 1.5mm 1mm; font-size: 7.4pt; }
.card th { padding-right: 1.2mm; }
.card td { padding-right: 0; }
.card h2 { margin-top: 1mm; }
.small { font-size: 6.8pt; color: #444; }
.sign { width: 4.5mm; }
.line { display: inline-block; min-width: 62mm; border-bottom: 0.2mm solid #777; }
section, .card { break-inside: avoid; }
"""


def write_page(calibration: Calibration, path: Path, title: str = "") -> None:
    """Write the page of ``calibration``, atomically.

    Args:
        title: written on the page, for example the name of the study; empty: a line to write it by hand.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(page_html(calibration, title).encode("utf-8"))


def page_html(calibration: Calibration, title: str = "") -> str:
    """The page as text; everything that comes from files or the user is escaped."""
    level, protocol = worst_level(calibration), calibration.protocol
    name = f"{protocol.title}: {calibration.box.name}"
    points = _point_texts(calibration)
    heading = f"<h1>{LEVEL_SIGNS[level]} {escape(VERDICTS[level])}</h1>"
    body = (
        f'<header style="border-color: {LEVEL_COLOURS[level]}">\n{heading}',
        f"<p><b>{escape(name)}</b> ({escape(protocol.name)})</p>\n<p>{_title(title)}</p>\n</header>",
        _picture(calibration, _check_rows(calibration) + sum(map(_rows, points))),
        f'<div class="halves">\n<section>\n<h2>Checks</h2>\n{_checks(calibration)}\n{_points(points)}\n</section>',
        f"<section>\n{_faces(calibration)}\n{_plan(calibration)}\n</section>\n</div>",
        f'<h2>At the console</h2>\n<div class="columns">\n{_cards(calibration)}\n</div>',
        f'<p class="small">{_provenance(calibration)}. Research use only. Not for clinical decisions.</p>',
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title or name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _title(title: str) -> str:
    """The caller's title, else room for handwriting."""
    if title:
        return escape(title)
    return 'Study: <span class="line">&nbsp;</span> &nbsp; Date, initials: <span class="line">&nbsp;</span>'


def _picture(calibration: Calibration, rows: int) -> str:
    """The planes, smaller where ``rows`` of checks and points need the room."""
    data = b64encode(planes_jpeg(calibration)).decode("ascii")
    width = max(_LEAST_PICTURE_MM, _PICTURE_MM - _ROW_MM * max(0, rows - _ROWS_BESIDE_FACES))
    alt = "Sagittal, coronal and axial scout with the box, the line that it follows and the landmarks"
    return f'<img style="width: {width:.0f}mm" alt="{alt}" src="data:image/jpeg;base64,{data}">'


def _rows(text: str) -> int:
    """How many rows a text fills beside the faces."""
    return 1 + len(text) // _ROW_CHARACTERS


def _check_rows(calibration: Calibration) -> int:
    return sum(_rows(check.message) for check in calibration.checks)


def _checks(calibration: Calibration) -> str:
    rows = [*findings(calibration), *passed(calibration)]
    return _table(
        f'<td class="sign">{LEVEL_SIGNS[check.level]}</td><th scope="row">{LEVEL_WORDS[check.level]}</th>'
        f"<td>{escape(check.message)}</td>"
        for check in rows
    )


def _point_texts(calibration: Calibration) -> list[str]:
    """The points to check with their full names, as far as the page has room."""
    texts: list[str] = []
    room = _MOST_ROWS - _check_rows(calibration)
    groups = points_to_check(calibration)
    for number, group in enumerate(groups):
        names = [f"{title} ({name})" for title, name in zip(group.titles, group.names, strict=True)]
        more = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
        text = f"{', '.join([*names[:_MOST_NAMES], *more])}: {group.reason}"
        room -= _rows(text)
        if room < 0:
            left = sum(len(other.names) for other in groups[number:])
            return [*texts, f"{'and ' if texts else ''}{left} {'more' if texts else 'landmarks'}, see calibration.json"]
        texts.append(text)
    return texts


def _points(texts: Sequence[str]) -> str:
    rows = (f"<td>{escape(text)}</td>" for text in texts)
    return f"<h2>Check these points first</h2>\n{_table(rows)}" if texts else ""


def _faces(calibration: Calibration) -> str:
    rows = []
    for row in face_rows(calibration):
        sign = LEVEL_SIGNS[OK if row.covered else WARNING]
        cells = f'<td class="sign">{sign}</td><th scope="row">{row.face}</th><td>{row.margin_mm:.1f} mm</td>'
        rows.append(f"{cells}<td>{escape(row.text)}</td>")
    margins = f'<p class="small">{escape(margins_text(calibration))}</p>' if margins_text(calibration) else ""
    return f"<h2>Faces: margin, reach ({coverage_level(calibration)})</h2>\n{_table(rows)}\n{margins}"


def _cards(calibration: Calibration) -> str:
    return "\n".join(_card(card) for card in cards_in_order(calibration))


def _card(card: ConsoleCard) -> str:
    rows = (f'<th scope="row">{escape(line.label)}</th><td>{escape(line.typed)}</td>' for line in card.lines)
    notes = "".join(f'<p class="small">{LEVEL_SIGNS[WARNING]} {escape(note)}</p>' for note in card.notes)
    evidence = f'<p class="small">Evidence: {escape(card.evidence)}</p>'
    heading = f"<h2>{escape(card.vendor)}: {escape(card.title)}</h2>"
    return f'<div class="card">\n{heading}\n{_table(rows)}{notes}{evidence}\n</div>'


def _plan(calibration: Calibration) -> str:
    texts = (
        side_text(calibration),
        angles_text(calibration),
        size_text(calibration),
        landmarks_text(calibration),
        model_text(calibration),
    )
    paragraphs = "\n".join(f"<p>{escape(text[0].upper() + text[1:])}</p>" for text in texts if text)
    return f"<h2>Plan, landmarks and model</h2>\n{paragraphs}"


def _provenance(calibration: Calibration) -> str:
    """Versions of what made the plan."""
    model = calibration.model
    digest = f", model {model.name} with SHA-256 {model.sha256[:_DIGEST]}" if model else ""
    return escape(f"AutoVolumeCalibration {__version__}, protocol {calibration.protocol.name}{digest}")


def _table(rows: Iterable[str]) -> str:
    """Rows of cells as a table."""
    return "<table>\n" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>"
