"""The protocol that Calibrate plans with: one that the user chose, or that of the anatomy that the scouts show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..core.anatomy.protocol import Protocol
from ..core.anatomy.protocol_file import load_protocol
from ..core.errors import ModelError, ProtocolError, UsageError
from ..core.files.json_files import read_json
from ..core.files.resources import resource_path
from ..core.models.anatomies import known_protocol
from ..core.models.store import carried_protocols, default_models
from ..core.planning.protocol_editing import ADJUSTED
from ..core.planning.side_in_words import anatomy_in_words
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.signal import Signal
from .job_runner import JobRunner
from .messages import errors_shown
from .shared.enabling import allow

#: What the list holds in place of a protocol's name where the scouts decide.
AUTOMATIC = "Automatic"

#: Chosen at first where the models of one anatomy are installed.
DEFAULT_PROTOCOL = "BrainAcPc"

AUTOMATIC_TIP = "Automatic: the installed models look at the scouts, and the surest one's anatomy is planned."


class ProtocolChoice:
    """The list of protocols.

    A study with a plan shows the plan's protocol. What the user chose holds for studies without a plan, until another
    choice; the scene keeps it.

    Attributes:
        chosen: emitted when the user chose.
    """

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner) -> None:
        self._ui, self._current, self._jobs = ui, current, jobs
        self.chosen = Signal()
        #: The user's choice; empty before there is one.
        self._choice = ""
        #: Files that the user opened: they are for every study, as the shipped protocols are.
        self._opened: set[str] = set()
        self._carried: set[str] = set()
        #: Study, protocol and ``automatic`` of the plan that the list was set to.
        self._shown: tuple[str, str, bool] | None = None
        self._list_protocols()
        ui.protocolComboBox.connect("activated(int)", self._on_protocol)
        ui.protocolFileButton.connect("clicked()", self._on_protocol_file)

    @property
    def choice(self) -> str:
        """The user's choice for studies without a plan, as the scene keeps it; empty before there is one."""
        return self._choice

    def restore(self, choice: str) -> None:
        """Take the choice that a scene kept; one whose file is missing, or none, leaves it as it is."""
        if choice and self._ui.protocolComboBox.findData(choice) < 0 and Path(choice).is_file():
            with errors_shown():
                self._list(load_protocol(choice))
        if self._ui.protocolComboBox.findData(choice) >= 0:
            self._choice, self._shown = choice, None
            self.update()

    def begin_scene(self) -> None:
        """Another scene: the scouts decide again where they can, unless the user opened a file for all studies."""
        if _default() == AUTOMATIC and self._choice not in self._opened:
            self._choice, self._shown = "", None

    def protocol(self) -> Protocol | None:
        """The protocol to calibrate with; None where the scouts decide.

        Raises:
            ProtocolError: its file is missing or damaged.
        """
        calibration, chosen = self._current.calibration, self._chosen()
        if chosen == AUTOMATIC:
            return None
        if calibration is not None and chosen in (calibration.protocol.name, str(calibration.protocol.source)):
            return calibration.protocol
        return load_protocol(chosen)

    def protocol_by_hand(self) -> Protocol:
        """The protocol to plan with by hand; nothing looks at the scouts then.

        Raises:
            ProtocolError: its file is missing or damaged.
            UsageError: the scouts should decide, of several anatomies.
        """
        chosen = self.protocol()
        if chosen is None and self._current.calibration is not None:
            chosen = self._current.calibration.protocol
        chosen = chosen or known_protocol()
        if chosen is None:
            raise UsageError(_("by hand no model recognises the anatomy"), remedy=_("Choose a protocol first."))
        return chosen

    def why_not_by_hand(self) -> str:
        """Why nothing can be planned by hand with this choice, as a sentence; empty where it can."""
        if self._current.calibration is None and self._chosen() == AUTOMATIC and _default() == AUTOMATIC:
            return _("Choose a protocol first: by hand no model recognises the anatomy.")
        return ""

    def base(self) -> str:
        """Name of the protocol that the current one was adjusted from, where it is one of the list; else empty."""
        calibration = self._current.calibration
        if calibration is None or not calibration.protocol.name.endswith(ADJUSTED):
            return ""
        name = calibration.protocol.name.removesuffix(ADJUSTED)
        return next((entry for entry in self._entries() if entry == name or Path(entry).stem == name), "")

    def update(self) -> None:
        """Show the protocol of another plan or study; what the user chooses after that stays until Calibrate."""
        calibration, combo_box = self._current.calibration, self._ui.protocolComboBox
        self._forget_other_studies(calibration)
        shown = self._state(calibration)
        if shown != self._shown:
            self._shown = shown
            combo_box.setCurrentIndex(self._row_of(calibration))
        combo_box.setItemText(combo_box.findData(AUTOMATIC), _automatic_text(calibration))
        busy = _("Wait until the current job is done, or cancel it.") if self._jobs.busy else ""
        tip = _("Protocol: what is planned, and along which line") + "\n" + _(AUTOMATIC_TIP)
        allow(combo_box, tip, busy)
        allow(self._ui.protocolFileButton, _("Open a protocol file (.json)"), busy)

    def _list_protocols(self) -> None:
        combo_box = self._ui.protocolComboBox
        combo_box.addItem(_("Automatic"), AUTOMATIC)
        for path in sorted(resource_path("Protocols").glob("*.json")):
            # Titles only: checking the whole file would need a package that may not be installed yet.
            data = read_json(path, ProtocolError, _("Install AutoVolumeCalibration again."))
            combo_box.addItem(data.get("title", data["name"]), data["name"])
        for path in _carried():
            data = read_json(path, ProtocolError, _("Get the model bundle again."))
            combo_box.addItem(data.get("title", data["name"]), str(path))
            self._carried.add(str(path))

    def _list(self, protocol: Protocol) -> None:
        """Offer a file for all studies."""
        self._opened.add(str(protocol.source))
        if self._ui.protocolComboBox.findData(str(protocol.source)) < 0:
            self._ui.protocolComboBox.addItem(protocol.title, str(protocol.source))

    def _chosen(self) -> str:
        """AUTOMATIC, the name of a shipped protocol, or the path of a file."""
        combo_box = self._ui.protocolComboBox
        return combo_box.itemData(combo_box.currentIndex)

    def _entries(self) -> Iterator[str]:
        combo_box = self._ui.protocolComboBox
        return (combo_box.itemData(row) for row in range(combo_box.count))

    def _state(self, calibration: Calibration | None) -> tuple[str, str, bool]:
        study = self._current.study
        identity = study.node.GetID() if study else ""
        if calibration is None:
            return identity, self._choice or _default(), False
        return identity, str(calibration.protocol.source), _is_automatic(calibration)

    def _row_of(self, calibration: Calibration | None) -> int:
        """The list's row for the plan, or for a study without one; a protocol of the study's own is listed first."""
        combo_box = self._ui.protocolComboBox
        if calibration is None:
            row = combo_box.findData(self._choice or _default())
            return row if row >= 0 else combo_box.findData(_default())
        if _is_automatic(calibration):
            return combo_box.findData(AUTOMATIC)
        protocol = calibration.protocol
        row = max(combo_box.findData(protocol.name), combo_box.findData(str(protocol.source)))
        if row >= 0:
            return row
        for other in reversed(range(combo_box.count)):
            if Path(combo_box.itemData(other)).stem == protocol.name:
                combo_box.removeItem(other)
        combo_box.addItem(protocol.title, str(protocol.source))
        return combo_box.count - 1

    def _forget_other_studies(self, calibration: Calibration | None) -> None:
        """An adjusted box belongs to its study."""
        combo_box = self._ui.protocolComboBox
        kept = self._opened | self._carried | ({str(calibration.protocol.source)} if calibration else set())
        for row in reversed(range(combo_box.count)):
            entry = combo_box.itemData(row)
            if Path(entry).stem.endswith(ADJUSTED) and entry not in kept:
                combo_box.removeItem(row)

    def _on_protocol(self, _row: int) -> None:
        chosen = self._chosen()
        if not Path(chosen).stem.endswith(ADJUSTED) or chosen in self._opened:
            self._choice = chosen
        # Where the choice gives no plan, the list goes back to the protocol of the plan.
        self._shown = None
        with errors_shown():
            if self._current.calibration is not None:
                self._plan_with(chosen, self._current.calibration)
        self.chosen.emit()

    def _plan_with(self, chosen: str, calibration: Calibration) -> None:
        """Plan the study anew; where that needs other landmarks, the choice waits for Calibrate."""
        protocol = None if chosen == AUTOMATIC else load_protocol(chosen)
        found = {landmark.name for landmark in calibration.predicted}
        if protocol is not None and found & set(protocol.constellation.names):
            self._current.choose_protocol(protocol)
            return
        self._shown = self._state(calibration)
        if protocol is None:
            self._jobs.show_status(_("Press Calibrate: the models then look which anatomy the scouts show."))
        else:
            self._jobs.show_status(_("Press Calibrate: this protocol needs other landmarks."))

    def _on_protocol_file(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            self._ui.protocolFileButton, _("Protocol"), "", _("Protocols (*.json);;All files (*)")
        )
        if not path:
            return
        with errors_shown():
            protocol = load_protocol(path)
            self._list(protocol)
            combo_box = self._ui.protocolComboBox
            combo_box.setCurrentIndex(combo_box.findData(str(protocol.source)))
            self._on_protocol(combo_box.currentIndex)


def _default() -> str:
    """What is chosen at first: the scouts decide where the models of several anatomies are installed."""
    try:
        return AUTOMATIC if len(default_models()) > 1 else DEFAULT_PROTOCOL
    except ModelError:
        # Calibrate reports the damaged file.
        return DEFAULT_PROTOCOL


def _carried() -> list[Path]:
    """Protocols of the user's own default models; none where a damaged file hides them, which Calibrate reports."""
    try:
        return list(carried_protocols().values())
    except ModelError:
        return []


def _is_automatic(calibration: Calibration) -> bool:
    """Whether the scouts decided, and the user left the protocol as it is."""
    automatic = calibration.model is not None and calibration.model.automatic
    return automatic and not calibration.protocol.name.endswith(ADJUSTED)


def _automatic_text(calibration: Calibration | None) -> str:
    """With what was recognised and what was taken, where the plan that is shown was made so."""
    if calibration is None or not _is_automatic(calibration):
        return _("Automatic")
    anatomy, title = anatomy_in_words(calibration.frame, calibration.protocol.anatomy), calibration.protocol.title
    in_doubt = calibration.model is not None and calibration.model.unsure_anatomy
    text = _("Automatic, in doubt: {anatomy} ({protocol})") if in_doubt else _("Automatic: {anatomy} ({protocol})")
    return text.format(anatomy=anatomy, protocol=title)
