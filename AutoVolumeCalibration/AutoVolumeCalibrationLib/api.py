"""What scripts and notebooks import; the folders below ``core`` may change, these names stay.

Example::

    from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts, refit

    scouts = "Resources/SampleData/ColinScouts/dicom"  # or your own: a DICOM folder, or image files
    plan = calibrate(read_scouts([scouts]), load_protocol("BrainAcPc"), load_model())
    print(plan.prescription.to_text())
    for check in plan.checks:
        print(check.level, check.message)

    ac = next(landmark for landmark in plan.landmarks if landmark.name == "AC")
    plan = refit(plan, [ac.corrected(ac.position_mm + [0.0, 0.0, 2.0])])  # 2 mm up; positions are RAS mm
    plan.save("output/corrected", sources=[scouts])

Positions are RAS mm. What goes wrong is an ``AutoVolumeError``; its text names the file and the remedy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "AutoVolumeError",
    "Calibration",
    "Landmark",
    "LandmarkModel",
    "Protocol",
    "ScoutStack",
    "ScoutStudy",
    "SeriesInfo",
    "add_study",
    "calibrate",
    "export_plan",
    "import_plan",
    "list_series",
    "load_model",
    "load_protocol",
    "read_scouts",
    "read_study",
    "refit",
    "reopen",
    "repredict",
]

if TYPE_CHECKING:
    from .core.anatomy.landmark import Landmark
    from .core.anatomy.protocol import Protocol
    from .core.anatomy.protocol_file import load_protocol
    from .core.detection.landmark_model import LandmarkModel
    from .core.errors import AutoVolumeError
    from .core.exports.forms import export_plan
    from .core.exports.plan_import import import_plan
    from .core.models.bundle import load_model
    from .core.scouts.reader import list_series, read_scouts, read_study
    from .core.scouts.series import ScoutStudy, SeriesInfo
    from .core.scouts.stack import ScoutStack
    from .core.storage.dataset import add_study
    from .core.workflow.calibration import Calibration
    from .core.workflow.pipeline import calibrate, refit, repredict
    from .core.workflow.saved_plan import reopen

#: Name -> the module that holds it, loaded when the name is first used: importing this file costs nothing.
_MODULES = {
    "AutoVolumeError": "core.errors",
    "Calibration": "core.workflow.calibration",
    "Landmark": "core.anatomy.landmark",
    "LandmarkModel": "core.detection.landmark_model",
    "Protocol": "core.anatomy.protocol",
    "ScoutStack": "core.scouts.stack",
    "ScoutStudy": "core.scouts.series",
    "SeriesInfo": "core.scouts.series",
    "add_study": "core.storage.dataset",
    "calibrate": "core.workflow.pipeline",
    "export_plan": "core.exports.forms",
    "import_plan": "core.exports.plan_import",
    "list_series": "core.scouts.reader",
    "load_model": "core.models.bundle",
    "load_protocol": "core.anatomy.protocol_file",
    "read_scouts": "core.scouts.reader",
    "read_study": "core.scouts.reader",
    "refit": "core.workflow.pipeline",
    "reopen": "core.workflow.saved_plan",
    "repredict": "core.workflow.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __package__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
