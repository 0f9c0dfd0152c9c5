"""What the extension ships is what the tree holds."""

from __future__ import annotations

import re

import pytest

from structure.update_cmake_lists import MODULES, RESOURCES, ROOT, SCRIPTS, files_in_list, files_on_disk, with_list

#: Folders of the shared Resources/ that only the repository's own pages show.
NOT_SHIPPED = {"Icons", "Screenshots"}


@pytest.mark.parametrize("variable", [SCRIPTS, RESOURCES])
@pytest.mark.parametrize("module", MODULES)
def test_every_file_of_a_module_is_listed_and_every_listed_file_exists(module, variable):
    listed = files_in_list((ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8"), variable)
    on_disk = files_on_disk(module, variable)
    advice = "run: python Testing/structure/update_cmake_lists.py"
    assert sorted(set(on_disk) - set(listed)) == [], f"not shipped; {advice}"
    assert sorted(set(listed) - set(on_disk)) == [], f"listed but not there; {advice}"
    assert len(listed) == len(set(listed)), f"listed twice; {advice}"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_module_file_lies_directly_in_a_module_folder(module):
    # Slicer loads every .py there as a module of its own.
    assert [path.name for path in (ROOT / module).glob("*.py")] == [f"{module}.py"]


def test_every_shared_resource_folder_ships_in_the_extension_and_in_the_wheel():
    folders = {path.parts[len(ROOT.parts) + 1] for path in (ROOT / "Resources").rglob("*") if path.is_file()}
    shipped = folders - NOT_SHIPPED
    cmake = re.search(r"set\(SHARED_RESOURCES ([^)]*)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[1]
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wheel = re.search(r'^"AutoVolumeCalibrationLib.Resources" = \[([^]]*)\]', pyproject, re.MULTILINE)[1]
    assert set(cmake.split()) == shipped
    assert set(re.findall(r'"(\w+)/\*\*/\*"', wheel)) == shipped


def test_the_wheel_lists_every_package():
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = set(re.findall(r'"([\w.]+)"', re.search(r"^packages = \[([^]]*)\]", pyproject, re.MULTILINE)[1]))
    found = {
        ".".join(path.parent.relative_to(ROOT / module).parts)
        for module in MODULES
        for path in (ROOT / module).rglob("__init__.py")
    }
    assert listed - {"AutoVolumeCalibrationLib.Resources"} == found


def test_rewriting_a_list_replaces_its_entries_and_nothing_else():
    text = "set(MODULE_PYTHON_SCRIPTS\n  old.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  icon.png\n  )\n"
    rewritten = with_list(text, SCRIPTS, ["a.py", "b/c.py"])
    assert files_in_list(rewritten, SCRIPTS) == ["a.py", "b/c.py"]
    assert rewritten.replace("  a.py\n  b/c.py\n", "  old.py\n") == text
