"""What is drawn while a network learns: valid files that show what they are to show, and nothing kept in memory."""

import gc

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.networks.registry import build_network
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.report.style import LEVEL_COLOURS
from LandmarkTrainingLib.core.evaluation import pictures
from LandmarkTrainingLib.core.evaluation.pictures import (
    WIDTH_PX,
    feature_picture,
    kernel_picture,
    montage,
    prediction_picture,
)
from LandmarkTrainingLib.core.simulator.render import SliceBatch, simulate_batch
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.targets import TargetSettings, make_targets
from toy_heads import MIRROR, NAMES, RIGID, toy_heads

SETTINGS = SliceSettings(matrix=64, pixel_mm=4.0, profile_samples=1, limits=RIGID)
TARGETS = TargetSettings(sigma_mm=8.0, tau_mm=12.0, stem=1, pixel_mm=4.0)


class Answering(torch.nn.Module):
    """Gives the targets of the batch that it was told about, moved by so many pixels along the rows."""

    def __init__(self, batch, moved_mm=0.0):
        super().__init__()
        points = batch.points + torch.tensor([moved_mm / SETTINGS.pixel_mm, 0.0])
        answer = SliceBatch(batch.images, batch.planes, points, batch.depths_mm, batch.visible)
        self.parts = iter(make_targets(answer, TARGETS).heatmaps.split(16))

    def forward(self, image):
        return next(self.parts)


@pytest.fixture(scope="module")
def batch():
    return simulate_batch(toy_heads(4.0), MIRROR, 48, (1,), SETTINGS)


def network(name="unet_plus_plus", **change):
    torch.manual_seed(0)
    return build_network(name, {"in_channels": 4, "out_channels": 3, "features": [8] * 6, "stem": 2, **change})


def opened(path):
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width == WIDTH_PX
        return np.asarray(image.convert("RGB"), dtype=float) / 255


def pixels_of(picture, level):
    return int((np.abs(picture - to_rgb(LEVEL_COLOURS[level])).max(axis=-1) < 0.05).sum())


def drawn(batch, path, moved_mm=0.0, **options):
    prediction_picture(Answering(batch, moved_mm), batch, TARGETS, NAMES, path, **options)
    return opened(path)


def test_the_crosses_turn_from_green_to_red_as_the_predictions_move_away(batch, tmp_path):
    right, near, far = (drawn(batch, tmp_path / "picture.png", moved) for moved in (0.0, 3.0, 12.0))
    legend = {level: min(pixels_of(p, level) for p in (right, near, far)) for level in (OK, WARNING, ERROR)}
    shown = [{level for level in legend if pixels_of(p, level) > 2 * legend[level]} for p in (right, near, far)]
    assert shown == [{OK}, {WARNING}, {ERROR}]


def test_the_shape_of_a_cross_says_what_its_colour_says():
    assert len({pictures._CROSSES[level]["marker"] for level in (OK, WARNING, ERROR)}) == 3


def test_the_words_tell_the_errors_of_the_slice(batch, tmp_path, monkeypatch):
    said = []
    write = pictures._write
    monkeypatch.setattr(
        pictures, "_write", lambda figure, x, y, text, **o: (said.append(text), write(figure, x, y, text, **o))
    )
    drawn(batch, tmp_path / "picture.png", 12.0, title="Step 500")
    near = int((batch.visible & (batch.depths_mm.abs() < 8)).sum())
    assert said[0] == f"Step 500 · median 12.0 mm, worst 12.0 mm ({near} points)"
    assert all(any(text.startswith(f"{plane}: median 12.0 mm") for text in said) for plane in ("sagittal", "axial"))


def test_of_each_plane_the_slices_with_most_landmarks_are_shown():
    planes = np.array([0, 0, 2, 0, 2])
    near = np.array([[1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 0], [1, 0, 0]], dtype=bool)
    assert pictures._slices_to_show(planes, near) == [[1, 3], [], [2, 4]]


def test_a_batch_of_one_plane_without_any_landmark_is_drawn(batch, tmp_path):
    of_one = batch.planes == 1
    unknown = torch.full_like(batch.points, torch.nan)[of_one]
    alone = SliceBatch(
        batch.images[of_one], batch.planes[of_one], unknown, unknown[..., 0], batch.visible[of_one] & False
    )
    picture = drawn(alone, tmp_path / "picture.png")
    assert picture.shape[0] > WIDTH_PX / 3


def test_a_point_named_twice_on_a_sagittal_slice_is_named_once(tmp_path):
    axes = Figure().add_subplot()
    truth = np.array([[5.0, 5.0], [5.0, 5.0], [20.0, 9.0], [30.0, 30.0], [np.nan, np.nan]])
    pictures._name_bad_points(axes, truth, np.array([9.0, 9.0, 12.0, 1.0, 0.0]), ["A_L", "A_R", "B", "C", "D"])
    assert [text.get_text() for text in axes.texts] == ["1", "2", "1  B 12 mm\n2  A_L 9 mm"]


def test_thefirst_kernels_are_those_on_the_pixels_of_the_image():
    """Convolving folded blocks is convolving the image with the unfolded kernels, every second pixel."""
    unfolded = torch.from_numpy(pictures.first_kernels(network()))
    assert unfolded.shape == (8, 4, 6, 6)
    first = next(layer for layer in network().modules() if isinstance(layer, torch.nn.Conv2d))
    image = torch.randn(1, 4, 32, 32)
    with torch.no_grad():
        folded = torch.conv2d(torch.nn.functional.pixel_unshuffle(image, 2), first.weight)
    assert torch.allclose(torch.conv2d(image, unfolded, stride=2), folded, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "change"),
    [("unet_plus_plus", {}), ("encoder_unet_plus_plus", {"encoder": "resnet18", "decoder": [4] * 4})],
)
def test_the_kernels_of_two_networks_look_different(name, change, tmp_path):
    one = build_network(name, {"in_channels": 4, "out_channels": 3, "stem": 2, **(change or {"features": [8] * 6})})
    kernel_picture(one, tmp_path / "kernels.png")
    before = opened(tmp_path / "kernels.png")
    with torch.no_grad():
        next(p for p in one.parameters() if p.ndim == 4).neg_()
    kernel_picture(one, tmp_path / "kernels.png")
    assert np.abs(opened(tmp_path / "kernels.png") - before).mean() > 0.01


def test_kernels_without_any_weight_and_of_one_channel_are_drawn(tmp_path):
    layer = torch.nn.Conv2d(1, 3, 5)
    torch.nn.init.zeros_(layer.weight)
    kernel_picture(layer, tmp_path / "kernels.png")
    opened(tmp_path / "kernels.png")


def test_a_network_without_convolution_has_no_kernels_to_show(tmp_path):
    with pytest.raises(UsageError, match="Linear has no 2D convolution"):
        kernel_picture(torch.nn.Linear(2, 2), tmp_path / "kernels.png")
    assert list(tmp_path.iterdir()) == []


def test_the_feature_maps_are_those_of_the_layer_and_follow_the_image(tmp_path):
    net, image = network(), torch.randn(4, 64, 64)
    maps = pictures._output_of(net, image, "nested.conv_0_0.conv_1")
    with torch.no_grad():
        expected = net.nested.conv_0_0(net.fold(image[None]))[0]
    np.testing.assert_allclose(maps, expected.numpy())
    feature_picture(net, image, "nested.conv_0_0.conv_1", tmp_path / "maps.png")
    before = opened(tmp_path / "maps.png")
    feature_picture(net, torch.randn(4, 64, 64), "nested.conv_0_0.conv_1", tmp_path / "maps.png")
    assert np.abs(opened(tmp_path / "maps.png") - before).mean() > 0.01
    assert all(not layer._forward_hooks for layer in net.modules())


def test_of_many_maps_those_that_vary_most_are_shown(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 200, 1))
    feature_picture(net, torch.randn(4, 16, 16), "0", tmp_path / "maps.png")
    assert opened(tmp_path / "maps.png").shape[0] > 600
    assert "the 48 of 200 maps" in pictures._feature_title("0", np.zeros((200, 2, 2)), 48)


@pytest.mark.parametrize(
    ("layer", "said"),
    [("nested.conv_9", "no layer 'nested.conv_9'. For instance: nested.conv_0_0"), ("", "no layer ''")],
)
def test_an_unknown_layer_is_refused_and_others_are_named(layer, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        feature_picture(network(), torch.zeros(4, 32, 32), layer, tmp_path / "maps.png")


def test_a_layer_without_maps_is_refused_and_keeps_no_hook(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 2, 1), torch.nn.Flatten())
    with pytest.raises(UsageError, match="the layer 1 gives no feature maps"):
        feature_picture(net, torch.zeros(4, 8, 8), "1", tmp_path / "maps.png")
    assert not net[1]._forward_hooks


def test_images_stand_side_by_side_with_a_frame_between_them():
    sheet = montage(np.stack([np.full((6, 6), n) for n in (1.0, 2.0, 3.0)]), per_row=2)
    assert sheet.shape == (15, 15) and np.isnan(sheet[0]).all() and np.isnan(sheet[7]).all()
    assert (sheet[1:7, 1:7] == 1).all() and (sheet[1:7, 8:14] == 2).all() and (sheet[8:14, 1:7] == 3).all()
    assert np.isnan(sheet[8:14, 8:14]).all()


def test_nothing_is_left_where_a_picture_cannot_be_written(batch, tmp_path):
    with pytest.raises(UsageError, match="absent"):
        drawn(batch, tmp_path / "absent" / "picture.png")
    with pytest.raises(UsageError, match="absent"):
        kernel_picture(network(), tmp_path / "absent" / "picture.png")
    assert list(tmp_path.iterdir()) == []


def test_no_figure_stays_in_memory(batch, tmp_path):
    for _ in range(3):
        drawn(batch, tmp_path / "picture.png")
        kernel_picture(network(), tmp_path / "kernels.png")
    gc.collect()
    assert plt.get_fignums() == []
    assert not any(type(thing) is Figure for thing in gc.get_objects())


def test_the_peaks_are_drawn_where_the_network_puts_them(batch, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pictures, "_draw_points", lambda _axes, truth, peaks, mm: seen.append((truth, peaks, mm)))
    drawn(batch, tmp_path / "picture.png", 12.0)
    assert sum(len(truth) for truth, _, _ in seen) > 3
    for truth, peaks, mm in seen:
        np.testing.assert_allclose(peaks, truth + [3.0, 0.0], atol=0.1)
        np.testing.assert_allclose(mm, 12.0, atol=0.4)
