"""GU2Net: what belongs to a task and what is shared, how samples find their task, and the published structure."""

import pytest
import torch

from architecture_checks import (
    built,
    check_evaluation,
    check_needed,
    check_refusal,
    check_size_of_answer,
    layers,
    parameter_count,
    seen_across,
    shapes,
)
from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.architectures.gu2net import SeparableConvolution

OPTIONS = {"features": [4, 4, 6, 6, 6], "width": 6, "stem": 2}
PUBLISHED = {"features": [64, 128, 256, 512, 512], "width": 128, "stem": 1}


def build(**change):
    return built("gu2net", {**OPTIONS, **change})


def slices_of(planes, size=64):
    """Network inputs (n, 4, size, size) of slices in these planes."""
    images = torch.randn(len(planes), 4, size, size, generator=torch.Generator().manual_seed(3))
    images[:, 1:] = torch.nn.functional.one_hot(torch.tensor(planes), 3)[:, :, None, None]
    return images


def owner(name):
    """The task a parameter or buffer belongs to, None where it is shared."""
    numbers = [int(part) for part in name.split(".")[1:] if part.isdigit()]
    if ".pointwise." in name:
        return None
    if name.startswith("overall."):
        return numbers[0]
    return numbers[-1]


def test_the_published_size_has_the_stated_number_of_parameters():
    """One anatomy in three planes, and what a second one adds: no pointwise convolution."""
    assert parameter_count("gu2net", PUBLISHED) == 4_346_002
    shared = [(64, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    shared += [(512, 512), (512, 512), (1024, 512), (512, 256), (512, 256), (256, 128), (256, 128), (128, 64)]
    shared += [(128, 64), (64, 64)]
    pointwise = sum(inputs * outputs + outputs for inputs, outputs in shared)
    assert parameter_count("gu2net", {**PUBLISHED, "anatomies": 2}) == 2 * 4_346_002 - pointwise


def test_the_local_network_is_a_unet_of_separable_convolutions():
    with torch.device("meta"):
        local = built("gu2net", PUBLISHED).local
    separable = layers(local, SeparableConvolution)
    widths = [(s.pointwise.in_channels, s.pointwise.out_channels) for s in separable]
    assert widths[:10] == [(64, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)] + [
        *((256, 512), (512, 512), (512, 512), (512, 512))
    ]
    assert widths[10:] == [(1024, 512), (512, 256), (512, 256), (256, 128), (256, 128), (128, 64), (128, 64), (64, 64)]
    for block in separable:
        assert len(block.depthwise) == len(block.norms) == 3
        assert all(c.groups == c.in_channels and c.kernel_size == (3, 3) for c in block.depthwise)
        assert block.pointwise.kernel_size == (1, 1)
    assert [(len(local.enter), len(local.leave)), local.enter[0].kernel_size, local.leave[0].kernel_size] == [
        *((3, 3), (1, 1), (1, 1))
    ]


def test_the_global_network_of_a_task_is_dilated_at_a_quarter_of_the_resolution():
    network = build(width=8).eval()
    assert len(network.overall) == 3
    assert shapes(network.overall[0]) == [
        *((16, 4, 3, 1, 1), (3, 4, 3, 1, 1)),
        *((8, 8, 3, 1, rate) for rate in (1, 2, 5, 2, 1)),
        (8, 3, 1, 1, 1),
    ]
    sizes = []
    network.overall[1].dilated.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-2:]))
    network(slices_of([1]))
    assert sizes == [(8, 8)]  # 64 pixels, folded by 2, by 4


def test_the_heatmaps_are_the_product_of_the_global_and_the_local_ones():
    network, parts = build().eval(), {}
    network.local.register_forward_hook(lambda _m, _i, out: parts.update(local=out))
    network.overall[2].register_forward_hook(lambda _m, inputs, out: parts.update(seen=inputs[1], overall=out))
    with torch.inference_mode():
        heatmaps = network(slices_of([2]))
    assert torch.equal(parts["seen"], torch.sigmoid(parts["local"]))
    assert torch.equal(heatmaps, torch.sigmoid(parts["local"]) * torch.sigmoid(parts["overall"]))
    assert heatmaps.min() > 0 and heatmaps.max() < 1


def test_the_plane_is_taken_from_the_input_and_the_anatomy_is_named():
    network = build(anatomies=2).eval()
    images = slices_of([2, 0, 1, 1, 0])
    with torch.inference_mode():
        first, named, other = network(images), network(images, 0), network(images, 1)
    assert torch.equal(first, named)
    assert all((first[i] - other[i]).abs().max() > 1e-4 for i in range(5))


def test_samples_of_a_mixed_batch_go_through_their_own_task_in_their_own_place():
    network = build(anatomies=2).eval()
    images = slices_of([0, 1, 2, 0, 1, 2, 0])
    with torch.inference_mode():
        mixed = network(images, 1)
        alone = torch.cat([network(images[i : i + 1], 1) for i in range(7)])
    assert torch.allclose(mixed, alone, rtol=1e-4, atol=1e-6)


def test_every_anatomy_has_its_own_landmarks_as_published():
    network = build(out_channels=5, anatomies=[3, 2]).eval()
    with torch.inference_mode():
        assert [network(slices_of([0, 2]), anatomy).shape[1] for anatomy in (0, 1)] == [3, 2]
    # Heads as wide as the anatomy's landmarks: enter, leave and the global network of the three planes.
    assert [head.out_channels for head in network.local.leave] == [3, 3, 3, 2, 2, 2]
    with pytest.raises(ModelError, match="do not add up to 4 landmarks"):
        build(out_channels=4, anatomies=[3, 2])


def test_the_network_of_one_anatomy_is_an_ordinary_one_and_gives_the_same_heatmaps():
    joint = build(out_channels=5, anatomies=[3, 2]).eval()
    images = slices_of([0, 1, 2, 1])
    before = {name: value.clone() for name, value in joint.state_dict().items()}
    for anatomy, landmarks in enumerate((3, 2)):
        alone = build(out_channels=landmarks).eval()
        alone.load_state_dict(joint.of_anatomy(anatomy).state_dict())  # the same names, none left over
        with torch.inference_mode():
            assert torch.equal(alone(images), joint(images, anatomy))
    assert all(torch.equal(value, before[name]) for name, value in joint.state_dict().items())


def test_batch_norm_takes_its_statistics_over_the_samples_of_a_task():
    images = slices_of([0, 0, 1])
    mixed, alone = build().train(), build().train()
    with torch.no_grad():
        together, first = mixed(images), alone(images[:2])
    assert torch.allclose(together[:2], first, rtol=1e-4, atol=1e-6)
    statistics = dict(mixed.named_buffers())
    counts = {name: int(value) for name, value in statistics.items() if name.endswith("num_batches_tracked")}
    assert {count for name, count in counts.items() if owner(name) in (0, 1)} == {1}
    assert {count for name, count in counts.items() if owner(name) == 2} == {0}


def test_training_one_task_leaves_the_parameters_of_the_others_and_moves_the_shared_ones():
    network = build(anatomies=2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(slices_of([1, 1]), 1).square().mean().backward()
        optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if owner(name) in (None, 4)}
    assert any(owner(name) is None for name in changed)


def test_the_gradient_reaches_every_parameter_once_all_tasks_are_seen():
    network = build(anatomies=2).train()
    images = slices_of([0, 1, 2] * 2)
    sum(network(images, anatomy).square().mean() for anatomy in (0, 1)).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_it_learns_by_binary_cross_entropy_as_published():
    """Landmarks below the bright square in one plane, above it in another: the task decides."""
    torch.manual_seed(0)
    network = build(stem=1, features=[8] * 5, width=8).train()
    images, points = slices_of([0, 1, 0, 1], size=32), torch.zeros(4, 3, 2)
    images[:, 0] = -1
    for sample, (row, column) in enumerate([(14, 8), (14, 8), (16, 20), (16, 20)]):
        images[sample, 0, row - 1 : row + 2, column - 1 : column + 2] = 1
        points[sample] = torch.tensor([row + (-7 if sample % 2 else 7), column])
    targets = render_targets(points, torch.ones(4, 3), (32, 32), 2.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(100):
        chosen = slice(step % 2, None, 2)  # batches of one task in turn
        loss = torch.nn.functional.binary_cross_entropy(network(images[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        peaks = network.eval()(images).flatten(2).argmax(2)
    found = torch.stack([peaks // 32, peaks % 32], dim=2)
    assert (found - points).abs().max() <= 1


def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other():
    check_evaluation(build())


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(stem):
    check_size_of_answer("gu2net", {**OPTIONS, "stem": stem})


def test_a_heatmap_pixel_sees_the_whole_head():
    """100 pixels of 2 mm."""
    assert min(seen_across(build(), 256, 2)) >= 200


def test_an_input_without_plane_indicators_is_refused():
    with pytest.raises(ModelError, match="gu2net cannot be built: in_channels 3 leaves no room"):
        build(in_channels=3)


@pytest.mark.parametrize(
    "change",
    [
        {"features": [4] * 6},
        {"features": [4, 4, 4, 4, 10**9]},
        {"width": 0},
        {"width": 10**6},
        {"anatomies": 0},
        {"anatomies": 10**4},
        {"anatomies": True},
        {"anatomies": []},
        {"anatomies": [3, -1]},
        {"anatomies": [1] * 17},
        {"stem": 3},
        {"out_channels": 10**9},
        {"dropout": 0.1},
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change):
    check_refusal("gu2net", OPTIONS, change)


@pytest.mark.parametrize("absent", ["in_channels", "out_channels", *OPTIONS])
def test_an_option_that_decides_shapes_has_no_default(absent):
    check_needed("gu2net", OPTIONS, absent)
