import json
import shutil

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import default_uncertainty
from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.models import bundle as bundles
from AutoVolumeCalibrationLib.core.models.backend import choose_device
from AutoVolumeCalibrationLib.core.models.bundle import list_models, load_model, read_metadata, sha256_of
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL
from AutoVolumeCalibrationLib.core.networks.registry import build_network

OPTIONS = {"in_channels": 4, "out_channels": 3, "features": [8] * 6, "stem": 2, "dropout": 0.0}
METADATA = {
    "format": "AutoVolumeCalibration/model/1",
    "name": "tiny",
    "title": "A tiny model",
    "network": {"architecture": "unet_plus_plus", "options": OPTIONS},
    "landmarks": [
        {"name": "AC", "mirror": None},
        {"name": "LEFT", "mirror": "RIGHT"},
        {"name": "RIGHT", "mirror": "LEFT"},
    ],
    "input": {
        "pixel_mm": 2.0,
        "largest_size": 192,
        "planes": ["sagittal", "coronal", "axial"],
        "normalisation": "percentiles 1 and 99.5 to 0 and 1, capped at 1.2, then 2 x - 1",
    },
    "targets": {"sigma_mm": 6.0, "tau_mm": 12.0},
    "threshold": 0.2,
    "uncertainty": default_uncertainty(3).to_dict(),
}


class Code:
    """Pickled code: touches a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("unet_plus_plus", OPTIONS).eval()


@pytest.fixture
def folder(tmp_path, network):
    """A bundle folder as it is written, by hand."""
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "configs").mkdir()
    torch.save(network.state_dict(), tmp_path / "bundle" / "models" / "model.pt")
    return rewritten(tmp_path / "bundle")


def rewritten(folder, file="models/model.pt", **changes):
    """The folder with metadata that fits its weights, except for the changes."""
    weights = {"file": file, "sha256": sha256_of(folder / file)}
    (folder / "configs" / "metadata.json").write_text(
        json.dumps({**METADATA, "weights": weights, **changes}), encoding="utf-8"
    )
    return folder


def with_weights(folder, content):
    """The folder with other weights, whose hash is stated truthfully."""
    path = folder / "models" / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return rewritten(folder)


def assert_refused(folder, said):
    with pytest.raises(ModelError, match=said) as caught:
        load_model(folder, "cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_bundle_is_loaded_as_it_was_saved(folder, network):
    model = load_model(folder, "cpu")
    image = torch.randn(2, 4, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(model.network(image), network(image), atol=1e-5)
    assert not model.network.training
    assert (model.name, model.device, model.names) == ("tiny", "cpu", ("AC", "LEFT", "RIGHT"))
    assert model.mirror.tolist() == [0, 2, 1]
    assert (model.pixel_mm, model.output_stride, model.divisor, model.largest_size) == (2.0, 2, 32, 192)
    assert (model.sigma_mm, model.tau_mm, model.threshold, model.sigma_pixels) == (6.0, 12.0, 0.2, 1.5)
    assert model.sha256 == sha256_of(folder / "models" / "model.pt")
    assert model.uncertainty.base_mm == pytest.approx(np.full((3, 3, 2), 2.5))


def test_safetensors_are_read_too(folder, network):
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(network.state_dict(), folder / "models" / "model.safetensors")
    model = load_model(rewritten(folder, "models/model.safetensors"), "cpu")
    with torch.inference_mode():
        assert torch.allclose(model.network(torch.ones(1, 4, 32, 32)), network(torch.ones(1, 4, 32, 32)), atol=1e-5)


def test_a_path_given_as_text_is_a_folder_too(folder):
    assert load_model(str(folder), "cpu").name == "tiny"


def test_weights_that_differ_from_the_hash_are_not_opened(folder, monkeypatch):
    with open(folder / "models" / "model.pt", "ab") as file:
        file.write(b"x")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    assert_refused(folder, "weights differ from the hash")


def test_weights_with_code_are_refused_and_not_run(folder, tmp_path):
    assert_refused(with_weights(folder, {"weight": Code(tmp_path / "run")}), "weights cannot be loaded")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"junk" * 50, b"PK\x03\x04" + bytes(60), b"\x80\x02]q\x00.", [torch.ones(3)], {"a": 1}, torch.ones(2), None],
    ids=["empty", "junk", "half a zip", "pickle", "list", "no tensor", "tensor", "nothing"],
)
def test_weights_that_are_none_are_refused_in_one_line(folder, content):
    assert_refused(with_weights(folder, content), "weights cannot be loaded")


def test_safetensors_that_are_none_are_refused_in_one_line(folder):
    """Whether the package for them is installed or not."""
    (folder / "models" / "model.safetensors").write_bytes(b"\xff" * 100)
    assert_refused(rewritten(folder, "models/model.safetensors"), "weights cannot be loaded")


def test_weights_of_another_network_are_refused(folder):
    other = build_network("unet_plus_plus", {**OPTIONS, "features": [16] * 6})
    assert_refused(with_weights(folder, other.state_dict()), "weights cannot be loaded")


def test_weights_that_lack_a_tensor_are_refused(folder, network):
    state = network.state_dict()
    state.popitem()
    assert_refused(with_weights(folder, state), "weights cannot be loaded")


def test_weights_that_are_absent_are_named(folder):
    (folder / "models" / "model.pt").unlink()
    assert_refused(folder, r"model\.pt: cannot be read \(No such file")


def test_weights_that_are_too_large_are_refused(folder, monkeypatch):
    monkeypatch.setattr(bundles, "LARGEST_WEIGHTS_BYTES", 1000)
    assert_refused(folder, r"model\.pt: is refused for its size \(\d+ bytes\)")


@pytest.mark.parametrize("file", ["../secret.pt", "/etc/passwd", "models/../../secret.pt", "models/x.pkl", "model.pt"])
def test_a_weight_file_outside_the_models_folder_is_refused(folder, file):
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["weights"]["file"] = file
    path.write_text(json.dumps(metadata), encoding="utf-8")
    assert_refused(folder, "weights.file")


def test_a_link_that_leads_out_of_the_bundle_is_refused(folder, tmp_path):
    shutil.move(folder / "models" / "model.pt", tmp_path / "elsewhere.pt")
    (folder / "models" / "model.pt").symlink_to(tmp_path / "elsewhere.pt")
    assert_refused(folder, "lies outside the bundle")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"landmarks": METADATA["landmarks"][:1]}, "differ in number"),
        ({"landmarks": [*METADATA["landmarks"][:2], {"name": "AC", "mirror": None}]}, "repeat"),
        ({"landmarks": [*METADATA["landmarks"][:2], {"name": "X", "mirror": None}]}, "unknown partner"),
        (
            {"landmarks": [{"name": "A", "mirror": "B"}, {"name": "B", "mirror": "C"}, {"name": "C", "mirror": "A"}]},
            "part",
        ),
        ({"network": {"architecture": "resnet", "options": OPTIONS}}, "unknown network architecture"),
        ({"network": {"architecture": "unet_plus_plus", "options": {**OPTIONS, "in_channels": 1}}}, "4 channels"),
        ({"network": {"architecture": "unet_plus_plus", "options": {**OPTIONS, "stem": 8}}}, "option stem=8"),
        ({"network": {"architecture": "unet_plus_plus", "options": {**OPTIONS, "hook": "x"}}}, "option hook='x'"),
        ({"format": "AutoVolumeCalibration/model/99"}, "format"),
        ({"threshold": 0}, "threshold"),
        ({"targets": {"sigma_mm": -1, "tau_mm": 12}}, "sigma_mm"),
        ({"input": {**METADATA["input"], "planes": ["axial", "coronal", "sagittal"]}}, "planes"),
        ({"input": {**METADATA["input"], "normalisation": "z-score"}}, "normalisation"),
        ({"uncertainty": default_uncertainty(2).to_dict()}, "uncertainty calibration"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(folder, changes, said):
    assert_refused(rewritten(folder, **changes), said)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": NaN}', '"$import os"'])
def test_metadata_that_are_no_metadata_are_refused(folder, text):
    (folder / "configs" / "metadata.json").write_text(text, encoding="utf-8")
    assert_refused(folder, r"metadata\.json")


def test_expressions_of_a_foreign_bundle_are_never_evaluated(folder, tmp_path):
    """MONAI would run what follows a dollar sign, in any of these files."""
    expression = f"$open({str(tmp_path / 'run')!r}, 'w')"
    for name in ("inference.json", "train.json"):
        (folder / "configs" / name).write_text(json.dumps({"run": [expression], "imports": [expression]}))
    rewritten(folder, title=expression, description=expression)
    load_model(folder, "cpu")
    assert not (tmp_path / "run").exists()


def test_an_unknown_model_lists_the_shipped_ones(tmp_path):
    with pytest.raises(ModelError, match=f"unknown model nonsense.*{DEFAULT_MODEL}"):
        load_model("nonsense")
    with pytest.raises(ModelError, match="unknown model"):
        load_model(tmp_path)


def test_every_shipped_model_loads_and_the_default_is_among_them():
    names = [metadata["name"] for metadata in list_models()]
    assert DEFAULT_MODEL in names
    for name in names:
        model = load_model(name, "cpu")
        assert model.name == name and len(model.names) == len(model.mirror)


def test_a_device_is_chosen_or_refused():
    assert choose_device("cpu") == "cpu" and choose_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="unknown device 'tpu'.*auto, cpu, cuda, mps"):
        choose_device("tpu")
    absent = [name for name in ("cuda", "mps") if choose_device("auto") != name and not _available(name)]
    for name in absent:
        with pytest.raises(UsageError, match=f"device {name} is not available"):
            choose_device(name)


def _available(name):
    return torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()


def test_the_hash_is_the_usual_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_metadata_keep_what_other_tools_wrote(folder):
    assert read_metadata(rewritten(folder, monai_version="1.6.1"))["monai_version"] == "1.6.1"
