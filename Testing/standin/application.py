"""``slicer.app`` and its like, as far as our panels ask (stand-in)."""
# ruff: noqa: N802, N803, N815 - Slicer's names

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import slicer

from standin import qt

LOGICS = ("Colors", "Markups")


class Application:
    """No main window and no layout; ``testingEnabled`` is false so that questions reach the prepared answers."""

    applicationName = "SlicerStandIn"
    applicationVersion = "0"
    majorVersion, minorVersion = 5, 13
    setOverrideCursor = staticmethod(qt.QApplication.setOverrideCursor)
    restoreOverrideCursor = staticmethod(qt.QApplication.restoreOverrideCursor)
    processEvents = staticmethod(qt.QApplication.processEvents)
    topLevelWidgets = staticmethod(qt.QApplication.topLevelWidgets)
    clipboard = staticmethod(qt.QApplication.clipboard)

    def __init__(self, scene, application_logic, folder: Path) -> None:
        self._scene, self._logic = scene, application_logic
        self.temporaryPath = str(folder)
        self.startup: list = []  # what modules want to have called when all are loaded

    def connect(self, signal: str, receiver) -> bool:
        if signal != "startupCompleted()":
            raise AttributeError(f"the stand-in's application has no signal {signal}")
        self.startup.append(receiver)
        return True

    def mrmlScene(self):
        return self._scene

    def applicationLogic(self):
        return self._logic

    def layoutManager(self) -> None:
        return None

    def testingEnabled(self) -> bool:
        return False

    def settings(self):
        return qt.QSettings()

    userSettings = settings

    def moduleManager(self) -> SimpleNamespace:
        return SimpleNamespace(module=lambda name: getattr(slicer.modules, name.lower(), None))


def modules_of(application_logic) -> SimpleNamespace:
    """``slicer.modules`` with the C++ modules of ``LOGICS``."""
    logics = {name: application_logic.GetModuleLogic(name) for name in LOGICS}
    made = {name.lower(): SimpleNamespace(name=name, logic=lambda own=own: own) for name, own in logics.items()}
    return SimpleNamespace(**made)


class Packaging:
    """``slicer.packaging``: installs nothing, remembers what was asked for in ``requests``.

    Attributes:
        on_install: called in place of pip; it may raise what ``slicer.packaging`` raises.
    """

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.declined = False
        self.on_install: Callable[[], object] = list

    def load_requirements(self, path: str) -> list[str]:
        lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line and line[0] not in "#-"]

    def pip_ensure(self, requirements, constraints=None, requester: str | None = None) -> None:
        self.requests.append(list(requirements))
        if self.declined:
            raise RuntimeError("the user declined the installation")
        self.on_install()
