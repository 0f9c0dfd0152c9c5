"""The text headers of MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr): every field that their readers use, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: Dimensions of an image file; a scout has three, further ones of size one are common.
_MOST_DIMENSIONS = 7
_MOST_CHANNELS = 64
_LONGEST_NAME, _LONGEST_VALUE = 80, 4000

_META_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG", "MET_ULONG", "MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
#: Fields with a number per dimension, or per pair of dimensions: the power of that count.
_META_VECTORS = {
    **dict.fromkeys(
        ("DimSize", "Offset", "Position", "Origin", "CenterOfRotation", "ElementSpacing", "ElementSize"), 1
    ),
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), 2),
}
_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "uint64", "uint64_t", "double"), 8),
    "float": 4,
}
_NRRD_PACKED = {"raw": False, "gzip": True, "gz": True, "bzip2": True, "bz2": True}
_NRRD_TEXT = ("txt", "text", "ascii", "hex")

#: One name for each field that has two.
_NRRD_ALIASES = {
    "datafile": "data file",
    "lineskip": "line skip",
    "byteskip": "byte skip",
    "axismins": "axis mins",
    "axismaxs": "axis maxs",
    "centers": "centerings",
    "oldmin": "old min",
    "oldmax": "old max",
    "blocksize": "block size",
    "sampleunits": "sample units",
}
_NRRD_WORDS = ("space", "content", "sample units", "space units", "units", "labels", "number", "endian")
_VECTOR = re.compile(r"none|\(([^()]*)\)")


class HeaderFault(ValueError):
    """The name of the field that is missing or makes no sense."""


@dataclass(frozen=True)
class TextHeader:
    """What a header states about the data.

    Attributes:
        reader: name of the SimpleITK reader.
        size: pixels per axis, every axis of the file.
        pixel_bytes: bytes per pixel, unpacked.
        data_file: name of the file with the data; None: they follow the header.
        start: bytes before the data in their file.
        packed: the data are compressed, or written as text.
        packed_bytes: stated length of compressed data, None where not stated.
    """

    reader: str
    size: tuple[int, ...]
    pixel_bytes: int
    data_file: str | None
    start: int
    packed: bool
    packed_bytes: int | None = None


class MetaHeader:
    """``Name = value`` lines; ``ElementDataFile`` is the last."""

    @staticmethod
    def read(head: bytes) -> TextHeader:
        """The header at the beginning of a file; HeaderFault where a field is missing or makes no sense."""
        fields, end = _meta_fields(head)
        dimensions = _whole(fields, "NDims", 1, _MOST_DIMENSIONS)
        size = _whole_numbers(fields, "DimSize", dimensions)
        if fields.get("ElementType") not in _META_BYTES:
            raise HeaderFault("ElementType")
        channels = _whole(fields, "ElementNumberOfChannels", 1, _MOST_CHANNELS, default=1)
        for name, power in _META_VECTORS.items():
            _numbers(fields, name, dimensions**power)
        for name, count in {"Color": 4, "ElementMin": 1, "ElementMax": 1}.items():
            _numbers(fields, name, count)
        for name in ("ID", "ParentID", "CompressionLevel"):
            _whole(fields, name, -(2**31), 2**31 - 1, default=0)
        skipped = _whole(fields, "HeaderSize", -1, 2**20, default=0)
        stated = _whole(fields, "CompressedDataSize", 0, 2**40, default=0)
        data = fields["ElementDataFile"]
        local = data.lower() == "local"
        if data.lower().startswith("list") or "%" in data:
            raise HeaderFault("ElementDataFile")
        return TextHeader(
            reader="MetaImageIO",
            size=size,
            pixel_bytes=_META_BYTES[fields["ElementType"]] * channels,
            data_file=None if local else data,
            start=max(skipped, 0) + (end if local else 0),
            packed=_is_true(fields, "CompressedData", "False") or not _is_true(fields, "BinaryData", "True"),
            packed_bytes=stated or None,
        )


class NrrdHeader:
    """``name: value`` lines up to an empty one; ``name:=value`` and ``#`` lines are remarks."""

    @staticmethod
    def read(head: bytes) -> TextHeader:
        """The header at the beginning of a file; HeaderFault where a field is missing or makes no sense."""
        fields, end = _nrrd_fields(head)
        dimensions = _whole(fields, "dimension", 1, _MOST_DIMENSIONS)
        size = _whole_numbers(fields, "sizes", dimensions)
        if fields.get("type", "").lower() not in _NRRD_BYTES:
            raise HeaderFault("type")
        encoding = fields.get("encoding", "").lower()
        if encoding not in (*_NRRD_PACKED, *_NRRD_TEXT):
            raise HeaderFault("encoding")
        for name in ("spacings", "thicknesses", "axis mins", "axis maxs"):
            _numbers(fields, name, dimensions, nan=True)
        for name in ("min", "max", "old min", "old max"):
            _numbers(fields, name, 1, nan=True)
        for name in ("kinds", "centerings"):
            if name in fields and len(fields[name].split()) != dimensions:
                raise HeaderFault(name)
        world = _whole(fields, "space dimension", 1, 3, default=3)
        for name, count in {"space directions": dimensions, "space origin": 1, "measurement frame": world}.items():
            _vectors(fields, name, count)
        lines = _whole(fields, "line skip", 0, 1000, default=0)
        skipped = _whole(fields, "byte skip", -1, 2**20, default=0)
        data = fields.get("data file")
        if data is not None and (data.upper().startswith("LIST") or "%" in data):
            raise HeaderFault("data file")
        if end is None and data is None:
            raise HeaderFault("its end is missing")
        return TextHeader(
            reader="NrrdImageIO",
            size=size,
            pixel_bytes=_NRRD_BYTES[fields["type"].lower()],
            data_file=data,
            start=max(skipped, 0) + (0 if data is not None or end is None else end),
            packed=_NRRD_PACKED.get(encoding, True) or lines > 0,
        )


def _meta_fields(head: bytes) -> tuple[dict[str, str], int]:
    """The fields up to the last one, and where it ends."""
    fields: dict[str, str] = {}
    end = 0
    for line in head.split(b"\n"):
        end += len(line) + 1
        name, separator, value = (part.strip() for part in _text(line).partition("="))
        if not separator or len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE // 8 or name in fields:
            raise HeaderFault(f"line {len(fields) + 1}")
        if name in _META_VECTORS and "NDims" not in fields:  # its reader counts numbers by what came before
            raise HeaderFault("NDims")
        fields[name] = value
        if name == "ElementDataFile":
            return fields, end
    raise HeaderFault("ElementDataFile")


def _nrrd_fields(head: bytes) -> tuple[dict[str, str], int | None]:
    """The fields up to an empty line, and where that ends; None where the file ends without one."""
    fields: dict[str, str] = {}
    end = 0
    for number, raw in enumerate(head.split(b"\n"), start=1):
        end += len(raw) + 1
        line = _text(raw)
        if not line:
            return fields, end if end <= len(head) else None
        if number == 1 or line.startswith("#") or ":=" in line:
            continue
        name, separator, value = (part.strip() for part in line.partition(":"))
        name = _NRRD_ALIASES.get(name.lower(), name.lower())
        if not separator or name in fields or name not in _NRRD_FIELDS:
            raise HeaderFault(f"line {number}")
        fields[name] = value
    return fields, None


def _text(line: bytes) -> str:
    """A line without its end; HeaderFault where it is too long or holds control characters."""
    text = line.decode("latin-1").removesuffix("\r")
    if (
        len(text) > _LONGEST_VALUE
        or not text.replace("\t", " ").replace("\xa0", " ").replace("\xad", " ").isprintable()
    ):
        raise HeaderFault("not text")
    return text


_NRRD_FIELDS = frozenset(
    {
        *("dimension", "sizes", "type", "encoding", "spacings", "thicknesses", "axis mins", "axis maxs"),
        *("min", "max", "old min", "old max", "kinds", "centerings", "space dimension", "space directions"),
        *("space origin", "measurement frame", "line skip", "byte skip", "data file"),
        *_NRRD_WORDS,
    }
)


def _whole(fields: Mapping[str, str], name: str, low: int, high: int, default: int | None = None) -> int:
    if name not in fields and default is not None:
        return default
    word = fields.get(name, "")
    if not re.fullmatch(r"[+-]?[0-9]{1,15}", word) or not low <= int(word) <= high:
        raise HeaderFault(name)
    return int(word)


def _whole_numbers(fields: Mapping[str, str], name: str, count: int) -> tuple[int, ...]:
    words = fields.get(name, "").split()
    if len(words) != count or not all(re.fullmatch(r"\+?[0-9]{1,15}", word) for word in words):
        raise HeaderFault(name)
    return tuple(int(word) for word in words)


def _numbers(fields: Mapping[str, str], name: str, count: int, nan: bool = False) -> None:
    """Raise HeaderFault unless the field is absent or holds ``count`` finite numbers (``nan``: or NaN)."""
    if name in fields:
        _require_numbers(fields[name].split(), name, count, nan)


def _vectors(fields: Mapping[str, str], name: str, count: int) -> None:
    """Raise HeaderFault unless the field is absent or holds ``count`` vectors of one length, or ``none``."""
    if name not in fields:
        return
    words = list(_VECTOR.finditer(fields[name]))
    if len(words) != count or _VECTOR.sub("", fields[name]).strip():
        raise HeaderFault(name)
    parts = [word[1].split(",") for word in words if word[1] is not None]
    if not parts or not 1 <= len(parts[0]) <= 3:
        raise HeaderFault(name)
    for part in parts:
        _require_numbers(part, name, len(parts[0]), nan=True)


def _require_numbers(words: list[str], name: str, count: int, nan: bool) -> None:
    allowed: Callable[[float], bool] = (lambda number: not math.isinf(number)) if nan else math.isfinite
    try:
        sound = len(words) == count and all(len(word) < 40 and allowed(float(word)) for word in words)
    except ValueError:
        sound = False
    if not sound:
        raise HeaderFault(name)


def _is_true(fields: Mapping[str, str], name: str, default: str) -> bool:
    return fields.get(name, default)[:1].lower() in ("t", "1", "y")
