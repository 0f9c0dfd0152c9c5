"""The stand-in itself: it must behave as PythonQt does, and refuse what Slicer would refuse."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="the stand-in needs PySide6", exc_type=ImportError)
pytestmark = pytest.mark.skipif(hasattr(slicer, "app"), reason="the stand-in has no place in the application")

MODULE = """
import qt, slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *

class Demo(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Demo")

class DemoWidget(ScriptedLoadableModuleWidget, slicer.util.VTKObservationMixin):
    def setup(self):
        super().setup()
        self.logic = DemoLogic()
        self.calls = ["setup"]
        self.button = qt.QPushButton("Go")
        self.layout.addWidget(self.button)
    def enter(self): self.calls.append("enter")
    def exit(self): self.calls.append("exit")
    def cleanup(self): self.calls.append("cleanup")

class DemoLogic(ScriptedLoadableModuleLogic): pass
"""


@pytest.fixture
def module_file(tmp_path) -> Path:
    path = tmp_path / "Demo.py"
    path.write_text(MODULE, encoding="utf-8")
    return path


def fiducials(scene):
    return scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")


def test_a_property_is_written_and_read_both_ways(stand_in):
    import qt

    label = qt.QLabel("a")
    assert label.text == "a"
    label.text = "b"
    assert label.text == "b"
    label.setText("c")
    assert label.text == "c"
    label.name = "title"
    assert label.objectName == "title"
    assert isinstance(label, qt.QWidget)
    assert not isinstance(label, qt.QPushButton)


def test_what_a_cpp_object_does_not_have_is_refused(stand_in):
    import ctk
    import qt

    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="no property txt"):
        button.txt = "a"
    with pytest.raises(AttributeError, match="klick"):
        button.klick()
    with pytest.raises(AttributeError, match=r"no signal klicked\(bool\)"):
        button.connect("klicked(bool)", print)
    with pytest.raises(AttributeError, match=r"no signal clicked\(int\)"):
        button.connect("clicked(int)", print)
    with pytest.raises(AttributeError, match="qt.QWizard"):
        qt.QWizard()
    with pytest.raises(AttributeError, match="ctk.ctkThermometer"):
        ctk.ctkThermometer()


def test_a_python_subclass_carries_attributes_of_its_own(stand_in):
    import qt

    class Row(qt.QWidget):
        pass

    row = Row()
    row.landmark = "AC"
    assert row.landmark == "AC"


def test_slots_are_connected_by_signature_and_disconnected(stand_in):
    import qt

    button, heard = qt.QPushButton(), []
    button.checkable = True
    button.connect("clicked(bool)", heard.append)
    button.clicked.connect(lambda: heard.append("too"))
    button.click()
    assert heard == [True, "too"]
    assert button.disconnect("clicked(bool)", heard.append)
    button.click()
    assert heard == [True, "too", "too"]


def test_a_single_shot_runs_in_the_next_turn_of_the_event_loop(stand_in):
    import qt

    heard = []
    qt.QTimer.singleShot(0, lambda: heard.append(1))
    assert not heard
    stand_in.process_events()
    assert heard == [1]
    timer = qt.QTimer()
    timer.singleShot = True
    timer.connect("timeout()", lambda: heard.append(2))
    timer.start(5)
    stand_in.wait_until(lambda: len(heard) == 2, timeout_s=5)
    with pytest.raises(TimeoutError):
        stand_in.wait_until(lambda: len(heard) == 3, timeout_s=0.03)


def test_exceptions_in_slots_and_observers_come_to_light(stand_in):
    import qt

    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    stand_in.scene.AddObserver(stand_in.scene.NodeAddedEvent, lambda *_: [].pop())
    button.click()
    fiducials(stand_in.scene)
    with pytest.raises(ZeroDivisionError):
        stand_in.verify()
    assert [type(error) for error in stand_in.slot_errors[:2]] == [ZeroDivisionError, IndexError]
    stand_in.slot_errors.clear()


def test_dialogs_get_the_prepared_answer(stand_in):
    import qt

    stand_in.dialogs.answer("QFileDialog.getOpenFileName", "/data/scout.nrrd")
    assert qt.QFileDialog.getOpenFileName(None, "Scouts", "/data", "*.nrrd") == "/data/scout.nrrd"
    stand_in.dialogs.answer("QMessageBox", qt.QMessageBox.No)
    stand_in.dialogs.answer("QMessageBox", qt.QMessageBox.Yes)
    assert not slicer.util.confirmYesNoDisplay("Replace the corrections?", windowTitle="Sure")
    assert qt.QMessageBox.question(None, "Sure", "Really?") == qt.QMessageBox.Yes
    assert [shown.text for shown in stand_in.dialogs.shown] == ["/data", "Replace the corrections?", "Really?"]
    assert stand_in.dialogs.shown[1].title == "Sure"


def test_a_dialog_that_the_test_did_not_expect_is_an_error(stand_in):
    import qt

    with pytest.raises(AssertionError, match="no answer was prepared"):
        qt.QMessageBox().exec_()
    stand_in.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    with pytest.raises(AssertionError, match="nobody asked"):
        stand_in.verify()
    qt.QMessageBox.information(None, "", "")


def test_the_prepared_entry_of_a_menu_is_chosen(stand_in):
    import qt

    menu, heard = qt.QMenu(), []
    menu.addAction("Unlock")
    menu.addAction("Restore prediction").triggered.connect(lambda: heard.append("restored"))
    stand_in.dialogs.answer("QMenu", "Restore prediction")
    assert menu.exec_().text() == "Restore prediction"
    assert heard == ["restored"]


def test_errors_are_logged_where_there_is_no_main_window(stand_in, caplog):

    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(ValueError, match="two planes"),
        slicer.util.tryWithErrorDisplay("Cannot plan.", waitCursor=True),
    ):
        raise ValueError("two planes are needed")
    assert "Cannot plan.\n\ntwo planes are needed" in caplog.text
    assert slicer.util.mainWindow() is None


@pytest.mark.parametrize("turn", [1, 2])
def test_settings_start_empty_in_every_test(stand_in, turn):
    import qt

    assert slicer.util.settingsValue("Demo/Model", "none") == "none"
    qt.QSettings().setValue("Demo/Model", f"model {turn}")
    assert slicer.util.settingsValue("Demo/Model", "none") == f"model {turn}"


def test_the_clipboard_is_shared(stand_in):
    import qt

    slicer.app.clipboard().setText("FOV 230 mm")
    assert qt.QApplication.clipboard().text() == "FOV 230 mm"


def test_packages_are_asked_for_but_never_installed(stand_in, tmp_path):
    import slicer.packaging

    (tmp_path / "requirements.txt").write_text("# needed\nmonai>=1.3\n\n", encoding="utf-8")
    wanted = slicer.packaging.load_requirements(str(tmp_path / "requirements.txt"))
    slicer.packaging.pip_ensure(wanted, requester="Demo")
    assert stand_in.packaging.requests == [["monai>=1.3"]]
    stand_in.packaging.declined = True
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure(wanted)


def test_a_module_is_loaded_entered_left_and_cleaned_up(tmp_path, module_file):
    from standin.session import installed

    with installed(tmp_path) as stand_in:
        panel = stand_in.open_module(module_file)
        assert slicer.modules.demo.title == "Demo"
        assert slicer.modules.DemoWidget is panel
        assert slicer.util.getModuleLogic("Demo") is panel.logic
        assert slicer.util.getModuleLogic("Markups") is slicer.modules.markups.logic()
        assert Path(panel.resourcePath("UI/Demo.ui")) == tmp_path / "Resources" / "UI" / "Demo.ui"
        with pytest.raises(AttributeError):
            slicer.modules.demo.titel = "Demo"
        assert panel.calls == ["setup", "enter"]
        assert panel.parent.isEntered
        calls = panel.calls
    assert calls == ["setup", "enter", "exit", "cleanup"]


def test_a_logic_has_one_parameter_node(stand_in, module_file):

    logic = stand_in.open_module(module_file).logic
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    assert node.GetAttribute("ModuleName") == "Demo"
    stand_in.scene.Clear(False)
    assert isinstance(logic.getParameterNode(), slicer.vtkMRMLScriptedModuleNode)
    assert len(logic.getAllParameterNodes()) == 1


def test_a_module_asks_to_be_called_after_start_up(stand_in):

    assert slicer.app.connect("startupCompleted()", len)
    assert slicer.app.startup == [len]
    with pytest.raises(AttributeError, match="no signal lunch"):
        slicer.app.connect("lunch()", len)


def test_a_point_dragged_in_a_real_view_reaches_the_widgets(stand_in, real_views):
    import qt

    label, node = qt.QLabel(), fiducials(stand_in.scene)
    node.CreateDefaultDisplayNodes()
    node.AddControlPoint(0, 0, 0, "AC")
    moved = node.PointModifiedEvent
    node.AddObserver(moved, lambda *_: setattr(label, "text", f"{node.GetNthControlPointPosition(0)[2]:.0f} mm"))
    real_views.yellow.jump_to([0, 0, 0])
    x, y = real_views.yellow.pixel_of([0, 0, 0])
    real_views.yellow.drag((x, y), (x, y + 40))
    assert label.text == f"{real_views.yellow.ras_of((x, y + 40))[2]:.0f} mm"


def test_nothing_of_the_stand_in_is_left_behind(tmp_path, module_file):
    import sys

    from standin.session import installed

    hook = sys.excepthook
    with installed(tmp_path) as stand_in:
        stand_in.open_module(module_file)
        import qt

        assert qt.QLabel
    for name in ("qt", "ctk", "slicer.i18n", "slicer.ScriptedLoadableModule", "slicer.packaging", "Demo"):
        assert name not in sys.modules
    for name in ("app", "mrmlScene", "modules", "i18n", "qMRMLNodeComboBox"):
        assert not hasattr(slicer, name)
    assert sys.excepthook is hook
