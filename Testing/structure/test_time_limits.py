"""No test hangs: every test and every child process has a time limit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[1]
#: The one file that starts processes without waiting for them; it kills what it started.
STARTS_PROCESSES = TESTING / "child_processes.py"


def calls_of_subprocess(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).startswith("subprocess.")]


def unlimited(path: Path) -> list[int]:
    """Lines that start a process without a time limit."""
    return [
        call.lineno
        for call in calls_of_subprocess(path)
        if ast.unparse(call.func) == "subprocess.Popen" or "timeout" not in {word.arg for word in call.keywords}
    ]


def test_every_child_process_has_a_time_limit():
    files = [path for path in TESTING.rglob("*.py") if path != STARTS_PROCESSES]
    assert {path.name: lines for path in files if (lines := unlimited(path))} == {}


def test_a_child_process_without_a_limit_is_found(tmp_path):
    path = tmp_path / "example.py"
    path.write_text("subprocess.run(a)\nsubprocess.run(a, timeout=1)\nsubprocess.Popen(a)\n", encoding="utf-8")
    assert unlimited(path) == [1, 3]


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config):
    if not pytestconfig.pluginmanager.hasplugin("timeout"):
        pytest.skip("pytest-timeout is not installed here (the Slicer application)")
    assert 0 < float(pytestconfig.getini("timeout")) <= 120
