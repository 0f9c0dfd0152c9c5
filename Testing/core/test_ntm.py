"""The U-Net with neural Turing machines: what passes from group to group, and where the machines sit."""

import pytest
import torch

from architecture_checks import built, check_evaluation, check_needed, check_size_of_answer, parameter_count
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.architectures.ntm_cell import NtmCell
from AutoVolumeCalibrationLib.core.networks.architectures.ntm_unet import NtmBlock
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
#: Filters and machine of a block.
SMALL = {"filters": 4, "grid": 4, "controller": 8, "memory_rows": 6, "memory_width": 4, "heads": 2}
OPTIONS = {
    **CHANNELS,
    **SMALL,
    "features": [4, 4, 6, 6, 8],
    "stem": 2,
    "where": "level",
    "levels": [0, 2, 4],
    "group_size": 2,
}


def build(**change):
    return built("ntm_unet", {**OPTIONS, **change})


@pytest.fixture
def images():
    return some_images()


def test_a_block_multiplies_the_features_by_a_map_that_its_machine_made():
    torch.manual_seed(0)
    block = NtmBlock(5, filters=4, grid=4, controller=8, memory_rows=6, memory_width=4, heads=2)
    sizes, given = [], {}
    for layer in (*block.shrink, *block.grow):
        layer.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[1:])))
    block.map.register_forward_hook(lambda _m, _i, out: given.update(map=out))
    block.machine.register_forward_pre_hook(lambda _m, inputs: given.update(vector=inputs[0]))
    features = torch.randn(2, 5, 64, 32)
    result, state = block(features, block.machine.first_state(2))
    # Each pooling takes half of the reduction: 64 -> 16 -> 4, 32 -> 11 -> 4; the vector is 4 x 4.
    assert sizes == [(4, 64, 32), (4, 16, 11), (4, 4, 4), (4, 16, 11)]
    assert given["vector"].shape == (2, 16) and state.memory.shape == (2, 6, 4)
    assert torch.equal(result, features * torch.sigmoid(given["map"]))


@pytest.mark.parametrize("size", [(8, 8), (3, 5), (2, 64)])
def test_a_block_takes_features_of_any_size(size):
    block = NtmBlock(5, filters=4, grid=4, controller=8, memory_rows=6, memory_width=4, heads=2)
    result, _ = block(torch.randn(1, 5, *size), block.machine.first_state(1))
    assert result.shape == (1, 5, *size)


def test_the_unet_has_five_levels_and_a_block_at_those_asked_for(images):
    network = build()
    assert [block.shrink[0][0].in_channels for block in network.blocks.values()] == [4, 6, 8]
    joined = [expand[0].in_channels for expand in network.expanding]
    assert joined == [6 + 8, 6 + 6, 4 + 6, 4 + 4]
    sizes = []
    for contract in network.contracting:
        contract.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1]))
    network.eval()(images)
    assert sizes[:5] == [32, 16, 8, 4, 2] and len(sizes) == 3 * 5


@pytest.mark.parametrize("where", ["level", "skip"])
def test_a_map_multiplies_what_leaves_the_level_or_only_the_skip(where, images):
    network = build(where=where, levels=[0], group_size=5).eval()
    parts = {}
    network.contracting[0].register_forward_hook(lambda _m, _i, out: parts.update(plain=out))
    network.blocks["0"].register_forward_hook(lambda _m, _i, out: parts.update(weighed=out[0]))
    network.contracting[1].register_forward_pre_hook(lambda _m, inputs: parts.update(down=inputs[0]))
    network.expanding[-1].register_forward_pre_hook(lambda _m, inputs: parts.update(skip=inputs[0][:, :4]))
    with torch.inference_mode():
        network(images)
    source = parts["weighed" if where == "level" else "plain"]
    assert torch.equal(parts["skip"], parts["weighed"])
    assert torch.equal(parts["down"], torch.nn.functional.avg_pool2d(source, 2))
    assert not torch.equal(parts["weighed"], parts["plain"])


def test_the_memory_goes_from_one_group_to_the_next_and_not_to_the_next_image(images):
    network = build(levels=[0]).eval()
    states = []
    network.blocks["0"].register_forward_hook(lambda _m, inputs, out: states.append((inputs[1], out[1])))
    with torch.inference_mode():
        network(images)
        network(images)
    assert len(states) == 6
    for (_, left), (found, _) in zip(states[:2], states[1:3], strict=True):
        assert found is left
    blank = network.blocks["0"].machine.first_state(2)
    for first in (states[0][0], states[3][0]):
        assert all(torch.equal(part, expected) for part, expected in zip(first, blank, strict=True))


def test_each_pass_sees_the_image_and_the_maps_of_all_earlier_groups():
    order = [3, 1, 0, 4, 2]
    network = build(order=order)
    check_passes(network, network.contracting[0], order)


def test_in_training_later_passes_are_shown_the_truth_and_answer_their_own(images):
    network = build().train()
    seen, truth = inputs_of(network.contracting[0]), blobs()
    result = network(images, None, truth)
    assert torch.equal(seen[1][:, FOLDED : FOLDED + 2], truth[:, :2]) and torch.equal(
        seen[2][:, FOLDED : FOLDED + 4], truth[:, :4]
    )
    assert not torch.allclose(result, truth) and result.requires_grad
    assert not torch.allclose(network.eval()(images), result)
    seen.clear()
    network(images, None, truth)
    assert not torch.equal(seen[1][:, FOLDED : FOLDED + 2], truth[:, :2])  # the truth is for training


def test_a_given_landmark_comes_back_unchanged_and_moves_the_others():
    network = build()
    check_given_landmark(network, network.contracting[0])


def test_samples_of_a_batch_may_have_different_landmarks_given():
    check_different_given_landmarks(build())


@pytest.mark.parametrize(("where", "levels"), [("level", [0, 2, 4]), ("skip", [0, 1, 2, 3])])
def test_the_gradient_reaches_every_parameter(where, levels, images):
    network = build(where=where, levels=levels).train()
    network(images, None, blobs()).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other():
    check_evaluation(build())


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(stem):
    check_size_of_answer("ntm_unet", {**OPTIONS, "out_channels": 3, "stem": stem})


def test_a_machine_connects_all_places_of_the_image():
    """Its vector is of the whole image: it reaches where the U-Net's convolutions do not."""
    network = build(levels=[0], features=[4] * 5, stem=1, group_size=5).eval()
    image = torch.randn(1, 4, 384, 384, requires_grad=True)

    def far_corner():
        (gradient,) = torch.autograd.grad(network(image)[0, :, 0, 0].sum(), image)
        return gradient[..., -32:, -32:]

    assert far_corner().any()
    network.blocks["0"].map.register_forward_hook(lambda _m, _i, out: torch.zeros_like(out))
    assert not far_corner().any()


def test_the_published_machines_have_the_stated_number_of_parameters():
    """Blocks of the default size at levels 0 and 2 of a U-Net 64 wide."""
    options = {"features": [64] * 5, "stem": 1, "where": "level", "levels": [0, 2], "group_size": 1}
    with torch.device("meta"):
        network = built("ntm_unet", options)
        machine = NtmCell(inputs=256, outputs=256, controller=256, rows=64, width=256, heads=3)
    block = sum(p.numel() for p in network.blocks["2"].parameters())
    convolutions = 4 * (64 * 64 * 9 + 64) + 2 * (64 * 9) + 1 + 64
    assert block == convolutions + sum(p.numel() for p in machine.parameters())
    assert parameter_count("ntm_unet", options) == 5_828_685


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [4] * 6}, "option features="),
        ({"where": "everywhere"}, "option where='everywhere'"),
        ({"where": ["skip"]}, "option where="),
        ({"levels": []}, "option levels="),
        ({"levels": [5]}, "option levels="),
        ({"levels": [1, 1]}, "option levels="),
        ({"levels": 0}, "option levels=0"),
        ({"levels": [0, 4], "where": "skip"}, "cannot be built: level 4, the coarsest, has no skip"),
        ({"order": [0, 1]}, "order does not name each of the 5 landmarks"),
        ({"group_size": 0}, "option group_size=0"),
        ({"grid": 33}, "option grid=33"),
        ({"memory_rows": 10**9}, "option memory_rows="),
        ({"memory_width": 1025}, "option memory_width="),
        ({"controller": 10**6}, "option controller="),
        ({"heads": 17}, "option heads=17"),
        ({"heads": True}, "option heads=True"),
        ({"filters": 0}, "option filters=0"),
        ({"stem": 3}, "option stem=3"),
        ({"dropout": 0.1}, "option dropout="),
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change, message):
    with pytest.raises(ModelError, match=message) as caught:
        build(**change)
    assert "ntm_unet" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("absent", [*CHANNELS, "features", "stem", "where", "levels", "group_size"])
def test_an_option_that_decides_shapes_has_no_default(absent):
    check_needed("ntm_unet", OPTIONS, absent)
