"""Freeze some of a network's weights while the others are trained."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch

from AutoVolumeCalibrationLib.core.errors import UsageError


def freeze(network: torch.nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze the parameters whose names match a pattern (``fnmatch``: ``*``, ``?``, ``[abc]``).

    Returns:
        The names.

    Raises:
        UsageError: a pattern matches no parameter.
    """
    return _set_trained(network, patterns, False)


def unfreeze(network: torch.nn.Module, patterns: Sequence[str] = ("*",)) -> list[str]:
    """Unfreeze the parameters whose names match a pattern; returns and raises like :func:`freeze`."""
    return _set_trained(network, patterns, True)


def _set_trained(network: torch.nn.Module, patterns: Sequence[str], trained: bool) -> list[str]:
    parameters = dict(network.named_parameters())
    chosen = {pattern: [name for name in parameters if fnmatchcase(name, pattern)] for pattern in patterns}
    for pattern, names in chosen.items():
        if not names:
            first = sorted({name.split(".")[0] for name in parameters})
            known = ", ".join(f"{name}.*" for name in first)
            raise UsageError(f"no parameter is named like {pattern!r}", source="freeze", remedy=f"Try: {known}.")
    matching = {name for names in chosen.values() for name in names}
    names = [name for name in parameters if name in matching]
    for name in names:
        parameters[name].requires_grad_(trained)
    return names


def hold_frozen_norms(network: torch.nn.Module) -> None:
    """Put batch norms whose parameters are all frozen in evaluation mode: their statistics are frozen too.

    To be called after each ``network.train()``.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()
