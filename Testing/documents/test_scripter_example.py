"""The example of the page for scripters runs as it is printed, from a folder with the sample."""

from __future__ import annotations

import re

import pytest

from documents.pages import DOCS, ROOT


@pytest.mark.slow
def test_the_example_plans_corrects_and_saves(monkeypatch, tmp_path, capsys):
    (tmp_path / "Resources").symlink_to(ROOT / "Resources", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.+?)```", (DOCS / "scripter.md").read_text("utf-8"), re.DOTALL)
    exec(compile(example, "scripter.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "Orientation" in printed and "ok " in printed
    assert (tmp_path / "output" / "corrected" / "overview.png").stat().st_size > 10_000
