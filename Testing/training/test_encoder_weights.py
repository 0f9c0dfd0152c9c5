"""Public classifiers' weights in a landmark network's encoder; every checkpoint here is made by the test."""

import hashlib
import re
import sys
from types import ModuleType

import pytest
import torch
from monai.networks.nets import EfficientNetBN

from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.networks.architectures.encoders import build_encoder
from AutoVolumeCalibrationLib.core.networks.registry import ENCODERS, build_network
from LandmarkTrainingLib.core.training.initial_weights import encoder_weights
from LandmarkTrainingLib.core.training.initial_weights.encoder_weights import (
    ENCODER_URLS,
    PUBLIC,
    download_encoder_weights,
    grey_stem,
    load_encoder_weights,
    pretrain_encoder,
    read_weights,
)

CLASSIFIERS = {
    "vgg19": ("classifier.0", "classifier.6"),
    "resnet18": ("fc",),
    "efficientnet-b0": ("_conv_head", "_bn1", "_fc"),
}
ROWS = {"vgg19": 3, "resnet18": 4, "efficientnet-b0": 4}


def network(encoder="resnet18"):
    options = {"in_channels": 4, "out_channels": 3, "encoder": encoder, "decoder": [4] * ROWS[encoder], "stem": 2}
    return build_network("encoder_unet_plus_plus", options)


def colour_encoder(encoder="resnet18"):
    """A public classifier's convolutions: for RGB images, and with norms that have seen images."""
    torch.manual_seed(1)
    network = build_encoder(encoder, 3).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return network


def colour_checkpoint(encoder="resnet18"):
    """The state dict of the whole classifier, under its public names."""
    state = colour_encoder(encoder).state_dict()
    # lukemelas' EfficientNet has _blocks.<block> instead of MONAI's _blocks.<stack>.<block>.
    state = {re.sub(r"^(_blocks)\.\d+(\.\d+\.)", r"\1\2", key): value for key, value in state.items()}
    return state | {f"{layer}.weight": torch.randn(10, 512) for layer in CLASSIFIERS[encoder]}


def encoder_state(owner):
    return {key: value.clone() for key, value in owner.encoder.state_dict().items()}


@pytest.mark.parametrize("encoder", ROWS)
def test_a_public_checkpoint_loads_completely_and_its_classifier_is_reported(encoder):
    owner, checkpoint = network(encoder), colour_checkpoint(encoder)
    report = load_encoder_weights(owner, checkpoint)
    state = owner.encoder.state_dict()
    assert report.missing == report.unexpected == ()
    assert set(report.loaded) == {key for key in state if not key.endswith("num_batches_tracked")}
    assert report.classifier == tuple(f"{layer}.weight" for layer in CLASSIFIERS[encoder])
    assert "of the classifier, not used" in str(report) and "\n" not in str(report)


def test_the_efficientnet_of_these_tests_has_the_names_of_the_original():
    names = colour_checkpoint("efficientnet-b0").keys()
    assert {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_blocks.15._bn2.running_var"} <= names


@pytest.mark.parametrize("encoder", ROWS)
def test_a_grey_image_gives_the_maps_that_the_public_network_gives_for_it_in_three_colours(encoder):
    owner, colour = network(encoder), colour_encoder(encoder)
    load_encoder_weights(owner, colour_checkpoint(encoder))
    grey, planes = torch.randn(2, 1, 64, 64), torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = colour(grey.expand(-1, 3, -1, -1))
        given = owner.encoder.eval()(torch.cat([grey, planes], dim=1))
    for a, b in zip(given, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))
        assert b.std() > 0


def test_a_grey_stem_answers_as_the_colour_filters_whatever_the_image_and_the_planes():
    generator = torch.Generator().manual_seed(0)
    for colours, kernel, channels in [(3, 3, 4), (3, 7, 4), (1, 5, 4), (3, 3, 2)]:
        weight = torch.randn(6, colours, kernel, kernel, generator=generator)
        grey = torch.randn(2, 1, 20, 20, generator=generator)
        planes = torch.randn(2, channels - 1, 20, 20, generator=generator)
        stem = grey_stem(weight, channels)
        expected = torch.conv2d(grey.expand(-1, colours, -1, -1), weight)
        assert stem.shape == (6, channels, kernel, kernel) and not stem[:, 1:].any()
        assert torch.allclose(torch.conv2d(torch.cat([grey, planes], 1), stem), expected, atol=1e-4)


def test_the_planes_are_learnt_from_the_first_step_on():
    owner = network()
    load_encoder_weights(owner, colour_checkpoint())
    owner.train()(torch.randn(2, 4, 64, 64)).square().mean().backward()
    assert owner.encoder.conv1.weight.grad[:, 1:].abs().sum() > 0


def test_an_encoder_of_this_project_loads_with_its_four_channels():
    trained, fresh = network(), network()
    load_encoder_weights(fresh, encoder_state(trained))
    assert torch.equal(fresh.encoder.conv1.weight, trained.encoder.conv1.weight)


def test_monais_own_names_of_an_efficientnet_load_too():
    owner = network("efficientnet-b0")
    report = load_encoder_weights(owner, EfficientNetBN("efficientnet-b0", pretrained=False).state_dict())
    assert report.missing == report.unexpected == ()


def test_what_is_absent_or_unknown_is_reported_and_the_rest_is_loaded():
    owner, checkpoint = network(), colour_checkpoint()
    before = encoder_state(owner)
    del checkpoint["layer4.1.conv2.weight"]
    report = load_encoder_weights(owner, checkpoint | {"layer5.0.conv1.weight": torch.zeros(1)})
    assert report.missing == ("layer4.1.conv2.weight",) and report.unexpected == ("layer5.0.conv1.weight",)
    after = owner.encoder.state_dict()
    assert torch.equal(after["layer4.1.conv2.weight"], before["layer4.1.conv2.weight"])
    assert torch.equal(after["layer4.1.conv1.weight"], checkpoint["layer4.1.conv1.weight"])
    assert "layer5.0.conv1.weight" in str(report) and "layer4.1.conv2.weight" in str(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layer4.1.conv2.weight": torch.zeros(8, 8, 3, 3)}, "layer4.1.conv2.weight is 8x8x3x3 and not 512x512x3x3"),
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, "conv1.weight is 64x4x3x3 and not 64x4x7x7"),
        ({"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias holds values that are not finite"),
        ({"bn1.bias": [0.0] * 64}, "bn1.bias is not a tensor"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_changes_nothing(change, said):
    owner = network()
    before = encoder_state(owner)
    with pytest.raises(ModelError, match=f"mine.pth: {said}.*resnet18-f37072fd.pth"):
        load_encoder_weights(owner, colour_checkpoint() | change, source="mine.pth")
    assert all(torch.equal(value, before[key]) for key, value in owner.encoder.state_dict().items())


@pytest.mark.parametrize("foreign", [{}, {"state_dict": {}}, {"encoder.stage1.weight": torch.zeros(2)}])
def test_a_checkpoint_of_something_else_is_refused(foreign):
    with pytest.raises(ModelError, match="has no tensor of resnet18.*Give weights of resnet18"):
        load_encoder_weights(network(), foreign)


def test_a_network_without_such_an_encoder_says_so():
    plain = build_network("unet", {"in_channels": 4, "out_channels": 3, "features": [4] * 6, "stem": 2})
    with pytest.raises(UsageError, match="encoder_unet_plus_plus"):
        load_encoder_weights(plain, colour_checkpoint())


def test_the_encoder_inside_another_network_is_found(tmp_path):
    torch.save(colour_checkpoint(), tmp_path / "weights.pth")
    around = torch.nn.Sequential(network())
    assert pretrain_encoder(around, tmp_path / "weights.pth").missing == ()


class Nasty:
    def __reduce__(self):
        return (print, ("executed",))


def damaged(path, kind):
    torch.save({"conv1.weight": torch.randn(64, 3, 7, 7)}, path)
    if kind == "cut off":
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "code":
        torch.save({"conv1.weight": Nasty()}, path)
    elif kind == "a list":
        torch.save([1, 2], path)
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "absent":
        path.unlink()


@pytest.mark.parametrize("kind", ["cut off", "code", "a list", "text", "absent"])
def test_a_damaged_or_foreign_file_is_refused_in_one_line_that_names_it(kind, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    damaged(path, kind)
    with pytest.raises(ModelError, match="weights.pth: ") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value) and caught.value.remedy
    assert "executed" not in capsys.readouterr().out


def test_a_file_whose_name_tells_another_hash_is_refused(tmp_path):
    path = tmp_path / "resnet18-00000000.pth"
    torch.save(colour_checkpoint(), path)
    with pytest.raises(ModelError, match="resnet18-00000000.pth: differs from the hash in its name"):
        pretrain_encoder(network(), path)


def test_safetensors_are_read_and_asked_for_where_the_package_is_absent(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(UsageError, match="weights.safetensors: needs the package safetensors. pip install"):
        read_weights(path)
    fake = ModuleType("safetensors.torch")
    fake.load_file = lambda file: {"read": file}
    monkeypatch.setitem(sys.modules, "safetensors", ModuleType("safetensors"))
    monkeypatch.setitem(sys.modules, "safetensors.torch", fake)
    assert read_weights(path) == {"read": path}


def test_every_encoder_has_a_public_address_that_tells_its_hash():
    assert set(ENCODER_URLS) == set(ENCODERS)
    assert all(encoder_weights._HASH.search(url) and url.startswith("https://") for url in ENCODER_URLS.values())


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The address of resnet18 leads to a file of this test."""
    content = tmp_path / "content"
    torch.save(colour_checkpoint(), content)
    digest = hashlib.sha256(content.read_bytes()).hexdigest()[:8]
    path = content.rename(tmp_path / f"resnet18-{digest}.pth")
    monkeypatch.setitem(ENCODER_URLS, "resnet18", path.as_uri())
    return path


def test_public_weights_are_downloaded_once_and_loaded(published, tmp_path):
    cache = tmp_path / "cache"
    assert pretrain_encoder(network(), PUBLIC, cache).missing == ()
    assert [path.name for path in cache.iterdir()] == [published.name]
    published.unlink()
    assert pretrain_encoder(network(), PUBLIC, cache).missing == ()


def test_a_download_that_is_cut_off_leaves_nothing_behind(published, tmp_path):
    published.write_bytes(published.read_bytes()[:1000])
    with pytest.raises(ModelError, match="resnet18-.*cannot be downloaded.*give the path of the file"):
        download_encoder_weights("resnet18", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_connection_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODER_URLS, "resnet18", (tmp_path / "resnet18-12345678.pth").as_uri())
    with pytest.raises(ModelError, match="cannot be downloaded.*Download it on another computer"):
        pretrain_encoder(network(), PUBLIC, tmp_path / "cache")
