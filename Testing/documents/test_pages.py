"""Pages name what there is: public names, commands, pictures and the version."""

from __future__ import annotations

import re

import pytest

from AutoVolumeCalibrationLib import __version__, api
from AutoVolumeCalibrationLib.cli.command_groups import GROUPS
from documents.pages import DOCS, PAGES, ROOT, cells, read_page
from structure.test_rooms import ROOMS

PICTURES = sorted([*(DOCS / "pictures").iterdir(), *(ROOT / "Resources" / "Screenshots").iterdir()])


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^::: AutoVolumeCalibrationLib\.api\.(\w+)$", (DOCS / "api.md").read_text("utf-8"), re.M)
    assert sorted(listed) == sorted(api.__all__)


def test_every_command_is_described():
    described = " ".join(cells(DOCS / "commands.md"))
    assert [name for names in GROUPS.values() for name in names if not re.search(rf"`{name}\b", described)] == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_every_picture_is_shown_and_has_its_command(picture):
    assert f"`{picture.name}`" in " ".join(cells(DOCS / "architecture.md"))
    shown = {(page.parent / link).resolve() for page in PAGES for link in read_page(page).links if ":" not in link}
    assert picture in shown


def test_scripts_that_pages_name_are_there():
    named = {name for page in PAGES for name in re.findall(r"\bTesting/[\w/]+\.py\b", page.read_text("utf-8"))}
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_scripts_that_slicer_runs_are_named_from_the_folder_of_the_project():
    named = {name for page in PAGES for name in re.findall(r"--python-script (\S+)", page.read_text("utf-8"))}
    assert len(named) > 1
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_no_page_installs_what_no_package_index_has():
    """`pip install "autovolume[browser]"` finds nothing: extras are installed from the folder of the project."""
    pages = [page for page in PAGES if page.name != "pypi.md"]
    assert [page.name for page in pages if 'install "autovolume[' in page.read_text("utf-8")] == []


def test_the_readme_is_one_screen_and_shows_its_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 80
    assert re.findall(r"^make (\w+)", text, re.M) == ["calibrate", "test"]


def test_the_citation_is_of_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_drawing_of_the_architecture_has_every_room():
    drawn = set(re.findall(r">([\w./]+)</text>", (DOCS / "pictures" / "architecture.svg").read_text("utf-8")))
    described = " ".join(cells(DOCS / "architecture.md"))
    for names in ROOMS.values():
        assert set(names) - drawn == set()
        assert [name for name in names if f"`{name}`" not in described] == []
