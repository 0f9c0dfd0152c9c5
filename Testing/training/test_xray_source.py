"""Radiographs on the grid that networks see, and errors in the unit of each picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.datasets.xray_benchmarks import LabelledImage
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.xray.xray_source import grid, images_on_grid, radial_errors, random_xrays
from xray_sets import spots

MATRIX = 64
CPU = torch.device("cpu")
NOTHING = dict.fromkeys(("rotation_deg", "scale", "shift_mm", "elastic_mm", "gamma", "gain"), 0.0)


def picture(shape, points, spacing=None, radius=2.0):
    """A picture with spots at points (row, column)."""
    points = np.array(points, dtype=float)
    pixels = spots(points, shape, radius).astype(np.float32)
    return LabelledImage("picture", pixels, spacing, points, tuple(f"P{n}" for n in range(len(points))))


def brightest(image):
    """(row, column) of the middle of what shines."""
    weight = image.double().clamp_min(0.3) - 0.3
    return [float((weight.sum(dim=1 - axis) * torch.arange(len(image))).sum() / weight.sum()) for axis in (0, 1)]


def targets(stem=1):
    return target_settings(TrainingConfig(sigma_mm=2.0, options={"stem": stem}), grid(MATRIX))


class Pointing(torch.nn.Module):
    """Answers the same places (row, column) of the grid to every image, on heatmaps ``stem`` times coarser."""

    def __init__(self, places, stem=1):
        super().__init__()
        self.places, self.stem = torch.tensor(places).float(), stem

    def forward(self, image):
        points = ((self.places + 0.5) / self.stem - 0.5).expand(len(image), -1, -1)
        side = MATRIX // self.stem
        return render_targets(points, torch.ones(points.shape[:2]), (side, side), 2.0 / self.stem)


@pytest.mark.parametrize("shape", [(64, 64), (200, 90), (90, 200), (33, 31), (30, 64)])
def test_a_point_stays_on_what_it_marks_in_pictures_of_any_size(shape):
    place = (0.3 * shape[0], 0.7 * shape[1])
    images = images_on_grid([picture(shape, [place], radius=0.05 * max(shape))], MATRIX, "coronal")
    assert images.slices.points[0, 0].tolist() == pytest.approx(brightest(images.slices.images[0]), abs=0.25)
    assert images.slices.visible.all() and (images.slices.depths_mm == 0).all()
    assert images.slices.planes.tolist() == [PLANES.index("coronal")]


def test_the_longer_side_fills_the_grid_and_rows_run_upwards():
    image = picture((100, 50), [(0, 0), (99, 49)])
    image.pixels[:] = 1.0
    image.pixels[0] = 2.0
    images = images_on_grid([image], MATRIX, "coronal")
    lit = images.slices.images[0] > -1
    assert lit.shape == (MATRIX, MATRIX)
    row, column = images.slices.points[0].T
    # pixel centres lie half a pixel of the picture, 0.32 of the grid, within the edge
    assert row.tolist() == pytest.approx([63.5 - 0.32, -0.5 + 0.32]) and column.tolist() == pytest.approx(
        [15.82, 47.18]
    )
    assert images.slices.images[0, -1, 16:48].min() > 0.5 and images.slices.images[0, :, :16].max() == 0


def test_a_picture_of_oblong_pixels_is_put_in_proportion():
    images = images_on_grid([picture((40, 40), [(20, 20)], (1.0, 2.0))], MATRIX, "coronal")
    assert images.pixel_sizes[0] == pytest.approx([1.25, 1.25])
    lines = images.slices.images[0].sum(dim=1) + 1
    assert images.slices.points[0, 0, 0] == pytest.approx(brightest(images.slices.images[0])[0], abs=0.25)
    assert (lines[:16] == 1).all() and (lines[-16:] == 1).all()


@pytest.mark.parametrize("stem", [1, 2])
def test_an_error_is_told_in_the_millimetres_of_its_picture(stem):
    """On a grid of its own size row 10 is row 53 from below: 3 rows and 4 columns off are 5 pixels."""
    images = images_on_grid([picture((64, 64), [(10, 20)], (0.5, 0.5))], MATRIX, "coronal")
    errors = radial_errors(Pointing([[50.0, 24.0]], stem), images, targets(stem), CPU)
    assert errors == pytest.approx(np.array([[2.5]]), abs=0.01)


def test_without_spacing_an_error_is_in_pixels_of_the_picture_stretched_to_512():
    images = images_on_grid([picture((64, 32), [(10, 20)])], MATRIX, "coronal")
    errors = radial_errors(Pointing([[50.0, 16 + 24.0]]), images, targets(), CPU)
    assert errors == pytest.approx(np.array([[np.hypot(3 * 512 / 64, 4 * 512 / 32)]]), rel=0.01)


def test_twice_the_spacing_is_twice_the_error_on_the_same_picture():
    rng = np.random.default_rng(5)
    for _ in range(10):
        shape, points = tuple(rng.integers(30, 120, 2)), rng.uniform(5, 25, (3, 2))
        spacing = float(rng.uniform(0.05, 2))
        pictures = [picture(shape, points, (factor * spacing,) * 2) for factor in (1, 2)]
        images = images_on_grid(pictures, MATRIX, "coronal")
        once, twice = radial_errors(Pointing(rng.uniform(10, 50, (3, 2))), images, targets(), CPU)
        assert twice == pytest.approx(2 * once) and once.min() > 0


def test_as_many_pictures_as_there_are_are_measured_in_their_order():
    """More than go through the network at once."""
    pictures = [picture((64, 64), [(63 - 5 - n, 20)], (1.0, 1.0)) for n in range(19)]
    errors = radial_errors(Pointing([[5.0, 20.0]]), images_on_grid(pictures, MATRIX, "coronal"), targets(), CPU)
    assert errors[:, 0] == pytest.approx(np.arange(19), abs=0.02)


def test_points_follow_varied_pictures_that_depend_on_the_seed_alone():
    images = images_on_grid([picture((64, 64), [(25, 40)], radius=2.5)], MATRIX, "sagittal")
    source = random_xrays(images, {"rotation_deg": 20, "scale": 0.2})
    batch, again, other = (source.batch(6, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(batch.images, again.images) and not torch.equal(batch.images, other.images)
    for image, point in zip(batch.images, batch.points, strict=True):
        assert point[0].tolist() == pytest.approx(brightest(image), abs=0.4)
    assert batch.points[:, 0].std(dim=0).min() > 1


def test_without_variations_pictures_are_as_they_are_and_never_mirrored():
    images = images_on_grid([picture((64, 64), [(25, 40), (25, 10)])], MATRIX, "coronal")
    batch = random_xrays(images, NOTHING).batch(8, (0,))
    assert torch.allclose(batch.images, images.slices.images.expand(8, -1, -1), atol=1e-5)
    assert torch.allclose(batch.points, images.slices.points.expand(8, -1, -1), atol=1e-3)


@pytest.mark.parametrize(("setting", "named"), [({"flip": 0.5}, "flip"), ({"spin": 1}, "spin"), ({"gain": 7}, "gain")])
def test_variations_that_make_no_sense_are_refused(setting, named):
    images = images_on_grid([picture((64, 64), [(25, 40)])], MATRIX, "coronal")
    with pytest.raises(UsageError, match=named):
        random_xrays(images, setting)


def test_no_picture_is_an_error():
    with pytest.raises(InputError, match="no images"):
        images_on_grid([], MATRIX, "coronal")
