"""The site builds without a warning, and loads nothing from other hosts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from documents.pages import ROOT

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings")

#: What a browser fetches by itself, unlike the target of a link.
_FETCHED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_the_site_builds_without_a_warning_and_is_read_offline(tmp_path):
    subprocess.run(["make", "-s", "pages"], cwd=ROOT, check=True, timeout=60)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr
    html = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert "AutoVolumeCalibrationLib.api.calibrate" in html[tmp_path / "site" / "docs" / "api.html"]
    assert {str(path): _FETCHED.findall(text) for path, text in html.items() if _FETCHED.search(text)} == {}
    assert not list((tmp_path / "site").rglob("*.pt")) and not list((tmp_path / "site").rglob("*.dcm"))
