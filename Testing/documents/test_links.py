"""Links within the documentation lead to files and headings that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from documents.pages import PAGES, ROOT, anchor, read_page


def broken(path: Path) -> list[str]:
    """The internal links of a page that lead nowhere."""
    found = []
    for link in read_page(path).links:
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, fragment = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (fragment and fragment not in read_page(target).anchors):
            found.append(link)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    assert broken(path) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text('# What "better" means, in `mm`\n', encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#what-better-means-in-mm) [b](gone.md) ![c](gone.png) [d](other.md#gone) [e](#gone)\n")
    assert broken(page) == ["gone.md", "gone.png", "other.md#gone", "#gone"]


def test_headings_have_the_anchors_of_mkdocs():
    slugify = pytest.importorskip("markdown.extensions.toc").slugify
    headings = ["The plan at the console", 'What "better" means', "Two words, and 3 more: so?", "Under_score"]
    assert [anchor(text) for text in headings] == [slugify(text, "-") for text in headings]
