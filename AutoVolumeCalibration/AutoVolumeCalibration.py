"""The AutoVolumeCalibration module: what Slicer needs to see; the work is done in AutoVolumeCalibrationLib."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
    from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
    from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine


class AutoVolumeCalibration(ScriptedLoadableModule):
    """Describes the module to the application."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Auto Volume Calibration")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Planning")]
        parent.dependencies = []
        parent.contributors = ["AutoVolumeCalibration contributors"]
        parent.helpText = _(
            "Plans an MRI scan volume from three-plane scouts: finds anatomical landmarks, fits an anatomical frame "
            "with known uncertainty and turns it into an oriented scan box in scanner terms. The results are ordinary "
            '<a href="https://slicer.readthedocs.io/en/latest/user_guide/modules/markups.html">markups</a>: drag a '
            "point, and the box follows. Research use only, not for clinical decisions."
        )
        parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI and PyTorch. The landmark definitions of the brain follow the anatomical "
            "fiducials (AFIDs) protocol of Lau et al., 2019. The sample knee is simulated from the SPL knee "
            "atlas (Surgical Planning Laboratory, Brigham and Women's Hospital; Open Anatomy Project)."
        )
        # Without an application (documentation builds, tests) there is no start-up to wait for.
        application = getattr(slicer, "app", None)
        if application is not None:
            application.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the shipped studies in the Sample Data module."""
    from AutoVolumeCalibrationLib.widgets import sample_data

    sample_data.register(Path(__file__).parent / "Resources" / "Icons")


class AutoVolumeCalibrationWidget(ScriptedLoadableModuleWidget):
    """Shows the panel (``AutoVolumeCalibrationLib.widgets.panel``).

    Attributes:
        panel: its sections, for scripts and tests.
    """

    def setup(self):
        import slicer.util

        from AutoVolumeCalibrationLib.widgets.panel import Panel

        super().setup()
        self.logic = AutoVolumeCalibrationLogic()
        root = slicer.util.loadUI(self.resourcePath("UI/AutoVolumeCalibration.ui"))
        self.layout.addWidget(root)
        root.setMRMLScene(slicer.mrmlScene)
        self.panel = Panel(root, self.logic.engine, self.logic.getParameterNode)

    def enter(self):
        self.panel.enter()

    def cleanup(self):
        self.panel.close()


class AutoVolumeCalibrationLogic(ScriptedLoadableModuleLogic):
    """The planner for other modules and the Python console.

    Example::

        engine = slicer.util.getModuleLogic("AutoVolumeCalibration").engine
        study = engine.calibrate(engine.add_scouts(["/path/to/scouts"]), "BrainAcPc")
        print(engine.calibration(study).prescription.to_text())
    """

    @property
    def engine(self) -> CalibrationEngine:
        """Studies in the application's scene: everything the panel does, from Python."""
        if getattr(self, "_engine", None) is None:
            from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine

            self._engine = CalibrationEngine(slicer.mrmlScene)
        return self._engine

    def calibrate(
        self,
        paths: Sequence[str],
        protocol: str | None = None,
        *,
        box: str | None = None,
        model: str | None = None,
        device: str = "auto",
        backend: str = "auto",
    ) -> Calibration:
        """Plan from scout files without touching the scene; needs onnxruntime in Slicer's Python, or torch and monai.

        Args:
            paths: DICOM folders, DICOM files or image files.
            protocol: name of a protocol, or a protocol file; when None that of the anatomy that the scouts show.
            box: one of the protocol's boxes, its first when None.
            model: name of a model or a bundle's folder; the default one of the anatomy when None.
            device: "auto", "cpu", "cuda" or "mps".
            backend: "auto", "torch" or "onnx".

        Raises:
            AutoVolumeError: one line for the user: what, which file, what to do.
        """
        from AutoVolumeCalibrationLib.core.models.anatomies import find_protocol
        from AutoVolumeCalibrationLib.core.models.installed_planning import plan_with_installed
        from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts

        rules = find_protocol(protocol) if protocol is not None else None
        scouts = read_scouts(paths)
        return plan_with_installed(scouts, rules, model=model, device=device, backend=backend, box=box)

    def refit(self, calibration: Calibration, corrections: Iterable[Landmark]) -> Calibration:
        """Plan again from all landmarks that the user placed; takes milliseconds, without the network."""
        from AutoVolumeCalibrationLib.core.workflow.pipeline import refit

        return refit(calibration, corrections)


class AutoVolumeCalibrationTest(ScriptedLoadableModuleTest):
    """A self-test for the application, without a network: the shipped scouts, planned by hand.

    It needs the small packages of planning, which Slicer does not include: where they are missing it is skipped.
    """

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """What "Reload and Test" calls."""
        import unittest

        self.setUp()
        try:
            self.test_a_moved_point_moves_the_box()
        except unittest.SkipTest as skipped:
            self.delayDisplay(f"Skipped: {skipped}")

    def test_a_moved_point_moves_the_box(self):
        import numpy as np

        from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
        from AutoVolumeCalibrationLib.core.files.resources import resource_path
        from AutoVolumeCalibrationLib.core.workflow.manual_planning import plan_by_hand
        from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import stacks_from_volume_nodes
        from AutoVolumeCalibrationLib.widgets import requirements

        missing = requirements.PLANNING.missing()
        if missing:
            self.skipTest(f"{', '.join(missing)} not installed: press By hand once, or use PythonSlicer -m pip install")
        engine = AutoVolumeCalibrationLogic().engine
        study = engine.add_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
        plan = plan_by_hand(stacks_from_volume_nodes(study.scouts), load_protocol("BrainAcPc"))
        engine.show(study, plan)
        index = study.landmarks.GetControlPointIndexByLabel("AC")
        study.landmarks.SetNthControlPointPositionWorld(index, *(plan.frame.origin_mm + [0, 10, 0]))
        moved = engine.refit(study).box.center_mm - plan.box.center_mm
        np.testing.assert_array_less(5, moved[1])
        self.assertEqual(study.scan_box.GetClassName(), "vtkMRMLMarkupsROINode")
