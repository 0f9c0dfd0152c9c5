"""The LandmarkTraining module: what Slicer needs to see; the work is done in LandmarkTrainingLib."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class LandmarkTraining(ScriptedLoadableModule):
    """Describes the module to the application."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Landmark Training")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Planning")]
        parent.dependencies = ["AutoVolumeCalibration"]
        parent.contributors = ["AutoVolumeCalibration contributors"]
        parent.helpText = _(
            "Trains the landmark models of Auto Volume Calibration from scouts whose landmarks are known: choose the "
            "studies that you corrected, fine-tune the current model on them, and use the new one where it is better. "
            "Landmarks are kept as ordinary "
            '<a href="https://slicer.readthedocs.io/en/latest/user_guide/modules/markups.html">markups</a>. '
            "Research use only, not for clinical decisions."
        )
        parent.acknowledgementText = _("Built on 3D Slicer, MONAI, PyTorch and PyTorch-Ignite.")


class LandmarkTrainingWidget(ScriptedLoadableModuleWidget):
    """Shows the window (``LandmarkTrainingLib.widgets.panel``).

    Attributes:
        panel: its sections, for scripts and tests.
    """

    def setup(self):
        import slicer.util

        from LandmarkTrainingLib.widgets.panel import Panel

        super().setup()
        self.logic = LandmarkTrainingLogic()
        root = slicer.util.loadUI(self.resourcePath("UI/LandmarkTraining.ui"))
        self.layout.addWidget(root)
        root.setMRMLScene(slicer.mrmlScene)
        self.panel = Panel(root, self.logic.engine, slicer.mrmlScene, self.logic.getParameterNode)

    def enter(self):
        self.panel.enter()

    def cleanup(self):
        self.panel.close()


class LandmarkTrainingLogic(ScriptedLoadableModuleLogic):
    """Training for other modules and the Python console. It runs in its own process, never in the application's.

    Example::

        from LandmarkTrainingLib.core.runs.run_process import RunProcess

        engine = slicer.util.getModuleLogic("LandmarkTraining").engine
        command = engine.command(["finetune", "--dataset", "/path/to/set", "--output", "/path/to/run"])
        run = RunProcess.start(Path("/path/to/run"), command)
    """

    @property
    def engine(self):
        """What the window works with: data sets, models, command lines (``LandmarkTrainingLib.widgets.engine``)."""
        if getattr(self, "_engine", None) is None:
            from LandmarkTrainingLib.widgets.core_engine import CoreEngine

            self._engine = CoreEngine()
        return self._engine


class LandmarkTrainingTest(ScriptedLoadableModuleTest):
    """A self-test for the application, without a training: a corrected study becomes a training set.

    It needs the small packages of planning, which Slicer does not include: where they are missing it is skipped.
    """

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """What "Reload and Test" calls."""
        import unittest

        self.setUp()
        try:
            self.test_a_corrected_study_becomes_a_training_set()
        except unittest.SkipTest as skipped:
            self.delayDisplay(f"Skipped: {skipped}")

    def test_a_corrected_study_becomes_a_training_set(self):
        import tempfile

        from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
        from AutoVolumeCalibrationLib.core.files.resources import resource_path
        from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
        from AutoVolumeCalibrationLib.core.storage.dataset import add_study
        from AutoVolumeCalibrationLib.core.workflow.manual_planning import plan_by_hand
        from AutoVolumeCalibrationLib.core.workflow.pipeline import refit
        from LandmarkTrainingLib.widgets import requirements

        missing = requirements.READING.missing()
        if missing:
            self.skipTest(f"{', '.join(missing)} not installed: check a data set once, or use PythonSlicer -m pip")
        scouts = read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
        plan = plan_by_hand(scouts, load_protocol("BrainAcPc"))
        corrected = [mark.corrected(mark.position_mm + [0, 10, 0]) for mark in plan.landmarks if mark.name == "AC"]
        engine = LandmarkTrainingLogic().engine
        with tempfile.TemporaryDirectory() as folder:
            add_study(Path(folder), refit(plan, corrected))
            size = engine.size(Path(folder))
        self.assertEqual((size.studies, size.subjects), (1, 1))
        self.assertIn("finetune", engine.command(["finetune", "--dataset", folder]))
