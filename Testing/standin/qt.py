"""Slicer's flat module ``qt``, on PySide6 (stand-in)."""
# ruff: noqa: N802, N815 - Qt's names

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Qt

from standin.dialogs import dialogs
from standin.pythonqt import with_manners

_VALUES = """
    QApplication QBrush QColor QCursor QDateTime QDir QFile QFileInfo QFont QIcon QImage QLocale QPainter QPixmap QPoint
    QSettings QSize QSizePolicy QTableWidgetItem QTextCursor QUrl
"""
_OBJECTS = """
    QAbstractButton QAbstractItemView QAction QCheckBox QComboBox QDoubleSpinBox QFormLayout QFrame QGridLayout
    QGroupBox QHBoxLayout QHeaderView QLabel QLineEdit QObject QPlainTextEdit QProcess QProgressBar QPushButton QSlider
    QSpinBox QTabWidget QTextBrowser QTextEdit QTimer QToolButton QVBoxLayout QWidget
"""


def _native(name: str) -> type:
    module = next(module for module in (QtCore, QtGui, QtWidgets) if hasattr(module, name))
    return getattr(module, name)


globals().update({name: _native(name) for name in _VALUES.split()})
globals().update({name: with_manners(_native(name)) for name in _OBJECTS.split()})


def __getattr__(name: str):
    # Loaded on first use: the loader needs this module and ctk complete.
    if name == "QUiLoader":
        from standin.ui_loader import QUiLoader

        return QUiLoader
    raise AttributeError(f"the stand-in has no qt.{name}: if Slicer has it, add it to {__file__}")


_Table = with_manners(QtWidgets.QTableWidget)


class QTableWidget(_Table):
    """With headers that have PythonQt's manners too."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        for orientation, use in ((Qt.Horizontal, self.setHorizontalHeader), (Qt.Vertical, self.setVerticalHeader)):
            header = QHeaderView(orientation, self)  # noqa: F821 - one of _OBJECTS
            header.setSectionsClickable(True)
            use(header)


class QDialog(with_manners(QtWidgets.QDialog)):
    """Modal ones are answered by the test."""

    def exec_(self) -> int:
        return dialogs.ask("QDialog", self.windowTitle, "")

    exec = exec_


class QMenu(with_manners(QtWidgets.QMenu)):
    """Answered by the test, with the text of the entry to choose."""

    def exec_(self, _position: QtCore.QPoint | None = None) -> QtGui.QAction:
        entries = {action.property("text"): action for action in self.actions()}
        chosen = entries[dialogs.ask("QMenu", self.title, ", ".join(entries))]
        chosen.trigger()
        return chosen

    exec = exec_


class QMessageBox(with_manners(QtWidgets.QMessageBox)):
    """Answered by the test, with one of the standard buttons."""

    def exec_(self) -> QtWidgets.QMessageBox.StandardButton:
        return dialogs.ask("QMessageBox", self.windowTitle, self.text)

    exec = exec_

    @staticmethod
    def question(_parent, title: str, text: str, *_buttons) -> QtWidgets.QMessageBox.StandardButton:
        return dialogs.ask("QMessageBox", title, text)

    information = warning = critical = question


def _file_question(function: str):
    def ask(_parent=None, caption: str = "", directory: str = "", _filter: str = "", *_options) -> object:
        return dialogs.ask(f"QFileDialog.{function}", caption, directory)

    return staticmethod(ask)


class QFileDialog:
    """Its functions only, answered by the test; as in Slicer they return the path alone, not (path, filter)."""

    ShowDirsOnly = QtWidgets.QFileDialog.ShowDirsOnly
    getExistingDirectory = _file_question("getExistingDirectory")
    getOpenFileName = _file_question("getOpenFileName")
    getOpenFileNames = _file_question("getOpenFileNames")
    getSaveFileName = _file_question("getSaveFileName")

    def __init__(self, *_arguments) -> None:
        raise NotImplementedError("the stand-in has the functions of QFileDialog only")
