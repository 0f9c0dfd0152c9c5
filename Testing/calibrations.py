"""A finished calibration built by hand, without a network or a head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, LandmarkDefinition
from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, FrameRule, Protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.checks.check import OK, WARNING, Check
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.planning.prescription import prescribe
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration

#: Landmark name -> RAS mm in the anatomical frame.
PLACES = {
    "AC": (0.0, 0.0, 0.0),
    "PC": (0.0, -28.0, 0.0),
    "GENU": (0.0, 32.0, 10.0),
    "SPLE": (0.0, -39.0, 8.0),
    "LEFT": (-68.0, -15.0, 5.0),
    "RIGHT": (68.0, -15.0, 5.0),
    "TOP": (0.0, -15.0, 72.0),
}

RULE = BoxRule(
    name="Whole",
    title="Whole",
    line=None,
    tilt_deg=(0.0, 0.0, 0.0),
    slice_axis="superior",
    phase_axis="right",
    faces={},
    slice_thickness_mm=5.0,
    gap_mm=1.0,
    round_up_to_slices=False,
)


def ellipsoid_head() -> Volume:
    """An ellipsoid of 140 x 180 x 150 mm about the origin in 4 mm voxels, brighter towards right, front and top."""
    steps = np.arange(-30, 31) * 4.0
    x, y, z = np.meshgrid(steps, steps, steps, indexing="ij")
    inside = (x / 70) ** 2 + (y / 90) ** 2 + (z / 75) ** 2 < 1
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -120.0
    return Volume((inside * (100.0 + x / 2 + y / 4 + z / 4)).astype(np.float32), affine, "ellipsoid")


def scout_stacks(
    slices: int = 3, planes: Sequence[str] = PLANES, rotation_deg: Sequence[float] = (0.0, 0.0, 0.0)
) -> tuple[ScoutStack, ...]:
    """Scouts of the ellipsoid, turned about right, anterior, superior."""
    axes = Rotation.from_euler("XYZ", rotation_deg, degrees=True).as_matrix().T
    geometry = ScoutGeometry(slices=slices, slice_spacing_mm=20.0, thickness_mm=6.0, pixel_mm=4.0, matrix=64)
    return tuple(cut_three_planes(ellipsoid_head(), geometry, np.zeros(3), axes, planes))


def protocol() -> Protocol:
    """A protocol of the landmarks in PLACES with one box."""
    landmarks = tuple(LandmarkDefinition(n, n, "", np.array(p), np.ones(3), PLANES) for n, p in PLACES.items())
    constellation = Constellation(landmarks, np.zeros((0, 3 * len(landmarks))))
    return Protocol(
        "Test", "Test head", "test", constellation, FrameRule("AC", (("PC",), ("AC",))), (RULE,), Path("test.json")
    )


def calibration(
    stacks: Sequence[ScoutStack] | None = None, rotation_deg: Sequence[float] = (-6.0, 3.0, 4.0)
) -> Calibration:
    """A plan with one missing landmark (TOP), one outlier (GENU), one corrected point (PC) and one warning."""
    axes = Rotation.from_euler("XYZ", rotation_deg, degrees=True).as_matrix().T
    places = {name: np.array(place) @ axes for name, place in PLACES.items()}
    covariance = np.diag([1.0, 2.0, 4.0])
    found = {name: Landmark(name, place, covariance, 0.7, PREDICTED, PLANES) for name, place in places.items()}
    found["TOP"] = Landmark("TOP", status=MISSING)
    predicted = tuple(found.values())
    found["PC"] = found["PC"].corrected(places["PC"])
    frame = AnatomicalFrame(
        origin_mm=np.zeros(3),
        axes=axes,
        scale=1.02,
        covariance=np.diag([1e-4] * 3 + [0.2] * 3),
        expected_mm=places,
        outliers=("GENU",),
    )
    box = OrientedBox(
        "Whole", np.array([0.0, -10.0, 5.0]) @ axes, axes, np.array([150.0, 190.0, 155.0]), dict.fromkeys(FACES, 1.5)
    )
    return Calibration(
        stacks=tuple(scout_stacks() if stacks is None else stacks),
        protocol=protocol(),
        landmarks=tuple(found.values()),
        predicted=predicted,
        frame=frame,
        box=box,
        prescription=prescribe(box, RULE),
        checks=(Check("coverage", OK, "the head lies in the scouts"), Check("outliers", WARNING, "GENU is 5 mm off")),
        model=ModelInfo("TestModel", "0" * 64, "cpu"),
        timings_s={"total": 1.5},
    )
