"""The LandmarkTraining module: what Slicer needs to see; the work is done in LandmarkTrainingLib."""

from __future__ import annotations

from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
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
            "Trains the landmark models of Auto Volume Calibration from scouts whose landmarks are known. "
            "Landmarks are kept as ordinary "
            '<a href="https://slicer.readthedocs.io/en/latest/user_guide/modules/markups.html">markups</a>. '
            "Research use only, not for clinical decisions."
        )
        parent.acknowledgementText = _("Built on 3D Slicer, MONAI, PyTorch and PyTorch-Ignite.")


class LandmarkTrainingWidget(ScriptedLoadableModuleWidget):
    """Says what can be done in this version; there is no panel yet."""

    def setup(self):
        import qt

        super().setup()
        label = qt.QLabel(
            _(
                "This version has no panel yet. Models are trained from the command line; the list of commands:\n\n"
                "    autovolume --help"
            )
        )
        label.wordWrap = True
        label.textInteractionFlags = qt.Qt.TextSelectableByMouse
        self.layout.addWidget(label)
        self.layout.addStretch(1)


class LandmarkTrainingLogic(ScriptedLoadableModuleLogic):
    """Slicer asks every module for a logic; training itself runs in its own process, never in the application's."""
