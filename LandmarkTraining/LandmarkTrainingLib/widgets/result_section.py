"""Result: compares the new model with the current one, promotes it where it is better, and rolls back."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.mrml.signal import Signal
from AutoVolumeCalibrationLib.widgets.shared.background_job import BackgroundJob
from AutoVolumeCalibrationLib.widgets.shared.dependencies import ensure
from AutoVolumeCalibrationLib.widgets.shared.enabling import allow

from ..core.runs.run_folder import BUNDLE_FOLDER
from ..core.runs.run_process import ERRORS_FILE, Outcome
from ..core.runs.run_request import compare_arguments
from . import requirements
from .choices import Choices
from .current_run import CurrentRun
from .engine import Comparison, TrainingEngine
from .messages import errors_shown, show, show_error
from .recipe_section import RecipeSection

#: Folder of the comparison in the run's.
COMPARISON_FOLDER = "comparison"

#: Of the table, screen pixels.
HEADER_HEIGHT, ROW_HEIGHT = 28, 20


class ResultSection:
    """Compares, promotes and rolls back models.

    Attributes:
        comparison: of the run that is shown; None where there is none yet.
        changed: emitted after a promotion or a roll-back.
    """

    def __init__(
        self,
        ui,
        choices: Choices,
        engine: TrainingEngine,
        recipe: RecipeSection,
        run: CurrentRun,
        comparing: CurrentRun,
    ) -> None:
        self._ui, self._choices, self._engine = ui, choices, engine
        self._recipe, self._run, self._comparing = recipe, run, comparing
        self.comparison: Comparison | None = None
        self.changed = Signal()
        self._used = False
        self._job: BackgroundJob | None = None
        self._shown: tuple = ()
        table = ui.resultTable
        table.setColumnCount(3)
        table.verticalHeader().visible = False
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        ui.compareButton.connect("clicked()", self._on_compare)
        ui.stopCompareButton.connect("clicked()", self._on_stop)
        ui.promoteButton.connect("clicked()", self._on_promote)
        ui.rollBackButton.connect("clicked()", self._on_roll_back)

    @property
    def used(self) -> bool:
        """The model of the run that is shown was promoted."""
        return self._used

    def why_not_compare(self) -> str:
        """What is missing before models can be compared, as a sentence."""
        if self._comparing.running:
            return _("The models are being compared.")
        if self._bundle() is None:
            return _("There is a new model when the training is finished.")
        if not self._choices.now.validation:
            return _("Choose a validation set (Data): the comparison needs cases that neither model was trained on.")
        return ""

    def update(self) -> None:
        """Show the comparison of the run, if any, and enable the buttons that apply."""
        self._follow_run()
        self._fill_table()
        ui, comparing = self._ui, self._comparing.running
        ui.compareButton.visible, ui.stopCompareButton.visible = not comparing, comparing
        tip = _("Measure both models on the validation set, in a separate process")
        allow(ui.compareButton, tip, self.why_not_compare())
        ui.stopCompareButton.toolTip = _("Stop the comparison")
        allow(ui.promoteButton, self._what_promoting_does(), self._why_not_promote())
        previous = self._engine.previous_model(self._recipe.named_protocol())
        none = "" if previous else _("No model was replaced yet.")
        allow(ui.rollBackButton, _("Use {name} again").format(name=previous), none)
        ui.verdictLabel.text = self._verdict()
        ui.verdictLabel.visible = bool(ui.verdictLabel.text)

    def _bundle(self) -> Path | None:
        """The model of the run that is shown, None before it is finished."""
        folder = self._run.folder
        return folder / BUNDLE_FOLDER if folder and self._run.outcome is Outcome.FINISHED else None

    def _require_bundle(self) -> Path:
        """The model of the run, for actions that are disabled before it is finished."""
        bundle = self._bundle()
        if bundle is None:
            raise RuntimeError("this action needs a finished run")
        return bundle

    def close(self) -> None:
        if self._job is not None:
            self._job.abandon()

    def _why_not_promote(self) -> str:
        if self._job is not None:
            return _("It is being copied.")
        if self._used:
            return _("It is the current model.")
        if self.comparison is None:
            return _("Compare it with the current model first.")
        if self.comparison.better or self.comparison.may_override:
            return ""
        return _("It cannot replace the current model. {verdict}").format(verdict=self.comparison.verdict)

    def _what_promoting_does(self) -> str:
        if self.comparison is None or self.comparison.better:
            return _("Make it the default model of Auto Volume Calibration")
        return _("Make it the default model although it was not shown to be better: asks first")

    def _verdict(self) -> str:
        if self._comparing.running:
            return _("Comparing on the validation set...")
        if self._used:
            return _("The new model is in use.")
        if self.comparison is None:
            return ""
        return "\n".join((self.comparison.verdict, *self.comparison.evidence))

    def _follow_run(self) -> None:
        """Read the comparison again where another run is shown, or where it has ended."""
        state = (self._run.folder, self._run.outcome, self._comparing.folder, self._comparing.outcome)
        if state == self._shown:
            return
        self._shown = state
        self.comparison, self._used = None, False
        bundle = self._bundle()
        if bundle is None:
            return
        folder = bundle.parent / COMPARISON_FOLDER
        ours = self._comparing.folder == folder
        if ours and self._comparing.outcome is Outcome.FAILED:
            text = _("The comparison failed: {error}").format(error=self._comparing.error_text())
            show(text, self._comparing.tail(ERRORS_FILE, 100))
        elif ours and self._comparing.outcome is Outcome.FINISHED:
            with errors_shown():
                self.comparison = self._engine.comparison(folder)

    def _fill_table(self) -> None:
        table = self._ui.resultTable
        table.visible = self.comparison is not None
        rows = self.comparison.rows if self.comparison else ()
        table.minimumHeight = table.maximumHeight = HEADER_HEIGHT + ROW_HEIGHT * len(rows)
        table.setHorizontalHeaderLabels([_("On the validation set"), _("Current"), _("New")])
        table.setRowCount(len(rows))
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                table.setItem(row, column, qt.QTableWidgetItem(text))

    def _on_compare(self) -> None:
        with errors_shown():
            ensure(requirements.READING, requirements.TRAINING)
            bundle = self._require_bundle()
            folder = bundle.parent / COMPARISON_FOLDER
            arguments = compare_arguments(
                bundle,
                Path(self._choices.now.validation),
                folder,
                protocol=self._recipe.named_protocol(),
                device=self._choices.now.device,
            )
            self._comparing.start(folder, self._engine.command(arguments))

    def _on_stop(self) -> None:
        self._comparing.stop()

    def _on_promote(self) -> None:
        promote, bundle = self._engine.promote, self._require_bundle()
        comparison = bundle.parent / COMPARISON_FOLDER
        anyway = self.comparison is not None and not self.comparison.better
        if anyway and not self._confirmed():
            return
        self._job = BackgroundJob(
            lambda _progress, _cancelled: promote(bundle, comparison, anyway=anyway),
            on_done=self._on_promoted,
            on_failed=self._on_promotion_failed,
        )
        self.update()

    def _confirmed(self) -> bool:
        """Whether the user, having read the evidence, wants a model that was not shown to be better."""
        question = _(
            "The new model was not shown to be better.\n\n{evidence}\n\n{consequence} The decision is recorded in the "
            "model. 'Back to the previous model' takes it back.\n\nUse it anyway?"
        )
        text = question.format(evidence=self._verdict(), consequence=self._engine.consequence())
        return slicer.util.confirmOkCancelDisplay(text)

    def _on_promoted(self, _name: str) -> None:
        self._job, self._used = None, True
        self.changed.emit()

    def _on_promotion_failed(self, error: Exception) -> None:
        self._job, self._used = None, False
        self.changed.emit()
        show_error(error)

    def _on_roll_back(self) -> None:
        with errors_shown():
            self._engine.roll_back(self._recipe.named_protocol())
            self._used = False
        self.changed.emit()
