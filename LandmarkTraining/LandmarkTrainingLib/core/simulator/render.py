"""Render batches of simulated scout slices with their landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import NEAREST
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry

from .effects.anatomy_changes import AnatomyChanges, random_changes
from .effects.children import with_children
from .effects.fields_of_view import HEAD_FIELDS
from .effects.pathology import Blobs, random_pathology
from .effects.scanner_effects import add_scanner_effects
from .effects.single_shot import blur_by_decay, single_shot_contrast
from .label_heads import LabelHeads
from .pose import HeadPose, random_poses
from .slice_planes import SlicePlanes, SliceSettings, random_planes, study_planes
from .study_variety import MotionLimits, StudyMotion, random_motion
from .tissues import Contrast, random_contrast


@dataclass(frozen=True, eq=False)
class SliceBatch:
    """b slices with k landmarks.

    Attributes:
        images: (b, H, W) float32 in 0..1.2, row index along the plane's row axis (superior or anterior).
        planes: (b,) int64, index into PLANES.
        points: (b, k, 2) projections as (row, column) pixels, fractions; NaN where unknown.
        depths_mm: (b, k) landmark minus slice position along the normal; NaN where unknown, infinite where the
            landmark is known to be absent.
        visible: (b, k) bool: known and its projection within the field of view.
    """

    images: torch.Tensor
    planes: torch.Tensor
    points: torch.Tensor
    depths_mm: torch.Tensor
    visible: torch.Tensor

    @property
    def known(self) -> torch.Tensor:
        """(b, k) bool: the landmark's position is known (it may be outside the image, or the landmark absent)."""
        return ~torch.isnan(self.depths_mm)


def simulate_batch(
    heads: LabelHeads, mirror: np.ndarray, count: int, seed: tuple[int, ...], settings: SliceSettings
) -> SliceBatch:
    """``count`` independent random slices, reproducible from ``seed`` on the same device.

    Args:
        mirror: (k,) index of each landmark's left/right partner, its own where there is none.
        seed: e.g. (run seed, batch number).
    """
    device = heads.tissues.device
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, heads.intact, count)
    poses = random_poses(rng, count, settings.limits, device, heads.center_mm, flips=has_partners(mirror))
    (extra,) = rng.spawn(1)
    chosen = heads.with_atrophy(chosen, extra.random(count) < settings.effects.atrophy)
    children = extra.random(count) < settings.effects.children
    poses = with_children(poses, children, extra)
    changes = random_changes(extra, children, heads.fields, chosen, settings.effects, device)
    planes = random_planes(rng, poses, settings, heads.slice_range_mm)
    contrasts = _contrasts(rng, count, settings, heads)
    images, in_field, points = _acquire(heads, mirror, chosen, poses, planes, contrasts, rng, settings, changes)
    return project_landmarks(images, in_field, planes, points, mirror, settings)


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """Three-plane scouts of head number ``head`` in one ``pose``: images (s, H, W), landmarks (k, 3) in RAS mm."""

    images: torch.Tensor
    planes: SlicePlanes
    landmarks_mm: torch.Tensor
    head: int
    pose: HeadPose


def simulate_study(
    heads: LabelHeads,
    mirror: np.ndarray,
    geometry: ScoutGeometry | Sequence[ScoutGeometry],
    seed: tuple[int, ...],
    settings: SliceSettings,
    motion: MotionLimits | StudyMotion | None = None,
) -> SimulatedStudy:
    """A whole study of one random head, pose and contrast; matrix and pixel size come from the settings.

    Args:
        geometry: of all planes, or one for each.
        motion: how the head moves while it is acquired, at random within limits or as given; None: it lies still. The
            study's planes are as the scanner states them, its landmarks where the head is stated to lie.
    """
    device = heads.tissues.device
    rng = np.random.default_rng(seed)
    planes = study_planes(geometry, device)
    count = len(planes.planes)
    chosen = np.full(count, rng.integers(0, heads.intact))
    pose = random_poses(rng, 1, settings.limits, device, heads.center_mm, flips=has_partners(mirror))
    contrasts = [_contrast(rng, heads)] * count
    moved = planes
    if isinstance(motion, MotionLimits):
        counts = np.bincount(planes.planes, minlength=len(PLANES))
        motion = random_motion(rng.spawn(1)[0], counts, motion)
    if motion is not None:
        moved = motion.as_seen(planes)
    images, _, points = _acquire(heads, mirror, chosen, pose.repeated(count), moved, contrasts, rng, settings)
    return SimulatedStudy(images, planes, points[0], int(chosen[0]), pose)


def _acquire(
    heads: LabelHeads,
    mirror: np.ndarray,
    chosen: np.ndarray,
    poses: HeadPose,
    planes: SlicePlanes,
    contrasts: Sequence[Contrast],
    rng: np.random.Generator,
    settings: SliceSettings,
    changes: AnatomyChanges | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (b, H, W), their fields of view (b, H, W) bool, and landmarks (b, k, 3) in scanner RAS mm."""
    device = heads.tissues.device
    noise = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
    numbers = torch.from_numpy(chosen).to(device)
    signal = _render_tissue(heads, numbers, poses, planes, contrasts, settings, rng, noise, changes)
    single_shot = np.flatnonzero([contrast.single_shot for contrast in contrasts])
    signal = blur_by_decay(signal, single_shot, rng)
    fields = heads.scene.fields if heads.scene else HEAD_FIELDS
    images, in_field = add_scanner_effects(
        signal, rng, noise, settings.pixel_mm, planes.planes, settings.effects, fields
    )
    landmarks = heads.landmarks_mm[numbers]
    if changes is not None:
        landmarks = changes.from_label_map(landmarks)
    return images, in_field, poses.to_scanner(flipped_landmarks(landmarks, poses.flip, mirror))


def _contrast(rng: np.random.Generator, heads: LabelHeads) -> Contrast:
    return heads.scene.table.random_contrast(rng) if heads.scene else random_contrast(rng)


def _contrasts(rng: np.random.Generator, count: int, settings: SliceSettings, heads: LabelHeads) -> list[Contrast]:
    """``count`` random contrasts, some of a single-shot sequence."""
    (extra,) = rng.spawn(1)
    single_shot = extra.random(count) < settings.effects.single_shot
    drawn = [_contrast(rng, heads) for _ in range(count)]
    both = zip(single_shot, drawn, strict=True)
    return [single_shot_contrast(extra) if single else contrast for single, contrast in both]


def has_partners(mirror: np.ndarray) -> bool:
    """Whether any landmark has a partner on the other side, so that a mirrored image has right names."""
    return bool((mirror != np.arange(len(mirror))).any())


def flipped_landmarks(landmarks_mm: torch.Tensor, flip: torch.Tensor, mirror: np.ndarray) -> torch.Tensor:
    """Landmarks (b, k, 3) in head space under their new names: a flipped head's right is its left."""
    return torch.where(flip[:, None, None] < 0, landmarks_mm[:, torch.from_numpy(mirror).to(flip.device)], landmarks_mm)


def project_landmarks(
    images: torch.Tensor,
    in_field: torch.Tensor,
    planes: SlicePlanes,
    points_mm: torch.Tensor,
    mirror: np.ndarray,
    settings: SliceSettings,
) -> SliceBatch:
    """Put scanner points (b, k, 3) into slice coordinates.

    A single sagittal slice does not distinguish left from right, so there both points of a left/right pair are
    their middle, or the nearer one (``SliceSettings.sagittal_pairs``).
    """
    device = images.device
    offset = points_mm - planes.center[:, None]
    partner = offset[:, torch.from_numpy(mirror).to(device)]
    shown = (offset + partner) / 2
    if settings.sagittal_pairs == NEAREST:
        own_depth, partner_depth = ((each @ planes.normal[:, :, None]).abs() for each in (offset, partner))
        shown = torch.where(own_depth <= partner_depth, offset, partner)
    offset = torch.where(torch.from_numpy(planes.planes == 0).to(device)[:, None, None], shown, offset)
    axes = torch.stack([planes.row_axis, planes.column_axis, planes.normal], dim=2)
    row, column, depth = (offset @ axes).unbind(-1)
    middle = (settings.matrix - 1) / 2
    pixels = torch.stack([row, column], dim=-1) / settings.pixel_mm + middle
    visible = in_view(pixels, in_field)
    return SliceBatch(images, torch.from_numpy(planes.planes).to(device), pixels, depth, visible)


def in_view(pixels: torch.Tensor, in_field: torch.Tensor) -> torch.Tensor:
    """(b, k) bool: points (b, k, 2), (row, column) pixels or NaN, lie in the fields of view (b, H, W) bool."""
    size = torch.tensor(in_field.shape[-2:], device=in_field.device)
    nearest = pixels.nan_to_num(-1).round().long()
    inside = ((nearest >= 0) & (nearest < size)).all(-1)
    nearest = torch.minimum(nearest.clamp_min(0), size - 1)
    batch = torch.arange(len(in_field), device=in_field.device)[:, None]
    return inside & in_field[batch, nearest[..., 0], nearest[..., 1]]


def _render_tissue(
    heads: LabelHeads,
    chosen: torch.Tensor,
    poses: HeadPose,
    planes: SlicePlanes,
    contrasts: Sequence[Contrast],
    settings: SliceSettings,
    rng: np.random.Generator,
    noise: torch.Generator,
    changes: AnatomyChanges | None,
) -> torch.Tensor:
    """Mean signal over the slice thickness, (b, H, W): nearest label at jittered sub-slice positions."""
    count, matrix, device = len(chosen), settings.matrix, heads.tissues.device
    mean = torch.from_numpy(np.stack([c.mean for c in contrasts])).float().to(device)
    sd = torch.from_numpy(np.stack([c.sd for c in contrasts])).float().to(device)
    to_voxel = heads.voxel_from_head[chosen]
    points = poses.to_head(planes.grid(matrix, settings.pixel_mm))
    voxels = points @ to_voxel[:, :, :3].transpose(1, 2) + to_voxel[:, None, :, 3]
    axes = torch.stack([planes.normal, planes.row_axis, planes.column_axis], dim=1)
    head_steps = poses.directions_to_head(axes)
    steps = head_steps @ to_voxel[:, :, :3].transpose(1, 2)
    (extra,) = rng.spawn(1)
    blobs = _pathology(heads, chosen, points, voxels, contrasts, extra, settings)
    changed = np.flatnonzero(changes.changed) if changes is not None else np.zeros(0, dtype=int)
    texture = _Texture(rng, noise, count, device)
    rows = torch.arange(count, device=device)[:, None] * mean.shape[1]
    limbs = _other_limbs(heads, count, rng)
    total = torch.zeros(count, matrix * matrix, device=device)
    for k in range(settings.profile_samples):
        depth = ((k + 0.5) / settings.profile_samples - 0.5) * planes.thickness_mm
        jitter = torch.from_numpy(rng.uniform(-0.5, 0.5, (2, count)) * settings.pixel_mm).float().to(device)
        offset = torch.stack([depth, jitter[0], jitter[1]], dim=1)[:, None]
        place = voxels + offset @ steps
        if changes is not None and len(changed):
            original = changes.part(changed).to_label_map((points + offset @ head_steps)[changed])
            place[changed] = original @ to_voxel[changed, :, :3].transpose(1, 2) + to_voxel[changed, None, :, 3]
        tissue = _nearest_tissue(heads.tissues, chosen, place)
        for i, mirrored, shift in limbs:
            beside = (points[i] + offset[i] @ head_steps[i]) @ mirrored.T + shift
            beside = beside @ to_voxel[i, :, :3].T + to_voxel[i, :, 3]
            other = _nearest_tissue(heads.tissues, chosen[i : i + 1], beside[None])[0]
            tissue[i] = torch.where(tissue[i] == 0, other, tissue[i])
        signal = mean.flatten()[rows + tissue] + sd.flatten()[rows + tissue] * texture.at(place)
        for i, blob in blobs:
            signal[i] = blob.paint(signal[i], tissue[i], points[i] + offset[i] @ head_steps[i])
        total += signal
    return (total / settings.profile_samples).clamp_min(0).view(count, matrix, matrix)


def _other_limbs(
    heads: LabelHeads, count: int, rng: np.random.Generator
) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    """(slice number, matrix, offset) of the slices that show the other limb (``OtherLimb.random_maps``)."""
    if heads.scene is None or heads.scene.other_limb is None:
        return []
    device = heads.tissues.device
    drawn = heads.scene.other_limb.random_maps(rng.spawn(1)[0], count)
    return [(i, matrix.to(device), offset.to(device)) for i, matrix, offset in drawn]


def _pathology(
    heads: LabelHeads,
    chosen: torch.Tensor,
    points: torch.Tensor,
    voxels: torch.Tensor,
    contrasts: Sequence[Contrast],
    rng: np.random.Generator,
    settings: SliceSettings,
) -> list[tuple[int, Blobs]]:
    """(slice number, blobs) of all slices, in the order of painting; ``points`` and ``voxels`` (b, n, 3)."""
    effects, sparse = settings.effects, slice(None, None, 7)
    if not effects.any_pathology:
        return []
    tissue = _nearest_tissue(heads.tissues, chosen, voxels[:, sparse])
    brain = ((tissue > 0) & (tissue < 14)).cpu().numpy()
    inside = points[:, sparse].cpu().numpy()
    numbers = range(len(chosen))
    return [(i, blob) for i in numbers for blob in random_pathology(rng, contrasts[i], inside[i][brain[i]], effects)]


def _nearest_tissue(tissues: torch.Tensor, chosen: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    """(b, n) int64 class at fractional voxels (b, n, 3); 0 (background) outside the map."""
    shape = torch.tensor(tissues.shape[1:], device=tissues.device)
    index = voxels.round().to(torch.int32)
    inside = ((index >= 0) & (index < shape)).all(-1)
    index = torch.minimum(index.clamp_min(0), (shape - 1).to(torch.int32)).long()
    flat = ((chosen[:, None] * shape[0] + index[..., 0]) * shape[1] + index[..., 1]) * shape[2] + index[..., 2]
    return torch.where(inside, tissues.view(-1)[flat].long(), 0)


class _Texture:
    """Unit-variance noise attached to the tissue: a smooth 3D part and a white part, mixed per slice."""

    SIDE = 64

    def __init__(self, rng: np.random.Generator, noise: torch.Generator, count: int, device: torch.device) -> None:
        self._noise = noise
        self._cube = _smooth_cube(float(rng.choice([1.0, 2.5])), self.SIDE).to(device)
        self._frequency = torch.from_numpy(rng.uniform(0.3, 1.0, count)).float().to(device)[:, None, None]
        self._start = torch.from_numpy(rng.uniform(0, self.SIDE, (count, 1, 3))).float().to(device)
        self._smooth = torch.from_numpy(rng.uniform(0, 1, count)).float().to(device)[:, None]

    def at(self, voxels: torch.Tensor) -> torch.Tensor:
        """(b, n) values at voxels (b, n, 3)."""
        index = (voxels * self._frequency + self._start).to(torch.int32) & (self.SIDE - 1)
        flat = (index[..., 0] * self.SIDE + index[..., 1]) * self.SIDE + index[..., 2]
        white = torch.randn(flat.shape, generator=self._noise, device=voxels.device)
        return self._smooth * self._cube[flat.long()] + (1 - self._smooth) * 1.5 * white


_CUBES: dict[float, torch.Tensor] = {}


def _smooth_cube(sigma: float, side: int) -> torch.Tensor:
    """(side**3,) periodic Gaussian-smoothed noise of unit variance; made once per smoothness."""
    if sigma not in _CUBES:
        from scipy.ndimage import gaussian_filter

        cube = gaussian_filter(np.random.default_rng(0).standard_normal((side,) * 3), sigma, mode="wrap")
        _CUBES[sigma] = torch.from_numpy(cube / cube.std()).float().flatten()
    return _CUBES[sigma]
