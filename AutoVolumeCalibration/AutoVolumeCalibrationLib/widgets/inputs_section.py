"""Inputs: load scouts, or choose volumes of the scene; says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..core.errors import AutoVolumeError, InputError
from ..core.geometry.coordinates import PLANES
from ..core.scouts.reader import list_series, read_study
from ..core.scouts.series import ScoutStudy, SeriesInfo
from ..mrml.correction_observer import Schedule
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.scout_planes import missing_planes, planes_of_node
from ..mrml.slice_views import show_scouts
from ..mrml.study_nodes import MODULE_NAME, Study
from . import requirements
from .job_runner import JobRunner
from .messages import errors_shown
from .series_list import SeriesList
from .shared.application_version import why_too_old
from .shared.background_job import IsCancelled
from .shared.dependencies import ensure
from .shared.enabling import allow

IMAGE_FILTER = "Scouts (*.dcm *.ima *.nrrd *.nhdr *.nii *.nii.gz *.mha *.mhd);;All files (*)"


class InputsSection:
    """Loads scouts, and knows which are chosen."""

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner, schedule: Schedule) -> None:
        self._ui, self._current, self._jobs, self._schedule = ui, current, jobs, schedule
        self._selectors = {plane: getattr(ui, f"{plane}Selector") for plane in PLANES}
        self._filling = self._fill_due = self._choice_due = False
        self._had_plan = False
        self._series = SeriesList(ui, self._on_series)
        #: Where the scouts came from that the list of series is about, and the id of their study.
        self._loaded: tuple[list[str], str] = ([], "")
        ui.studySelector.addAttribute("vtkMRMLScriptedModuleNode", "ModuleName", MODULE_NAME)
        ui.loadFolderButton.connect("clicked()", self._on_load_folder)
        ui.loadFilesButton.connect("clicked()", self._on_load_files)
        ui.loadDicomButton.connect("clicked()", self._on_load_dicom)
        ui.studySelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_study)
        for selector in self._selectors.values():
            selector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_scout)

    def chosen(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        """The scout volumes to plan on: all of the current study, else those in the selectors."""
        if self._current.study is not None:
            return self._current.study.scouts
        nodes = [selector.currentNode() for selector in self._selectors.values()]
        return list(dict.fromkeys(node for node in nodes if node is not None))

    def why_not_ready(self) -> str:
        """What is missing before anything can be planned, as a sentence; empty where nothing is."""
        too_old = why_too_old()
        if too_old:
            return too_old
        nodes = self.chosen()
        if not nodes:
            return _("Load scouts, or choose volumes of the scene.")
        try:
            missing = missing_planes(nodes)
        except AutoVolumeError as error:
            return str(error)
        if len(missing) > 1:
            return _("Add a {planes} scout: at least two planes are needed.").format(planes=_(" or a ").join(missing))
        return ""

    def study(self) -> Study:
        """The study of the chosen scouts, a new one where there is none; it becomes the current one."""
        if self._current.study is None:
            self._current.select(self._current.engine.study_of(self.chosen()))
        return self._current.require_study()

    def update(self) -> None:
        """Show the current study, and what is missing."""
        self._show_study()
        self._fold()
        reason = self.why_not_ready()
        self._ui.scoutsLabel.text = reason or self._summary()
        busy = _("Wait until the current job is done, or cancel it.") if self._jobs.busy else why_too_old()
        allow(self._ui.loadFolderButton, _("Load all scouts of a folder: DICOM, or images (NRRD, NIfTI, MHA)"), busy)
        allow(self._ui.loadFilesButton, _("Load DICOM or image files"), busy)
        allow(self._ui.loadDicomButton, _("Load the series that are selected in the DICOM browser"), busy)
        self._forget_series()
        self._series.update(busy)
        for widget in (self._ui.studySelector, *self._selectors.values()):
            widget.enabled = not busy

    def fill(self) -> None:
        """Fill the empty selectors with the scene's volumes of their planes, in the next turn of the event loop.

        A volume that was just added has its image only then.
        """
        if not self._fill_due:
            self._fill_due = True
            self._schedule(self._fill)

    def _fill(self) -> None:
        self._fill_due = False
        if self._current.study is not None or self._ui.studySelector.mrmlScene() is None:
            return
        scene = self._current.engine.scene
        count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        volumes = [scene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode") for number in range(count)]
        self._put(volumes, keep=True)
        self._current.select(None)  # still none, but other scouts are chosen: all sections update

    def _put(self, volumes: list[slicer.vtkMRMLScalarVolumeNode], *, keep: bool) -> None:
        """Set the selectors to the first volume of each plane, those of a single plane first."""
        shown = sorted(((_known_planes(node), node) for node in volumes), key=lambda entry: len(entry[0]))
        self._filling = True
        for plane, selector in self._selectors.items():
            if not (keep and selector.currentNode() is not None):
                selector.setCurrentNode(next((node for planes, node in shown if plane in planes), None))
        self._filling = False

    def _fold(self) -> None:
        """A first plan folds the inputs, to leave the room to the landmarks; without a plan they open again."""
        has_plan = self._current.calibration is not None
        if has_plan != self._had_plan:
            self._had_plan = has_plan
            self._ui.inputsButton.collapsed = has_plan

    def _show_study(self) -> None:
        study = self._current.study
        self._filling = True
        self._ui.studySelector.setCurrentNode(study.node if study else None)
        self._filling = False
        if study is not None:
            self._put(study.scouts, keep=False)

    def _summary(self) -> str:
        missing = missing_planes(self.chosen())
        if missing:
            return _("No {plane} scout: the plan will use two planes only.").format(plane=missing[0])
        return _("Sagittal, coronal and axial scouts are loaded. Next: Calibrate.")

    def _on_study(self, node: slicer.vtkMRMLScriptedModuleNode | None) -> None:
        if self._filling:
            return
        with errors_shown():
            self._current.select(Study(node) if node is not None else None)
            if node is not None:
                show_current(self._current)

    def _on_scout(self, _node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Leave the current study when other volumes than its own are chosen.

        That is decided in the next turn of the event loop: a selector also changes when its volume is deleted, and
        the rest of the study stays then.
        """
        if self._filling or self._choice_due:
            return
        if self._current.study is None:
            self._current.select(None)
            return
        self._choice_due = True
        self._schedule(self._leave_where_another_is_chosen)

    def _leave_where_another_is_chosen(self) -> None:
        self._choice_due = False
        study = self._current.study
        if study is None:
            return
        shown = {plane for node in study.scouts for plane in _known_planes(node)}
        if all(
            self._is_of_study(selector.currentNode(), plane in shown) for plane, selector in self._selectors.items()
        ):
            self._current.changed.emit()
        else:
            self._current.select(None)

    def _is_of_study(self, node: slicer.vtkMRMLScalarVolumeNode | None, plane_is_shown: bool) -> bool:
        """Whether a selector shows what the study has of its plane: one of its scouts, or none where it has none."""
        return not plane_is_shown if node is None else node in self._current.require_study().scouts

    def _on_load_folder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.loadFolderButton, _("Folder with the scouts"))
        if folder:
            self._load([folder])

    def _on_load_files(self) -> None:
        files = qt.QFileDialog.getOpenFileNames(self._ui.loadFilesButton, _("Scouts"), "", IMAGE_FILTER)
        if files:
            self._load(list(files))

    def _on_load_dicom(self) -> None:
        files = dicom_browser_files()
        if files is None:
            text = _(
                "This DICOM browser does not state which series are selected (the visual browser of Slicer 5.12 does "
                "not): use Load scouts... with their folder, or load them there and choose the volumes below."
            )
            self._jobs.show_status(text, wrong=True)
        elif files:
            self._load(files)
        else:
            self._jobs.show_status(_("First select series in the DICOM browser (module DICOM)."), wrong=True)

    def _on_series(self, keys: list[str]) -> None:
        self._load(self._loaded[0], keys)

    def _load(self, paths: list[str], series: Sequence[str] | None = None) -> None:
        force = self._ui.forceCheckBox.checked
        with self._jobs.errors_shown():
            ensure(requirements.PLANNING)
            self._jobs.start(
                _("Reading scouts..."),
                lambda _progress, cancelled: _read(paths, force, series, cancelled),
                lambda found: self._on_read(paths, found),
            )

    def _on_read(self, paths: list[str], found: ScoutStudy | _NothingToPlanOn) -> None:
        if isinstance(found, _NothingToPlanOn):
            self._current.select(None)
            self._show_series(paths, found.series)
            raise found.error
        self._current.select(self._current.engine.add_stacks(found.stacks))
        self._show_series(paths, found.series)
        show_current(self._current)
        notes = [note[:1].upper() + note[1:] for note in found.notes]
        self._jobs.show_status(" ".join([_("Scouts are loaded. Next: Calibrate."), *notes]))

    def _show_series(self, paths: list[str], series: Sequence[SeriesInfo]) -> None:
        study = self._current.study
        self._loaded = (paths, study.node.GetID() if study else "")
        self._series.show(series)

    def _forget_series(self) -> None:
        """The list goes when another study is shown."""
        study = self._current.study
        if (study.node.GetID() if study else "") != self._loaded[1]:
            self._loaded = ([], study.node.GetID() if study else "")
            self._series.show(())


@dataclass(frozen=True)
class _NothingToPlanOn:
    """Why the paths hold no scouts, and the series that they hold all the same."""

    error: InputError
    series: tuple[SeriesInfo, ...]


def _read(
    paths: list[str], force: bool, series: Sequence[str] | None, cancelled: IsCancelled
) -> ScoutStudy | _NothingToPlanOn:
    """The scouts; where nothing can be planned on, what there is, so that the user can choose."""
    try:
        return read_study(paths, force=force, series=series, cancelled=cancelled)
    except InputError as error:
        found = list_series(paths, force=force, series=series, cancelled=cancelled)
        return _NothingToPlanOn(error, found)


def _known_planes(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[str, ...]:
    """The planes of a volume; none where a transform bends it, which ``why_not_ready`` reports once it is chosen."""
    try:
        return planes_of_node(node)
    except AutoVolumeError:
        return ()


def show_current(current: CurrentStudy) -> None:
    """Show the current study's scouts in the views and, where there is a plan, jump to its origin."""
    layout = slicer.app.layoutManager()
    if layout is not None:  # None where the application has no window
        layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    center = current.calibration.frame.origin_mm if current.calibration else None
    show_scouts(current.require_study(), slicer.app.applicationLogic(), center)


def dicom_browser_files() -> list[str] | None:
    """Files of the series that are selected in Slicer's DICOM browser; none where it was never opened.

    None: the browser does not state them.
    """
    browser = getattr(getattr(slicer.modules, "DICOMWidget", None), "browserWidget", None)
    selected = [path for files in getattr(browser, "fileLists", ()) for path in files]
    if selected or browser is None:
        return selected
    states_files = hasattr(browser, "fileLists") and not hasattr(browser, "dicomVisualBrowser")
    return [] if states_files else None
