"""The pages of the documentation, as the tests read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
#: Pages of the top folder, of docs, and those that lie beside what they describe.
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "Resources").rglob("*.md")])


@dataclass(frozen=True)
class Page:
    """``links``: targets of links and images. ``anchors``: those of the headings."""

    links: tuple[str, ...]
    anchors: frozenset[str]


def read_page(path: Path) -> Page:
    """The links and headings of a Markdown file."""
    links: list[str] = []
    anchors: list[str] = []
    tokens = _parsed(path)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            anchors.append(anchor(tokens[number + 1].content))
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                links.append(str(target))
    return Page(tuple(links), frozenset(anchors))


def anchor(heading: str) -> str:
    """The fragment that leads to a heading, as code hosts and mkdocs make it."""
    text = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading)
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def quoted(path: Path, column: int = 0, section: str = "") -> list[str]:
    """Code spans in one column of all tables of a page, or of those below the heading ``section``."""
    found, heading, cell, reading = [], "", -1, False
    for token in _parsed(path):
        if reading:
            heading = token.content
        reading = token.type == "heading_open"
        if token.type == "tr_open":
            cell = -1
        cell += token.type == "td_open"
        if token.type == "inline" and cell == column and heading.startswith(section):
            found += [child.content for child in token.children or () if child.type == "code_inline"]
        if token.type == "tr_close":
            cell = -1
    return found


def cells(path: Path, column: int = 0) -> list[str]:
    """The text of one column of all tables of a page."""
    found, cell = [], -1
    for token in _parsed(path):
        if token.type in ("tr_open", "table_close"):
            cell = -1
        cell += token.type == "td_open"
        if token.type == "inline" and cell == column:
            found.append(token.content)
            cell = column + 100
    return found


def _parsed(path: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
