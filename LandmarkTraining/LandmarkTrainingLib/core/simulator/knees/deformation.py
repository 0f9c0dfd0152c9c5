"""The map from a simulated knee back to the atlas, and the tissues and landmarks that follow from it.

A thin-plate spline brings the landmarks, and rings of points that each bone carries with it, onto the atlas'. Beyond
the atlas' ends the map follows the shafts; away from the joint it thins or thickens the muscles. The map is kept on a
grid; landmarks are where *that* map meets the atlas' landmarks, so that they move exactly with the tissues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ...reference_knees.articulation import fitted
from .atlas import KneeAtlas, ShaftEnd
from .shapes import KneeShapes
from .tissues import AIR, CORTEX, FAT_BETWEEN, HALF_MM, MARROW, MUSCLE, RED_MARROW, VOXEL_MM

#: The spline may miss the points by a few tenths of a millimetre where they would fold the map.
SMOOTHING = 0.5

#: Spacing of the grid on which the spline is evaluated, voxels.
COARSE = 5

#: Rings of points that femur and tibia carry: radius, and heights from EMINENCE, mm.
RING_MM, FEMUR_RINGS_MM, TIBIA_RINGS_MM = 45.0, (75.0, 140.0), (-55.0, -135.0)

#: Radius of the bone at each cut end, which keeps its thickness, mm; muscles beyond it grow or taper.
SHAFT_RADIUS_MM, LEG_RADIUS_MM = {"top": 17.0, "bottom": 22.0}, 75.0

#: Heights above and below the joint between which the muscles' bulk sets in, and the radius that it spares, mm.
BULK_ABOVE_MM, BULK_BELOW_MM, BULK_RADIUS_MM = (50.0, 105.0), (25.0, 70.0), 26.0

#: Largest ratio of a leg's width to the atlas'.
WIDEST = 1.6

#: Rounds in which landmarks are found in the deformed knee: below 0.01 mm.
ROUNDS = 40

#: The slope of a cut end passes into that of the bone's axis over this length, mm.
SLOPE_OVER_MM = 25.0

Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Build:
    """What varies from leg to leg besides the shape of the bones.

    Attributes:
        bulk: thickness of the muscles beside the bones against the atlas'.
        grown_mm: how far muscles fill the fat between them.
        cortex: thickness of the cortex against the atlas'.
        red_marrow: share of the marrow that is red.
        top_taper, top_growth, bottom_taper, bottom_growth: of bone (once) and leg (per mm) beyond the atlas.
    """

    bulk: float
    grown_mm: float
    cortex: float
    red_marrow: float
    top_taper: float
    top_growth: float
    bottom_taper: float
    bottom_growth: float


def random_build(rng: np.random.Generator) -> Build:
    """A leg between thin and muscular."""
    return Build(
        float(rng.uniform(1.0, 1.4)),
        float(rng.uniform(0.0, 4.0)),
        float(rng.uniform(0.8, 1.4)),
        float(rng.choice([0.0, rng.uniform(0, 0.4)])),
        0.12,
        float(rng.uniform(0.001, 0.005)),
        float(rng.uniform(0.35, 0.6)),
        float(rng.uniform(-0.001, 0.003)),
    )


def grid_shape() -> np.ndarray:
    """(3,) voxels of a simulated knee."""
    return np.ceil(2 * HALF_MM / VOXEL_MM).astype(int)


def deform(
    atlas: KneeAtlas, shapes: KneeShapes, landmarks_mm: np.ndarray, build: Build, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The atlas in the shape of ``landmarks_mm`` (k, 3).

    Returns:
        (I, J, K) uint8 tissues without subcutaneous fat and skin, voxel (0, 0, 0) at -HALF_MM; and (k, 3) mm, where
        the atlas' landmarks lie in them: within some tenths of a millimetre of those asked for.
    """
    coarse = _coarse_map(atlas, shapes, landmarks_mm)
    goal = np.array([atlas.landmarks_mm[name] for name in shapes.names])
    placed = _found(lambda points: _to_atlas(_interpolated(coarse, points), atlas, build), landmarks_mm, goal)
    points = _fine(coarse)
    near = _may_meet(points, atlas)
    tissues = np.full(near.shape, AIR, np.uint8)
    tissues[near] = _tissues_at(atlas, _to_atlas(points[near], atlas, build), build)
    if build.red_marrow > 0:
        tissues[(tissues == MARROW) & _patches(tissues.shape, build.red_marrow, rng)] = RED_MARROW
    return tissues, placed


def spline(source: np.ndarray, target: np.ndarray, smoothing: float = SMOOTHING) -> Map:
    """Thin-plate spline in space (kernel r) that maps the points ``source`` (n, 3) near to ``target`` (n, 3)."""
    count = len(source)
    distance = np.linalg.norm(source[:, None] - source[None], axis=2)
    affine = np.c_[np.ones(count), source]
    matrix = np.zeros((count + 4, count + 4))
    # The kernel is conditionally negative definite: a negative diagonal smooths.
    matrix[:count, :count] = distance - smoothing * np.eye(count)
    matrix[:count, count:], matrix[count:, :count] = affine, affine.T
    weights = np.linalg.solve(matrix, np.r_[target, np.zeros((4, 3))])

    def mapped(points: np.ndarray) -> np.ndarray:
        kernel = np.linalg.norm(points[:, None] - source[None], axis=2)
        return kernel @ weights[:count] + np.c_[np.ones(len(points)), points] @ weights[count:]

    return mapped


def _coarse_map(atlas: KneeAtlas, shapes: KneeShapes, landmarks_mm: np.ndarray) -> np.ndarray:
    """(a, b, c, 3) atlas points of the coarse grid, which covers the volume."""
    goal = np.array([atlas.landmarks_mm[name] for name in shapes.names])
    rings = [_ring_pair(shapes.parts[bone], landmarks_mm, goal, bone) for bone in ("femur", "tibia")]
    source = np.concatenate([landmarks_mm, *(own for own, _ in rings)])
    to_atlas = spline(source, np.concatenate([goal, *(target for _, target in rings)]))
    count = grid_shape() // COARSE + 2
    axes = [-HALF_MM[i] + VOXEL_MM * COARSE * np.arange(count[i]) for i in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return to_atlas(points.reshape(-1, 3)).reshape(points.shape)


def _ring_pair(own: np.ndarray, knee: np.ndarray, atlas: np.ndarray, bone: str) -> tuple[np.ndarray, np.ndarray]:
    """Rings round a bone's shaft in the knee and in the atlas: the bone carries them rigidly, up to its size."""
    angles = np.arange(4) * np.pi / 2
    heights = FEMUR_RINGS_MM if bone == "femur" else TIBIA_RINGS_MM
    rings = np.array([[5 + RING_MM * np.cos(t), RING_MM * np.sin(t), z] for z in heights for t in angles])
    size = np.sqrt(np.var(atlas[own], axis=0).sum() / np.var(knee[own], axis=0).sum())
    rigid = fitted(knee[own] * size, atlas[own])
    return rings, rigid.of(rings * size)


def _interpolated(coarse: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, 3) the coarse map at knee points (n, 3), as ``_fine`` interpolates it."""
    from scipy.ndimage import map_coordinates

    place = ((points + HALF_MM) / (VOXEL_MM * COARSE)).T
    return np.stack([map_coordinates(coarse[..., i], place, order=1, mode="nearest") for i in range(3)], axis=1)


def _fine(coarse: np.ndarray) -> np.ndarray:
    """(I, J, K, 3) float32 the coarse map at every voxel, linear along each axis."""
    field = coarse.astype(np.float32)
    for axis, count in enumerate(grid_shape()):
        place = np.arange(count) / COARSE
        low = np.floor(place).astype(int)
        part = (place - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(4)])
        field = field.take(low, axis) * (1 - part) + field.take(low + 1, axis) * part
    return field


def _may_meet(points: np.ndarray, atlas: KneeAtlas) -> np.ndarray:
    """(...) bool: points of the spline (..., 3) that the widest build can bring into the atlas: the others are air."""
    size = np.array(atlas.tissues.shape) * atlas.spacing_mm
    middle = (atlas.origin_mm + size / 2).astype(np.float32)
    reach = (size / 2 * WIDEST).astype(np.float32)
    return np.asarray((np.abs(points[..., :2] - middle[:2]) < reach[:2]).all(axis=-1))


def _to_atlas(points: np.ndarray, atlas: KneeAtlas, build: Build) -> np.ndarray:
    """Points (n, 3) of the spline -> of the atlas: beyond its ends along the shafts, and with its own bulk."""
    x, y, z = (points[..., k].copy() for k in range(3))
    _unbulk(x, y, z, atlas, build.bulk)
    _follow_shaft(x, y, z, atlas.top, 1, SHAFT_RADIUS_MM["top"], build.top_taper, build.top_growth)
    _follow_shaft(x, y, z, atlas.bottom, -1, SHAFT_RADIUS_MM["bottom"], build.bottom_taper, build.bottom_growth)
    return np.stack([x, y, z], axis=-1)


def _unbulk(x: np.ndarray, y: np.ndarray, z: np.ndarray, atlas: KneeAtlas, bulk: float) -> None:
    """Move points outside the bones inwards, so that the muscles there appear ``bulk`` times as thick; in place."""
    height = z - atlas.joint_mm
    above, below = (_smooth_step(s * height, *r) for s, r in ((1, BULK_ABOVE_MM), (-1, BULK_BELOW_MM)))
    strength = 1 + (bulk - 1) * (above + below)
    low, high = atlas.bottom.center_mm.tolist(), atlas.top.center_mm.tolist()
    center_x = low[0] + above * (high[0] - low[0])
    center_y = low[1] + above * (high[1] - low[1])
    radius = np.hypot(x - center_x, y - center_y) + 1e-3
    inner = np.minimum(radius, BULK_RADIUS_MM) + np.maximum(radius - BULK_RADIUS_MM, 0) / strength
    x[...] = center_x + (x - center_x) * inner / radius
    y[...] = center_y + (y - center_y) * inner / radius


def _smooth_step(value: np.ndarray, start: float, end: float) -> np.ndarray:
    part = np.clip((value - start) / (end - start), 0, 1)
    return part * part * (3 - 2 * part)


def _follow_shaft(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    end: ShaftEnd,
    sign: int,
    bone_mm: float,
    taper: float,
    growth: float,
) -> None:
    """Map points beyond a cut end onto the atlas' last cross-section; in place.

    The section moves along the slope of the shaft; the bone tapers by ``taper`` over some 30 mm, the rest of the leg
    grows by ``growth`` per mm.
    """
    beyond = np.flatnonzero(sign * (z - end.height_mm) > 0)
    depth = sign * (z[beyond] - end.height_mm)
    center, axis, slope = end.center_mm.tolist(), end.axis.tolist(), (end.slope - end.axis).tolist()
    curved = SLOPE_OVER_MM * (1 - np.exp(-depth / SLOPE_OVER_MM))
    across = [
        values[beyond] - center[i] - sign * (axis[i] * depth + slope[i] * curved) for i, values in enumerate((x, y))
    ]
    radius = np.hypot(*across) + 1e-3
    bone = 1 + taper * (1 - np.exp(-depth / 30))
    seen, leg = bone_mm / bone, LEG_RADIUS_MM * np.clip(1 + growth * depth, 0.7, 1.5)
    outside = bone_mm + (radius - seen) * (LEG_RADIUS_MM - bone_mm) / (leg - seen)
    inner = np.where(radius < seen, radius * bone, outside)
    x[beyond] = center[0] + across[0] * inner / radius
    y[beyond] = center[1] + across[1] * inner / radius
    z[beyond] = end.height_mm


def _found(to_atlas: Map, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(k, 3) points that the map brings to ``goal``: fixed-point iteration with the map's linear part at ``start``."""
    step = 2.0 * np.eye(3)
    columns = [(to_atlas(start + axis) - to_atlas(start - axis)) / (2 * axis.sum()) for axis in step]
    inverse = np.linalg.inv(np.stack(columns, axis=-1))
    points = start.copy()
    for _ in range(ROUNDS):
        points = points - 0.7 * np.einsum("kij,kj->ki", inverse, to_atlas(points) - goal)
    return points


def _tissues_at(atlas: KneeAtlas, points: np.ndarray, build: Build) -> np.ndarray:
    """(n,) uint8 tissues at atlas points (n, 3): bones by their surface, the rest by the nearest voxel."""
    voxel = (torch.from_numpy(points).float() - torch.from_numpy(atlas.origin_mm)) / torch.from_numpy(atlas.spacing_mm)
    voxel = voxel.float()
    size = torch.tensor(atlas.tissues.shape) - 1
    inside = ((voxel > -0.5) & (voxel < size + 0.5)).all(-1)
    place = voxel[inside]
    nearest = torch.minimum(place.round().long().clamp_min(0), size)
    i, j, k = nearest.unbind(1)
    tissue = torch.from_numpy(atlas.tissues)[i, j, k]
    if build.grown_mm > 0:
        near_muscle = torch.from_numpy(atlas.muscle_distance_mm)[i, j, k] < build.grown_mm
        tissue[near_muscle & (tissue == FAT_BETWEEN)] = MUSCLE
    depth = _linear(atlas.bone_depth_mm, place)
    thickness = torch.from_numpy(atlas.cortex_mm)[i, j, k] * build.cortex
    # Between the surface and the nearest voxel's label, the surface decides.
    tissue[(depth <= 0) & (tissue == MARROW)] = FAT_BETWEEN
    tissue[depth > 0] = MARROW
    tissue[(depth > 0) & (depth <= thickness)] = CORTEX
    result = torch.full(inside.shape, AIR, dtype=torch.uint8)
    result[inside] = tissue
    return np.asarray(result)


def _linear(values: np.ndarray, place: torch.Tensor) -> torch.Tensor:
    """(n,) linear interpolation of ``values`` (I, J, K) at voxels ``place`` (n, 3)."""
    size = torch.tensor(values.shape)
    grid = (2 * place / (size - 1) - 1).flip(-1)[None, None, None]
    field = torch.from_numpy(values)[None, None]
    return torch.nn.functional.grid_sample(field, grid, align_corners=True, padding_mode="border")[0, 0, 0, 0]


def _patches(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> np.ndarray:
    """(I, J, K) bool: smooth patches of some 15 mm that fill about ``share`` of the volume."""
    from scipy.ndimage import zoom

    side = 12.0 / VOXEL_MM
    coarse = rng.normal(0, 1, [int(n / side) + 2 for n in shape])
    fine = zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    return np.asarray(fine > np.quantile(fine[::4, ::4, ::4], 1 - share))
