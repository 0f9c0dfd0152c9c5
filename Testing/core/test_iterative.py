"""Iterative landmark groups: what each pass sees, what is given comes back, and plain weights are a start."""

import pytest
import torch

from architecture_checks import built, check_evaluation, check_needed, parameter_count
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.architectures.iterative import IterativeNetwork
from AutoVolumeCalibrationLib.core.networks.architectures.landmark_groups import landmark_groups
from AutoVolumeCalibrationLib.core.networks.registry import ARCHITECTURES, build_network, find_architecture
from sequential_checks import (
    FOLDED,
    blobs,
    check_different_given_landmarks,
    check_given_landmark,
    check_passes,
    inputs_of,
    some_images,
)

CHANNELS = {"in_channels": 4, "out_channels": 5}
OPTIONS = {**CHANNELS, "inner": "unet", "inner_options": {"features": [4] * 6}, "stem": 2, "group_size": 2}
#: Networks that fold the image by their stem, so that their weights fit one that is folded before.
FOLDING = {
    "unet_plus_plus": {"features": [4] * 6},
    "unet": {"features": [4] * 6},
    "attention_unet": {"features": [4] * 5},
    "scn": {"width": 4},
    "flat_net": {"width": 2},
}


def build(**change):
    return built("iterative", {**OPTIONS, **change})


@pytest.fixture
def images():
    return some_images()


def test_each_pass_sees_the_image_and_the_maps_of_all_earlier_groups():
    order = [3, 1, 0, 4, 2]
    network = build(order=order)
    assert network.groups == [[3, 1], [0, 4], [2]]
    check_passes(network, network.network, order)


def test_each_groups_maps_come_from_its_own_pass(images):
    network = build().eval()
    answers = []
    network.network.register_forward_hook(lambda _m, _i, out: answers.append(out))
    with torch.inference_mode():
        result = network(images)
    for answer, group in zip(answers, network.groups, strict=True):
        assert torch.equal(result[:, group], answer[:, group])
    assert not torch.allclose(answers[0][:, 4], answers[2][:, 4])  # the maps in the input have a say


def test_a_given_landmark_comes_back_unchanged_and_moves_the_others():
    network = build()
    check_given_landmark(network, network.network)


def test_samples_of_a_batch_may_have_different_landmarks_given():
    check_different_given_landmarks(build())


def test_groups_that_are_given_cost_no_pass(images):
    network = build().eval()
    seen = inputs_of(network.network)
    known = blobs()
    known[:, 4] = 0
    with torch.inference_mode():
        network(images, known)
    assert len(seen) == 1
    assert torch.equal(network(images, blobs()), blobs()) and len(seen) == 1


def test_every_group_is_found_in_every_step_with_the_true_maps_of_all_earlier_groups(images):
    order = [4, 3, 2, 1, 0]
    network = build(order=order).train()
    seen, truth, answers = inputs_of(network.network), blobs(), []
    network.network.register_forward_hook(lambda _m, _i, out: answers.append(out))
    result = network(images, None, truth)
    assert len(seen) == len(answers) == 3
    for inputs, earlier in zip(seen, (order[:0], order[:2], order[:4]), strict=True):
        shown = torch.zeros_like(truth)
        shown[:, earlier] = truth[:, earlier]
        assert torch.equal(inputs[:, FOLDED:], shown)
    for answer, group in zip(answers, network.groups, strict=True):
        assert torch.equal(result[:, group], answer[:, group])


def test_every_landmark_has_a_gradient_in_every_step(images):
    """With the truth of a random number of first groups as input, the first group had a loss in a third of them."""
    network = build().train()
    for _ in range(5):
        network.zero_grad()
        network(images, None, blobs()).square().sum().backward()
        head = next(p for name, p in network.network.named_parameters() if "final_conv.weight" in name)
        assert head.grad.flatten(1).abs().sum(1).gt(0).all()


def test_samples_that_are_not_taught_see_their_own_maps_with_gradient(images):
    network = build().train()
    seen, truth = inputs_of(network.network), blobs()
    result = network(images, None, truth, torch.tensor([True, False]))
    assert torch.equal(seen[2][0, FOLDED : FOLDED + 4], truth[0, :4])
    assert torch.allclose(seen[2][1, FOLDED : FOLDED + 4], result[1, :4])

    def reached(*taught):
        """Which landmarks' filters the loss of the last one reaches (batch norm ties the samples together)."""
        loss = network(images, None, truth, torch.tensor(taught))[:, 4].square().sum()
        (gradient,) = torch.autograd.grad(loss, [network.network.unet.final_conv.weight])
        return (gradient.flatten(1).abs().sum(1) > 0).tolist()

    assert reached(True, True) == [False] * 4 + [True]
    assert reached(False, False) == reached(True, False) == [True] * 5  # through the maps of the earlier groups


def test_known_landmarks_precede_the_truth_and_come_back_without_gradient(images):
    network = build().train()
    known = torch.zeros_like(blobs())
    known[:, 4] = 0.5 * blobs()[:, 4]
    seen = inputs_of(network.network)
    result = network(images, known, blobs())
    assert all(torch.equal(inputs[:, FOLDED + 4], known[:, 4]) for inputs in seen)
    assert torch.equal(result[:, 4], known[:, 4])
    result[:, 4].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


def test_training_without_truth_goes_through_the_groups_with_gradients(images):
    network = build().train()
    seen = inputs_of(network.network)
    result = network(images)
    assert len(seen) == 3 and torch.allclose(seen[2][:, FOLDED : FOLDED + 4], result[:, :4])
    result[:, 4].sum().backward()  # through the maps of the earlier groups, too
    head = next(p for name, p in network.network.named_parameters() if "final_conv.weight" in name)
    assert head.grad[0].any()


@pytest.mark.parametrize("truth", [None, blobs()], ids=["own maps", "true maps"])
def test_the_gradient_reaches_every_parameter(images, truth):
    network = build(out_channels=5).train()
    torch.manual_seed(2)
    network(images, None, truth).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other(images):
    network = build()
    check_evaluation(network)
    with torch.inference_mode():
        assert torch.equal(network(images), network(images, truth=blobs()))  # truth is for training


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("inner", FOLDING)
def test_weights_of_a_plain_network_are_a_start(inner, stem):
    """Zeros for the maps in the first filters, and the first pass is the plain network."""
    plain = build_network(inner, {**CHANNELS, **FOLDING[inner], "stem": stem})
    network = build(inner=inner, inner_options=FOLDING[inner], stem=stem, group_size=5)
    weights = {f"network.{name}": value for name, value in plain.state_dict().items()}
    own = network.state_dict()
    assert own.keys() == weights.keys()
    wider = [name for name, value in weights.items() if value.shape != own[name].shape]
    assert wider and all(own[name].shape[1] == weights[name].shape[1] + 5 for name in wider)
    for name in wider:
        weights[name] = torch.nn.functional.pad(weights[name], (0, 0, 0, 0, 0, 5))
    network.load_state_dict(weights)
    image = torch.randn(1, 4, 32 * stem, 64 * stem)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(image), plain.eval()(image), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize(
    ("inner", "inner_options", "inner_divisor"),
    [
        ("unet", {"features": [4] * 6}, 16),
        ("flat_net", {"width": 2}, 1),
        ("deeplabv3", {"width": 4, "blocks": [1, 1, 1], "output_stride": 8}, 8),
    ],
)
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(inner, inner_options, inner_divisor, stem):
    options = {**OPTIONS, "inner": inner, "inner_options": inner_options, "stem": stem}
    divisor = find_architecture("iterative", options).divisor(options)
    assert divisor == inner_divisor * stem
    network = build_network("iterative", options).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, divisor, 2 * divisor)).shape == (1, 5, inner_divisor, 2 * inner_divisor)


def test_only_the_first_convolution_is_larger_than_the_plain_networks():
    inner = {"features": [24, 32, 64, 128, 128, 32]}
    plain = parameter_count("unet_plus_plus", {**inner, "out_channels": 45, "stem": 2})
    options = {"inner": "unet_plus_plus", "inner_options": inner, "group_size": 15, "stem": 2}
    assert parameter_count("iterative", {**options, "out_channels": 45}) == plain + 45 * 24 * 9 == 1_606_164


class TwoAnswers(torch.nn.Module):
    """Stands for a network with deep supervision, whose first answer is coarser."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(4 + 5, 5, 1)

    def forward(self, image):
        maps = self.conv(image)
        return [torch.nn.functional.avg_pool2d(maps * 0, 2), maps] if self.training else maps


def test_shown_maps_are_answered_at_every_level_of_deep_supervision(images):
    network = build(stem=1, group_size=5)
    network.network = TwoAnswers()
    network.train()
    known = torch.zeros(2, 5, 64, 64)
    known[:, 2, 30:34, 30:34] = 1
    coarse, fine = network(images, known, torch.zeros_like(known))
    assert torch.equal(fine[:, 2], known[:, 2]) and coarse.shape == (2, 5, 32, 32)
    assert torch.allclose(coarse[:, 2].sum(), known[:, 2].sum() / 4) and not coarse[:, 1].any()
    assert torch.equal(network(images, known)[-1], fine) and torch.equal(network.eval()(images, known), fine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": "os.system"}, "unknown network architecture 'os.system'"),
        ({"inner": 3}, "option inner=3"),
        ({"inner": "iterative", "inner_options": {**OPTIONS}}, "inner_options may not set in_channels"),
        (
            {"inner": "iterative", "inner_options": {k: OPTIONS[k] for k in ("inner", "inner_options", "group_size")}},
            "iterative cannot be the inner network",
        ),
        ({"inner": "hourglass", "inner_options": {"width": 4, "depth": 1}}, "hourglass cannot be the inner network"),
        ({"inner": "scn", "inner_options": {"width": 4, "learned_sigma": 2.0}}, "scn cannot be the inner network"),
        ({"inner_options": {"features": [4] * 5}}, "option features=.*unet"),
        ({"inner_options": {"features": [10**9] * 6}}, "option features=.*unet"),
        ({"inner_options": {"features": [4] * 6, "stem": 2}}, "may not set stem"),
        ({"inner_options": {}}, "unet cannot be built.*features"),
        ({"inner_options": [4]}, "option inner_options="),
        ({"inner_options": {1: 2}}, "option inner_options="),
        ({"group_size": 0}, "option group_size=0"),
        ({"order": [0, 1, 2, 3]}, "order does not name each of the 5 landmarks"),
        ({"order": [0, 1, 2, 3, 3]}, "option order="),
        ({"order": [0, 1, 2, 3, 4.0]}, "option order="),
        ({"order": [False, 1, 2, 3, 4]}, "option order="),
        ({"order": "01234"}, "option order="),
        ({"order": list(range(10**4))}, "option order="),
        ({"stem": 3}, "option stem=3"),
        ({"out_channels": 2048}, "option in_channels=2064.*unet"),
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change, message):
    with pytest.raises(ModelError, match=message) as caught:
        build(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("absent", ["in_channels", "out_channels", "inner", "inner_options", "stem", "group_size"])
def test_an_option_that_decides_shapes_has_no_default(absent):
    check_needed("iterative", OPTIONS, absent)


def test_the_registry_tells_which_networks_take_known_landmarks():
    assert ARCHITECTURES["iterative"].guided and not ARCHITECTURES["unet"].guided
    assert isinstance(build(), IterativeNetwork)


@pytest.mark.parametrize(
    ("size", "expected"), [(1, [[0], [1], [2], [3]]), (3, [[0, 1, 2], [3]]), (4, [[0, 1, 2, 3]]), (9, [[0, 1, 2, 3]])]
)
def test_landmarks_are_dealt_into_groups_in_their_order(size, expected):
    assert landmark_groups(4, size) == expected
    assert landmark_groups(4, size, [3, 2, 1, 0]) == [[3 - index for index in group] for group in expected]
