import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.networks.architectures.outputs import DisplacementOutput, PointOutput, SigmaOutput
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.slices.targets import Targets
from LandmarkTrainingLib.core.training import losses
from LandmarkTrainingLib.core.training.losses import (
    LOSSES,
    PeakWeightedMse,
    adaptive_wing,
    bce,
    register_loss,
    smooth_l1,
    wing,
)
from LandmarkTrainingLib.core.training.training_loss import TrainingLoss, _of_sigmas

HEATMAP_LOSSES = [name for name, entry in LOSSES.items() if entry.kind == losses.HEATMAP]
POINT_LOSSES = [name for name, entry in LOSSES.items() if entry.kind == losses.POINTS]
YES = torch.ones(1, 1, dtype=torch.bool)


def targets(size=(16, 20)):
    """Two slices, three landmarks; the last one of the second slice is unknown, the first one out of view."""
    points = torch.tensor([[[4.0, 5.0], [9.3, 12.6], [12, 3]], [[-9, 40], [7, 7], [math.nan, math.nan]]])
    peak_values = torch.tensor([[1.0, 0.6, 0.9], [0.0, 0.8, 0.0]])
    known = torch.tensor([[True, True, True], [True, True, False]])
    return Targets(render_targets(points, peak_values, size, 1.5), points, peak_values, known)


def loss_of(*terms, **settings):
    return TrainingLoss(TrainingConfig(losses=terms, **settings))


def of_points(*terms):
    return TrainingLoss(TrainingConfig(point_losses=terms))


def truth_as_points(truth):
    return PointOutput(truth.points.nan_to_num(0), truth.peak_values.clone())


def true_displacements(truth):
    rows, columns = (torch.arange(float(n)) for n in truth.heatmaps.shape[-2:])
    pixels = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return DisplacementOutput(truth.points.nan_to_num(0)[..., None, None] - pixels)


def test_the_default_loss_is_the_peak_weighted_mean_square_bit_for_bit():
    truth, prediction = targets(), torch.randn(2, 3, 16, 20, generator=torch.Generator().manual_seed(1))
    error = (1 + 20.0 * truth.heatmaps) * (prediction - truth.heatmaps) ** 2
    expected = 50 * (error.mean(dim=(2, 3)) * truth.known).sum() / truth.known.sum().clamp_min(1)
    assert torch.equal(TrainingLoss(TrainingConfig())(prediction, truth), expected)
    assert torch.equal(PeakWeightedMse(20.0)(prediction, truth.heatmaps, truth.known), expected)


def test_the_peak_weight_is_that_of_the_configuration_unless_the_term_has_its_own():
    truth, prediction = targets(), torch.zeros(2, 3, 16, 20)
    configured = loss_of({"name": "peak_weighted_mse"}, peak_weight=3.0)
    own = loss_of({"name": "peak_weighted_mse", "peak_weight": 3}, peak_weight=99.0)
    assert torch.equal(configured(prediction, truth), own(prediction, truth))
    assert configured(prediction, truth) < loss_of({"name": "peak_weighted_mse"})(prediction, truth)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_no_other_heatmaps_cost_less_than_the_true_ones(name):
    truth, loss = targets(), loss_of({"name": name})
    generator = torch.Generator().manual_seed(0)
    best = loss(truth.heatmaps, truth)
    for size in (0.01, 0.1, 1.0):
        noise = torch.randn(truth.heatmaps.shape, generator=generator)
        assert loss(truth.heatmaps + size * noise, truth) > best


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_heatmaps_of_unknown_landmarks_do_not_count(name):
    truth, loss = targets(), loss_of({"name": name})
    prediction = torch.rand(2, 3, 16, 20)
    other = prediction.clone()
    other[1, 2] += 5
    assert torch.equal(loss(prediction, truth), loss(other, truth))
    other[1, 0] += 5
    assert loss(prediction, truth) < loss(other, truth), "out of view is known: the heatmap is empty"


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_gradients_are_finite_at_far_and_at_perfect_answers_and_when_nothing_is_known(name):
    truth = targets()
    nothing = Targets(truth.heatmaps, truth.points, truth.peak_values, torch.zeros_like(truth.known))
    for answer in (truth.heatmaps.clone(), torch.zeros(2, 3, 16, 20), torch.full((2, 3, 16, 20), -1e4)):
        for case in (truth, nothing):
            prediction = answer.clone().requires_grad_()
            loss_of({"name": name})(prediction, case).backward()
            assert prediction.grad.isfinite().all()
    assert not prediction.grad.any()


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_following_the_gradient_leads_from_anywhere_to_the_target(name):
    truth = targets()
    prediction = torch.full(truth.heatmaps.shape, -0.4, requires_grad=True)
    optimizer = torch.optim.Adam([prediction], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss_of({"name": name})(prediction, truth).backward()
        optimizer.step()
    off = (prediction - truth.heatmaps).abs()[truth.known]
    assert off.max() < 0.05


def test_cross_entropy_is_that_of_probabilities():
    probability, target = torch.rand(1, 1, 5, 5) * 0.9 + 0.05, torch.rand(1, 1, 5, 5)
    expected = torch.nn.functional.binary_cross_entropy(probability, target)
    assert float(bce()(probability, target, YES)) == pytest.approx(float(expected), rel=1e-5)


@given(st.floats(0, 1), st.floats(-2, 2))
def test_adaptive_wing_is_the_papers_formula(target, difference):
    power = 2.1 - target
    slope = 14 * (1 / (1 + 0.5**power)) * power * 0.5 ** (power - 1)
    constant = 0.5 * slope - 14 * math.log(1 + 0.5**power)
    size = abs(difference)
    expected = 14 * math.log(1 + size**power) if size < 0.5 else slope * size - constant
    maps = torch.full((1, 1, 1, 1), target, dtype=torch.float64)
    assert float(adaptive_wing(peak_weight=0.0)(maps + difference, maps, YES)) == pytest.approx(expected, abs=1e-7)


def test_adaptive_wing_weights_the_peak_and_its_neighbours_eleven_times():
    target = torch.zeros(1, 1, 1, 5)
    target[..., 2] = 0.2
    flat, weighted = adaptive_wing(peak_weight=0.0), adaptive_wing()
    for pixel, times in enumerate([1, 11, 11, 11, 1]):
        prediction = target.clone()
        prediction[..., pixel] += 0.3
        assert float(weighted(prediction, target, YES) / flat(prediction, target, YES)) == pytest.approx(times)


@given(st.floats(-40, 40))
def test_wing_is_the_papers_formula_and_has_no_jump(difference):
    size = abs(difference)
    inside, outside = 15 * math.log(1 + size / 3), size - (15 - 15 * math.log(1 + 15 / 3))
    points = torch.tensor([[[difference, 0.0]]], dtype=torch.float64)
    cost = float(wing()(points, torch.zeros_like(points), YES)) * 2
    assert cost == pytest.approx(inside if size < 15 else outside, abs=1e-9)


def test_wing_gives_the_values_of_kneels_code():
    values = json.loads((Path(__file__).parents[1] / "core" / "published_values.json").read_text(encoding="utf-8"))
    errors = (0.0, 0.001, 0.01, 0.1, 0.5, 1.0, 14.9, 15.1, 40.0)
    points = [torch.full((1, 1, 2), error) for error in errors]
    found = [float(wing()(point, torch.zeros(1, 1, 2), torch.ones(1, 1))) for point in points]
    assert found == pytest.approx(values["wing"]["values"][0], rel=1e-6, abs=1e-6)


def test_wing_of_parts_of_the_image_is_nearly_straight_there():
    truth = targets((16, 20))
    prediction = PointOutput(truth.points.nan_to_num(0) + torch.tensor([1.6, 2.0]), truth.peak_values.clone())
    term, silent = {"name": "wing", "unit": "image"}, {"name": "presence_bce", "weight": 0.0}
    # A tenth of the height and of the width.
    assert float(of_points(term, silent)(prediction, truth)) == pytest.approx(15 * math.log1p(0.1 / 3), rel=1e-5)
    assert 15 * math.log1p(0.1 / 3) == pytest.approx(5 * 0.1, rel=0.02)
    with pytest.raises(UsageError, match="unit 'mm' of wing is unknown"):
        of_points({"name": "wing", "unit": "mm"})
    with pytest.raises(UsageError, match="unit"):
        of_points({"name": "presence_bce", "unit": "image"})


@pytest.mark.parametrize("name", POINT_LOSSES)
def test_points_out_of_view_or_unknown_do_not_pull_and_high_targets_pull_harder(name):
    truth = targets()
    output = PointOutput(torch.full((2, 3, 2), 30.0, requires_grad=True), truth.peak_values.clone())
    of_points({"name": name})(output, truth).backward()
    pull = output.points.grad.norm(dim=-1)
    assert pull[1, 0] == 0 and pull[1, 2] == 0 and (pull[truth.peak_values > 0] > 0).all()
    same = Targets(truth.heatmaps, torch.zeros(2, 3, 2), truth.peak_values, truth.known)
    output.points.grad = None
    of_points({"name": name})(output, same).backward()
    pull = output.points.grad.norm(dim=-1)
    assert float(pull[0, 1] / pull[0, 0]) == pytest.approx(0.6)


@pytest.mark.parametrize("name", POINT_LOSSES)
def test_no_other_points_cost_less_than_the_true_ones(name):
    truth, loss = targets(), of_points({"name": name})
    best = truth_as_points(truth)
    for shift in (0.01, -1.0, 25.0):
        moved = PointOutput(best.points + shift, best.presence)
        assert loss(moved, truth) > loss(best, truth)


def test_mean_errors_of_points_are_in_heatmap_pixels():
    truth = targets()
    off = PointOutput(truth.points.nan_to_num(0) + torch.tensor([3.0, -1.0]), truth.peak_values)
    silent = {"name": "presence_bce", "weight": 0}
    assert float(of_points({"name": "point_mae"}, silent)(off, truth)) == pytest.approx(2.0)
    assert float(of_points({"name": "point_mse"}, silent)(off, truth)) == pytest.approx(5.0)


def test_presence_learns_the_height_of_the_target_where_it_is_known():
    truth = targets()
    presence = torch.full((2, 3), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([presence], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        of_points()(PointOutput(truth.points.nan_to_num(0), presence), truth).backward()
        optimizer.step()
    assert torch.allclose(presence[truth.known], truth.peak_values[truth.known], atol=0.02)
    assert float(presence.detach()[1, 2]) == 0.5, "unknown"


def test_displacements_are_learnt_near_visible_landmarks_most():
    truth, loss = targets(), of_points({"name": "smooth_l1", "reach": 4})
    best = true_displacements(truth)
    assert float(loss(best, truth)) == 0
    displacements = (best.displacements + 5).requires_grad_()
    loss(DisplacementOutput(displacements), truth).backward()
    pull = displacements.grad.norm(dim=2)
    assert not pull[1, 0].any() and not pull[1, 2].any()
    # One e-fold per reach: 4 pixels further down the column through the landmark at (4, 5).
    assert float(pull[0, 0, 8, 5] / pull[0, 0, 4, 5]) == pytest.approx(math.exp(-1), rel=1e-4)


def test_displacements_to_a_point_far_outside_are_finite():
    points = torch.tensor([[[-5000.0, 3.0]]])
    displacements = torch.zeros(1, 1, 2, 6, 6, requires_grad=True)
    value = smooth_l1(reach=1.0)(displacements, points, torch.ones(1, 1))
    value.backward()
    assert value.isfinite() and value > 1000 and displacements.grad.isfinite().all()


def test_displacements_of_another_size_are_refused():
    with pytest.raises(UsageError, match="displacements on .8, 10. pixels"):
        of_points()(DisplacementOutput(torch.zeros(2, 3, 2, 8, 10)), targets())


def test_several_outputs_are_averaged():
    truth, loss = targets(), TrainingLoss(TrainingConfig())
    outputs = [torch.rand(2, 3, 16, 20), torch.rand(2, 3, 16, 20), truth_as_points(truth), true_displacements(truth)]
    alone = [float(loss(output, truth)) for output in outputs]
    assert float(loss(outputs, truth)) == pytest.approx(np.mean(alone))
    assert float(loss(outputs[:1], truth)) == pytest.approx(alone[0])


def test_outputs_may_have_weights_of_their_own_in_each_term():
    truth, outputs = targets(), [torch.rand(2, 3, 16, 20), torch.rand(2, 3, 16, 20)]
    one, other = (float(loss_of({"name": "mse"})(output, truth)) for output in outputs)
    loss = loss_of({"name": "mse", "weight": 2, "output_weights": [1, 3]})
    assert float(loss(outputs, truth)) == pytest.approx(2 * (one + 3 * other) / 4)
    with pytest.raises(UsageError, match="mse: 2 output_weights for 1 outputs"):
        loss(outputs[0], truth)


def test_terms_are_added_with_their_weights():
    truth, prediction = targets(), torch.rand(2, 3, 16, 20)
    mse, mae = (float(loss_of({"name": name})(prediction, truth)) for name in ("mse", "mae"))
    both = loss_of({"name": "mse", "weight": 3}, {"name": "mae", "weight": 0.5})
    assert float(both(prediction, truth)) == pytest.approx(3 * mse + 0.5 * mae)


@pytest.mark.parametrize("size", [(8, 10), (4, 5), (32, 40)])
def test_heatmaps_of_another_size_are_compared_with_the_targets_at_their_size(size):
    truth, loss = targets(), loss_of({"name": "mse"})
    factor = size[0] / 16
    rendered = render_targets((truth.points + 0.5) * factor - 0.5, truth.peak_values, size, 1.5 * factor)
    # A target of 1.5 pixels is 0.4 of the coarsest ones: there the mean over a pixel is well below its middle.
    assert loss(rendered, truth) < (0.1 if factor > 0.25 else 0.3) * loss(torch.zeros(2, 3, *size), truth)
    assert loss(rendered, truth) < loss(rendered.roll(1, dims=-1), truth)


def sigma_output(truth, sigmas, scale=1.0):
    """What a network answers that draws Gaussians of ``scale`` times the width it states, of their mass."""
    sigmas = torch.tensor(sigmas, requires_grad=True)
    drawn = scale * sigmas.detach()[:, None]
    heatmaps = render_targets(truth.points, truth.peak_values * (2.5 / drawn[:, 0]) ** 2, (16, 20), drawn)
    return SigmaOutput(heatmaps, sigmas, torch.tensor(2.5))


def test_the_target_has_the_learned_width_and_always_one_mass():
    truth, term = targets(), {"name": "sigma_penalty", "weight": 0.0}
    loss = loss_of({"name": "mse"}, term)
    assert float(loss(sigma_output(truth, [2.5, 1.2, 4.0]), truth)) == pytest.approx(0, abs=1e-12)
    too_narrow = sigma_output(truth, [1.5, 1.5, 1.5], scale=1.3)
    loss(too_narrow, truth).backward()
    assert too_narrow.sigmas.grad[1] < 0 and too_narrow.sigmas.grad[2] < 0  # the width follows what is drawn
    # One mass, far from the border.
    middle = Targets(truth.heatmaps, torch.full((1, 1, 2), 40.0), torch.ones(1, 1), torch.ones(1, 1))
    masses = [
        float(_of_sigmas(middle, SigmaOutput(None, torch.tensor([s]), torch.tensor(2.5)), (80, 80)).sum())
        for s in (1.5, 3.0)
    ]
    assert masses[0] == pytest.approx(masses[1], rel=1e-3) == pytest.approx(2 * math.pi * 2.5**2, rel=1e-3)


def test_the_penalty_of_the_width_has_the_authors_balance():
    """Their loss, in their units, is a multiple of ours for one image and one landmark."""
    truth = targets()
    one = Targets(truth.heatmaps[:1, 2:], truth.points[:1, 2:], torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    output = SigmaOutput(torch.rand(1, 1, 16, 20), torch.tensor([1.7]), torch.tensor(2.5))
    height = 100 / (2 * math.pi * 2.5**2)
    theirs = 0.5 * ((output.heatmaps - _of_sigmas(one, output, (16, 20))) * height).square().sum() + 10 * 1.7**2
    ours = float(loss_of({"name": "mse", "weight": 3.0}, {"name": "sigma_penalty", "weight": 3.0})(output, one))
    assert ours == pytest.approx(float(theirs) * 2 * 3 / (height**2 * 320), rel=1e-5)
    with pytest.raises(UsageError, match="outputs sigmas") as caught:
        loss_of({"name": "mse"})(output, one)
    assert "sigma_penalty" in caught.value.remedy


@pytest.mark.parametrize("start", [1.5, 2.5])
def test_the_width_rests_where_it_starts_while_the_answer_is_empty(start):
    """However faint the landmarks are; the authors' 2.5 pixels are the rest of their loss to two digits."""
    points = torch.full((3, 2, 2), 40.0)
    heights = torch.tensor([[1.0, 0.2], [0.0, 0.4], [0.7, 0.9]])
    truth = Targets(torch.zeros(3, 2, 80, 80), points, heights, torch.tensor([[1, 1], [1, 1], [1, 0]]).bool())
    loss = loss_of({"name": "mse"}, {"name": "sigma_penalty", "mass": 100 * (start / 2.5) ** 2})
    slopes = []
    for factor in (0.8, 1.003, 1.2):
        sigmas = torch.full((2,), factor * start, requires_grad=True)
        loss(SigmaOutput(torch.zeros(3, 2, 80, 80), sigmas, torch.tensor(start)), truth).backward()
        slopes.append(sigmas.grad)
    below, at, above = torch.stack(slopes)
    assert (below < 0).all() and (above > 0).all() and (at.abs() < 0.02 * above).all()


def test_the_loss_is_float32_whatever_the_network_computes_in():
    truth, prediction = targets(), torch.rand(2, 3, 16, 20).bfloat16()
    loss = TrainingLoss(TrainingConfig())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss([prediction, PointOutput(torch.rand(2, 3, 2).bfloat16(), torch.rand(2, 3).bfloat16())], truth)
        alone = loss(prediction, truth)
    assert mixed.dtype == torch.float32
    assert torch.equal(alone, loss(prediction.float(), truth))


def test_a_loss_of_ones_own_is_used_by_name_with_its_options_and_trained_with_its_parameters():
    class Largest(torch.nn.Module):
        def __init__(self, power: float = 1.0):
            super().__init__()
            self.scale, self.power = torch.nn.Parameter(torch.ones(())), power

        def forward(self, prediction, target, known):
            return self.scale * (prediction - target).abs().amax() ** self.power

    register_loss("largest", Largest)
    register_loss("largest", Largest)  # A notebook cell that runs twice is no error.
    try:
        loss = loss_of({"name": "largest", "power": 2, "weight": 4.0})
        truth = targets()
        prediction = truth.heatmaps.clone()
        prediction[0, 0, 0, 0] += 3
        assert float(loss(prediction, truth).detach()) == pytest.approx(36, rel=1e-4)
        assert len(list(loss.parameters())) == 1
        with pytest.raises(UsageError, match="registered already"):
            register_loss("largest", lambda: None)
    finally:
        del LOSSES["largest"]


def test_a_factory_may_take_any_options():
    def scaled(**options):
        return lambda prediction, target, known: (prediction - target).abs().amax() * options["factor"]

    register_loss("scaled", scaled)
    try:
        loss = loss_of({"name": "scaled", "factor": 7})
        assert float(loss(targets().heatmaps + 1, targets())) == pytest.approx(7)
    finally:
        del LOSSES["scaled"]


def test_a_loss_of_ones_own_computes_in_float32_too():
    seen = []

    def product(prediction, target, known):
        seen.append((prediction.flatten(1) @ target.flatten(1).T).dtype)
        return prediction.mean()

    register_loss("product", lambda: product)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss_of({"name": "product"})(torch.rand(2, 3, 16, 20).bfloat16(), targets())
    finally:
        del LOSSES["product"]
    assert seen == [torch.float32]


def test_a_loss_of_an_unknown_kind_is_not_registered():
    with pytest.raises(UsageError, match="kind of loss 'volume'.*heatmap, points, presence, displacement"):
        register_loss("mine", lambda: None, "volume")
    assert "mine" not in LOSSES


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"name": "huber"}, "unknown loss in losses 'huber'.*Known: .*peak_weighted_mse"),
        ({"name": "wing"}, "unknown loss in losses 'wing'.*Known: adaptive_wing"),
        ({"name": ["mse"]}, "unknown loss"),
        ({"weight": 1}, "is not a loss term"),
        ("mse", "is not a loss term"),
        ({"name": "mse", "weight": -1}, "weight of mse: -1 should be a number"),
        ({"name": "mse", "weight": "much"}, "'much' should be a number"),
        ({"name": "mse", "weight": math.nan}, "nan should be a number"),
        ({"name": "mse", "weight": True}, "should be a number"),
        ({"name": "mse", "peak_weight": 2}, "has no option 'peak_weight'.*Its options: none"),
        ({"name": "peak_weighted_mse", "peak": 2}, "has no option 'peak'.*Its options: peak_weight"),
        ({"name": "adaptive_wing", "omega": "wide"}, "omega='wide' should be like 14"),
        ({"name": "adaptive_wing", "theta": 0}, "must be positive"),
        ({"name": "bce", "margin": 0.7}, "not between 0 and 0.5"),
        ({"name": "mse", "output_weights": [0, 0]}, "not all 0"),
        ({"name": "mse", "output_weights": 3}, "should be a list"),
        ({"name": "mse", "output_weights": [1, "two"]}, "'two' should be a number"),
    ],
)
def test_a_term_that_is_not_valid_is_refused_in_one_line_that_tells_what_is(term, message):
    with pytest.raises(UsageError, match=message) as caught:
        loss_of(term)
    assert "\n" not in str(caught.value)


def test_a_heatmap_loss_is_no_loss_of_points():
    with pytest.raises(UsageError, match="unknown loss in point_losses 'mse'.*wing"):
        of_points({"name": "mse"})


def test_heatmaps_without_a_term_are_refused():
    with pytest.raises(UsageError, match="no term for a network that outputs heatmaps"):
        loss_of()(torch.zeros(2, 3, 16, 20), targets())
