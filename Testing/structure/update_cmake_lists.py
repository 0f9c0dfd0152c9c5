"""Write each module's files into its CMake lists; a file that is not listed there is not shipped.

Run it after adding, renaming or removing a file: ``python Testing/structure/update_cmake_lists.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("AutoVolumeCalibration", "LandmarkTraining")
SCRIPTS, RESOURCES = "MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"


def files_on_disk(module: str, variable: str) -> list[str]:
    """Paths relative to the module folder, in the order of the list, of what ``variable`` should hold."""
    folder = ROOT / module
    if variable == SCRIPTS:
        found = [folder / f"{module}.py", *sorted((folder / f"{module}Lib").rglob("*.py"))]
    else:
        found = sorted(path for path in (folder / "Resources").rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in found if not path.name.startswith(".")]


def files_in_list(text: str, variable: str) -> list[str]:
    """The entries of ``set(variable ...)`` in the text of a CMakeLists.txt."""
    return _list_pattern(variable).search(text)["entries"].split()


def with_list(text: str, variable: str, entries: list[str]) -> str:
    """``text`` with the entries of ``set(variable ...)`` replaced, one a line."""
    lines = "".join(f"\n  {entry}" for entry in entries)
    return _list_pattern(variable).sub(lambda match: f"{match['head']}{lines}\n  )", text)


def _list_pattern(variable: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<head>set\({variable})(?P<entries>[^)]*)\)")


def main() -> None:
    """Bring both modules' lists up to date and say what changed."""
    for module in MODULES:
        path = ROOT / module / "CMakeLists.txt"
        text = path.read_text(encoding="utf-8")
        for variable in (SCRIPTS, RESOURCES):
            before, now = files_in_list(text, variable), files_on_disk(module, variable)
            for sign, entries in (("+", set(now) - set(before)), ("-", set(before) - set(now))):
                for entry in sorted(entries):
                    print(f"{sign} {module}/{entry}")
            text = with_list(text, variable, now)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
