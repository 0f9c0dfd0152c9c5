"""Sub-packages form layers: imports between them run one way, and no folder is crowded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from structure.test_import_direction import PACKAGES, PLANNING, TRAINING, imports_of, modules

#: Sub-packages of ``core`` in reading order; each imports only from those before it. ``errors`` is for all.
ROOMS = {
    PLANNING: (
        "geometry",
        "files",
        "scouts",
        "anatomy",
        "detection",
        "networks",
        "motion",
        "follow_up",
        "planning",
        "storage",
        "report",
        "workflow",
        "exports",
        "models",
    ),
    TRAINING: (
        "reference_heads",
        "reference_knees",
        "runs",
        "datasets",
        "new_anatomy",
        "simulator",
        "slices",
        "evaluation",
        "coverage",
        "export",
        "training",
        "joint",
        "experiments",
        "xray",
    ),
}
#: Where a newcomer no longer finds a file at a glance.
MOST_FILES = 16


def room(dotted: str) -> str | None:
    """The sub-package of ``core`` that a module belongs to; None outside, and for the files directly in ``core``."""
    parts = dotted.split(".")
    if len(parts) < 3 or parts[0] not in ROOMS or parts[1] != "core":
        return None
    folder = PACKAGES[parts[0]].joinpath(*parts[:3])
    return parts[2] if folder.is_dir() else None


def edges() -> dict[str, dict[str, set[str]]]:
    """Package -> room ("" for files outside all rooms) -> the rooms it imports from at run time."""
    found: dict[str, dict[str, set[str]]] = {package: {} for package in ROOMS}
    for name, path in modules():
        here = room(name)
        for entry in imports_of(name, path):
            there = room(entry.target)
            if (
                here
                and there
                and here != there
                and not entry.typing_only
                and entry.target.startswith(name.split(".")[0])
            ):
                found[name.split(".")[0]].setdefault(here, set()).add(there)
    return found


def against_the_order(order: Iterable[str], graph: Mapping[str, set[str]]) -> list[str]:
    """Imports of a room from one that comes after it."""
    place = {name: number for number, name in enumerate(order)}
    return [f"{a} imports {b}" for a, targets in graph.items() if a for b in sorted(targets) if place[b] > place[a]]


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_from_rooms_before_them(package):
    assert against_the_order(ROOMS[package], edges()[package]) == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_its_place_in_the_order(package):
    folders = {path.parent.name for path in (PACKAGES[package] / package / "core").glob("*/__init__.py")}
    assert folders == set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_files_directly_in_core_import_no_room(package):
    # Every room may import them; an import back would close a circle.
    at_the_top = [
        (n, p) for n, p in modules() if n.startswith(f"{package}.core.") and n.count(".") == 2 and not room(n)
    ]
    assert [n for n, p in at_the_top if any(room(entry.target) for entry in imports_of(n, p))] == []


@pytest.mark.parametrize("package", ROOMS)
def test_no_room_is_crowded(package):
    counts = {path.parent: len(list(path.parent.glob("*.py"))) - 1 for path in PACKAGES[package].rglob("__init__.py")}
    counts = {folder: count for folder, count in counts.items() if "core" in folder.parts}
    assert {folder.name for folder, count in counts.items() if count > MOST_FILES} <= {"architectures"}


def test_rooms_of_the_service_import_only_from_rooms_before_them():
    # planning.py lies beside them: it plans one study, and knows none of them.
    order = ("engine", "batch", "page", "node")
    graph: dict[str, set[str]] = {}
    for name, path in modules():
        here = name.removeprefix(f"{PLANNING}.service.").split(".")[0]
        for entry in imports_of(name, path) if name.startswith(f"{PLANNING}.service.") else ():
            there = entry.target.removeprefix(f"{PLANNING}.service.").split(".")[0]
            if there in order and there != here:
                graph.setdefault(here, set()).add(there)
    assert "planning" not in graph
    assert against_the_order(order, graph) == []


def test_an_import_against_the_order_is_named():
    assert against_the_order(["a", "b"], {"b": {"a"}}) == []
    assert against_the_order(["a", "b"], {"a": {"b"}}) == ["a imports b"]
