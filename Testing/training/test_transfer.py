import copy

import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.networks.registry import build_network
from LandmarkTrainingLib.core.training.freezing import freeze, hold_frozen_norms, unfreeze
from LandmarkTrainingLib.core.training.landmark_axes import LandmarkAxis, LandmarkChange, landmark_axes
from LandmarkTrainingLib.core.training.transfer import transfer_weights

BRAIN, KNEE = ("AC", "PC", "GENU", "VERTEX"), ("TIBIA", "PC", "AC", "PATELLA", "FEMUR")


def unet(landmarks, in_channels=4, architecture="unet", **options):
    chosen = {"features": [8] * 6, "stem": 1} | options
    return build_network(architecture, {"in_channels": in_channels, "out_channels": landmarks, **chosen}).eval()


def scn(landmarks):
    return build_network("scn", {"in_channels": 4, "out_channels": landmarks, "width": 8, "stem": 1}).eval()


def iterative(landmarks, **options):
    inner = {"inner": "unet", "inner_options": {"features": [8] * 6}, "stem": 2, "group_size": 2}
    return build_network("iterative", {"in_channels": 4, "out_channels": landmarks, **inner, **options}).eval()


def image(channels=4, seed=0):
    return torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(seed))


def change(names, source_names, build):
    return LandmarkChange(names, source_names, landmark_axes(build, len(names)))


def parts_of(report):
    return [*report.loaded, *report.widened, *report.matched, *report.missing, *report.mismatched]


@torch.no_grad()
def test_a_network_of_the_same_kind_becomes_the_same():
    source, network = unet(4), unet(4)
    report = transfer_weights(network, source.state_dict())
    assert torch.equal(network(image()), source(image()))
    assert report.fits and set(report.loaded) == set(source.state_dict())
    assert not (report.widened or report.renamed or report.unused or report.mismatched)
    assert report.summary() == f"{len(report.loaded)} of {len(report.loaded)} weights transferred."


@pytest.mark.parametrize(
    "case",
    [
        lambda: (unet(4), unet(4, 6)),
        lambda: (unet(3), iterative(5)),
        lambda: (unet(4), scn(4)),
        lambda: (unet(4, features=[16] * 6), unet(4)),
        lambda: (torch.optim.swa_utils.AveragedModel(iterative(4)), unet(4, stem=2)),
    ],
)
def test_every_weight_is_reported_once_and_what_is_not_taken_stays(case):
    source, network = case()
    before = copy.deepcopy(network.state_dict())
    report = transfer_weights(network, source.state_dict())
    after, state = network.state_dict(), source.state_dict()
    assert sorted(parts_of(report)) == sorted(before)
    assert all(torch.equal(after[key], before[key]) for key in report.missing + report.mismatched)
    assert set(report.unused) <= set(state) and len(report.unused) >= len(state) - len(report.loaded + report.widened)
    assert set(report.renamed) <= set(report.loaded + report.widened)
    for key in report.loaded:
        assert key in report.renamed or torch.equal(after[key], state[key])


@torch.no_grad()
def test_new_input_channels_start_silent():
    source, network = unet(4, in_channels=4), unet(4, in_channels=7)
    report = transfer_weights(network, source.state_dict())
    assert len(report.widened) == 1 and report.fits
    wide = torch.cat([image(), 5 * image(3, seed=1)], dim=1)
    assert torch.allclose(network(wide), source(image()), atol=1e-6)
    assert "New input channels initialised to zero: " in report.summary()


@torch.no_grad()
def test_a_plain_network_is_a_start_for_the_iterative_one_and_back():
    plain, groups = unet(4, in_channels=16, stem=1), iterative(4)
    report = transfer_weights(groups, plain.state_dict())
    assert report.fits and set(report.renamed) == set(groups.state_dict()) and len(report.widened) == 1
    folded = torch.nn.functional.pixel_unshuffle(image(), 2)
    assert torch.allclose(groups(image()), plain(folded), atol=1e-5)
    again = unet(4, in_channels=20, stem=1)
    assert transfer_weights(again, groups.state_dict()).fits
    maps = torch.rand(2, 4, 32, 32)
    assert torch.allclose(again(torch.cat([folded, maps], 1)), plain(folded), atol=1e-5)


@torch.no_grad()
def test_a_moving_average_is_a_source_as_well():
    source, network = torch.optim.swa_utils.AveragedModel(unet(4)), unet(4)
    report = transfer_weights(network, source.state_dict())
    assert report.fits and report.unused == ("n_averaged",)
    assert torch.equal(network(image()), source.module(image()))


def test_channels_of_transposed_and_grouped_convolutions_are_not_widened():
    def network(channels):
        return torch.nn.Sequential(
            torch.nn.ConvTranspose2d(4, channels, 2), torch.nn.Conv2d(channels, channels, 3, groups=channels // 4)
        )

    source, wide = network(4), network(8)
    report = transfer_weights(wide, source.state_dict())
    assert not report.widened and set(report.mismatched) == set(wide.state_dict())


@pytest.mark.parametrize("build", [unet, scn, iterative])
def test_landmarks_of_another_anatomy_are_matched_by_name(build):
    source, network = build(len(BRAIN)), build(len(KNEE))
    before = copy.deepcopy(network.state_dict())
    report = transfer_weights(network, source.state_dict(), change(KNEE, BRAIN, build))
    assert report.fits and report.matched
    assert report.kept_landmarks == ("PC", "AC") and report.new_landmarks == ("TIBIA", "PATELLA", "FEMUR")
    after, state = network.state_dict(), source.state_dict()
    for key in report.matched:
        (axis,) = landmark_axes(build, 5)[key]
        rows, old, own = (t[key].movedim(axis.axis, 0)[axis.offset :] for t in (after, state, before))
        for i, name in enumerate(KNEE):
            assert torch.equal(rows[i], old[BRAIN.index(name)] if name in BRAIN else own[i])
        shared = [t[key].movedim(axis.axis, 0)[: axis.offset] for t in (after, state)]
        assert torch.equal(*shared)
    assert "Landmarks known before: PC, AC." in report.summary()


@torch.no_grad()
def test_the_shared_landmarks_of_a_plain_network_are_found_as_before():
    source, network = unet(len(BRAIN)), unet(len(KNEE))
    transfer_weights(network, source.state_dict(), change(KNEE, BRAIN, unet))
    old, new = source(image()), network(image())
    for name in ("AC", "PC"):
        assert torch.equal(new[:, KNEE.index(name)], old[:, BRAIN.index(name)])


@torch.no_grad()
@pytest.mark.parametrize("build", [unet, scn])
def test_the_order_of_the_landmarks_makes_no_difference(build):
    turned = BRAIN[::-1]
    source, network = build(4), build(4)
    report = transfer_weights(network, source.state_dict(), change(turned, BRAIN, build))
    assert torch.allclose(network(image()), source(image()).flip(1), atol=1e-6)
    assert report.fits and report.kept_landmarks == turned and not report.new_landmarks


def test_a_hidden_layer_as_wide_as_there_are_landmarks_is_not_taken_for_a_head():
    names, other = tuple("abcdefgh"), tuple("hgfedcba")
    source, network = unet(8), unet(8)
    report = transfer_weights(network, source.state_dict(), change(names, other, unet))
    assert set(report.matched) == {"unet.final_conv.weight", "unet.final_conv.bias"}


def test_the_same_landmarks_in_the_same_order_are_simply_loaded():
    report = transfer_weights(unet(4), unet(4).state_dict(), change(BRAIN, list(BRAIN), unet))
    assert report.fits and not report.matched and not report.kept_landmarks


def test_coordinates_are_matched_in_pairs():
    def head(landmarks):
        return torch.nn.Conv2d(3, 2 * landmarks, 1)

    source, network = head(4), head(5)
    report = transfer_weights(network, source.state_dict(), change(KNEE, BRAIN, head))
    assert set(report.matched) == {"weight", "bias"}
    old, new = source.weight.unflatten(0, (4, 2)), network.weight.unflatten(0, (5, 2))
    assert torch.equal(new[KNEE.index("PC")], old[BRAIN.index("PC")])


def test_an_axis_that_is_not_understood_starts_anew():
    def square(landmarks):
        return torch.nn.Linear(3, landmarks**2)

    axes = landmark_axes(square, 5)
    assert axes["weight"] == (LandmarkAxis(0, -30, 0),)
    report = transfer_weights(square(5), square(5).state_dict(), LandmarkChange(KNEE, KNEE[::-1], axes))
    assert set(report.mismatched) == {"weight", "bias"} and not report.fits
    assert "Of another shape, freshly initialised: weight, bias." in report.summary()


def test_weights_in_half_precision_are_loaded():
    source, network = unet(4), unet(4)
    report = transfer_weights(network, {k: v.bfloat16() for k, v in source.state_dict().items()})
    assert report.fits and all(p.dtype == torch.float32 for p in network.parameters())


def toy():
    return torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, bias=False), torch.nn.BatchNorm2d(2)),
        torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3, bias=False), torch.nn.BatchNorm2d(2)),
    )


def steps(network, count=3):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for seed in range(count):
        network.train()
        hold_frozen_norms(network)
        optimizer.zero_grad()
        ((network(image(1, seed)) - image(2, seed)[..., 4:, 4:]) ** 2).mean().backward()
        optimizer.step()


def test_frozen_weights_and_norms_stay_as_they_are_and_the_others_learn():
    network = toy()
    assert freeze(network, ["0.*"]) == [f"0.{name}" for name in ("0.weight", "1.weight", "1.bias")]
    before = copy.deepcopy(network.state_dict())
    steps(network)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("0."), key


def test_what_is_unfrozen_learns_again():
    network = toy()
    freeze(network, ["*"])
    unfreeze(network, ["1.*"])
    assert [p.requires_grad for p in network.parameters()] == [False] * 3 + [True] * 3
    unfreeze(network)
    before = copy.deepcopy(network.state_dict())
    steps(network)
    assert all(not torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_norm_that_is_only_partly_frozen_keeps_learning():
    network = toy()
    freeze(network, ["0.1.bias"])
    network.train()
    hold_frozen_norms(network)
    assert all(module.training for module in network.modules())


def test_a_pattern_that_matches_nothing_is_refused_and_says_what_there_is():
    network = toy()
    with pytest.raises(UsageError, match=r"named like 'encoder\*'. Try: 0\.\*, 1\.\*"):
        freeze(network, ["0.*", "encoder*"])
    assert all(parameter.requires_grad for parameter in network.parameters())
