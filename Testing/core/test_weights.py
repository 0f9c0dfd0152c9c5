"""Weight files that are small on disk and large, empty or foreign in memory are refused, in our own words."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.models.weights import load_tensors, read_tensors

HALF = torch.ones(1000, dtype=torch.float16)


class Call:
    """Pickled, a call of ``function`` with ``arguments``."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def packed(content: object) -> bytes:
    """What torch saves, its archive packed again with compression."""
    plain, out = io.BytesIO(), io.BytesIO()
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return out.getvalue()


def sparse() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.eye(3).to_sparse_csr()


CONTENTS = {
    "sparse": lambda: {"a": torch.eye(3).to_sparse()},
    "sparse rows": lambda: {"a": sparse()},
    "without data": lambda: {"a": torch.ones(3, device="meta")},
    "strides of zero": lambda: {"a": torch.ones(1).expand(10**9)},
    "one data, many tensors": lambda: {str(number): HALF for number in range(1000)},
    "numbers": lambda: {"a": 1},
    "number as name": lambda: {1: torch.ones(3)},
    "list": lambda: [torch.ones(3)],
    "reserved memory": lambda: {"a": Call(torch.FloatTensor, 10**9)},
    "bytes": lambda: {"a": Call(bytearray, 10**9)},
    "code": lambda: {"a": Call(print, "code that came with the data has run")},
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_not_a_set_of_plain_tensors_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture, name: str):
    torch.save(CONTENTS[name](), tmp_path / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match=r"model\.pt: weights cannot be loaded \(.{10,60}\)\. Mend it\.$"):
            read_tensors(tmp_path / "model.pt", "Mend it.")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        packed({"a": torch.zeros(10**6)}),
        pickle.dumps({"a": 1}),
        b"",
        b"PK\x05\x06" + bytes(18),
        b"PK\x03\x04" + bytes(60),
    ],
    ids=["packed", "pickle", "empty", "empty archive", "cut archive"],
)
def test_what_torch_did_not_save_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ModelError, match="weights cannot be loaded") as caught:
        read_tensors(tmp_path / "model.pt", "Mend it.")
    assert "weights_only" not in str(caught.value)


def test_plain_tensors_are_read_and_loaded(tmp_path: Path):
    network = torch.nn.Linear(3, 2)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    tensors = read_tensors(tmp_path / "model.pt", "Mend it.")
    other = torch.nn.Linear(3, 2)
    load_tensors(other, tensors, tmp_path / "model.pt", "Mend it.")
    assert torch.equal(other.weight, network.weight)
    with pytest.raises(ModelError, match="they do not fit the network"):
        load_tensors(torch.nn.Linear(3, 4), tensors, tmp_path / "model.pt", "Mend it.")
