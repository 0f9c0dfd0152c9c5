"""Model bundles that are damaged, do not fit, or would run code: refused, and none of their code runs."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from AutoVolumeCalibrationLib.core.files.resources import resource_path
from command_line import MIDDLE_SLICES, assert_refused

SHIPPED = resource_path("Models", "brain-scout")


class Trap:
    """Unpickled, it makes a file: code that came with the data has run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def make_bundle(folder: Path, content: bytes | None = None, name: str = "model.pt", **changes) -> Path:
    """The shipped bundle with other weights, whose hash the metadata then state, or other metadata."""
    shutil.copytree(SHIPPED, folder)
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    if content is not None:
        (folder / "models" / name).write_bytes(content)
        metadata["weights"] = {"file": f"models/{name}", "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(metadata | changes), encoding="utf-8")
    return folder


def options(**changes):
    """The shipped bundle's network with other options, or with another ``architecture``."""
    network = json.loads((SHIPPED / "configs" / "metadata.json").read_text(encoding="utf-8"))["network"]
    architecture = changes.pop("architecture", network["architecture"])
    return {"network": {"architecture": architecture, "options": network["options"] | changes}}


def saved(content: object, path: Path) -> bytes:
    """What torch.save makes of ``content``."""
    torch.save(content, path)
    return path.read_bytes()


def shipped_weights() -> bytes:
    return (SHIPPED / "models" / "model.pt").read_bytes()


def plan_with(autovolume, bundle, tmp_path):
    """What torch makes of a bundle; graphs are tested in core/test_onnx_file.py."""
    return autovolume(
        "calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", "--model", bundle, "--backend", "torch"
    )


def assert_model_refused(autovolume, bundle, tmp_path, named):
    assert_refused(plan_with(autovolume, bundle, tmp_path), 4, named)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weights": {"file": "models/model.pt", "sha256": "0" * 64}}, "hash"),
        ({"weights": {"file": "models/none.pt", "sha256": "0" * 64}}, "none.pt"),
        ({"weights": {"file": "../../x.pt", "sha256": "0" * 64}}, "weights.file"),
        ({"weights": {"file": "models/../../x.pt", "sha256": "0" * 64}}, "weights.file"),
        ({"weights": {"file": "/etc/passwd", "sha256": "0" * 64}}, "weights.file"),
        (options(architecture="os.system"), "os.system"),
        (options(features=[10**9] * 6), "features"),
        (options(features=[32, 32]), "features"),
        (options(out_channels=10**6), "out_channels"),
        (options(out_channels=3), "number"),
        (options(stem=0), "stem"),
        (options(act="$__import__('os').system('true')"), "act"),
        (options(features=[8] * 6), "weights"),
        (options(features=[2048] * 6), "weights"),  # 10 GB, were it built before the weights are looked at
        ({"format": "other"}, "format"),
        ({"landmarks": []}, "landmarks"),
        ({"uncertainty": {}}, "uncertainty"),
        ({"threshold": "high"}, "threshold"),
    ],
)
def test_metadata_that_do_not_fit_are_named(autovolume, tmp_path, changes, named):
    bundle = make_bundle(tmp_path / "bundle", **changes)
    assert_model_refused(autovolume, bundle, tmp_path, named)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\xfa"])
def test_a_bundle_without_readable_metadata_is_named(autovolume, tmp_path, content):
    bundle = make_bundle(tmp_path / "bundle")
    path = bundle / "configs" / "metadata.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert_model_refused(autovolume, bundle, tmp_path, path)


@pytest.mark.parametrize("name", ["unicorn", "", "/", "no/such/folder"])
def test_an_unknown_model_is_answered_with_the_known_ones(autovolume, tmp_path, monkeypatch, name):
    if name == "":
        monkeypatch.chdir(tmp_path)
        name = "."
    assert_model_refused(autovolume, name, tmp_path, "brain-scout")


@pytest.mark.parametrize("says_so", [True, False], ids=["hash of the cut file", "hash of the whole file"])
@pytest.mark.parametrize("share", [0, 0.01, 0.7, 0.999])
def test_weights_that_were_cut_short_are_named(autovolume, tmp_path, share, says_so):
    weights = shipped_weights()
    cut = weights[: int(share * len(weights))]
    bundle = make_bundle(tmp_path / "bundle", cut if says_so else None)
    (bundle / "models" / "model.pt").write_bytes(cut)
    assert_model_refused(autovolume, bundle, tmp_path, "model.pt")


def test_weights_with_code_in_them_run_nothing(autovolume, tmp_path):
    marker = tmp_path / "ran"
    traps = {
        "plain": pickle.dumps(Trap(marker)),
        "torch": saved(Trap(marker), tmp_path / "x"),
        "state": saved({"weight": torch.zeros(1), "more": Trap(marker)}, tmp_path / "x"),
    }
    for name, content in traps.items():
        assert_model_refused(autovolume, make_bundle(tmp_path / name, content), tmp_path, "model.pt")
    assert not marker.exists()
    pickle.loads(traps["plain"])
    assert marker.exists()  # the trap works


@pytest.mark.parametrize(
    "content",
    [[1, 2], torch.zeros(3), {"weight": torch.zeros(3)}, {}, {1: torch.zeros(3)}, {"nested.fold": "text"}, "text"],
    ids=["list", "tensor", "foreign", "nothing", "number as name", "text as tensor", "text"],
)
def test_weights_of_something_else_are_named(autovolume, tmp_path, content):
    bundle = make_bundle(tmp_path / "bundle", saved(content, tmp_path / "x"))
    assert_model_refused(autovolume, bundle, tmp_path, "model.pt")


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 8 + b"{" * 99, b"text"])
def test_damaged_safetensors_are_named(autovolume, tmp_path, content):
    pytest.importorskip("safetensors")
    bundle = make_bundle(tmp_path / "bundle", content, "model.safetensors")
    assert_model_refused(autovolume, bundle, tmp_path, "model.safetensors")


def test_weights_that_are_a_link_out_of_the_bundle_are_not_read(autovolume, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    outside = (bundle / "models" / "model.pt").rename(tmp_path / "outside.pt")
    (bundle / "models" / "model.pt").symlink_to(outside)
    assert_model_refused(autovolume, bundle, tmp_path, "outside")


def test_a_device_that_is_not_there_is_bad_usage(autovolume, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", "--device", "cuda")
    assert_refused(ran, 2, "cuda")
    assert not (tmp_path / "out").exists()


def test_a_copy_of_the_shipped_bundle_is_taken(autovolume, tmp_path, monkeypatch):
    ran = autovolume("check", *MIDDLE_SLICES, "--model", make_bundle(tmp_path / "bundle"))
    assert ran.code in (0, 5)
