"""JSON in and out: one-line errors that name the file and the position in it, compact number lists."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import AutoVolumeError
from .resources import resource_path


def read_json(path: Path | str, error_type: type[AutoVolumeError], remedy: str) -> Any:
    """Content of a JSON file. NaN and infinity, which are not valid JSON, are refused.

    Raises:
        error_type: the file is missing, cannot be read, or is not JSON; with ``remedy``.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise error_type(f"cannot be read ({error.strerror or error})", source=str(path), remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise error_type("is not a text file in UTF-8", source=str(path), remedy=remedy) from error
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise error_type(f"is not valid JSON ({error})", source=str(path), remedy=remedy) from error


def require_schema(data: Any, schema: str, path: Path | str, error_type: type[AutoVolumeError], remedy: str) -> None:
    """Raise ``error_type`` naming the element of ``data`` that violates ``Resources/Schemas/<schema>.schema.json``."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(data))
    if error is not None:
        message = error.message if len(error.message) < 200 else error.message[:200] + " ..."
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
