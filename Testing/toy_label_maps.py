"""Label maps without any atlas, for tests: the typical right knee, its bones as balls round the landmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from joint_landmarks import joint_points
from LandmarkTrainingLib.core.simulator.knees.pool import write_knee
from LandmarkTrainingLib.core.simulator.knees.tissues import FAT, HALF_MM, MARROW, VOXEL_MM, knee_scene
from LandmarkTrainingLib.core.simulator.scenes.scene import SCENE_FILE

#: Of the balls that stand for bones, and of the cylinder of fat round them, mm.
BALL_MM, LEG_MM = 4.0, 60.0


def write_toy_knees(folder: Path, protocol: Protocol, numbers: range, *, extent: bool = True) -> None:
    """``knee_NNNN.nii.gz`` bent by 4 degrees more each, ``.csv`` and the scene; without what a box should hold."""
    folder.mkdir(parents=True, exist_ok=True)
    scene = knee_scene()
    if not extent:
        del scene["extent"]
    (folder / SCENE_FILE).write_text(json.dumps(scene), encoding="utf-8")
    shape = np.round(2 * HALF_MM / VOXEL_MM).astype(int)
    axes = [np.arange(n) * VOXEL_MM - half for n, half in zip(shape, HALF_MM, strict=True)]
    for number in numbers:
        landmarks = joint_points(protocol, "right", 4.0 * (number - 1))
        landmarks = landmarks - landmarks[protocol.constellation.names.index("EMINENCE")]
        tissues = np.zeros(shape, np.uint8)
        tissues[np.hypot(axes[0][:, None], axes[1][None, :]) < LEG_MM] = FAT
        for place in landmarks:
            squares = [(axis - x) ** 2 for axis, x in zip(axes, place, strict=True)]
            tissues[squares[0][:, None, None] + squares[1][:, None] + squares[2] < BALL_MM**2] = MARROW
        write_knee(folder / f"knee_{number:04d}.nii.gz", tissues, protocol.constellation.names, landmarks)
