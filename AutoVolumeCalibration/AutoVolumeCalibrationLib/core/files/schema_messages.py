"""What a schema error says to the user: the key, and what is allowed, instead of the schema's own words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonschema import ValidationError


def schema_message(error: ValidationError) -> str:
    """One line without a full stop; the description in the schema says what is allowed, where words are needed."""
    for one in (error, error.parent):  # the closest error may be one of an alternative
        if one is not None and one.validator == "oneOf" and "description" in one.schema:
            return f"an entry needs {one.schema['description']}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"the key {missing[0]!r} is missing"
    if error.validator == "additionalProperties" and error.validator_value is False:
        return _unknown_key(error)
    if error.validator == "pattern" and "description" in error.schema:
        return f"{error.instance!r} is not allowed: {error.schema['description']}"
    if error.validator == "minLength" and error.instance:
        # Without the text: it may be a token.
        return f"has {len(error.instance)} characters, at least {error.validator_value} are needed"
    return error.message


def _unknown_key(error: ValidationError) -> str:
    known = list(error.schema.get("properties", {}))
    unknown = next(name for name in error.instance if name not in known)
    near = get_close_matches(unknown, known, n=1)
    return f"there is no key {unknown!r}" + (f", it may be meant as {near[0]!r}" if near else "")
