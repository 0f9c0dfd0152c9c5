"""Training slices from the studies of data sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..datasets.reading import subject_of
from ..simulator.render import SliceBatch, in_view
from ..simulator.slice_planes import SliceSettings
from .augmentation import Augmentation, augmented
from .study_slices import slices_of_studies


class StudySource:
    """All slices of some studies, kept in memory, as random variations or as they are.

    Attributes:
        study_of_slice: (n,) int index of each slice's study.
        subject_of_slice: (n,) names of the subjects (``subject_of``).

    Args:
        studies: at least one, with at least one landmark of ``names`` among them.
        names: the k landmarks in channel order.
        mirror: (k,) index of each landmark's left/right partner, its own where there is none.

    Raises:
        InputError: the list of studies is empty, or none has any of the landmarks.
    """

    def __init__(
        self,
        studies: Sequence[LabelledStudy],
        names: Sequence[str],
        mirror: np.ndarray,
        settings: SliceSettings,
        augmentation: Augmentation,
    ) -> None:
        if not studies:
            raise InputError("no studies to learn from", remedy="Choose a data set that has studies.")
        self._slices = slices_of_studies(studies, names, mirror, settings)
        if torch.isnan(self._slices.depths_mm).all():
            raise InputError(
                "has none of the landmarks",
                source=studies[0].name,
                remedy=f"Place landmarks with the protocol's names, such as {names[0]}.",
            )
        self._mirror, self._settings, self._augmentation = mirror, settings, augmentation
        self.study_of_slice = self._slices.studies.numpy()
        self.subject_of_slice = np.array([subject_of(study) for study in studies])[self.study_of_slice]

    def __len__(self) -> int:
        return len(self._slices)

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch:
        """``count`` random slices, each varied in its own way, reproducible from ``seed``."""
        rng = np.random.default_rng(seed)
        chosen = self._slices[torch.from_numpy(rng.integers(0, len(self), count))]
        return augmented(chosen, self._mirror, self._settings, self._augmentation, rng)

    def all_slices(self) -> SliceBatch:
        """Every slice once, in order, as at inference; parts of a wide one beyond the network's grid are cut off."""
        slices, matrix = self._slices, self._settings.matrix
        middle = slice(slices.margin, slices.margin + matrix)
        pixels = torch.cartesian_prod(torch.arange(matrix), torch.arange(matrix))
        in_field = slices.within_fields(pixels.expand(len(slices), -1, -1)).view(-1, matrix, matrix)
        images = slices.images[:, middle, middle].clone()
        return SliceBatch(images, slices.planes, slices.points, slices.depths_mm, in_view(slices.points, in_field))
