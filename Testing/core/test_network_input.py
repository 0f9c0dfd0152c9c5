"""Slices are resampled as PyTorch does it with antialiasing, without PyTorch."""

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import _resampled


@pytest.mark.parametrize("size", [(256, 256), (64, 80), (97, 230), (512, 384), (1, 3)])
@pytest.mark.parametrize("wanted", [(128, 120), (192, 192), (64, 80), (7, 150)])
def test_the_image_is_pytorchs(size, wanted):
    pixels = np.random.default_rng(0).normal(size=size).astype(np.float32)
    found = _resampled(_resampled(pixels, wanted[0]).T, wanted[1]).T
    image = torch.from_numpy(pixels)[None, None]
    expected = torch.nn.functional.interpolate(image, wanted, mode="bilinear", antialias=True, align_corners=False)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected[0, 0].numpy(), abs=1e-4)


def test_an_even_image_stays_even():
    assert _resampled(np.full((33, 5), 3.5, np.float32), 20) == pytest.approx(3.5, abs=1e-6)
