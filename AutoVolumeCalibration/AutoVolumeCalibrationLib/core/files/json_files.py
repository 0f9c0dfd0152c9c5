"""JSON in and out: one-line errors that name the file and the position in it, compact number lists."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import AutoVolumeError, printable
from .regular_file import require_regular
from .resources import resource_path
from .schema_messages import schema_message

#: No file of the project comes near.
LARGEST_JSON_BYTES = 64 * 1024**2

#: Every 64-bit number fits; more digits overflow where they become floats or array entries.
_MOST_DIGITS = 20

#: Escapes of a NUL character and of half a surrogate pair: no file name or terminal takes them.
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def read_json(path: Path | str, error_type: type[AutoVolumeError], remedy: str) -> Any:
    """Content of a JSON file.

    Refused are NaN and infinity, which are not valid JSON, numbers beyond the range of a float, and text that no
    file name or terminal can hold: a NUL character, half a surrogate pair.

    Raises:
        error_type: the file is missing, cannot be read, or is not JSON; with ``remedy``.
    """
    require_regular(path, error_type, remedy, most_bytes=LARGEST_JSON_BYTES)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise error_type(f"cannot be read ({error.strerror or error})", source=str(path), remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise error_type("is not a text file in UTF-8", source=str(path), remedy=remedy) from error
    try:
        data = json.loads(text, parse_constant=_refuse_constant, parse_int=_whole_number, parse_float=_finite_number)
        if _SUSPECT_ESCAPE.search(text):
            _require_text(data)
        return data
    except (ValueError, RecursionError) as error:
        raise error_type(f"is not valid JSON ({error})", source=str(path), remedy=remedy) from error


def require_schema(data: Any, schema: str, path: Path | str, error_type: type[AutoVolumeError], remedy: str) -> None:
    """Raise ``error_type`` naming the element of ``data`` that violates ``Resources/Schemas/<schema>.schema.json``."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(data))
    if error is not None:
        message = printable(schema_message(error))
        message = message if len(message) < 200 else message[:200] + " ..."
        raise error_type(f"{error.json_path.removeprefix('$.')}: {message}", source=str(path), remedy=remedy)


def json_text(data: Any) -> str:
    """Indented JSON in which a list of plain numbers or words stays on one line.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return _rendered(data, "") + "\n"


def _rendered(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{json.dumps(str(key))}: {_rendered(entry, deeper)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, (dict, list)) for entry in value):
        return "[\n" + ",\n".join(deeper + _rendered(entry, deeper) for entry in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


@lru_cache
def _validator(schema: str) -> Any:
    import jsonschema

    content = json.loads(resource_path("Schemas", f"{schema}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(content)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _whole_number(word: str) -> int:
    if len(word) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(word)} digits is out of range")
    return int(word)


def _finite_number(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word[:20]} is out of range")
    return number


def _require_text(data: Any) -> None:
    """Raise ValueError where a text or key is not valid Unicode or holds a NUL character."""
    for text in _texts(data):
        if "\0" in text:
            raise ValueError("a text holds a NUL character")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("a text holds half of a surrogate pair") from error


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from _texts(value)
    elif isinstance(data, list):
        for entry in data:
            yield from _texts(entry)
