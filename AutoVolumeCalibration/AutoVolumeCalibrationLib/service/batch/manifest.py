"""Which studies a batch has: the rows of a manifest, as people and spreadsheets write them, or the folders of a folder.

A study's name becomes its folder. Two names that some file system takes for one are refused.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import InputError, printable
from ...core.files.regular_file import require_regular, require_there

#: Written into the output folder, as is ``part_summary``; no study can have these names.
SUMMARY = "batch.csv"
_TABLES = re.compile(r"batch(-\d+of\d+)?\.csv", re.IGNORECASE)

#: Names of the two columns; case and blanks do not matter.
STUDY, SCOUTS = "study", "scouts"

_DELIMITERS = (",", ";", "\t", "|")
#: Separates the paths of a study within a cell.
_PATHS = ";"
_MOST_BYTES = 256 * 1024**2
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_FOLDER_REMEDY = "Give a folder with a sub-folder for each study."
_REMEDY = "Give a table in CSV, UTF-8, with the columns study and scouts."


@dataclass(frozen=True)
class Study:
    """A study's name, which becomes its folder, and its scouts."""

    name: str
    scouts: tuple[str, ...]


def part_summary(part: int, parts: int) -> str:
    """The name of the table of one part of a batch."""
    return f"batch-{part}of{parts}.csv"


def list_studies(source: Path, output: Path) -> list[Study]:
    """The studies of a manifest, whose paths (several: separated by ``;``) are relative to it, or of a folder.

    Hidden folders, and ``output`` where it lies inside the folder, are not studies.

    Raises:
        InputError: there are none, the manifest cannot be read, or two studies share a name; with the row's number.
    """
    if not source.exists():
        remedy = f"{_FOLDER_REMEDY[:-1]}, or a table in CSV."
        raise InputError("there is no such file or folder", source=str(source), remedy=remedy)
    if source.is_dir():
        return _studies_of_folder(source, output)
    require_there(source)
    manifest = _read(source)
    found = [(line, _study(manifest, line, cells)) for line, cells in manifest.rows]
    if not found:
        raise InputError("lists no studies", source=str(source), remedy="Add a row for each study.")
    _require_distinct(((study.name, f"row {line}") for line, study in found), source)
    return [study for _, study in found]


def _studies_of_folder(source: Path, output: Path) -> list[Study]:
    folders = [path for path in sorted(source.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    folders = [path for path in folders if path.resolve() != output.resolve()]
    if not folders:
        raise InputError("holds no study folders", source=str(source), remedy=_FOLDER_REMEDY)
    studies = [Study(_clean(path.name) or path.name, (str(path),)) for path in folders]
    for study in studies:
        if _TABLES.fullmatch(study.name):
            raise InputError(f"{study.name} is the name of a table", source=str(source), remedy="Rename that folder.")
    _require_distinct(
        ((study.name, f"folder {path.name!r}") for study, path in zip(studies, folders, strict=True)), source
    )
    return studies


@dataclass(frozen=True)
class _Manifest:
    """A table: what separates its cells, the positions of its two columns, the rows with their line numbers."""

    source: Path
    delimiter: str
    width: int
    study: int
    scouts: int
    rows: Sequence[tuple[int, list[str]]]


def _read(source: Path) -> _Manifest:
    text = _text(source)
    delimiter = _delimiter(text)
    rows = list(_rows(text, delimiter, source))
    if not rows:
        raise InputError("is empty", source=str(source), remedy=_REMEDY)
    (line, header), *others = rows
    study, scouts = (_column(line, header, name, source) for name in (STUDY, SCOUTS))
    return _Manifest(source, delimiter, len(header), study, scouts, others)


def _text(source: Path) -> str:
    require_regular(source, InputError, _REMEDY, most_bytes=_MOST_BYTES)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise _unreadable(source, error.strerror or str(error)) from error
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _unreadable(source, f"row {line} is not in UTF-8") from error


def _rows(text: str, delimiter: str, source: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number, 1 for the first, and cells of the rows that are not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise _unreadable(source, f"row {reader.line_num}: {error}") from error


def _delimiter(text: str) -> str:
    """What separates the cells of the header; a comma where no character gives both columns."""
    header = next((line for line in text.splitlines() if line.strip(" ,;\t|")), "")
    for delimiter in _DELIMITERS:
        cells = {_name(cell) for cell in next(csv.reader([header], delimiter=delimiter), [])}
        if {STUDY, SCOUTS} <= cells:
            return delimiter
    return ","


def _column(line: int, header: Sequence[str], name: str, source: Path) -> int:
    names = [_name(cell) for cell in header]
    if names.count(name) != 1:
        how = "has no column" if name not in names else "has several columns"
        raise InputError(f"row {line} {how} named {name}", source=str(source), remedy=_REMEDY)
    return names.index(name)


def _name(cell: str) -> str:
    return cell.strip().strip("\ufeff").casefold()


def _study(manifest: _Manifest, line: int, cells: list[str]) -> Study:
    source = str(manifest.source)
    cells = _fitted(manifest, line, cells)
    name = _clean(cells[manifest.study])
    paths = [part.strip() for part in cells[manifest.scouts].split(_PATHS)]
    scouts = tuple(str(manifest.source.parent / path) for path in paths if path)
    if not name or not scouts:
        missing = SCOUTS if name else STUDY
        raise InputError(f"row {line} has nothing in the column {missing}", source=source, remedy="Complete it.")
    if any("\0" in path for path in scouts):
        raise InputError(f"row {line}: a path holds a zero byte", source=source, remedy="Write the row again.")
    if not _is_plain(name):
        what = f"row {line}: {printable(name)!r} is not a valid folder name"
        raise InputError(what, source=source, remedy="Rename the study.")
    return Study(name, scouts)


def _fitted(manifest: _Manifest, line: int, cells: list[str]) -> list[str]:
    """The cells, as many as the header has. Where ``;`` separates columns, paths without quotes are cells too."""
    width = manifest.width
    extra = [cell for cell in cells[width:] if cell.strip()]
    cells = [*cells[:width], *[""] * (width - len(cells))]
    if extra and manifest.delimiter == _PATHS and manifest.scouts == width - 1:
        cells[manifest.scouts] = _PATHS.join([cells[manifest.scouts], *extra])
    elif extra:
        remedy = "Put paths that hold the separator in quotes, or correct it."
        raise InputError(f"row {line} has more cells than the header", source=str(manifest.source), remedy=remedy)
    return cells


def _clean(name: str) -> str:
    """The name as a folder on any file system has it: composed characters, no blanks around, no dots at its end."""
    name = unicodedata.normalize("NFC", name).strip()
    return name.rstrip(" .") or name


def _is_plain(name: str) -> bool:
    """Can a folder of this name be made in the output folder, and nowhere else?"""
    unseen = any(unicodedata.category(character) == "Cc" for character in name)
    return not name.startswith(".") and not set(name) & set("/\\:\0") and not unseen and not _TABLES.fullmatch(name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _require_distinct(names: Iterable[tuple[str, str]], source: Path) -> None:
    """Raise InputError for two names, each with where it stands, that would be one folder on some file system."""
    first: dict[str, tuple[str, str]] = {}
    for name, where in names:
        other, other_where = first.setdefault(_folded(name), (name, where))
        if other_where != where:
            how = "have the same study name" if other == name else "have study names that some systems take for one"
            raise InputError(
                f"{other_where} and {where} {how} ({printable(name)})", source=str(source), remedy="Rename one."
            )


def _unreadable(source: Path, reason: str) -> InputError:
    return InputError(f"cannot be read as a manifest ({reason})", source=str(source), remedy=_REMEDY)
