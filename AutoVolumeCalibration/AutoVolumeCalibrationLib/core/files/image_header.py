"""Image headers judged in Python before any image library sees them.

The libraries trust what a header states: a wrong number of dimensions ends the process, a pipe as data file hangs it,
a stated size fills the memory. A header that passes is read by the one library that this module names.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from .regular_file import require_regular
from .text_headers import HeaderFault, MetaHeader, NrrdHeader, TextHeader

WHOLE_FILE = "Copy or export the file again."
POSITIONED = "Give the scouts as DICOM, NRRD or NIfTI."

#: Flat pictures, by how they begin.
_FLAT = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_GZIP, _HDF5 = b"\x1f\x8b", b"\x89HDF"

#: A header, and all that lies between it and the data, is not longer.
_MOST_HEADER_BYTES = 2**20

#: NIfTI's code of the type of a pixel -> bits.
_NIFTI_BITS = {
    2: 8,
    256: 8,
    4: 16,
    512: 16,
    8: 32,
    768: 32,
    16: 32,
    64: 64,
    1024: 64,
    1280: 64,
    32: 64,
    1792: 128,
    1536: 128,
    2048: 256,
    128: 24,
    2304: 32,
}


class _NiftiLayout(NamedTuple):
    """Length of a header, and (byte offset, struct format) of what is judged in it."""

    length: int
    dim: tuple[int, str]
    pixel_type: tuple[int, str]
    spacing: tuple[int, str]
    start: tuple[int, str]


#: By the length that stands at the beginning: version 1 and 2.
_NIFTI_LAYOUTS = {
    348: _NiftiLayout(348, (40, "8h"), (70, "2h"), (76, "8f"), (108, "f")),
    540: _NiftiLayout(540, (16, "8q"), (12, "2h"), (104, "8d"), (168, "q")),
}
_NIFTI_MAGIC = (b"n+1\0", b"ni1\0", b"n+2\0", b"ni2\0")

#: Of GIPL's type of a pixel: bytes.
_GIPL_BYTES = {1: 1, 7: 1, 8: 1, 15: 2, 16: 2, 31: 4, 32: 4, 64: 4, 65: 8}
_GIPL_MAGIC = (719555000, 4026526128)


@dataclass(frozen=True)
class ImageHeader:
    """What a judged file is.

    Attributes:
        reader: name of the one SimpleITK reader for it.
        size: pixels per axis of the file; empty where only its reader knows.
        pixel_bytes: bytes per pixel.
        data_file: the file with the pixels.
        needed_bytes: in that file, unpacked, up to the end of the pixels; 0 where the reader notices a cut file.
    """

    reader: str
    size: tuple[int, ...]
    pixel_bytes: int
    data_file: Path
    needed_bytes: int = 0


def judge_header(path: Path) -> ImageHeader:
    """The kind of an image file whose header is whole and sensible; whether its size is, is for the caller to say.

    Raises:
        InputError: it is not, or the file is of no known kind, or its data lie in no regular file beside it.
    """
    source = str(path)
    if require_regular(path, InputError, "Check the path and its access rights.") == 0:
        raise InputError("the file is empty", source=source, remedy=WHOLE_FILE)
    header_file = path.with_suffix(".hdr") if path.suffix == ".img" else path
    try:
        return _judge(header_file, source)
    except HeaderFault as fault:
        raise InputError(f"the image header is damaged ({fault})", source=source, remedy=WHOLE_FILE) from fault
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", source=source, remedy="Check its access rights."
        ) from error


def _judge(path: Path, source: str) -> ImageHeader:
    head = _head(path, 1024)
    if head.startswith(_FLAT):
        raise InputError("this image has no position in space", source=source, remedy=POSITIONED)
    if head.startswith(b"NRRD000"):
        return _judge_text(NrrdHeader.read(_head(path, _MOST_HEADER_BYTES)), path, source)
    order = _nifti_order(head)
    if order is not None:
        return _judge_nifti(head, order, path, source)
    if len(head) >= 256 and struct.unpack(">I", head[252:256])[0] in _GIPL_MAGIC:
        return _judge_gipl(head, path)
    if head.startswith(_HDF5) and path.suffix.lower() == ".mnc":
        return ImageHeader("MINCImageIO", (), 0, path)
    if path.suffix.lower() in (".mha", ".mhd"):
        return _judge_text(MetaHeader.read(_head(path, _MOST_HEADER_BYTES)), path, source)
    raise InputError("this is not an image in a known format", source=source, remedy=POSITIONED)


def _head(path: Path, count: int) -> bytes:
    """The first bytes of a file, unpacked where it is gzipped; HeaderFault where that cannot be done."""
    with open(path, "rb") as stream:
        head = stream.read(count)
    if not head.startswith(_GZIP):
        return head
    try:
        with gzip.open(path) as packed:
            return packed.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HeaderFault("it cannot be unpacked") from error


def unpacked_length(path: Path, needed: int) -> int:
    """Bytes in the file, unpacked if it is gzipped, counted no further than ``needed``; 0 where damaged."""
    with open(path, "rb") as stream:
        if not stream.read(2).startswith(_GZIP):
            return path.stat().st_size
    length = 0
    try:
        with gzip.open(path) as packed:
            while length < needed and (chunk := packed.read(1 << 20)):
                length += len(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return 0
    return length


def _judge_text(header: TextHeader, path: Path, source: str) -> ImageHeader:
    data = path
    if header.data_file is not None:
        data = _beside(path, header.data_file, source)
    length = require_regular(data, InputError, WHOLE_FILE)
    if header.packed_bytes is not None and header.packed_bytes > length:
        raise HeaderFault("size of the packed data")
    needed = 0 if header.packed else header.start + math.prod(header.size) * header.pixel_bytes
    return ImageHeader(header.reader, header.size, header.pixel_bytes, data, needed)


def _beside(path: Path, name: str, source: str) -> Path:
    """The data file that a header names, in the header's own folder."""
    if not name or Path(name).name != name or "\\" in name:
        raise InputError(
            "its data lie in another folder", source=source, remedy="Put header and data side by side, or export again."
        )
    return path.with_name(name)


def _nifti_order(head: bytes) -> str | None:
    """The byte order of a NIfTI header, as struct writes it; None where it is none."""
    if len(head) < 4:
        return None
    return next((order for order in "<>" if struct.unpack(f"{order}i", head[:4])[0] in _NIFTI_LAYOUTS), None)


def _judge_nifti(head: bytes, order: str, path: Path, source: str) -> ImageHeader:
    layout = _NIFTI_LAYOUTS[struct.unpack(f"{order}i", head[:4])[0]]
    if len(head) < layout.length:
        raise InputError("the image data are damaged or cut short", source=source, remedy=WHOLE_FILE)
    magic = head[344:348] if layout.length == 348 else head[4:8]
    if magic not in _NIFTI_MAGIC:  # its predecessor, Analyze 7.5
        raise InputError("this NIfTI file has no position in space", source=source, remedy=POSITIONED)
    count, *extents = _unpacked(head, order, layout.dim)
    code, bits = _unpacked(head, order, layout.pixel_type)
    (start,) = _unpacked(head, order, layout.start)
    if not 1 <= count <= 7:
        raise HeaderFault("number of dimensions")
    if _NIFTI_BITS.get(code) != bits:
        raise HeaderFault("type of the pixels")
    if not all(map(math.isfinite, _unpacked(head, order, layout.spacing))):
        raise HeaderFault("pixel spacing")
    if not math.isfinite(start) or not 0 <= start <= _MOST_HEADER_BYTES:
        raise HeaderFault("start of the data")
    size = tuple(extents[:count])
    data = path if magic[1:2] == b"+" else _nifti_data(path)
    require_regular(data, InputError, WHOLE_FILE)
    return ImageHeader("NiftiImageIO", size, bits // 8, data, int(start) + math.prod(size) * bits // 8)


def _unpacked(head: bytes, order: str, field: tuple[int, str]) -> tuple[Any, ...]:
    offset, form = field
    return struct.unpack_from(f"{order}{form}", head, offset)


def _nifti_data(path: Path) -> Path:
    """The .img beside a .hdr, packed or not."""
    data = path.with_suffix(".img")
    packed = data.with_name(f"{data.name}.gz")
    return packed if packed.exists() and not data.exists() else data


def _judge_gipl(head: bytes, path: Path) -> ImageHeader:
    *extents, code = struct.unpack(">5H", head[:10])
    if code not in _GIPL_BYTES:
        raise HeaderFault("type of the pixels")
    if not all(map(math.isfinite, struct.unpack(">4f", head[10:26]))):
        raise HeaderFault("pixel spacing")
    size = tuple(extent for extent in extents if extent)
    return ImageHeader("GiplImageIO", size or (0,), _GIPL_BYTES[code], path)
