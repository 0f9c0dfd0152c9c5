"""Label maps with a thinner cortex: fluid takes the outermost voxels of the cerebral cortex."""

from __future__ import annotations

import numpy as np

#: Tissue classes (``tissues.CLASS_LABELS``) of fluid and of the cerebral cortex.
FLUID, CORTEX = 1, 3

#: Landmark -> direction (right, anterior, superior) in which the brain has become shorter by one voxel (1 mm).
INWARDS = {
    "FRONTAL_L": (0, -1, 0),
    "FRONTAL_R": (0, -1, 0),
    "OCCIPITAL_L": (0, 1, 0),
    "OCCIPITAL_R": (0, 1, 0),
    "LATERAL_L": (1, 0, 0),
    "LATERAL_R": (-1, 0, 0),
    "VERTEX": (0, 0, -1),
    "TEMPORAL_L": (0, 0, 1),
    "TEMPORAL_R": (0, 0, 1),
}


def thin_cortex(tissues: np.ndarray, layers: int = 1) -> np.ndarray:
    """The map (I, J, K) of tissue classes with ``layers`` voxels of cortex replaced where they touch fluid or skull."""
    from scipy.ndimage import binary_dilation

    result = tissues.copy()
    for _ in range(layers):
        outside = (result == FLUID) | (result > 13) | (result == 0)
        result[binary_dilation(outside) & (result == CORTEX)] = FLUID
    return result


def thin_landmarks(landmarks_mm: np.ndarray, names: tuple[str, ...], layers: int = 1) -> np.ndarray:
    """Landmarks (k, 3) in head space of the map with a thinner cortex."""
    shifts = np.array([INWARDS.get(name, (0, 0, 0)) for name in names], dtype=float)
    return landmarks_mm + layers * shifts
