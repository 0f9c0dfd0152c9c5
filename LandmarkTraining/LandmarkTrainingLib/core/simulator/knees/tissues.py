"""Tissues of simulated knees, where the atlas has them, and their signals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..scenes.scene import FORMAT
from ..scenes.tissue_table import Likeness, TissueTable

(AIR, MUSCLE, FAT, SKIN, MARROW, CORTEX, CARTILAGE, MENISCUS, TENDON, ARTERY, VEIN, NERVE, HOFFA, FLUID, QUADRICEPS) = (
    range(15)
)
FAT_BETWEEN, RECESS, RED_MARROW = range(15, 18)

NAMES = (
    *("air", "muscle", "fat", "skin", "marrow", "cortex", "cartilage", "meniscus", "tendon", "artery", "vein"),
    *("nerve", "hoffa_fat", "fluid", "quadriceps", "fat_between_muscles", "recess", "red_marrow"),
)

#: Label numbers of the atlas' structures other than bones.
ATLAS_STRUCTURES = {
    MUSCLE: tuple(range(12, 27)),
    TENDON: (31, 32, 33, 34, 35, 41, 42, 43, 44, 46, 47, 48),
    NERVE: (61, 62, 63, 64),
    ARTERY: (71, 73, 74, 75),
    VEIN: (72, 77, 78),
    MENISCUS: (81, 82),
    CARTILAGE: (83, 84, 85, 86),
    HOFFA: (9,),
}
FEMUR, TIBIA, FIBULA, PATELLA = 95, 96, 97, 98

#: Sequence -> share, signals in the order of NAMES. Typical greys of 1.5-3 T images by eye, 0-255.
SEQUENCES = {
    "T1": (0.2, (2, 80, 235, 120, 205, 12, 100, 25, 20, 40, 60, 90, 215, 45, 80, 220, 90, 150)),
    "PD": (0.18, (2, 95, 210, 110, 180, 10, 150, 30, 20, 30, 110, 110, 195, 190, 95, 200, 150, 140)),
    "T2": (0.13, (2, 45, 185, 70, 160, 8, 85, 15, 12, 20, 130, 80, 170, 245, 45, 175, 170, 120)),
    "fat-suppressed": (0.15, (4, 100, 35, 90, 30, 12, 170, 35, 25, 80, 210, 130, 45, 245, 100, 40, 190, 60)),
    "GRE": (0.12, (3, 110, 190, 120, 110, 12, 180, 40, 30, 250, 220, 120, 170, 210, 110, 180, 160, 100)),
    "FISP": (0.1, (3, 75, 215, 140, 165, 15, 110, 40, 30, 235, 230, 100, 190, 190, 75, 205, 140, 130)),
    # Fast localizers: muscle half as bright as marrow, nothing brighter than fat.
    "FISP, dark muscle": (0.12, (2, 70, 170, 90, 155, 15, 90, 35, 25, 80, 85, 80, 150, 110, 70, 165, 100, 130)),
}

#: Between-muscle and Hoffa's fat look like fat, the recess mostly holds fat only; marrow is fatty.
LIKENESSES = (
    Likeness(QUADRICEPS, MUSCLE, 1.0, 0.05),
    Likeness(FAT_BETWEEN, FAT, 0.9, 0.08),
    Likeness(HOFFA, FAT, 0.7, 0.12),
    Likeness(RECESS, FAT_BETWEEN, 0.5, 0.0),
    Likeness(RED_MARROW, MARROW, 0.6, 0.05),
)

#: Half sides of a simulated knee's volume (right, anterior, superior) and its voxels, mm.
HALF_MM, VOXEL_MM = np.array([110.0, 118.0, 168.0]), 1.4

#: Point near the isocentre, and the largest distance of slices from it, mm from EMINENCE.
CENTER_MM, SLICE_RANGE_MM = (0.0, 4.0, 8.0), (42.0, 40.0, 65.0)

#: What a box should hold: bones and cartilage of condyles, tibial plateau and patella. The shafts run on beyond it.
JOINT_TISSUES = (MARROW, CORTEX, CARTILAGE, RED_MARROW)
JOINT_LANDMARKS = (
    *("COND_POST_R", "COND_POST_L", "COND_DIST_R", "COND_DIST_L", "EPICOND_R", "EPICOND_L"),
    *("PLATEAU_R", "PLATEAU_L", "PLATEAU_POST_R", "PLATEAU_POST_L"),
    *("PATELLA_TOP", "PATELLA_BOTTOM", "PATELLA_BACK", "PATELLA_FRONT"),
)
#: The rim of the patella, whose landmarks lie on its midline, is this far outside the landmarks' hull, mm.
JOINT_WITHIN_MM = 13.0


def knee_table() -> TissueTable:
    """The tissues of simulated knees; the label numbers are those of the tissues."""
    return TissueTable(
        NAMES,
        tuple((number,) for number in range(len(NAMES))),
        np.array([signals for _, signals in SEQUENCES.values()], dtype=float),
        np.array([share for share, _ in SEQUENCES.values()]),
        LIKENESSES,
        (ARTERY, VEIN),
        0.3,
    )


def knee_scene() -> dict[str, Any]:
    """``scene.json`` of simulated knees."""
    return {
        "format": FORMAT,
        "anatomy": "knee",
        "origin": "EMINENCE",
        "center_mm": list(CENTER_MM),
        "slice_range_mm": list(SLICE_RANGE_MM),
        "fields_of_view": {
            "usual_mm": [140.0, 300.0],
            "small_mm": [110.0, 160.0],
            "small_share": 0.15,
            "beside_mm": 25.0,
            "folded_share": 0.03,
        },
        "other_limb": {"share": 0.25, "distance_mm": [125.0, 210.0]},
        "extent": {
            "tissues": [NAMES[number] for number in JOINT_TISSUES],
            "landmarks": list(JOINT_LANDMARKS),
            "within_mm": JOINT_WITHIN_MM,
        },
        **knee_table().to_dict(tuple(SEQUENCES)),
    }
