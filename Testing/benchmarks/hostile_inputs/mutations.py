"""Seeded damage: bits and bytes, lines and numbers of text, values of JSON, elements of DICOM, entries of archives."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

#: Changes the content of a file.
Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    *("nan", "inf", "-inf", "-1", "0", "-0.0", "1e400", "1e308", "1e15", "2147483648", "-2147483649", "65536"),
    *("9" * 30, "9" * 400, "1e-320", "0x7f", "1,5", "", "3.", "--1", "1e", "4096", "18446744073709551616"),
)
WORDS = (
    *("", " ", "A" * 300, "A" * 70000, "\x1b[31mred\x1b[0m", "a\nb", "../../x", "/etc/passwd", "%s%n%d", "x\u202egpj"),
    *("a\0b", "\U0001f642", "LIST", "slice_%03d.raw 1 3 1", "none", "true", "\xa0", "-", "NaN", "con", "~", "$HOME"),
)
#: Written into JSON as they are.
JSON_TOKENS = (
    *(
        "1e400",
        "-1e400",
        "1" + "0" * 400,
        "2147483648",
        "1e15",
        "-1",
        "0",
        "1e308",
        "1e-320",
        "NaN",
        "Infinity",
        "null",
    ),
    *("true", "[]", "{}", '""', r'"\ud800x"', r'"a\u0000b"', r'"\u001b[31m"', '"../../x"', '"/etc/passwd"', '"nan"'),
    *(
        '"' + "A" * 5000 + '"',
        "[[[[[[[[]]]]]]]]",
        "[1e308, 1e308, 1e308]",
        "3.5",
        '"\u202ex"',
        "[null]",
        "[" * 200 + "]" * 200,
    ),
)
_VRS = (
    b"CS",
    b"DS",
    b"IS",
    b"LO",
    b"UI",
    b"UL",
    b"US",
    b"OB",
    b"OW",
    b"SQ",
    b"UN",
    b"FD",
    b"PN",
    b"DA",
    b"TM",
    b"UT",
    b"ZZ",
)
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV", b"OV")
_SYNTAXES = tuple(
    f"1.2.840.10008.1.2{end}".encode()
    for end in ("", ".2", ".5", ".1.99", ".4.50", ".4.57", ".4.70", ".4.80", ".4.90", ".4.91", ".4.201", ".9")
)


def mutate_bytes(rng: random.Random, data: bytes, head: int = 600) -> bytes:
    """One change of a few bytes, mostly near the beginning, where headers lie."""
    content = bytearray(data)
    if not content:
        return b"\0"
    reach = min(len(content), head) if rng.random() < 0.75 else len(content)
    at = rng.randrange(reach)
    kind = rng.randrange(9)
    if kind == 0:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        content[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
    elif kind == 2:
        del content[at : at + rng.choice((1, 2, 4, 16, 500))]
    elif kind == 3:
        content[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16, 500)))
    elif kind == 4:
        del content[at:]
    elif kind == 5:
        form, value = rng.choice(
            (("<i", -1), ("<i", 2**31 - 1), ("<I", 2**32 - 1), ("<h", -1), ("<H", 65535), ("<i", 0))
        )
        content[at : at + struct.calcsize(form)] = struct.pack(form, value)
    elif kind == 6:
        number = rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e30, 1e-30))
        content[at : at + 4] = struct.pack("<f", number)
    elif kind == 7:
        content[at:at] = content[at : at + rng.choice((4, 64, 1000))]
    else:
        content[at : at + rng.choice((1, 8, 100))] = bytes(rng.choice((1, 8, 100)))
    return bytes(content)


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """One change in the lines of text at the beginning of a file; what follows an empty line stays."""
    end = data.find(b"\n\n")
    local = data.find(b"ElementDataFile")
    end = data.find(b"\n", local) if local >= 0 else end
    head, tail = (data[:end], data[end:]) if end >= 0 else (data[:4000], data[4000:])
    lines = head.decode("latin-1").split("\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(7)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, rng.choice(lines))
    elif kind == 2:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = re.sub(r"(=|:|,)(.*)", lambda match: match[1] + rng.choice(WORDS), lines[at], count=1)
    elif kind == 4:
        lines[at] = rng.choice(WORDS)
    else:
        numbers = list(re.finditer(r"-?\d+(?:\.\d+)?", lines[at]))
        if numbers:
            number = rng.choice(numbers)
            lines[at] = lines[at][: number.start()] + rng.choice(NUMBERS) + lines[at][number.end() :]
    return "\n".join(lines).encode("utf-8", "surrogatepass") + tail


def mutate_json(rng: random.Random, data: bytes) -> bytes:
    """One value replaced, removed, repeated or renamed; sometimes the text itself is damaged."""
    if rng.random() < 0.15:
        return mutate_bytes(rng, data, head=len(data))
    content = json.loads(data)
    places = list(_places(content))
    holder, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(WORDS)] = holder.pop(key)
    elif kind == 1:
        holder.insert(key, holder[key])
    elif kind == 2:
        other, place = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[place]))
    else:
        holder[key] = f"@@{JSON_TOKENS.index(rng.choice(JSON_TOKENS))}@@"
    text = json.dumps(content, ensure_ascii=False)
    return re.sub(r'"@@(\d+)@@"', lambda match: JSON_TOKENS[int(match[1])], text).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Any:
    """(container, key or index) of everything in a JSON value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield value, key
        yield from _places(entry)


def mutate_dicom(rng: random.Random, data: bytes) -> bytes:
    """One element's kind, length, value or number changed, removed, repeated or moved; or bytes anywhere."""
    elements = list(_elements(data))
    if rng.random() < 0.25 or not elements:
        return mutate_bytes(rng, data, head=1200)
    start, value, length = rng.choice(elements)
    content = bytearray(data)
    kind = rng.randrange(8)
    if kind == 0:
        content[start + 4 : start + 6] = rng.choice(_VRS)
    elif kind == 1:
        struct.pack_into("<H", content, value - 2, rng.choice((0, 1, 2, 7, 64, 0xFFFF)))
    elif kind in (2, 3):
        text = rng.choice(NUMBERS if rng.random() < 0.6 else WORDS).encode("utf-8", "surrogatepass")[:length]
        content[value : value + length] = text.ljust(length, b" ")
    elif kind == 4:
        del content[start : value + length]
    elif kind == 5:
        content[start:start] = content[start : value + length]
    elif kind == 6:
        struct.pack_into("<HH", content, start, rng.choice((2, 8, 0x10, 0x18, 0x20, 0x28, 0x7FE0)), rng.randrange(0x60))
    else:
        syntax = rng.choice(_SYNTAXES)
        content = bytearray(re.sub(rb"1\.2\.840\.10008\.1\.2\.1\0", syntax.ljust(20, b"\0"), data, count=1))
    return bytes(content)


def _elements(data: bytes) -> Any:
    """(start, start of the value, its length) of the elements of an explicit little-endian file, up to a sequence."""
    at = 132
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 6]
        if kind in _LONG_VRS:
            length, value = int.from_bytes(data[at + 8 : at + 12], "little"), at + 12
        else:
            length, value = int.from_bytes(data[at + 6 : at + 8], "little"), at + 8
        if length == 0xFFFFFFFF or value + length > len(data):
            return
        yield at, value, length
        at = value + length


def mutate_archive(rng: random.Random, data: bytes) -> bytes:
    """An archive with one entry damaged, renamed, packed or repeated; or bytes anywhere."""
    if rng.random() < 0.4:
        return mutate_bytes(rng, data, head=len(data))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        entries = source.infolist()
        chosen, kind = rng.choice(entries), rng.randrange(5)
        for entry in entries:
            content, name, packed = source.read(entry), entry.filename, zipfile.ZIP_STORED
            if entry is chosen:
                content = mutate_bytes(rng, content, head=len(content) + 1) if kind in (0, 1) else content
                name = rng.choice(("../x", "/x", name + "\x1b", name.upper())) if kind == 2 else name
                packed = zipfile.ZIP_DEFLATED if kind == 3 else packed
            if entry is not chosen or kind != 4:
                target.writestr(name, content, packed)
    return out.getvalue()
