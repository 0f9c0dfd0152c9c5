"""Looks at a study beyond those of ``core.workflow.localization``: mirrored, turned in the plane, finer, coarser.

All of them see the head upright, from the axes that the ordinary looks have found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from AutoVolumeCalibrationLib.core.detection import detector as detection
from AutoVolumeCalibrationLib.core.detection.derotation import in_plane_angle, rotated_in_plane, standard_orientation
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.detection.network_input import padded, to_network_grid
from AutoVolumeCalibrationLib.core.detection.reorientation import back_from_head_space, in_head_space
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack

#: Degrees by which the slices are turned for the looks of that name.
TURN_DEG = 4.0

#: Pixel sizes of the finer and coarser looks, mm.
PIXELS_MM = (1.7, 2.4)

Detections = tuple[StackDetections, ...]


def all_looks(
    stacks: Sequence[ScoutStack], model: LandmarkModel, head_axes: np.ndarray, scale: float
) -> dict[str, Detections]:
    """Name of the look -> what it shows.

    Args:
        head_axes: (3, 3), rows are the head's right, anterior and superior directions in RAS.
        scale: size of the head over the reference constellation's.
    """
    upright, mirrored = _upright_and_mirrored(stacks, model, head_axes)
    looks = {"again": upright, "mirrored": mirrored}
    for name, turn in (("turned+", TURN_DEG), ("turned-", -TURN_DEG)):
        looks[name] = look(stacks, model, head_axes, np.deg2rad(turn))
    for pixel_mm in PIXELS_MM:
        looks[f"{pixel_mm:g} mm"] = look(stacks, _at_pixels(model, pixel_mm), head_axes)
    looks["sized"] = look(stacks, _at_pixels(model, model.pixel_mm * scale), head_axes)
    return looks


def look(stacks: Sequence[ScoutStack], model: LandmarkModel, head_axes: np.ndarray, turn: float = 0.0) -> Detections:
    """One look with the head turned in its slices by ``turn`` (rad) from upright."""
    seen = _Seen(stacks, model, head_axes, turn)
    return seen.read(seen.heatmaps(mirrored=False))


def averaged(looks: Sequence[Detections], power: float = 3.0) -> Detections:
    """The looks' points, weighted by peak height to ``power``, on the image axes of the first look."""
    return tuple(_averaged_stack(stacks, power) for stacks in zip(*looks, strict=True))


def _averaged_stack(stacks: Sequence[StackDetections], power: float) -> StackDetections:
    first = stacks[0]
    peak_values = np.array([stack.peak_values for stack in stacks])
    weights = np.clip(peak_values, 1e-3, None) ** power
    weights /= weights.sum(axis=0)
    points = [stack.points_mm @ (stack.axes[:2] @ first.axes[:2].T) for stack in stacks]
    sd = np.array([stack.sd_mm for stack in stacks])
    return replace(
        first,
        points_mm=np.einsum("lsk,lskc->skc", weights, np.array(points)),
        peak_values=peak_values.mean(axis=0),
        sd_mm=np.einsum("lsk,lskc->skc", weights, sd),
    )


def _at_pixels(model: LandmarkModel, pixel_mm: float) -> LandmarkModel:
    """The model on another grid; its heatmaps are as wide in pixels as ever."""
    return replace(model, pixel_mm=pixel_mm, sigma_mm=model.sigma_mm * pixel_mm / model.pixel_mm)


def _upright_and_mirrored(
    stacks: Sequence[ScoutStack], model: LandmarkModel, head_axes: np.ndarray
) -> tuple[Detections, Detections]:
    """The upright look, and the mean heatmaps of it and of the same slices with left and right exchanged."""
    seen = _Seen(stacks, model, head_axes, 0.0)
    plain = seen.heatmaps(mirrored=False)
    return seen.read(plain), seen.read((plain + seen.heatmaps(mirrored=True)) / 2)


class _Seen:
    """The slices of a study as the network sees them, and the way back from heatmaps to millimetres."""

    def __init__(self, stacks: Sequence[ScoutStack], model: LandmarkModel, head_axes: np.ndarray, turn: float) -> None:
        self._model, self._head_axes = model, head_axes
        self._stacks = in_head_space(stacks, head_axes)
        self._planes = [stack.plane for stack in self._stacks for _ in stack.slices]
        every = [s for stack in self._stacks for s in stack.slices]
        self._slices = [
            _placed(s, plane, turn, model.pixel_mm / 2) for s, plane in zip(every, self._planes, strict=True)
        ]
        self._prepared = [to_network_grid(s, model.pixel_mm, model.largest_size) for s in self._slices]
        largest = (max(p.image.shape[i] for p in self._prepared) for i in range(2))
        self._size = tuple(-(-n // model.divisor) * model.divisor for n in largest)

    def heatmaps(self, mirrored: bool) -> np.ndarray:
        """(n, k, h, w). Mirrored: of flipped coronal and axial slices, flipped back, sides exchanged in all planes."""
        flipped = [mirrored and plane != "sagittal" for plane in self._planes]
        images = [padded(p, self._size) for p in self._prepared]
        images = [np.ascontiguousarray(i[:, ::-1]) if f else i for i, f in zip(images, flipped, strict=True)]
        planes = [PLANES.index(plane) for plane in self._planes]
        maps = detection._run_network(images, planes, None, self._model, None, None)
        if not mirrored:
            return maps
        maps = maps[:, self._model.mirror]
        return np.stack([m[..., ::-1] if f else m for m, f in zip(maps, flipped, strict=True)])

    def read(self, heatmaps: np.ndarray) -> Detections:
        """What heatmaps (n, k, h, w) say, in RAS."""
        peaks = decode_peaks(heatmaps, self._model.sigma_pixels)
        found, start = [], 0
        for stack in self._stacks:
            part = slice(start, start + len(stack.slices))
            start = part.stop
            found.append(
                detection._stack_detections(
                    stack.plane, self._slices[part], self._prepared[part], self._size, peaks, part, self._model
                )
            )
        return tuple(back_from_head_space(found, self._head_axes))


def _placed(scout_slice: ScoutSlice, plane: str, turn: float, smallest_pixel_mm: float) -> ScoutSlice:
    standard = standard_orientation(scout_slice, plane)
    return rotated_in_plane(standard, in_plane_angle(standard, plane, np.eye(3)) + turn, smallest_pixel_mm)
