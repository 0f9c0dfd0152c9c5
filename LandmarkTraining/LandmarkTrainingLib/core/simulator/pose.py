"""Random poses and shapes of a head in the scanner, drawn per slice and applied in batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

#: Point of head space about which a head rotates: the middle of the brain, mm from AC.
BRAIN_CENTER_MM = np.array([0.0, -18.0, 5.0])

#: Number of sine waves in the random warp.
WAVES = 4

#: Steps of the fixed-point iteration that inverts the warp: the steepest warps then err by less than 0.1 mm.
INVERSION_STEPS = 20


@dataclass(frozen=True)
class PoseLimits:
    """Ranges of rotation, shift and deformation."""

    rotation_deg: float = 22.0
    shift_mm: float = 25.0
    log_scale: tuple[float, float] = (-0.16, 0.13)
    anisotropy: float = 0.06
    shear: float = 0.02
    warp_mm: float = 3.5

    @property
    def undeformed(self) -> PoseLimits:
        """The same poses of the anatomy as it is."""
        return replace(self, log_scale=(0.0, 0.0), anisotropy=0.0, shear=0.0, warp_mm=0.0)


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Batch of maps from scanner space (RAS mm) to head space (AC-PC mm), b of them.

    ``head = flip * warp(linear @ scanner + offset)``, ``warp(q) = q + sum_i amplitude_i sin(wave_i . q + phase_i)``.

    Attributes:
        linear: (b, 3, 3); offset: (b, 3).
        waves: (b, WAVES, 3) rad/mm; phases: (b, WAVES); amplitudes: (b, WAVES, 3) mm.
        flip: (b,) +1, or -1 where left and right are exchanged.
    """

    linear: torch.Tensor
    offset: torch.Tensor
    waves: torch.Tensor
    phases: torch.Tensor
    amplitudes: torch.Tensor
    flip: torch.Tensor

    def repeated(self, count: int) -> HeadPose:
        """``count`` copies of a single pose."""
        return HeadPose(*(t.expand(count, *t.shape[1:]) for t in vars(self).values()))

    def warp(self, points_mm: torch.Tensor) -> torch.Tensor:
        """Displacements (b, n, 3) of the unflipped head-space points (b, n, 3)."""
        return torch.sin(points_mm @ self.waves.transpose(1, 2) + self.phases[:, None]) @ self.amplitudes

    def to_head(self, scanner_mm: torch.Tensor) -> torch.Tensor:
        """Head-space points (b, n, 3) of scanner points (b, n, 3)."""
        points = scanner_mm @ self.linear.transpose(1, 2) + self.offset[:, None]
        return self._flipped(points + self.warp(points))

    def to_scanner(self, head_mm: torch.Tensor) -> torch.Tensor:
        """Scanner points (b, n, 3) of head-space points; the warp is inverted by fixed-point iteration."""
        target = self._flipped(head_mm)
        points = target
        for _ in range(INVERSION_STEPS):
            points = target - self.warp(points)
        return torch.linalg.solve(self.linear, (points - self.offset[:, None]).transpose(1, 2)).transpose(1, 2)

    def directions_to_head(self, directions: torch.Tensor) -> torch.Tensor:
        """Scanner vectors (b, n, 3) in head space; the warp's small gradient is left out."""
        return self._flipped(directions @ self.linear.transpose(1, 2))

    def _flipped(self, points: torch.Tensor) -> torch.Tensor:
        return torch.cat([points[..., :1] * self.flip[:, None, None], points[..., 1:]], dim=-1)


def random_poses(
    rng: np.random.Generator,
    count: int,
    limits: PoseLimits,
    device: torch.device,
    center_mm: np.ndarray = BRAIN_CENTER_MM,
    *,
    flips: bool = True,
) -> HeadPose:
    """``count`` random poses within ``limits``, about the point ``center_mm`` (3,) of head space.

    Args:
        flips: exchange left and right in half of them, which needs landmarks with declared partners.
    """
    angles = rng.uniform(-limits.rotation_deg, limits.rotation_deg, (count, 3))
    rotation = Rotation.from_euler("XYZ", angles, degrees=True).as_matrix()
    stretch = np.exp(rng.normal(0, limits.anisotropy, (count, 3)) + rng.uniform(*limits.log_scale, (count, 1)))
    shear = np.eye(3) + rng.normal(0, limits.shear, (count, 3, 3)) * (1 - np.eye(3))
    linear = np.linalg.inv(rotation @ (stretch[:, :, None] * np.eye(3)) @ shear)
    shift = rng.uniform(-limits.shift_mm, limits.shift_mm, (count, 3))
    offset = center_mm - (linear @ shift[..., None])[..., 0]
    waves = 2 * np.pi / rng.uniform(70, 220, (count, WAVES, 3)) * rng.choice([-1, 1], (count, WAVES, 3))
    strength = rng.uniform(0, limits.warp_mm, (count, 1, 1)) / np.sqrt(WAVES)
    arrays = (
        linear,
        offset,
        waves,
        rng.uniform(0, 2 * np.pi, (count, WAVES)),
        rng.normal(0, 1, (count, WAVES, 3)) * strength,
        # Drawn in any case: the other numbers stay the same.
        rng.choice([-1.0, 1.0], count) if flips else np.abs(rng.choice([-1.0, 1.0], count)),
    )
    return HeadPose(*(torch.from_numpy(np.asarray(a)).float().to(device) for a in arrays))
