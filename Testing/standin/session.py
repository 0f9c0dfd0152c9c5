"""Puts the stand-in in place for one test, and takes it away again."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene
from standin import ctk, qmrml, qt, scripted_module
from standin.application import Application, Packaging, modules_of
from standin.dialogs import Dialogs, dialogs

_log = logging.getLogger(__name__)
_PANELS = ("AutoVolumeCalibrationLib.widgets", "LandmarkTrainingLib.widgets")


class StandIn:
    """What a test does with the stand-in. Without a main window ``slicer.util.errorDisplay`` only logs: use caplog.

    Attributes:
        scene: the vtkMRMLScene, empty but for what the application adds.
        application_logic: for real views of this scene.
        dialogs: answers for modal dialogs.
        packaging: what was to be installed.
        slot_errors: exceptions in slots and observers, which Qt and VTK do not pass on. What a test leaves here
            fails it; a test that expects one takes it out with ``pop()``.
    """

    def __init__(self, scene, application_logic, packaging: Packaging) -> None:
        self.scene, self.application_logic, self.packaging = scene, application_logic, packaging
        self.dialogs: Dialogs = dialogs
        self.slot_errors: list[BaseException] = []

    def load_module(self, path: Path) -> scripted_module.qSlicerScriptedLoadableModule:
        """Register the scripted module of this file, as ``slicer.modules`` and ``slicer.util`` know it."""
        return scripted_module.qSlicerScriptedLoadableModule(path)

    def open_module(self, path: Path) -> scripted_module.ScriptedLoadableModuleWidget:
        """Load the module and switch to it: its Python widget, set up and entered."""
        widget = self.load_module(path).widgetRepresentation()
        widget.show()
        widget.enter()
        self.process_events()
        return widget.self()

    def verify(self) -> None:
        """Raise what went wrong unseen: the first exception in a slot, or an answer that nobody asked for."""
        if self.slot_errors:
            raise self.slot_errors[0]
        assert not self.dialogs.unused(), f"prepared, but nobody asked: {self.dialogs.unused()}"

    def process_events(self) -> None:
        """One turn of the event loop: timers that are due, deferred deletions."""
        QtWidgets.QApplication.processEvents()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Run the event loop until ``condition()``; TimeoutError after ``timeout_s``, or what failed in a slot."""
        end = time.monotonic() + timeout_s
        while not condition():
            if self.slot_errors:
                raise self.slot_errors[0]
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came within {timeout_s} s")
            QtWidgets.QApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)


@contextmanager
def installed(folder: Path) -> Iterator[StandIn]:
    """The stand-in under Slicer's names, with its files in ``folder``; afterwards nothing of it can be imported."""
    _start_qt(folder)
    dialogs.reset()
    standalone = StandaloneScene(folder)
    stand_in = StandIn(standalone.scene, standalone.application_logic, Packaging())
    with pytest.MonkeyPatch.context() as patch, ExitStack() as cleanup:
        _install(patch, stand_in, folder)
        cleanup.callback(_forget_panels, frozenset(sys.modules))
        cleanup.callback(standalone.close)
        cleanup.callback(_detach_selectors)
        cleanup.callback(stand_in.process_events)
        cleanup.callback(_unload_modules)
        yield stand_in


def _start_qt(folder: Path) -> None:
    """One QApplication for the whole process, without a display; settings of its own for each test."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    QtCore.qInstallMessageHandler(_log_qt)
    if QtWidgets.QApplication.instance() is None:
        _keep_none_alive()
        _start_qt.application = QtWidgets.QApplication(["stand-in"])
        _start_qt.application.setOrganizationName("stand-in")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, str(folder))


def _keep_none_alive() -> None:
    """PySide6 6.12 gives up a reference to None with each call that returns nothing; Python 3.12 does not mind.

    Before it, Python ends with "deallocating None" after some thousand calls.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _log_qt(_kind, _context, text: str) -> None:
    if "propagateSizeHints" not in text:  # said of every window that is never on a screen
        _log.warning("Qt: %s", text)


def _install(patch: pytest.MonkeyPatch, stand_in: StandIn, folder: Path) -> None:
    attributes = {
        "app": Application(stand_in.scene, stand_in.application_logic, folder),
        "mrmlScene": stand_in.scene,
        "modules": modules_of(stand_in.application_logic),
        "packaging": stand_in.packaging,
        "i18n": SimpleNamespace(tr=lambda text: text, translate=lambda _context, text: text),
        "ScriptedLoadableModule": scripted_module,
    }
    for name in ("packaging", "i18n", "ScriptedLoadableModule"):
        patch.setitem(sys.modules, f"slicer.{name}", attributes[name])
    for module in (qmrml, scripted_module):
        attributes |= {name: made for name, made in vars(module).items() if name.startswith(("qMRML", "qSlicer"))}
    for name, value in attributes.items():
        patch.setattr(slicer, name, value, raising=False)
    patch.setitem(sys.modules, "qt", qt)
    patch.setitem(sys.modules, "ctk", ctk)
    patch.setattr(sys, "excepthook", lambda _kind, error, _traceback: stand_in.slot_errors.append(error))


def _unload_modules() -> None:
    for module in list(vars(slicer.modules).values()):
        if isinstance(module, scripted_module.qSlicerScriptedLoadableModule):
            module.unload()


def _detach_selectors() -> None:
    """Those that a test made by itself outlive it, until Python collects them."""
    for widget in QtWidgets.QApplication.allWidgets():
        if isinstance(widget, qmrml.qMRMLNodeComboBox):
            widget.setMRMLScene(None)


def _forget_panels(before: frozenset[str]) -> None:
    """Panels imported meanwhile hold on to the stand-in: without it they must not import."""
    for name in set(sys.modules) - before:
        if name.startswith(_PANELS):
            del sys.modules[name]
