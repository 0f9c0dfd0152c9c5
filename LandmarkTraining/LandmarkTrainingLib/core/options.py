"""Options that a configuration names as data, checked against the signature of the function that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError


def find_named(known: Mapping[str, Any], name: Any, what: str) -> Any:
    """``known[name]``; UsageError that lists the known names otherwise. ``what``: a word for the kind of thing."""
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"unknown {what} {name!r}", remedy=f"Known: {', '.join(sorted(known))}.")
    return known[name]


def build_with_options(
    factory: Callable[..., Any],
    options: Mapping[str, Any],
    what: str,
    *positional: Any,
    hidden: Collection[str] = (),
    **given: Any,
) -> Any:
    """``factory(*positional, **given, **options)``, the options checked first.

    Args:
        options: plain JSON values by name.
        what: name of what takes the options, for the error ("loss wing").
        positional, given: what the caller fills in; options must not name them.
        hidden: further names of the signature that are not options.

    Raises:
        UsageError: an option is unknown, not of the kind of its default, or refused by ``factory``.
    """
    parameters = list(inspect.signature(factory).parameters.values())[len(positional) :]
    defaults = {p.name: p.default for p in parameters if p.name not in {*given, *hidden} and p.kind != p.VAR_KEYWORD}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)
    unknown = sorted(set(options) - set(defaults))
    if unknown and not takes_any:
        known = ", ".join(defaults) or "none"
        raise UsageError(f"{what} has no option {unknown[0]!r}", remedy=f"Its options: {known}.")
    for name, value in options.items():
        if not _is_like(defaults.get(name), value):
            raise UsageError(f"{what}: {name}={value!r} should be like {defaults[name]!r}", remedy="Correct it.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    try:
        return factory(*positional, **given, **values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: {error}", remedy="Correct its options.") from error


def _is_like(default: Any, value: Any) -> bool:
    """Whether ``value`` is of the kind of ``default``; True if there is no default to compare with."""
    if isinstance(default, bool) or isinstance(value, bool):
        return not isinstance(default, (int, float, str, tuple)) or isinstance(default, bool) == isinstance(value, bool)
    if isinstance(default, (int, float)):
        return isinstance(value, (int, float))
    if isinstance(default, (tuple, list)):
        return isinstance(value, (tuple, list)) and len(value) == len(default)
    return not isinstance(default, str) or isinstance(value, str)
