"""What the panel, the console and scripts do with studies in a scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import slicer

from ..core.anatomy.landmark import CORRECTED, MISSING, Landmark
from ..core.anatomy.protocol import box_rule
from ..core.errors import AutoVolumeError, InputError
from ..core.models.anatomies import find_protocol, model_for
from ..core.models.bundle import load_model, model_used_before
from ..core.models.installed_planning import plan_with_installed
from ..core.scouts.reader import read_scouts
from ..core.scouts.stack import ScoutStack
from ..core.workflow import checked_plan, pipeline
from ..core.workflow.calibration import Calibration
from .box_node import box_from_node
from .correction_observer import CorrectionObserver, Schedule
from .dicom_headers import require_scouts
from .landmark_nodes import landmarks_from_node, restore_prediction, wants_refit
from .scouts_from_nodes import stacks_from_volume_nodes, volume_nodes_from_stack
from .slice_under_mouse import SlicePlane
from .study_nodes import Study, create_study, free_study_name, put_into_folder, studies_in, write_calibration
from .study_state import recall, remember, remember_protocol, state_of


class CalibrationEngine:
    """Studies in one scene: scouts in, landmarks, scan box, prescription and checks out, always in the same nodes.

    The scene holds the whole state; the engine is only a cache, so that a second engine, or one after the
    scene was saved and loaded, continues where this one stopped.
    All errors that the user can correct are AutoVolumeErrors that name the study or the node.

    Example::

        engine = CalibrationEngine(slicer.mrmlScene)
        study = engine.add_scouts(["/path/to/scouts"])
        engine.calibrate(study, "BrainAcPc")
        print(engine.calibration(study).prescription.to_text())
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        #: Node id of a study -> (state in the node, the calibration it stands for).
        self._recent: dict[str, tuple[str, Calibration]] = {}

    def studies(self) -> list[Study]:
        """The studies in the scene, oldest first."""
        return studies_in(self.scene)

    def add_scouts(
        self,
        paths: Sequence[str | Path],
        *,
        name: str | None = None,
        force: bool = False,
        cancelled: Callable[[], bool] | None = None,
    ) -> Study:
        """Read scouts from files into volume nodes and make a study of them.

        Args:
            paths: DICOM folders, DICOM files or image files.
            name: of the study; a free "Study N" when None.
            force: accept modalities other than MR.
        """
        stacks = read_scouts(paths, force=force, cancelled=cancelled)
        return self.add_stacks(stacks, name=name)

    def add_stacks(self, stacks: Sequence[ScoutStack], *, name: str | None = None) -> Study:
        """Make volume nodes of scouts that were read already, and a study of them."""
        name = name or free_study_name(self.scene)
        nodes: list[slicer.vtkMRMLScalarVolumeNode] = []
        for stack in stacks:
            title = self.scene.GenerateUniqueName(f"{name} {stack.plane}")
            nodes += volume_nodes_from_stack(self.scene, stack, title)
        put_into_folder(self.scene, name, nodes)
        return create_study(self.scene, nodes, name)

    def study_of(self, scouts: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> Study:
        """The study of exactly these scout volumes, a new one where there is none.

        Raises:
            InputError: the DICOM headers say that a volume is not a scout.
        """
        known = self._known_study(scouts)
        if known is not None:
            return known
        require_scouts(scouts)
        return create_study(self.scene, scouts, free_study_name(self.scene))

    def _known_study(self, scouts: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> Study | None:
        """The study of exactly these scout volumes, if there is one."""
        wanted = {node.GetID() for node in scouts}
        same = (study for study in self.studies() if {node.GetID() for node in study.scouts} == wanted)
        return next(same, None)

    def calibrate(
        self,
        scouts: Study | Sequence[slicer.vtkMRMLScalarVolumeNode],
        protocol: str | Path | None = None,
        *,
        box: str | None = None,
        model: str | Path | None = None,
        device: str = "auto",
        threshold: float | None = None,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Study:
        """Find the landmarks and plan the box; earlier corrections in this study are kept.

        Args:
            scouts: a study, or scout volumes.
            protocol: name of a protocol, or a protocol file; when None that of the installed anatomy that the scouts
                show.
            box: one of the protocol's boxes, its first when None.
            model: name of a model or a bundle's folder; the default one of the anatomy when None.
            device: "auto", "cpu", "cuda" or "mps".
            threshold: peak height, 0..1, below which a landmark is not found; the model's own when None.
            progress: called with the fraction done, 0..1.
            cancelled: True raises Cancelled, and the scene stays as it was.
        """
        rules = find_protocol(protocol) if protocol is not None else None
        if rules is not None:
            box_rule(rules, box)
        if not isinstance(scouts, Study):
            require_scouts(scouts)
        stacks = stacks_from_volume_nodes(scouts.scouts if isinstance(scouts, Study) else scouts)
        known = scouts if isinstance(scouts, Study) else self._known_study(scouts)
        with _naming(known.name if known else free_study_name(self.scene)):
            calibration = plan_with_installed(
                stacks,
                rules,
                model=model,
                device=device,
                box=box,
                corrections=self.corrections(known) if known else (),
                threshold=threshold,
                progress=progress,
                cancelled=cancelled,
            )
        study = scouts if isinstance(scouts, Study) else self.study_of(scouts)
        self.show(study, calibration)
        return study

    def show(self, study: Study, calibration: Calibration) -> None:
        """Write a calibration, made here or elsewhere, into the study's nodes."""
        remember_protocol(study, calibration.protocol)
        self._write(study, calibration)

    def calibration(self, study: Study) -> Calibration | None:
        """The study's last calibration; None before the first. Points moved since are not in it: see ``refit``."""
        state = state_of(study)
        if not state:
            return None
        known_state, calibration = self._recent.get(study.node.GetID(), ("", None))
        if calibration is None or known_state != state:
            with _naming(study.name):
                calibration = recall(study, stacks_from_volume_nodes(study.scouts))
            self._keep(study, state, calibration)
        return calibration

    def corrections(self, study: Study) -> list[Landmark]:
        """The user's corrections to the study: landmarks that were moved, and predicted ones that were cleared."""
        calibration = self.calibration(study)
        if calibration is None:
            return []
        found = {landmark.name for landmark in calibration.predicted if landmark.status != MISSING}
        return [
            landmark
            for landmark in self._landmarks(study, calibration)
            if landmark.status == CORRECTED or (landmark.status == MISSING and landmark.name in found)
        ]

    def refit(
        self, study: Study, *, box: str | None = None, dragging: bool = False, plane: SlicePlane | None = None
    ) -> Calibration:
        """Plan again from the points as they lie now, without the network; takes milliseconds.

        Args:
            box: another of the protocol's boxes.
            dragging: the user holds a point.
            plane: the slice in which points were dragged or placed: what lies in it was corrected within it, and keeps
                its depth. Other points that moved were corrected on all axes.

        Raises:
            InputError: nothing was calibrated yet, or too few points are left; the box then stays as it was.
        """
        calibration = self._require_calibration(study)
        with _naming(study.name):
            result = pipeline.refit(calibration, self._landmarks(study, calibration, plane), box=box)
        self._write(study, result, dragging=dragging)
        return result

    def repredict(
        self,
        study: Study,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Calibration:
        """Rerun detection, guided by the landmarks that the user placed, and plan again.

        Args:
            model: name of a model or a bundle's folder; when None the study's own where it is installed, else the
                default one of its anatomy.
            device, progress, cancelled: as in ``calibrate``.

        Raises:
            ModelError: there is no such model.
            InputError: nothing was calibrated yet, or too few landmarks are found; the plan stays as it was.
        """
        calibration = self._require_calibration(study)
        name = model or model_used_before(calibration.model) or model_for(calibration.protocol)
        network = load_model(name, device)
        with _naming(study.name):
            result = pipeline.repredict(
                calibration, self.corrections(study), network, progress=progress, cancelled=cancelled
            )
        self._write(study, result)
        return result

    def restore(self, study: Study, name: str | None = None) -> Calibration:
        """Revert the corrections of one landmark, or of all, and plan again."""
        self._require_calibration(study)
        if study.landmarks is not None:
            restore_prediction(study.landmarks, name)
        return self.refit(study)

    def adopt_box(self, study: Study) -> Calibration:
        """Prescribe the box as the user dragged it in the scene; the next refit plans it again."""
        calibration = self._require_calibration(study)
        if study.scan_box is None:
            raise InputError("has no scan box in the scene", source=study.name, remedy="Refit it.")
        planned = calibration.box
        box = replace(box_from_node(study.scan_box), name=planned.name, face_sd_mm=planned.face_sd_mm)
        result = checked_plan.with_box(calibration, box)
        self._write(study, result)
        return result

    def watch(
        self,
        study: Study,
        schedule: Schedule,
        on_refit: Callable[[Calibration], None],
        on_error: Callable[[AutoVolumeError], None],
    ) -> CorrectionObserver:
        """Refit whenever the user moves a point, until the result's ``remove()`` or the end of the node.

        Args:
            schedule: runs a callable in the next turn of the event loop; in Slicer
                ``lambda call: qt.QTimer.singleShot(0, call)``.
            on_refit: receives each new plan.
            on_error: receives the reason why the points give no plan, for example too few.

        Raises:
            InputError: the study was not calibrated yet.
        """
        self._require_calibration(study)
        if study.landmarks is None:
            self.refit(study)

        def moved() -> bool:
            return wants_refit(study.landmarks, self._require_calibration(study))

        def refit(dragging: bool, plane: SlicePlane | None) -> None:
            try:
                calibration = self.refit(study, dragging=dragging, plane=plane)
            except AutoVolumeError as error:
                on_error(error)
            else:
                on_refit(calibration)

        return CorrectionObserver(study.landmarks, moved, refit, schedule)

    def _require_calibration(self, study: Study) -> Calibration:
        calibration = self.calibration(study)
        if calibration is None:
            raise InputError("has not been calibrated", source=study.name, remedy="Calibrate it first.")
        return calibration

    def _landmarks(
        self, study: Study, calibration: Calibration, plane: SlicePlane | None = None
    ) -> tuple[Landmark, ...]:
        """The landmarks as they lie in the scene, or, where their node was deleted, as they were."""
        return landmarks_from_node(study.landmarks, calibration, plane) if study.landmarks else calibration.landmarks

    def _write(self, study: Study, calibration: Calibration, *, dragging: bool = False) -> None:
        write_calibration(study, calibration, dragging=dragging)
        self._keep(study, remember(study, calibration), calibration)

    def _keep(self, study: Study, state: str, calibration: Calibration) -> None:
        present = {other.node.GetID() for other in self.studies()}
        self._recent = {key: entry for key, entry in self._recent.items() if key in present}
        self._recent[study.node.GetID()] = (state, calibration)


@contextmanager
def _naming(study: str) -> Iterator[None]:
    """Name the study in errors that do not say what they are about."""
    try:
        yield
    except AutoVolumeError as error:
        if error.source:
            raise
        raise type(error)(error.what, source=study, remedy=error.remedy) from error
