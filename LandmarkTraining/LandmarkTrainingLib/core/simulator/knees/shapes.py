"""Random shapes of a right knee from the measured constellation, bent at its hinge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.json_files import read_json

#: Shapes vary by this much more than those of the few people measured.
SPREAD = 1.1

#: Independent variation of each landmark, mm: what the modes leave out.
OWN_SD_MM = 0.4

#: Flexion: least (a knee that is over-extended) and most, deg.
FLEXION_DEG = (-10.0, 18.0)

#: Turn of the tibia about anterior (varus) and superior, standard deviations, deg.
VARUS_SD_DEG, TWIST_SD_DEG = 1.5, 3.0


@dataclass(frozen=True, eq=False)
class Hinge:
    """A bone that turns about ``axis`` (3,) through ``center_mm`` (3,) by ``follows`` times the joint's angle."""

    part: str
    axis: np.ndarray
    center_mm: np.ndarray
    follows: float
    flexion_sd_deg: float
    shift_sd_mm: np.ndarray


@dataclass(frozen=True, eq=False)
class KneeShapes:
    """The distribution of the shape of a right knee, its bones in the neutral pose.

    Attributes:
        names: of the k landmarks; parts: bone -> (m,) indices of its landmarks.
        mean_mm: (k, 3); modes_mm: (modes, k, 3), one standard deviation each; log_scale_sd: of the size.
        hinges: of the bones that move against the femur.
    """

    names: tuple[str, ...]
    parts: Mapping[str, np.ndarray]
    mean_mm: np.ndarray
    modes_mm: np.ndarray
    log_scale_sd: float
    hinges: Sequence[Hinge]

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """(k, 3) landmarks of a random knee, bent, in the frame of its femur."""
        strength = rng.normal(0, SPREAD, len(self.modes_mm))
        shape = self.mean_mm + np.tensordot(strength, self.modes_mm, 1) + rng.normal(0, OWN_SD_MM, self.mean_mm.shape)
        shape = shape * np.exp(rng.normal(0, self.log_scale_sd))
        return self.bent(shape, random_turn(rng, self.hinges[0].flexion_sd_deg), rng)

    def bent(self, shape: np.ndarray, turn_deg: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """The knee with its tibia turned by ``turn_deg`` (3,) about right, anterior and superior.

        Args:
            rng: of the small shifts of the bones; None: no shifts.
        """
        result = shape.copy()
        for hinge in self.hinges:
            own = self.parts[hinge.part]
            turn = Rotation.from_rotvec(np.asarray(turn_deg) * hinge.follows, degrees=True)
            shift = np.zeros(3) if rng is None else rng.normal(0, 1, 3) * hinge.shift_sd_mm
            result[own] = turn.apply(shape[own] - hinge.center_mm) + hinge.center_mm + shift
        return result


def random_turn(rng: np.random.Generator, flexion_sd_deg: float) -> np.ndarray:
    """(3,) deg rotation of the tibia against the neutral pose; a bent knee's shin points backwards (negative)."""
    flexion = np.clip(rng.normal(2, flexion_sd_deg), *FLEXION_DEG)
    return np.array([-flexion, rng.normal(0, VARUS_SD_DEG), rng.normal(0, TWIST_SD_DEG)])


def read_shapes(anatomy_json: Path) -> KneeShapes:
    """The shapes that an anatomy file describes.

    Raises:
        ProtocolError: the file is damaged, or describes no joint.
    """
    data = read_json(anatomy_json, ProtocolError, "Measure the anatomy again.")
    try:
        return _shapes(data)
    except (KeyError, ValueError) as error:
        raise ProtocolError(
            f"does not describe a joint ({error})", source=str(anatomy_json), remedy="Measure the anatomy again."
        ) from error


def _shapes(data: Mapping[str, Any]) -> KneeShapes:
    names = tuple(entry["name"] for entry in data["landmarks"])
    own = data["articulated"]
    return KneeShapes(
        names,
        {bone: np.array([names.index(name) for name in marks]) for bone, marks in data["parts"].items()},
        np.array(own["reference_mm"]),
        np.array(own["modes_mm"]),
        float(own["log_scale_sd"]),
        [
            Hinge(
                entry["part"],
                np.array(entry["axis"]),
                np.array(entry["center_mm"]),
                float(entry["follows"]),
                float(entry["flexion_sd_deg"]),
                np.array(entry["measured_sd_mm"]),
            )
            for entry in data["hinges"]
        ],
    )
