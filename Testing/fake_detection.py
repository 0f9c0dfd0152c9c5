"""What the panel's tests run instead of a network: landmarks of the reference head, at once or when the gate opens."""

from __future__ import annotations

import threading

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.errors import Cancelled
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from joint_landmarks import joint_landmarks

#: Not found, and found but hardly.
NOT_FOUND, FAINT = "GENU", "SPLE"


class FakeDetection:
    """Takes the place of ``detection_job.find_landmarks``.

    Attributes:
        shown: name of the protocol of what the scouts show, which is taken where none is named.
        unsure: no model is sure of that.
        gate: while it is cleared the work goes on, and looks for a cancel.
        error: raised instead of an answer.
        calls: (protocol name, None where the scouts decide; settings; names of the corrections) of each call.
    """

    def __init__(self) -> None:
        self.shown, self.unsure = "BrainAcPc", False
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.calls: list[tuple] = []

    def __call__(self, stacks, protocol, settings, corrections, progress, cancelled) -> Calibration:
        corrections = list(corrections)
        self.calls.append((protocol.name if protocol else None, settings, [mark.name for mark in corrections]))
        progress(0.5)
        while not self.gate.wait(0.005):
            if cancelled():
                raise Cancelled
        if self.error is not None:
            raise self.error
        automatic = protocol is None
        model = ModelInfo(
            "FakeModel",
            "0" * 64,
            "cpu",
            threshold=settings.threshold,
            automatic=automatic,
            unsure_anatomy=automatic and self.unsure,
        )
        protocol = protocol or load_protocol(self.shown)
        return plan_from_landmarks(stacks, protocol, corrections, predicted=predictions(protocol), model=model)


def predictions(protocol) -> list[Landmark]:
    """The reference head with a little noise, or a right knee bent by 6 degrees."""
    if protocol.constellation.joints:
        return joint_landmarks(protocol, "right", 6.0)
    rng = np.random.default_rng(3)
    places = protocol.constellation.reference_mm + rng.normal(0, 0.5, protocol.constellation.reference_mm.shape)
    return [
        Landmark(name, place, np.eye(3) * 2.0, 0.2 if name == FAINT else 0.8, PREDICTED, ("axial",))
        for name, place in zip(protocol.constellation.names, places, strict=True)
        if name != NOT_FOUND
    ]
