"""Weight files read as tensors and nothing else, judged before torch opens them.

A file of a few kilobytes can name tensors of gigabytes: sparse ones, ones without data, one number repeated with
strides of zero, packed archive entries. What a network of this project saves has none of these.
"""

from __future__ import annotations

import logging
import pickle
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError

if TYPE_CHECKING:
    import torch

_logger = logging.getLogger(__name__)

#: The names that a saved ``state_dict`` of plain tensors refers to, besides dtypes and storages of torch.
_STATE_DICT_NAMES = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor_v2",
        "torch.nn.parameter Parameter",
    }
)
#: Of the pickle that describes the tensors; that of the largest network here has 0.1 MB.
_MOST_PICKLE_BYTES = 8 * 1024**2

#: What zipfile, pickle, torch and safetensors raise for a damaged file, beside errors of their own.
_DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, EOFError, RuntimeError, NotImplementedError),
    *(OverflowError, MemoryError, AssertionError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error),
)


class _NotTensors(ValueError):
    """Why a file that may be sound is not read, in our own words."""


def read_tensors(path: Path, remedy: str) -> dict[str, torch.Tensor]:
    """The named tensors of a ``.safetensors`` file or of one that ``torch.save`` wrote; nothing in it is executed.

    Every tensor is dense, on the CPU, and has all its numbers in the file.

    Raises:
        ModelError: the file is damaged or holds something else; with ``remedy``.
        OSError: it cannot be read.
    """
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except _DAMAGE as error:
        reason = str(error) if isinstance(error, _NotTensors) else "the file is damaged"
        raise _refused(path, reason, remedy, error) from error
    objection = _objection(content, path.stat().st_size)
    if objection:
        raise ModelError(f"weights cannot be loaded ({objection})", source=str(path), remedy=remedy)
    return dict(content)


def load_tensors(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, remedy: str) -> None:
    """Make ``tensors`` the weights of ``network``; ModelError naming ``path`` where names or shapes differ.

    A network that was built otherwise in an earlier version may say so: ``earlier_form(tensors)`` is the reason, or "".
    """
    try:
        network.load_state_dict(dict(tensors), assign=True)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
        earlier_form = getattr(network, "earlier_form", lambda _tensors: "")
        raise _refused(path, earlier_form(tensors) or "they do not fit the network", remedy, error) from error


def _refused(path: Path, reason: str, remedy: str, error: BaseException) -> ModelError:
    """In our own words: torch's advise to load the file unchecked."""
    _logger.debug("%s: %s", path, reason, exc_info=error)
    return ModelError(f"weights cannot be loaded ({reason})", source=str(path), remedy=remedy)


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise _NotTensors("the Python package safetensors is missing") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError("not a safetensors file") from error


def _read_torch(path: Path) -> Any:
    import torch

    _judge_archive(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's speak to programmers
        return torch.load(path, map_location="cpu", weights_only=True)


def _judge_archive(path: Path) -> None:
    """Raise ValueError unless ``torch.save`` wrote the file: nothing packed, nothing but tensors."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _NotTensors("an entry is packed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise _NotTensors("the entries are larger than the file")
        pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
            raise ValueError("not one description of the tensors")
        foreign = set(_names_in(archive.read(pickles[0]))) - _STATE_DICT_NAMES
    if not all(_is_storage(name) for name in foreign):
        raise _NotTensors("the file holds more than plain tensors")


def _names_in(pickled: bytes) -> Iterator[str]:
    """``module name`` of every class and function that a pickle refers to; ValueError where it is damaged."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            yield str(argument)
        elif opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            raise ValueError(f"opcode {opcode.name}")  # torch.save writes none of these


def _is_storage(name: str) -> bool:
    """``torch FloatStorage`` and its like: raw numbers in the archive."""
    module, _, word = name.partition(" ")
    return module == "torch" and word.endswith("Storage") and word.isidentifier()


def _objection(content: Any, file_bytes: int) -> str | None:
    """Why the content of a weight file is not a set of plain named tensors; None where it is."""
    import torch

    if not isinstance(content, Mapping):
        return "the file does not hold named tensors"
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            return "the file holds more than named tensors"
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            return "a tensor is not dense"
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            return "a tensor is larger than its data"
    if sum(tensor.numel() * tensor.element_size() for tensor in content.values()) > file_bytes:
        return "the tensors are larger than the file"
    return None
