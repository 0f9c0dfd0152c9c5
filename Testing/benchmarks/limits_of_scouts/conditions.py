"""The conditions under which a model is measured, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry

from .effects import CoilFallOff, Effect, EmptyPlane, FieldOfView, MotionGhosts, NoPlane, WrapAround

FIVE = ScoutGeometry(5, 12.0, 6.0)
ONE = ScoutGeometry(1, 0.0, 6.0)


@dataclass(frozen=True)
class Condition:
    """How heads lie in the scanner and are scanned. Results depend on the fields that its repr tells.

    Attributes:
        name: row of the tables.
        geometry: of all planes; ``sagittal`` of that plane where it differs.
        noise: standard deviation of the Rician noise over the brightest pixel of each stack.
        turn: Euler axes in the scanner (scipy, lower case) and the degrees about each, after the random pose.
        max_rotation_deg, max_shift_mm: of the random pose.
        moved: the plane before which the patient moved (``cases.MOVEMENT``).
        effects: done to the clean scouts, one after the other, before the noise.
        contrast: name in ``label_heads.CONTRASTS``: label maps painted so; real heads when None.
        kind: family of the condition; of each the worst case is shown.
        told: a finding is right here even where the plan is right: something is missing in the scouts or moved, or
            they cut the head far askew.
        heads: at most so many real heads, evenly chosen; all when None.
        poses: per head.
    """

    name: str
    kind: str = field(repr=False)
    geometry: ScoutGeometry = FIVE
    sagittal: ScoutGeometry | None = None
    noise: float = 0.02
    turn: tuple[str, float] | None = None
    max_rotation_deg: float = 20.0
    max_shift_mm: float = 25.0
    moved: str | None = None
    effects: tuple[Effect, ...] = ()
    contrast: str | None = None
    told: bool = field(default=False, repr=False)
    heads: int | None = field(default=None, repr=False)
    poses: int = field(default=1, repr=False)


def _lying() -> list[Condition]:
    """Heads far from straight, with five slices and with one per plane."""
    turns = {
        "decubitus left": ("z", 90.0),
        "decubitus right": ("z", -90.0),
        "prone": ("z", 180.0),
        "yaw 30": ("z", 30.0),
        "yaw 60": ("z", 60.0),
        "pitch 45": ("x", 45.0),
        "pitch 90": ("x", 90.0),
        "roll 90": ("y", 90.0),
        "askew 50": ("xyz", 50.0),
    }
    five = [
        Condition(name, "position", turn=turn, max_rotation_deg=15.0, max_shift_mm=15.0, told=turn[1] % 90 > 0, heads=8)
        for name, turn in turns.items()
    ]
    return five + [replace(c, name=f"{c.name} (1 slice)", geometry=ONE, told=True) for c in five]


def _painted() -> list[Condition]:
    """Contrasts that no real head here has, painted on label maps."""
    names = {"T1": "T1", "T2": "T2", "PD": "PD", "FLAIR": "FLAIR", "fat-sat": "T1 without fat"}
    return [Condition(f"{name} label maps", "contrast", contrast=contrast, poses=4) for name, contrast in names.items()]


CONDITIONS: tuple[Condition, ...] = (
    Condition("5 slices", "slices", poses=2),
    Condition("9 slices", "slices", ScoutGeometry(9, 8.0, 6.0)),
    Condition("3 slices", "slices", ScoutGeometry(3, 15.0, 6.0)),
    Condition("1 slice", "slices", ONE, told=True, poses=2),
    Condition(
        "7+1+1 slices",
        "slices",
        ScoutGeometry(1, 0.0, 6.0, 1.17, 256),
        sagittal=ScoutGeometry(7, 10.0, 6.0, 1.17, 256),
        told=True,
    ),
    Condition("thin 3 mm", "sampling", ScoutGeometry(5, 12.0, 3.0)),
    Condition("thick 10 mm", "sampling", ScoutGeometry(5, 12.0, 10.0)),
    Condition("20 mm apart", "sampling", ScoutGeometry(5, 20.0, 6.0)),
    Condition("2 mm pixels", "sampling", ScoutGeometry(5, 12.0, 6.0, 2.0, 128)),
    Condition("no noise", "noise", noise=0.0),
    Condition("noise 5 %", "noise", noise=0.05),
    Condition("noise 10 %", "noise", noise=0.10),
    *_painted(),
    Condition("field 180 mm", "field", effects=(FieldOfView((-90.0,) * 3, (90.0,) * 3),), told=True),
    Condition(
        "vertex outside",
        "field",
        max_shift_mm=5.0,
        effects=(FieldOfView(high_mm=(100.0, 100.0, 50.0), low_mm=(-100.0, -100.0, -np.inf)),),
        told=True,
    ),
    Condition(
        "occiput outside",
        "field",
        max_shift_mm=5.0,
        effects=(FieldOfView(low_mm=(-100.0, -60.0, -100.0), high_mm=(100.0, np.inf, 100.0)),),
        told=True,
    ),
    Condition(
        "coronal top cut",
        "field",
        max_shift_mm=5.0,
        effects=(FieldOfView(high_mm=(np.inf, np.inf, 30.0), planes=("coronal",)),),
    ),
    *_lying(),
    Condition("coil on one side", "artefacts", effects=(CoilFallOff((1.0, 0.0, 0.0), 8.0),)),
    Condition("sagittal wrapped", "artefacts", effects=(WrapAround("sagittal", 160.0),)),
    Condition("axial ghosts", "artefacts", effects=(MotionGhosts("axial", 0.25),)),
    Condition("moved before axial", "artefacts", moved="axial", told=True),
    *(
        Condition(f"no {plane}", "planes", effects=(NoPlane(plane),), told=True, heads=8)
        for plane in ("sagittal", "coronal", "axial")
    ),
    *(
        Condition(f"empty {plane}", "planes", effects=(EmptyPlane(plane),), told=True, heads=8)
        for plane in ("sagittal", "axial")
    ),
)


def chosen_names(asked: Sequence[str] | None, known: Sequence[tuple[str, str]]) -> set[str]:
    """The names meant by ``asked``, names or kinds; all of ``known`` (name, kind) when None.

    Raises:
        UsageError: something asked for is neither.
    """
    if asked is None:
        return {name for name, _ in known}
    names, kinds = zip(*known, strict=True)
    strange = [word for word in asked if word not in names and word not in kinds]
    if strange:
        raise UsageError(
            f"there is no condition {', '.join(strange)}",
            remedy=f"Known: {', '.join(names)}; kinds: {', '.join(dict.fromkeys(kinds))}.",
        )
    return {name for name, kind in known if name in asked or kind in asked}
