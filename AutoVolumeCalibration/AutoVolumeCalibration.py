"""The AutoVolumeCalibration module: what Slicer needs to see; the work is done in AutoVolumeCalibrationLib."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.calibration import Calibration
    from AutoVolumeCalibrationLib.core.landmarks import Landmark


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
            '<a href="https://slicer.readthedocs.io/en/latest/user_guide/modules/markups.html">markups</a>. '
            "Research use only, not for clinical decisions."
        )
        parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI and PyTorch. The landmark definitions of the brain follow the anatomical "
            "fiducials (AFIDs) protocol of Lau et al., 2019."
        )


class AutoVolumeCalibrationWidget(ScriptedLoadableModuleWidget):
    """Says what can be done in this version; there is no panel yet."""

    def setup(self):
        import qt

        super().setup()
        label = qt.QLabel(
            _(
                "This version has no panel yet. It plans from the command line:\n\n"
                "    autovolume calibrate SCOUT_FOLDER --output RESULT_FOLDER\n\n"
                "The landmarks and the scan box that it writes (landmarks.mrk.json, scanbox.mrk.json) open here by "
                "drag and drop."
            )
        )
        label.wordWrap = True
        label.textInteractionFlags = qt.Qt.TextSelectableByMouse
        self.layout.addWidget(label)
        self.layout.addStretch(1)


class AutoVolumeCalibrationLogic(ScriptedLoadableModuleLogic):
    """The planner for other modules and the Python console.

    Example::

        logic = slicer.util.getModuleLogic("AutoVolumeCalibration")
        plan = logic.calibrate(["/path/to/scouts"], "BrainAcPc")
        print(plan.prescription.to_text())
    """

    def calibrate(
        self,
        paths: Sequence[str],
        protocol: str,
        *,
        box: str | None = None,
        model: str | None = None,
        device: str = "auto",
    ) -> Calibration:
        """Plan from scout files; needs torch and monai in Slicer's Python.

        Args:
            paths: DICOM folders, DICOM files or image files.
            protocol: name of a shipped protocol, or a protocol file.
            box: one of the protocol's boxes, its first when None.
            model: name of a shipped model or a bundle's folder; the default one when None.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            AutoVolumeError: one line for the user: what, which file, what to do.
        """
        from AutoVolumeCalibrationLib.core.bundles import DEFAULT_MODEL, load_model
        from AutoVolumeCalibrationLib.core.pipeline import calibrate
        from AutoVolumeCalibrationLib.core.protocols import load_protocol
        from AutoVolumeCalibrationLib.core.readers import read_scouts

        scouts, plan = read_scouts(paths), load_protocol(protocol)
        return calibrate(scouts, plan, load_model(model or DEFAULT_MODEL, device), box=box)

    def refit(self, calibration: Calibration, corrections: Iterable[Landmark]) -> Calibration:
        """The plan that follows from all landmarks a person has placed; takes milliseconds, without the network."""
        from AutoVolumeCalibrationLib.core.pipeline import refit

        return refit(calibration, corrections)
