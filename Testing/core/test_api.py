"""What scripts import: the names, the example of the documents, and the result that saves and shows itself."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib import api
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.planning.checks.check import WARNING, Check
from AutoVolumeCalibrationLib.core.storage.results import RESULT_FILES, read_results

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "scripter.md"
SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"


def python_examples(text: str) -> list[str]:
    """The Python blocks of a Markdown text."""
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The names that the page's example leaves behind, run as written where the sample is, as in the project."""
    folder = tmp_path_factory.mktemp("example")
    (folder / "Resources").symlink_to(ROOT / "Resources")
    (code,) = python_examples(PAGE.read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(code, names)
    return names | {"folder": folder}


@pytest.fixture(scope="module")
def plan(example):
    return example["plan"]


def test_the_example_of_the_page_plans_corrects_and_saves(example):
    plan = example["plan"]
    assert isinstance(plan, api.Calibration)
    assert [mark.name for mark in plan.landmarks if mark.status == "corrected"] == ["AC"]
    # It moved AC by 24 mm, so that the plan warned of it.
    assert "placed points" not in [check.name for check in plan.checks]
    saved = read_results(example["folder"] / "output" / "corrected")
    assert [Path(source) for source in saved.sources] == [example["folder"] / example["scouts"]]


def test_the_docstring_shows_the_example_of_the_page():
    (code,) = python_examples(PAGE.read_text(encoding="utf-8"))
    docstring = re.sub(r"^    ", "", api.__doc__, flags=re.MULTILINE)
    assert code.strip() in docstring


def test_a_plan_prints_in_one_line_without_pixels(plan):
    text = repr(plan)
    assert "\n" not in text
    assert len(text) < 200
    for part in ("BrainAcPc", plan.box.name, "of 45 landmarks", plan.checks[0].level):
        assert part in text


def test_a_plan_saves_the_files_of_the_command(plan, tmp_path):
    written = plan.save(tmp_path / "new" / "plan")
    assert {path.name for path in written} == set(RESULT_FILES)
    assert all(path.stat().st_size for path in written)


def test_a_saved_plan_is_replaced_only_on_request(plan, tmp_path):
    plan.save(tmp_path)
    before = (tmp_path / "calibration.json").read_bytes()
    other = replace(plan, checks=(Check("example", WARNING, "another plan"),))
    with pytest.raises(UsageError):
        other.save(tmp_path)
    assert (tmp_path / "calibration.json").read_bytes() == before
    other.save(tmp_path, overwrite=True)
    assert read_results(tmp_path).checks == other.checks


def test_a_notebook_shows_prescription_and_checks(plan):
    html = plan._repr_html_()
    assert plan.prescription.orientation_text.replace(">", "&gt;") in html
    assert plan.protocol.title in html


def test_texts_from_files_cannot_inject_html(plan):
    hostile = "<script>alert('&')</script>"
    changed = replace(
        plan,
        protocol=replace(plan.protocol, title=hostile),
        prescription=replace(plan.prescription, box=hostile),
        checks=(Check("example", hostile, hostile),),
    )
    html = changed._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;") == 4


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_of_the_api_is_there(name):
    assert getattr(api, name).__name__ == name
    assert name in dir(api)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'calibrat'"):
        _ = api.calibrat


def test_importing_the_api_loads_no_core():
    code = "import sys, AutoVolumeCalibrationLib.api; print([n for n in sys.modules if 'Lib.core' in n])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "AutoVolumeCalibration")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"
