"""Real volumes with landmarks, cut into random thick slices like the label maps, with their own tissue contrast or
with an artificial one: grey values remapped by a random curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..reference_heads.corrected_targets import VENTRICLE_LANDMARKS
from ..reference_heads.heads import Head, with_corrected_points
from .effects.anatomy_changes import AnatomyChanges, random_changes
from .effects.children import with_children
from .effects.scanner_effects import add_scanner_effects
from .pose import HeadPose, random_poses
from .render import SliceBatch, flipped_landmarks, has_partners, project_landmarks
from .slice_planes import SlicePlanes, SliceSettings, random_planes

#: Share of the slices whose greys are redrawn, and the knots of the curve.
REDRAWN_SHARE, CURVE_KNOTS = 0.4, 6


@dataclass(frozen=True, eq=False)
class VolumeHead:
    """One volume of a ``subject``: ``intensities`` (I, J, K), about 0..1; ``voxel_from_head`` (3, 4); ``landmarks_mm``
    (k, 3) or NaN."""

    subject: str
    intensities: torch.Tensor
    voxel_from_head: torch.Tensor
    landmarks_mm: torch.Tensor


def load_volume_heads(heads: Sequence[Head], names: Sequence[str], *, corrected: bool = False) -> list[VolumeHead]:
    """The heads' volumes and those of their points that are named.

    Args:
        corrected: with PC where human raters place it, and LVAC and LVPC unknown: where the border of the ventricle
            lies on their coronal slices is not known of real images.
    """
    return [_load(_corrected(head) if corrected else head, names) for head in heads]


def _corrected(head: Head) -> Head:
    points = with_corrected_points(head).points
    return replace(head, points={name: place for name, place in points.items() if name[1:] not in VENTRICLE_LANDMARKS})


def _load(head: Head, names: Sequence[str]) -> VolumeHead:
    volume = head.volume()
    array = volume.array.astype(np.float32)
    array = np.clip(array / max(float(np.percentile(array, 99.8)), 1e-6), 0, 1.5)
    inverse = np.linalg.inv(volume.affine)
    to_voxel = np.column_stack([inverse[:3, :3] @ head.axes.T, inverse[:3, :3] @ head.origin_mm + inverse[:3, 3]])
    unknown = np.full(3, np.nan)
    positions = [(head.points[n] - head.origin_mm) @ head.axes.T if n in head.points else unknown for n in names]
    tensors = (torch.from_numpy(values).float() for values in (array, to_voxel, np.array(positions)))
    return VolumeHead(head.subject, *tensors)


def simulate_volume_batch(
    heads: Sequence[VolumeHead], mirror: np.ndarray, count: int, seed: tuple[int, ...], settings: SliceSettings
) -> SliceBatch:
    """``count`` independent slices of the volumes, reproducible from ``seed``; arguments as in ``simulate_batch``.

    Every subject is drawn equally often, regardless of the number of its volumes.
    """
    device = heads[0].intensities.device
    rng = np.random.default_rng(seed)
    noise = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
    chosen = _one_per_slice(heads, count, rng)
    poses = random_poses(rng, count, settings.limits, device, flips=has_partners(mirror))
    (extra,) = rng.spawn(1)
    children = extra.random(count) < settings.effects.children
    poses = with_children(poses, children, extra)
    changes = random_changes(extra, children, None, np.zeros(count, dtype=int), settings.effects, device)
    planes = random_planes(rng, poses, settings)
    signal = redrawn(_cut(chosen, poses, planes, settings, changes), rng)
    images, in_field = add_scanner_effects(signal, rng, noise, settings.pixel_mm, planes.planes, settings.effects)
    landmarks = changes.from_label_map(torch.stack([head.landmarks_mm for head in chosen]))
    points = poses.to_scanner(flipped_landmarks(landmarks, poses.flip, mirror))
    return project_landmarks(images, in_field, planes, points, mirror, settings)


def _one_per_slice(heads: Sequence[VolumeHead], count: int, rng: np.random.Generator) -> list[VolumeHead]:
    """First a subject, then one of its volumes."""
    subjects: dict[str, list[VolumeHead]] = {}
    for head in heads:
        subjects.setdefault(head.subject, []).append(head)
    groups = list(subjects.values())
    chosen = [groups[i] for i in rng.integers(0, len(groups), count)]
    return [group[int(rng.integers(len(group)))] for group in chosen]


def redrawn(signal: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Images (b, H, W) with grey values about 0..1; a random curve redraws those of REDRAWN_SHARE of them.

    The curve is piecewise linear through CURVE_KNOTS greys, the darkest of which (air) stays as it is.
    """
    knots = torch.linspace(0, 1, CURVE_KNOTS, device=signal.device)
    curves = rng.uniform(0, 1, (len(signal), CURVE_KNOTS))
    curves[:, 0] = 0
    own = rng.random(len(signal)) >= REDRAWN_SHARE
    curves[own] = np.linspace(0, 1, CURVE_KNOTS)
    curve = torch.from_numpy(curves).float().to(signal.device)
    grey = signal.clamp(0, 1).flatten(1)
    lower = (grey * (CURVE_KNOTS - 1)).long().clamp_max(CURVE_KNOTS - 2)
    left, right = curve.gather(1, lower), curve.gather(1, lower + 1)
    value = left + (right - left) * (grey - knots[lower]) * (CURVE_KNOTS - 1)
    return torch.where(torch.from_numpy(own).to(signal.device)[:, None, None], signal, value.view(signal.shape))


def _cut(
    chosen: Sequence[VolumeHead],
    poses: HeadPose,
    planes: SlicePlanes,
    settings: SliceSettings,
    changes: AnatomyChanges,
) -> torch.Tensor:
    """Mean signal over the slice thickness, (b, H, W)."""
    matrix = settings.matrix
    points = poses.to_head(planes.grid(matrix, settings.pixel_mm))
    normal = poses.directions_to_head(planes.normal[:, None])
    images = []
    for i, head in enumerate(chosen):
        total = torch.zeros(matrix * matrix, device=points.device)
        for k in range(settings.profile_samples):
            depth = ((k + 0.5) / settings.profile_samples - 0.5) * planes.thickness_mm[i]
            place = points[i] + depth * normal[i]
            total += _trilinear(head, changes.part(np.array([i])).to_label_map(place[None])[0])
        images.append((total / settings.profile_samples).view(matrix, matrix))
    return torch.stack(images)


def _trilinear(head: VolumeHead, points: torch.Tensor) -> torch.Tensor:
    """(n,) intensities at head-space points (n, 3); 0 outside."""
    voxels = points @ head.voxel_from_head[:, :3].T + head.voxel_from_head[:, 3]
    shape = torch.tensor(head.intensities.shape, device=points.device)
    normalised = 2 * voxels / (shape - 1) - 1
    # grid_sample expects (x, y, z) for a volume stored (z, y, x).
    grid = normalised.flip(-1)[None, None, None]
    return torch.nn.functional.grid_sample(head.intensities[None, None], grid, align_corners=True)[0, 0, 0, 0]
