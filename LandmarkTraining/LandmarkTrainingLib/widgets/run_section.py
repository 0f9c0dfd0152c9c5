"""Run: start, watch, stop, resume. The training is a separate process; closing the window does not end it."""

from __future__ import annotations

import time
from pathlib import Path

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.widgets.shared.application_version import why_too_old
from AutoVolumeCalibrationLib.widgets.shared.dependencies import ensure
from AutoVolumeCalibrationLib.widgets.shared.enabling import allow

from ..core.runs.flat_channels import REMEDY
from ..core.runs.recipes import STUDIES
from ..core.runs.run_folder import CHECKPOINT_FILE, CONFIG_FILE, KERNELS, PREDICTIONS
from ..core.runs.run_process import ERRORS_FILE, Outcome
from ..core.runs.run_request import RunRequest, resume_arguments
from ..core.runs.run_watch import Progress
from ..mrml.curve_nodes import show_curves
from . import requirements
from .choices import Choices
from .current_run import CurrentRun
from .data_section import DataSection
from .engine import TrainingEngine
from .messages import errors_shown, show
from .plot_view import show_chart
from .recipe_section import RecipeSection

#: Largest height of the picture of predictions while a run is watched, and beside its result; screen pixels.
WATCHED_HEIGHT, SMALL_HEIGHT = 280, 150

#: Kind of picture -> its name in the list, and the tooltip of the newest one.
PICTURE_TITLES = {PREDICTIONS: "Predictions on validation slices", KERNELS: "Kernels of the first layer"}
PICTURE_TIPS = {kind: f"{title}: {{path}}" for kind, title in PICTURE_TITLES.items()}


class RunSection:
    """Starts a training and shows its progress."""

    def __init__(
        self,
        ui,
        choices: Choices,
        engine: TrainingEngine,
        run: CurrentRun,
        data: DataSection,
        recipe: RecipeSection,
    ) -> None:
        self._ui, self._choices, self._engine = ui, choices, engine
        self._run, self._data, self._recipe = run, data, recipe
        self._drawn: tuple[Path | None, int] = (None, 0)
        self._picture: tuple[Path | None, int] = (None, 0)
        self._failure_reported = True
        ui.startButton.connect("clicked()", self._on_start)
        ui.stopButton.connect("clicked()", self._on_stop)
        ui.resumeButton.connect("clicked()", self._on_resume)
        ui.openRunButton.connect("clicked()", self._on_open)
        ui.curvesButton.connect("clicked()", self._on_curves)
        for kind, title in PICTURE_TITLES.items():
            ui.pictureComboBox.addItem(_(title), kind)
        ui.pictureComboBox.connect("currentIndexChanged(int)", lambda _index: self._show_picture())

    def why_not_ready(self) -> str:
        """What is missing before a training can start, as a sentence."""
        too_old = why_too_old()
        if too_old:
            return too_old
        if self._recipe.recipe.learns_from == STUDIES:
            missing = self._data.why_no_studies()
        else:
            missing = self._data.why_no_labels()
        return missing or self._recipe.why_not_valid()

    def update(self) -> None:
        """Show the state of the run, and enable the buttons that apply."""
        ui, running = self._ui, self._run.running
        ui.startButton.visible, ui.stopButton.visible = not running, running
        allow(ui.startButton, _("Train in a separate process; Slicer stays free"), self.why_not_ready())
        allow(ui.openRunButton, _("Watch a run, or open one that has ended"), self._why_not_other())
        allow(ui.resumeButton, _("Resume this run from its last checkpoint"), self._why_not_resume())
        none = (
            "" if self._run.watch and self._run.watch.rows else _("There are no numbers before the first checkpoint.")
        )
        allow(ui.curvesButton, _("Show loss and error in a plot view"), none)
        self._show_stop()
        self._show_progress()
        self._show_curves()
        self._show_picture()
        self._report_failure()

    def attach(self, folder: str) -> None:
        """Show the run in ``folder``; none where it is ""."""
        if folder and Path(folder).is_dir():
            self._failure_reported = True  # a failure before this window opened was reported then
            self._run.attach(Path(folder))
        elif self._run.folder is not None:
            self._run.forget()

    def _why_not_other(self) -> str:
        return _("First stop the current run, or open a second Slicer.") if self._run.running else ""

    def _why_not_resume(self) -> str:
        if self._run.folder is None:
            return _("Open a run first.")
        if self._run.running:
            return _("It is running.")
        if self._run.outcome is Outcome.FINISHED:
            return _("It is complete.")
        if not (self._run.folder / CHECKPOINT_FILE).exists():
            return _("It ended before its first checkpoint: start a new run.")
        return ""

    def _on_start(self) -> None:
        if self._data.has_errors and not slicer.util.confirmOkCancelDisplay(
            _("The check found errors in the data, and a model learns them. Train anyway?")
        ):
            return
        with errors_shown():
            ensure(requirements.READING, requirements.TRAINING)
            folder = new_run_folder(Path(self._choices.now.output), self._recipe.recipe.name)
            self._begin(folder, self._request(folder).arguments())

    def _on_resume(self) -> None:
        with errors_shown():
            ensure(requirements.READING, requirements.TRAINING)
            folder = self._run.require_watch().folder
            self._begin(folder, resume_arguments(folder, self._recipe.loss_file))

    def _request(self, folder: Path) -> RunRequest:
        chosen = self._choices.now
        return RunRequest(
            self._recipe.recipe,
            folder,
            datasets=tuple(Path(text) for text in chosen.datasets),
            validation=Path(chosen.validation) if chosen.validation else None,
            labels=Path(chosen.labels) if chosen.labels else None,
            subjects=self._data.subjects(),
            base=chosen.base,
            settings=self._recipe.settings(),
            loss_file=self._recipe.loss_file,
        )

    def _begin(self, folder: Path, arguments: list[str]) -> None:
        self._failure_reported = False
        self._run.start(folder, self._engine.command(arguments))
        self._make_room()
        self._choices.change(run=str(folder))

    def _on_stop(self) -> None:
        with errors_shown():
            self._run.stop()

    def _on_open(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self._ui.openRunButton, _("Folder of a run"), self._choices.now.run or self._choices.now.output
        )
        if not folder:
            return
        with errors_shown():
            if not (Path(folder) / CONFIG_FILE).exists():
                raise UsageError(
                    _("does not hold a run"),
                    source=folder,
                    remedy=_("Choose a folder in the output folder (Advanced)."),
                )
            self.attach(folder)
            self._make_room()
            self._choices.change(run=folder)

    def _make_room(self) -> None:
        """Once a run is shown, its progress matters more than its settings."""
        self._ui.dataSection.collapsed = self._ui.recipeSection.collapsed = True

    def _on_curves(self) -> None:
        show_chart(show_curves(slicer.mrmlScene, self._run.require_watch().rows))

    def _show_stop(self) -> None:
        if self._run.stopping:
            self._ui.stopButton.text = _("Stop at once")
            none = "" if self._run.can_kill else _("Another program started it; it ends after the current step.")
            allow(self._ui.stopButton, _("End it now; everything after the last checkpoint is lost"), none)
        else:
            self._ui.stopButton.text = _("Stop")
            allow(self._ui.stopButton, _("End after the current step, with a checkpoint to resume from"))

    def _show_progress(self) -> None:
        progress = self._run.watch.progress if self._run.watch else None
        self._ui.progressBar.visible = self._run.folder is not None
        # Before the first number the bar only shows that it is busy.
        unknown = self._run.running and progress is None
        self._ui.progressBar.setRange(0, 0 if unknown else 1000)
        if not unknown:
            done = self._run.outcome is Outcome.FINISHED
            self._ui.progressBar.value = 1000 if done else round(1000 * progress.fraction) if progress else 0
        self._ui.runSection.text = f"{_('Run')} {self._run.folder.name}" if self._run.folder else _("Run")
        self._ui.runLabel.text = self._run_text(progress)
        self._ui.runLabel.toolTip = str(self._run.folder or "")
        self._ui.runLabel.visible = bool(self._ui.runLabel.text)

    def _run_text(self, progress: Progress | None) -> str:
        if self._run.folder is None or self._run.outcome is None:
            return ""
        states = {
            Outcome.RUNNING: _("Stopping...") if self._run.stopping else _("Training"),
            Outcome.FINISHED: _("Finished"),
            Outcome.STOPPED: _("Stopped"),
            Outcome.FAILED: _("Failed: {error}"),
        }
        text = states[self._run.outcome]
        if self._run.outcome is Outcome.FAILED:
            text = text.format(error=self._run.error_text())
        if progress is not None:
            return f"{text}: {progress_text(progress, left=self._run.running)}"
        return f"{text}: " + _("reading the data...") if self._run.running else text

    def _show_curves(self) -> None:
        """Put new numbers into the nodes of the scene; none are made for a run without any."""
        watch = self._run.watch
        state = (self._run.folder, len(watch.rows) if watch else 0)
        if watch and watch.rows and state != self._drawn:
            chart = show_curves(slicer.mrmlScene, watch.rows)
            first = self._drawn[0] != self._run.folder or not self._drawn[1]
            if first and self._run.running:  # later the layout is up to the user
                show_chart(chart)
        self._drawn = state

    def _show_picture(self) -> None:
        kind = self._ui.pictureComboBox.currentData
        path = self._run.watch.newest_picture(kind) if self._run.watch else None
        shown = (path, WATCHED_HEIGHT if self._run.running else SMALL_HEIGHT)
        label = self._ui.pictureLabel
        if shown != self._picture:
            picture = qt.QPixmap(str(path)) if path else qt.QPixmap()
            if picture.isNull() and path:
                return  # not written to its end yet
            self._picture = shown
            label.setPixmap(_fitted(picture, self._ui.runSection.width, shown[1]))
            label.toolTip = _(PICTURE_TIPS[kind]).format(path=path) if path else ""
        label.visible = self._picture[0] is not None
        any_picture = self._run.watch is not None and any(map(self._run.watch.newest_picture, PICTURE_TIPS))
        self._ui.pictureComboBox.visible = any_picture

    def _report_failure(self) -> None:
        """Show a failure once; a run that the user stopped did not fail."""
        if self._run.outcome is Outcome.FAILED and not self._failure_reported:
            self._failure_reported = True
            text = _("The training failed: {error}").format(error=self._run.error_text())
            show(text, self._run.tail(ERRORS_FILE, 100))


def new_run_folder(output: Path, recipe: str) -> Path:
    """A folder that does not exist yet, named by recipe, date and time."""
    name = f"{recipe}_{time.strftime('%Y-%m-%d_%H%M%S')}"
    candidates = [output / name, *(output / f"{name}_{number}" for number in range(2, 100))]
    return next(folder for folder in candidates if not folder.exists())


def progress_text(progress: Progress, *, left: bool) -> str:
    """Step, time left and errors in a line; landmarks that are not learnt with what helps."""
    parts = [_("step {step}").format(step=progress.step)]
    if progress.steps:
        parts = [_("step {step} of {steps}").format(step=progress.step, steps=progress.steps)]
    if left and progress.seconds_left is not None:
        parts.append(_("{time} left").format(time=duration_text(progress.seconds_left)))
    if progress.error_mm is not None:
        parts.append(
            _("median error {now:.2f} mm (best {best:.2f})").format(now=progress.error_mm, best=progress.best_mm)
        )
    if progress.mean_mm is not None:
        parts.append(_("mean {mean:.2f} mm").format(mean=progress.mean_mm))
    if progress.p95_mm is not None:
        parts.append(_("95th percentile {p95:.2f} mm").format(p95=progress.p95_mm))
    if progress.worst_mm is not None:
        parts.append(_("worst {name} {error:.2f} mm").format(name=progress.worst, error=progress.worst_mm))
    text = ", ".join(parts)
    if progress.flat:
        names = ", ".join(progress.flat)
        text += ". " + _("Not learnt so far: {names}. {remedy}").format(names=names, remedy=REMEDY)
    return text


def duration_text(seconds: float) -> str:
    """A duration in minutes or hours."""
    if seconds < 60:
        return _("less than a minute")
    minutes = round(seconds / 60)
    return _("{n} min").format(n=minutes) if minutes < 120 else _("{n} h").format(n=round(minutes / 60))


def _fitted(picture: qt.QPixmap, width: int, height: int) -> qt.QPixmap:
    if picture.isNull():
        return picture
    return picture.scaled(max(100, width - 20), height, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
