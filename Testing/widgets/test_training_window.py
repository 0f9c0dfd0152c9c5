"""The training window as a whole; trainings are processes of a script that behaves as one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from standin.sizes import minimum_size  # noqa: E402
from training_window import SWAPPED  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = ROOT / "LandmarkTraining" / "LandmarkTrainingLib" / "widgets"
UI = ROOT / "LandmarkTraining" / "Resources" / "UI" / "LandmarkTraining.ui"


def test_choices_are_saved_with_the_scene(window, tmp_path):
    window.add_dataset()
    window.choose(window.ui.recipeComboBox, "scn")
    window.ui.stepsSpinBox.setValue(70)
    path = str(tmp_path / "scene.mrb")
    assert window.app.scene.WriteToMRB(path)
    window.app.scene.Clear(False)
    window.settle()
    assert window.ui.datasetsTable.rowCount == 0
    assert window.ui.stepsSpinBox.value == 0
    assert window.app.scene.ReadFromMRB(path, False)
    window.settle()
    assert window.ui.datasetsTable.item(0, 0).text() == "cases"
    assert window.ui.recipeComboBox.itemData(window.ui.recipeComboBox.currentIndex) == "scn"
    assert window.ui.stepsSpinBox.value == 70


def test_closing_the_scene_leaves_a_training_alone(window):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    window.app.scene.Clear(False)
    window.settle()
    assert window.run.running
    count = len(window.run.watch.rows)
    window.wait(lambda: len(window.run.watch.rows) > count)
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1
    window.click(window.ui.stopButton)
    window.wait_for_end()


def test_a_closed_window_leaves_no_observers(window):
    window.add_dataset()
    window.widget.cleanup()
    window.settle()
    window.app.scene.Clear(False)
    window.settle()
    window._open()
    assert window.ui.datasetsTable.rowCount == 0


def test_nothing_heavy_is_loaded_by_opening_the_window(tmp_path):
    import subprocess
    import sys

    script = (
        "import sys; from pathlib import Path; from standin.session import installed\n"
        "with installed(Path(sys.argv[1])) as app:\n"
        "    app.open_module(Path(sys.argv[2]))\n"
        "    print([name for name in ('torch', 'monai', 'ignite', 'SimpleITK', 'pydicom') if name in sys.modules])\n"
    )
    paths = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]
    code = f"import sys; sys.path[:0] = {paths!r}\n{script}"
    module = str(ROOT / "LandmarkTraining" / "LandmarkTraining.py")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), module], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_the_module_s_own_test_runs(window, tmp_path):
    import sys

    from LandmarkTrainingLib.widgets.core_engine import CoreEngine

    window.engine = CoreEngine()
    sys.modules["LandmarkTraining"].LandmarkTrainingTest().runTest()


def test_in_a_fresh_application_the_module_s_own_test_is_skipped_with_a_reason(window, monkeypatch):
    import sys
    import unittest

    from LandmarkTrainingLib.widgets import requirements

    monkeypatch.setattr(type(requirements.READING), "missing", lambda _group: ["jsonschema>=4.18"])
    test = sys.modules["LandmarkTraining"].LandmarkTrainingTest
    with pytest.raises(unittest.SkipTest, match=r"jsonschema>=4\.18 not installed"):
        test().test_a_corrected_study_becomes_a_training_set()
    test().runTest()


def test_every_widget_of_the_ui_file_is_used_or_only_decoration(window):
    text = "".join(path.read_text(encoding="utf-8") for path in WIDGETS.glob("*.py"))
    named = re.findall(
        r'<widget class="(?!QLabel|ctkCollapsibleButton|qMRMLWidget)\w+" name="(\w+)"', UI.read_text(encoding="utf-8")
    )
    assert [name for name in named if f"ui.{name}" not in text] == []
    assert len(named) > 25


def test_the_window_fits_a_small_screen(window):
    window.add_dataset()
    window.engine.findings = [SWAPPED]
    window.check()
    hint = minimum_size(window.widget.parent)
    assert hint.width() <= 460
    assert hint.height() <= 768
    window.engine.findings = []
    window.check()
    window.set_validation()
    window.train()
    window.compare()
    assert minimum_size(window.widget.parent).height() <= 768
