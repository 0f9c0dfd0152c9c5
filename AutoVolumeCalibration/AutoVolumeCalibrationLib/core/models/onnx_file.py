"""The ONNX file of a bundle: read as data, and refused where it names anything but numbers and standard operators.

ONNX Runtime would follow names of other files in a graph, so the bytes are looked through before it gets them. The
numbers of the fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..files.regular_file import require_regular

#: Larger files are refused: protocol buffers end there anyway.
LARGEST_GRAPH_BYTES = 2 * 1024**3 - 1

_REMEDY = "Get the bundle again, choose the backend torch, or choose another model."

#: Wire types of protocol buffers.
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5

#: Fields of ModelProto.
_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25
#: Of GraphProto.
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
#: Of NodeProto.
_ATTRIBUTE, _DOMAIN = 5, 7
#: Of AttributeProto: a tensor or several; a graph or several, as loops have; sparse tensors.
_TENSORS, _GRAPHS, _SPARSE = (5, 10), (6, 11), (22, 23)
#: Of TensorProto: where its numbers are, other than here.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def read_graph(folder: Path, expected: Mapping[str, Any]) -> bytes:
    """The bytes of a bundle's ONNX file after size, hash and content were checked; nothing in it is executed.

    Args:
        expected: ``onnx`` of the metadata: the file's path in the bundle, and its SHA-256.

    Raises:
        ModelError: the file is missing, too large, of another hash, damaged, or names other files or operators.
    """
    path = (folder / expected["file"]).resolve()
    if folder.resolve() not in path.parents:
        raise ModelError(f"{expected['file']} lies outside the bundle", source=str(folder), remedy=_REMEDY)
    require_regular(path, ModelError, _REMEDY, most_bytes=LARGEST_GRAPH_BYTES)
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", source=str(path), remedy=_REMEDY) from error
    # Of the bytes that are used, not of the file once more: it could change in between.
    if hashlib.sha256(graph).hexdigest() != expected["sha256"]:
        raise ModelError("the graph differs from the hash in metadata.json", source=str(path), remedy=_REMEDY)
    try:
        reason = reason_to_refuse(graph)
    except (IndexError, ValueError) as error:
        raise ModelError(f"not an ONNX file ({error})", source=str(path), remedy=_REMEDY) from error
    if reason:
        raise ModelError(f"the graph {reason}", source=str(path), remedy=_REMEDY)
    return graph


def reason_to_refuse(graph: bytes) -> str:
    """Why the bytes of an ONNX model are refused, in words that follow "the graph"; empty where they are not.

    Raises:
        IndexError, ValueError: they are not a protocol buffer.
    """
    found = ""
    graphs = 0
    for number, value in _fields(memoryview(graph)):
        if number in (_TRAINING, _FUNCTIONS):
            found = "defines operators of its own"
        if number == _GRAPH:
            graphs += 1
            found = found or _graph_reason(_bytes(value))
    return found or ("" if graphs == 1 else "is missing")


def _graph_reason(graph: memoryview) -> str:
    for number, value in _fields(graph):
        reason = ""
        if number == _NODE:
            reason = _node_reason(_bytes(value))
        elif number == _INITIALIZER:
            reason = _tensor_reason(_bytes(value))
        elif number == _SPARSE_INITIALIZER:
            reason = "holds sparse tensors"
        if reason:
            return reason
    return ""


def _node_reason(node: memoryview) -> str:
    for number, value in _fields(node):
        if number == _DOMAIN and bytes(_bytes(value)) not in (b"", b"ai.onnx"):
            return "uses operators that are not standard"
        if number == _ATTRIBUTE and (reason := _attribute_reason(_bytes(value))):
            return reason
    return ""


def _attribute_reason(attribute: memoryview) -> str:
    for number, value in _fields(attribute):
        if number in _GRAPHS:
            return "holds loops or branches"
        if number in _SPARSE:
            return "holds sparse tensors"
        if number in _TENSORS and (reason := _tensor_reason(_bytes(value))):
            return reason
    return ""


def _tensor_reason(tensor: memoryview) -> str:
    for number, value in _fields(tensor):
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
            return "keeps its numbers in another file"
    return ""


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a part is expected")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of the fields of a protocol buffer: an integer, or the bytes of a part."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            length, place = _varint(message, place)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("unknown kind of field")
        if place + length > len(message):
            raise ValueError("cut short")
        yield number, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An integer of seven bits per byte, the lowest first, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number is too long")
