"""Scanner effects on a slice: coil shading, blur, ringing, ghosts, wrap-around, metal, noise, field of view.

Every effect takes and returns images (b, H, W); parameters come from a numpy
generator, so that a slice is reproducible from its seed, pixel noise from a torch generator.
"""

from __future__ import annotations

import numpy as np
import torch

from .coil_shading import shade_by_coil
from .effect_settings import SimulationEffects
from .fields_of_view import HEAD_FIELDS, FieldsOfView
from .wrapped_nose import wrap_front


def add_scanner_effects(
    images: torch.Tensor,
    rng: np.random.Generator,
    noise: torch.Generator,
    pixel_mm: float,
    planes: np.ndarray | None = None,
    effects: SimulationEffects | None = None,
    fields: FieldsOfView = HEAD_FIELDS,
) -> tuple[torch.Tensor, torch.Tensor]:
    """All effects in the order in which they arise.

    Args:
        planes: (b,) index into PLANES; None: no slice is wrapped.
        effects: how often those occur that are not always on; None: never. No other random number depends on it.
        fields: ranges of the fields of view.

    Returns:
        images (b, H, W), scaled by :func:`normalise`, zero outside the field of view, and the
        field of view as bool (b, H, W).
    """
    effects, (extra,) = effects or SimulationEffects(), rng.spawn(1)
    images = shade(images, rng)
    images = shade_by_coil(images, extra, effects.coil_shading, pixel_mm)
    images = void_by_metal(images, rng, pixel_mm)
    images = filter_k_space(images, rng)
    images = ghost(images, rng)
    images, unwrapped = wrap_front(images, planes, extra, effects.wrapped_nose, pixel_mm)
    images, field = limit_field_of_view(images, rng, pixel_mm, fields)
    images, field = narrow_field(images, field & unwrapped, extra, effects.small_field, pixel_mm)
    images = images / (torch.quantile(images[:, ::2, ::2].flatten(1), 0.99, dim=1)[:, None, None] + 1e-3)
    images = add_rician_noise(images, rng, noise)
    images = images ** _per_image(np.exp(rng.normal(0, 0.25, len(images))), images)
    return normalise(images, field), field


def normalise(images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Scale so that the 1st percentile within the field becomes 0, the 99.5th becomes 1; clip to 0..1.2."""
    coarse = torch.where(field, images, torch.nan)[:, ::2, ::2].flatten(1)
    low, high = torch.nanquantile(coarse, torch.tensor([0.01, 0.995], device=images.device), dim=1)[:, :, None, None]
    return ((images - low) / (high - low + 1e-6)).clamp(0, 1.2) * field


def shade(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Smooth bias field, and for a third of the images the fall-off from a surface coil on one side."""
    count, size = len(images), images.shape[-1]
    log_gain = (
        rng.normal(0, 1, (count, 1, 4, 4))
        * rng.uniform(0, 0.4, (count, 1, 1, 1))
        * (rng.random((count, 1, 1, 1)) < 0.9)
    )
    field = torch.nn.functional.interpolate(
        torch.from_numpy(log_gain).float().to(images.device), images.shape[-2:], mode="bicubic", align_corners=False
    )[:, 0]
    angle = rng.uniform(0, 2 * np.pi, count)
    slope = rng.uniform(0.3, 1.5, count) * (rng.random(count) < 0.33)
    axis = torch.linspace(-1, 1, size, device=images.device)
    field = (
        field
        + _per_image(slope * np.cos(angle), images) * axis[:, None]
        + _per_image(slope * np.sin(angle), images) * axis
    )
    return images * torch.exp(field)


def void_by_metal(images: torch.Tensor, rng: np.random.Generator, pixel_mm: float) -> torch.Tensor:
    """A dark hole with a bright rim near the edge of the head (dental work, clips) in 4 % of the images."""
    hit = rng.random(len(images)) < 0.04
    if not hit.any():
        return images
    size = images.shape[-1]
    axis = (torch.arange(size, device=images.device) - (size - 1) / 2) * pixel_mm
    y, x = (_per_image(rng.uniform(-90, 90, len(images)), images) for _ in range(2))
    radius = _per_image(rng.uniform(8, 28, len(images)), images)
    distance = torch.sqrt((axis[:, None] - y) ** 2 + (axis - x) ** 2) / radius
    gain = torch.sigmoid((distance - 1) * 8) * (1 + 0.8 * torch.exp(-((distance - 1.15) ** 2) / 0.01))
    return torch.where(_per_image(hit, images).bool(), images * gain, images)


def filter_k_space(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur (Gaussian of 0-0.9 pixels per axis) and Gibbs ringing (k-space cut at 45-100 %) by one Fourier pass."""
    count = len(images)
    sigma = rng.uniform(0, 0.9, (count, 2)) * (rng.random((count, 1)) < 0.6)
    cut = np.where(rng.random((count, 2)) < 0.3, rng.uniform(0.45, 0.9, (count, 2)), 2.0)
    fy = torch.fft.fftfreq(images.shape[-2], device=images.device)[:, None]
    fx = torch.fft.rfftfreq(images.shape[-1], device=images.device)
    sy, sx = (_per_image(sigma[:, i], images) for i in range(2))
    cy, cx = (_per_image(cut[:, i], images) for i in range(2))
    gain = torch.exp(-2 * torch.pi**2 * ((sy * fy) ** 2 + (sx * fx) ** 2)) * (fy.abs() <= cy / 2) * (fx <= cx / 2)
    return torch.fft.irfft2(torch.fft.rfft2(images) * gain, s=images.shape[-2:]).abs()


def ghost(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Motion ghosts: faint shifted copies along one axis, in 12 % of the images."""
    result = images.clone()
    for i in np.flatnonzero(rng.random(len(images)) < 0.12):
        axis, copies = int(rng.integers(2)), int(rng.integers(2, 6))
        step, strength = images.shape[-1] // copies, rng.uniform(0.03, 0.15)
        for copy in range(1, copies):
            result[i] += strength * images[i].roll(copy * step, dims=axis)
    return result


def limit_field_of_view(
    images: torch.Tensor, rng: np.random.Generator, pixel_mm: float, fields: FieldsOfView = HEAD_FIELDS
) -> tuple[torch.Tensor, torch.Tensor]:
    """A random field of view for each image; in some, the parts outside fold over along one axis."""
    count, (height, width) = len(images), images.shape[-2:]
    sides = rng.uniform(*fields.usual_mm, (count, 2))
    small = rng.random(count) < fields.small_share
    sides[small] = rng.uniform(*fields.small_mm, (small.sum(), 2))
    beside = rng.uniform(-fields.beside_mm, fields.beside_mm, (count, 2)) * small[:, None]
    sides[:, 1] = np.where(rng.random(count) < 0.6, sides[:, 0], sides[:, 1])
    folded = (rng.random(count) < fields.folded_share) & ~small
    sides[folded, 0] = rng.uniform(*fields.folded_mm, folded.sum())
    result = images.clone()
    for i in np.flatnonzero(folded):
        shift = round(sides[i, 0] / pixel_mm)
        result[i, shift:] += images[i, :-shift]
        result[i, :-shift] += images[i, shift:]
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None] * pixel_mm
    x = (torch.arange(width, device=images.device) - (width - 1) / 2) * pixel_mm
    y, x = (y - _per_image(beside[:, 0], images)).abs(), (x - _per_image(beside[:, 1], images)).abs()
    field = (y < _per_image(sides[:, 0] / 2, images)) & (x < _per_image(sides[:, 1] / 2, images))
    return result * field, field


def narrow_field(
    images: torch.Tensor, field: torch.Tensor, rng: np.random.Generator, share: float, pixel_mm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """A square field of view of 180-210 mm, up to 10 mm beside the middle, for ``share`` of the images (b, H, W)."""
    count, (height, width) = len(images), images.shape[-2:]
    half = np.where(rng.random(count) < share, rng.uniform(180, 210, count) / 2, np.inf)
    beside = rng.uniform(-10, 10, (count, 2))
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None] * pixel_mm
    x = (torch.arange(width, device=images.device) - (width - 1) / 2) * pixel_mm
    near_y = (y - _per_image(beside[:, 0], images)).abs() < _per_image(half, images)
    near_x = (x - _per_image(beside[:, 1], images)).abs() < _per_image(half, images)
    field = field & near_y & near_x
    return images * field, field


def add_rician_noise(images: torch.Tensor, rng: np.random.Generator, noise: torch.Generator) -> torch.Tensor:
    """Magnitude of the image plus complex Gaussian noise of 0-6 % of the bright tissue, twice that in 15 %."""
    sigma = rng.uniform(0, 0.06, len(images)) * np.where(rng.random(len(images)) < 0.15, 2, 1)
    real, imaginary = torch.randn((2, *images.shape), generator=noise, device=images.device) * _per_image(sigma, images)
    return torch.sqrt((images + real) ** 2 + imaginary**2)


def _per_image(values: np.ndarray, images: torch.Tensor) -> torch.Tensor:
    """(b,) numbers as (b, 1, 1) float tensor beside ``images``."""
    return torch.from_numpy(np.asarray(values)).float().to(images.device)[:, None, None]
