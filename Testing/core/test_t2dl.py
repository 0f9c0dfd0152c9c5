"""T2DL: what a patch sees, how votes become heatmaps, and what stage 2 takes from stage 1."""

import numpy as np
import pytest
import torch

from architecture_checks import (
    CHANNELS,
    built,
    check_evaluation,
    check_needed,
    check_refusal,
    check_size_of_answer,
    idle_parameters,
    parameter_count,
    reached_by,
    shapes,
)
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, render_targets
from AutoVolumeCalibrationLib.core.networks.architectures.outputs import DisplacementOutput, PointOutput
from AutoVolumeCalibrationLib.core.networks.architectures.point_head import pixel_positions
from AutoVolumeCalibrationLib.core.networks.architectures.t2dl import PATCH, STEP, vote_heatmaps

NARROW = {"width": 4, "stage": 2, "stem": 2, "sigma": 1.5}
POINTS = torch.tensor([[10.3, 20.8], [25.0, 4.2], [16.6, 16.1]])
#: Of the patches of a 32 x 32 heatmap.
PATCHES = pixel_positions((8, 8), torch.device("cpu"), STEP)


def narrow(**change):
    return built("t2dl", {**NARROW, **change})


def voting(network, votes):
    """Make the patches of a 64 x 64 image vote for ``votes``, (k, 2, 8, 8) heatmap pixels, whatever they see."""
    displacements = ((votes - PATCHES) / (PATCH / 2)).flatten(0, 1)
    network.displacement.register_forward_hook(lambda _m, _i, out: displacements.expand_as(out) + 0 * out)
    return network


def agreed():
    return POINTS[..., None, None].expand(-1, -1, 8, 8)


@pytest.mark.parametrize(("stage", "parameters"), [(1, 388_614), (2, 2_176_530)])
def test_the_stated_size_has_the_stated_number_of_parameters(stage, parameters):
    assert parameter_count("t2dl", {"width": 32, "stage": stage, "stem": 1, "sigma": 1.5}) == parameters


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(stem, stage):
    check_size_of_answer("t2dl", {**NARROW, "stem": stem, "stage": stage})


@pytest.mark.parametrize("stage", [1, 2])
def test_the_gradient_reaches_every_parameter(stage):
    assert idle_parameters(narrow(stage=stage)) == []


@pytest.mark.parametrize("stage", [1, 2])
def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other(stage):
    check_evaluation(narrow(stage=stage))


@pytest.mark.parametrize(
    "change", [{"stage": 3}, {"stage": True}, {"width": 0}, {"sigma": -1.0}, {"sigma": "1"}, {"stem": 3}, {"depth": 2}]
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change):
    check_refusal("t2dl", NARROW, change)


@pytest.mark.parametrize("absent", [*CHANNELS, *NARROW])
def test_an_option_that_decides_shapes_has_no_default(absent):
    check_needed("t2dl", NARROW, absent)


def test_the_patch_net_pools_twice_and_ends_in_fully_connected_layers():
    network = narrow(stem=1)
    levels = [(4, 4, 3), (4, 4, 3), (4, 8, 3), (8, 8, 3), (8, 16, 3), (16, 16, 3)]
    assert shapes(network.trunk) == [(*layer, 1, 1) for layer in (*levels, (16, 32, 1), (32, 32, 1))]
    assert [type(layer).__name__ for layer in network.trunk].count("MaxPool2d") == 2
    assert shapes(network.displacement) == [(32, 6, 1, 1, 1)]
    rates = [(layer[2], layer[4]) for layer in shapes(network.joint.layers)]
    assert rates == [(3, 1), (3, 2), (3, 4)]


@pytest.mark.parametrize("stem", [1, 2])
def test_a_patch_is_as_large_as_stated_and_lies_round_its_position(stem):
    network = narrow(stem=stem, width=16).eval()
    image = torch.randn(1, 4, 64 * stem, 64 * stem, requires_grad=True)
    features = network.trunk(network.fold(image))
    assert features.shape[2:] == (64 // STEP, 64 // STEP)
    middle = features[0, :, 8, 8].sum()
    (gradient,) = torch.autograd.grad(middle, image, retain_graph=True)
    assert reached_by(middle, image) == (PATCH * stem, PATCH * stem)
    rows = np.flatnonzero(gradient[0].abs().sum(dim=(0, 2)).numpy())
    centre = pixel_positions((16, 16), image.device, STEP)[0, 8, 8]
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(float((centre + 0.5) * stem - 0.5))


def test_displacements_lead_from_every_pixel_to_the_landmark():
    output = voting(narrow(stage=1).train(), agreed())(torch.randn(2, 4, 64, 64))
    assert isinstance(output, DisplacementOutput) and output.displacements.shape == (2, 3, 2, 32, 32)
    ends = output.displacements + pixel_positions((32, 32), torch.device("cpu"))
    assert torch.allclose(ends, POINTS[..., None, None].expand_as(ends), atol=1e-4)


def test_where_all_patches_agree_the_heatmap_is_the_target():
    heatmaps = voting(narrow(stage=1).eval(), agreed())(torch.randn(1, 4, 64, 64))
    assert torch.allclose(heatmaps, render_targets(POINTS[None], torch.ones(1, 3), (32, 32), 1.5), atol=1e-4)


def test_votes_that_scatter_leave_a_lower_and_broader_heatmap_at_the_same_place():
    torch.manual_seed(0)
    peak_values = []
    for scatter in (0.0, 1.0, 3.0, 30.0):
        votes = agreed() + scatter * torch.randn(3, 2, 8, 8)
        peaks = decode_peaks(vote_heatmaps(votes[None], (32, 32), 1.5), 1.5)
        peak_values.append(peaks.peak_values.max())
        if scatter == 1:
            assert np.abs(peaks.positions[0] - POINTS.numpy()).max() < 0.7
    assert peak_values[0] > 0.9 and peak_values == sorted(peak_values, reverse=True) and peak_values[-1] < 0.25


def test_patches_that_know_nothing_and_vote_for_themselves_do_not_make_a_landmark():
    assert vote_heatmaps(PATCHES.expand(1, 3, -1, -1, -1), (32, 32), 1.5).max() < 0.15


def test_patches_far_away_do_not_spoil_the_vote():
    votes = agreed().clone()
    far = (PATCHES - POINTS[..., None, None]).norm(dim=1, keepdim=True) > 2 * PATCH / 4
    votes = torch.where(far, torch.zeros(()), votes)
    peaks = decode_peaks(vote_heatmaps(votes[None], (32, 32), 1.5), 1.5)
    assert np.abs(peaks.positions[0] - POINTS.numpy()).max() < 0.1 and peaks.peak_values.min() > 0.7


def test_stage_2_takes_every_parameter_of_stage_1_and_votes_the_same():
    first, second = narrow(stage=1).eval(), built("t2dl", {**NARROW, "stage": 2}).eval()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    missing, unexpected = second.load_state_dict(first.state_dict(), strict=False)
    assert unexpected == [] and {name.split(".")[0] for name in missing} == {"joint", "presence"}
    image = torch.randn(1, 4, 64, 64)
    votes = first(image)
    second.stage = 1
    assert torch.equal(votes, second(image))


def test_stage_2_answers_with_displacements_and_then_points():
    displacements, points = narrow().train()(torch.randn(2, 4, 64, 64))
    assert isinstance(displacements, DisplacementOutput) and isinstance(points, PointOutput)
    assert points.points.shape == (2, 3, 2) and points.points.dtype == torch.float32
    assert points.presence.min() > 0 and points.presence.max() < 1


def test_the_points_are_the_weighted_mean_of_the_corrected_votes():
    network = voting(narrow().eval(), agreed())
    shift = torch.tensor([[2.0, 0.0], [0.0, -4.0], [1.0, 1.0]])
    corrections = (shift / (PATCH / 2)).flatten()[None, :, None, None]
    network.joint.corrections.register_forward_hook(lambda _m, _i, out: corrections.expand_as(out))
    network.presence.register_forward_hook(lambda _m, _i, out: torch.full_like(out, 0.5))
    heatmaps = network(torch.randn(1, 4, 64, 64))
    assert torch.allclose(
        heatmaps, render_targets((POINTS + shift)[None], torch.full((1, 3), 0.5), (32, 32), 1.5), atol=1e-3
    )


def test_stage_2_looks_at_all_landmarks_together():
    """What one landmark's displacements say moves the points of the others."""
    network, image = narrow().eval(), torch.randn(1, 4, 64, 64)
    before = network(image)
    network.displacement.bias.data[:2] += 1.0
    assert not torch.allclose(before[:, 1:], network(image)[:, 1:], atol=1e-3)
