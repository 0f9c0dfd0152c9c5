"""The pages quote messages as the code has them, and name every check."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from documents.pages import DOCS, ROOT, cells, quoted

CODE = (ROOT / "AutoVolumeCalibration", ROOT / "LandmarkTraining")
#: Page, column of its tables, and the heading above them; "" for all.
QUOTING = (
    ("troubleshooting.md", 0, ""),
    ("checks.md", 1, ""),
    ("user_guide.md", 0, "Troubleshooting"),
    ("new_anatomy.md", 0, "When something is refused"),
)
#: A shorter piece may be anywhere and proves nothing.
SHORTEST = 7


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """(path, tree) of every module of both packages."""
    paths = [path for folder in CODE for path in sorted(folder.rglob("*.py"))]
    return tuple((str(path), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


@cache
def texts() -> tuple[tuple[str, ...], ...]:
    """The string constants of each module, docstrings left out; of f-strings what stands between the values."""
    return tuple(_texts(tree) for _, tree in modules())


def _texts(tree: ast.Module) -> tuple[str, ...]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return tuple(node.value for node in constants if isinstance(node.value, str))


def pieces(message: str) -> list[str]:
    """What a message says apart from names and numbers."""
    return [piece.strip() for piece in message.split("...") if len(piece.strip()) > 2]


def is_in_the_code(message: str) -> bool:
    """Whether some module has all pieces of a message, one of them long enough to be this message's."""
    wanted = pieces(message)
    return max(map(len, wanted), default=0) >= SHORTEST and any(
        all(any(piece in text for text in module) for piece in wanted) for module in texts()
    )


@pytest.mark.parametrize(("page", "column", "section"), QUOTING, ids=[page for page, *_ in QUOTING])
def test_quoted_messages_are_those_of_the_code(page, column, section):
    messages = quoted(DOCS / page, column, section)
    assert len(messages) >= 7
    assert [message for message in messages if not is_in_the_code(message)] == []


def test_a_message_that_the_code_does_not_have_is_found():
    assert is_in_the_code("the images come from ... different ...")
    assert not is_in_the_code("the images come from ... unusual ...")
    assert not is_in_the_code("... (...)")


def checks_in_the_code() -> set[str]:
    """The names of all checks: the first argument of ``Check``."""
    calls = (node for _, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.Call))
    named = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Check" and call.args)
    return {call.args[0].value for call in named if isinstance(call.args[0], ast.Constant)}


def test_every_check_is_explained():
    page: Path = DOCS / "checks.md"
    assert set(cells(page)) == checks_in_the_code()
