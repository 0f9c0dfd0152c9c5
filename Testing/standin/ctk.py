"""The few widgets of Slicer's module ``ctk`` that our panels use (stand-in)."""
# ruff: noqa: N801, N802, N815 - Qt's and CTK's names

from __future__ import annotations

from PySide6.QtCore import Property, Signal

from standin import qt
from standin.pythonqt import field, with_setters

HEADER_HEIGHT = 24


def __getattr__(name: str):
    raise AttributeError(f"the stand-in has no ctk.{name}: if Slicer has it, add it to {__file__}")


@with_setters
class ctkCollapsibleButton(qt.QAbstractButton):
    """A button whose children show while it is checked."""

    contentsCollapsed = Signal(bool)
    collapsed = Property(bool, lambda self: not self.checked, lambda self, value: self.setChecked(not value))

    def __init__(self, *arguments) -> None:
        title = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        super().__init__(*arguments[bool(title) :])
        self._hidden = []
        self.text = title
        self.checkable = True
        self.checked = True
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)
        self.toggled.connect(self._on_toggled)

    def _on_toggled(self, shown: bool) -> None:
        self._show_contents(shown)
        self.contentsCollapsed.emit(not shown)

    def _show_contents(self, shown: bool) -> None:
        self.maximumHeight = 16777215 if shown else HEADER_HEIGHT
        if shown:
            for child in self._hidden:
                child.show()
            self._hidden = []
            return
        visible = [child for child in self.children() if isinstance(child, qt.QWidget) and not child.isHidden()]
        for child in visible:
            child.hide()
        self._hidden += visible

    def showEvent(self, _event) -> None:
        self._show_contents(self.checked)  # children may have come after it was collapsed

    def hitButton(self, position) -> bool:
        return position.y() < HEADER_HEIGHT

    def paintEvent(self, _event) -> None:
        painter = qt.QPainter(self)
        painter.fillRect(0, 0, self.width, HEADER_HEIGHT - 2, self.palette.button().color().darker(108))
        painter.drawText(8, 16, f"{'-' if self.checked else '+'} {self.text}")
        painter.end()


def _of_the_number(kind: type, name: str) -> Property:
    """The property ``name`` of the spin box inside."""

    def write(self, value: object) -> None:
        setattr(self._number, name, value)

    return Property(kind, lambda self: getattr(self._number, name), write)


@with_setters
class ctkDoubleSpinBox(qt.QWidget):
    """A number with a unit."""

    valueChanged = Signal(float)
    decimals = _of_the_number(int, "decimals")
    minimum = _of_the_number(float, "minimum")
    maximum = _of_the_number(float, "maximum")
    singleStep = _of_the_number(float, "singleStep")
    value = _of_the_number(float, "value")
    prefix = _of_the_number(str, "prefix")
    suffix = _of_the_number(str, "suffix")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._number = qt.QDoubleSpinBox()
        self._row = qt.QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self._number)
        self._number.valueChanged.connect(self.valueChanged)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._number.setRange(minimum, maximum)


@with_setters
class ctkSliderWidget(ctkDoubleSpinBox):
    """A slider beside the number; the slider is only drawn here."""

    valueIsChanging = Signal(float)
    pageStep = field(float, "pageStep")
    tracking = field(bool, "tracking")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._pageStep, self._tracking = 10.0, True
        self._row.insertWidget(0, qt.QSlider(qt.Qt.Horizontal), 1)


@with_setters
class ctkPathLineEdit(qt.QWidget):
    """A path to type or to choose; what ``filters`` would offer in the dialog is not looked at."""

    Files, Dirs = 0x002, 0x001
    currentPathChanged = Signal(str)
    filters = field(int, "filters")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._filters = self.Files
        self._line = qt.QLineEdit()
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line)
        row.addWidget(qt.QToolButton())
        self._line.textChanged.connect(self.currentPathChanged)

    currentPath = Property(str, lambda self: self._line.text, lambda self, value: self._line.setText(value))


class ctkComboBox(qt.QComboBox):
    """CTK adds a default text to Qt's; none of our panels uses it."""


class ctkCheckableComboBox(qt.QComboBox):
    """A combo box whose items can be checked."""

    checkedIndexesChanged = Signal()

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self.model().dataChanged.connect(lambda *_cells: self.checkedIndexesChanged.emit())

    def checkState(self, index):
        state = index.data(qt.Qt.CheckStateRole)
        return qt.Qt.Unchecked if state is None else qt.Qt.CheckState(state)

    def setCheckState(self, index, state) -> None:
        self.model().setData(index, state, qt.Qt.CheckStateRole)

    def checkedIndexes(self) -> list:
        rows = [self.model().index(row, 0) for row in range(self.count)]
        return [index for index in rows if self.checkState(index) == qt.Qt.Checked]


@with_setters
class ctkMessageBox(qt.QMessageBox):
    """A message box with "do not show again"."""

    dontShowAgain = field(bool, "dontShowAgain")
    dontShowAgainSettingsKey = field(str, "dontShowAgainSettingsKey")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._dontShowAgain, self._dontShowAgainSettingsKey = False, ""
