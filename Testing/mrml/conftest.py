"""A scene for each test, and a plan to put into it: real MRML, no network."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from calibrations import scout_stacks

#: Left out of the predictions, so that one landmark is missing.
NOT_FOUND = "GENU"
#: Seen, but hardly.
FAINT = "SPLE"


@pytest.fixture
def scene(tmp_path):
    """An empty scene: the application's own inside Slicer, a standalone one elsewhere."""
    slicer = pytest.importorskip("slicer")
    if hasattr(slicer, "app"):
        slicer.mrmlScene.Clear(False)
        yield slicer.mrmlScene
        slicer.mrmlScene.Clear(False)
        return
    from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene

    with StandaloneScene(tmp_path) as standalone:
        yield standalone


@pytest.fixture
def engine(scene):
    from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine

    return CalibrationEngine(scene)


@pytest.fixture(scope="session")
def plan() -> Calibration:
    """The whole brain on the reference head, shifted and with a little noise; GENU is missing, SPLE faint."""
    protocol = load_protocol("BrainAcPc")
    rng = np.random.default_rng(7)
    places = protocol.constellation.reference_mm + [3.0, -8.0, 5.0]
    predicted = [
        Landmark(
            name, place + rng.normal(0, 0.7, 3), np.eye(3) * 2.0, 0.2 if name == FAINT else 0.8, PREDICTED, ("axial",)
        )
        for name, place in zip(protocol.constellation.names, places, strict=True)
        if name != NOT_FOUND
    ]
    model = ModelInfo("TestModel", "0" * 64, "cpu")
    return plan_from_landmarks(
        scout_stacks(), protocol, (), predicted=predicted, model=model, timings_s={"detect": 1.0}
    )


@pytest.fixture
def study(engine, plan):
    """The plan as a study in the scene."""
    study = engine.add_stacks(plan.stacks)
    engine.show(study, plan)
    return study


@pytest.fixture
def nodes_in(scene):
    """Counts the nodes of the scene."""
    return scene.GetNumberOfNodes
