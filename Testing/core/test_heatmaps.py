import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import (
    WINDOW_SIGMAS,
    amplitude,
    decode_peaks,
    render_targets,
    to_heatmap_pixels,
    to_image_pixels,
)

SIGMA = 1.5


def rendered(points, size=(40, 56), peak_values=None, sigma=SIGMA):
    points = torch.as_tensor(np.atleast_3d(np.asarray(points, dtype=float)).reshape(1, -1, 2), dtype=torch.float32)
    peak_values = (
        torch.ones(1, points.shape[1]) if peak_values is None else torch.as_tensor([peak_values], dtype=torch.float32)
    )
    return render_targets(points, peak_values, size, sigma)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_a_point_comes_back_to_a_fiftieth_of_a_pixel(sigma):
    points = np.random.default_rng(0).uniform([4, 4], [35, 51], (200, 2))
    peaks = decode_peaks(rendered(points, sigma=sigma), sigma)
    assert np.abs(peaks.positions[0] - points).max() < 0.02


def test_rows_come_before_columns():
    peaks = decode_peaks(rendered([[10.25, 40.75]]), SIGMA)
    assert peaks.positions[0, 0] == pytest.approx([10.25, 40.75], abs=0.02)


def test_a_peak_at_the_border_is_off_by_half_a_pixel_at_most():
    points = np.array([[0, 20.3], [0.4, 0.4], [39, 55], [38.7, 20.2], [15.6, 55.3]])
    peaks = decode_peaks(rendered(points), SIGMA)
    assert np.abs(peaks.positions[0] - points).max() <= 0.5
    along_the_border = peaks.positions[0, 0, 1]
    assert along_the_border == pytest.approx(20.3, abs=0.02)


def test_noise_moves_a_peak_little_and_without_bias():
    rng = np.random.default_rng(1)
    points = rng.uniform([6, 6], [33, 49], (300, 2))
    noisy = rendered(points) + torch.from_numpy(rng.normal(0, 0.03, (1, 300, 40, 56))).float()
    error = decode_peaks(noisy, SIGMA).positions[0] - points
    assert error.std() < 0.2
    assert np.abs(error.mean(axis=0)).max() < 4 * 0.2 / np.sqrt(300)


def test_the_height_of_the_peak_is_read_where_the_centre_is_a_pixel():
    peaks = decode_peaks(rendered([[10, 12], [20, 30]], peak_values=[0.35, 1.0]), SIGMA)
    assert peaks.peak_values[0] == pytest.approx([0.35, 1.0], abs=1e-6)


def test_between_pixels_the_height_is_lower_by_the_gaussian_alone():
    peaks = decode_peaks(rendered([[10.5, 12.0]]), SIGMA)
    assert peaks.peak_values[0, 0] == pytest.approx(np.exp(-(0.5**2) / (2 * SIGMA**2)), rel=1e-5)


def test_moments_are_those_of_the_gaussian_cut_at_the_window():
    radius = round(WINDOW_SIGMAS * SIGMA)
    steps = np.arange(-radius, radius + 1)
    weights = np.exp(-(steps**2) / (2 * SIGMA**2))
    expected = (weights * steps**2).sum() / weights.sum()
    moments = decode_peaks(rendered([[20, 30]]), SIGMA).moments[0, 0]
    assert np.diag(moments) == pytest.approx([expected, expected], rel=1e-3)
    assert moments[0, 1] == pytest.approx(0, abs=1e-4)


def test_a_heatmap_drawn_out_along_one_direction_tells_it_in_its_moments():
    row, column = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    along, across = (row - 20 + column - 20) / 2**0.5, (row - column) / 2**0.5
    moments = decode_peaks(torch.exp(-(along**2) / 18 - across**2 / 4)[None, None], 2.0).moments[0, 0]
    assert moments[0, 1] > 0.3 * moments[0, 0]
    wide = decode_peaks(torch.exp(-((row - 20) ** 2) / 4 - (column - 20) ** 2 / 18)[None, None], 2.0).moments[0, 0]
    assert wide[1, 1] > 1.5 * wide[0, 0]


def test_an_empty_or_negative_heatmap_has_height_zero_and_finite_numbers():
    peaks = decode_peaks(torch.stack([torch.zeros(1, 32, 32), -torch.ones(1, 32, 32)]), SIGMA)
    assert (peaks.peak_values == 0).all()
    assert np.isfinite(peaks.positions).all() and np.isfinite(peaks.moments).all()


def test_the_highest_of_two_peaks_is_taken():
    maps = rendered([[8, 8]], peak_values=[0.6]) + rendered([[30.3, 44.6]], peak_values=[0.9])
    assert decode_peaks(maps, SIGMA).positions[0, 0] == pytest.approx([30.3, 44.6], abs=0.02)


def test_channels_and_slices_do_not_mix():
    points = np.random.default_rng(2).uniform(5, 25, (3, 4, 2))
    maps = render_targets(torch.from_numpy(points).float(), torch.ones(3, 4), (32, 32), SIGMA)
    peaks = decode_peaks(maps, SIGMA)
    assert peaks.positions == pytest.approx(points, abs=0.02)
    assert peaks.moments.shape == (3, 4, 2, 2) and peaks.peak_values.shape == (3, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_point_that_is_not_there_leaves_no_trace(value):
    points = torch.tensor([[[value, 10.0], [10.0, 10.0]]])
    maps = render_targets(points, torch.ones(1, 2), (24, 24), SIGMA)
    assert maps[0, 0].max() == 0 and maps[0, 1].max() == 1


def test_a_point_outside_leaves_only_its_tail():
    maps = rendered([[-3.0, 10.0]])
    assert 0 < maps.max() == maps[0, 0, 0, 10]
    assert maps.max() == pytest.approx(np.exp(-9 / (2 * SIGMA**2)), rel=1e-4)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_heatmap_and_image_pixels_are_inverse(stem):
    places = np.linspace(-2, 70, 33)
    assert to_image_pixels(to_heatmap_pixels(places, stem), stem) == pytest.approx(places)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_a_heatmap_pixel_lies_at_the_middle_of_its_block(stem):
    block = np.arange(3 * stem, 4 * stem)
    assert to_heatmap_pixels(block.mean(), stem) == pytest.approx(3)


def test_the_amplitude_falls_with_the_distance_on_both_sides():
    assert amplitude(0, 12) == 1
    assert amplitude(np.array([-12.0, 12.0]), 12) == pytest.approx([np.exp(-0.5)] * 2)
    assert (np.diff(amplitude(np.arange(40), 12)) < 0).all()


def test_what_is_negative_counts_as_nothing():
    rng = np.random.default_rng(2)
    noisy = rendered(rng.uniform([1, 1], [38, 54], (50, 2))) + torch.from_numpy(rng.normal(0, 0.1, (1, 50, 40, 56)))
    plain, cut = decode_peaks(noisy, SIGMA), decode_peaks(noisy.clamp_min(0), SIGMA)
    for name in ("positions", "peak_values", "moments"):
        assert np.array_equal(getattr(plain, name), getattr(cut, name)), name
    assert decode_peaks(noisy - 9, SIGMA).peak_values.max() == 0
    assert noisy.min() < 0
