"""Open a Python file with a loss, at the user's explicit request only: it is code, and can do anything.

Nothing else opens one. Settings, recipes and bundles name such a loss (``loss.py:smooth``) but never its folder, and a
run whose settings name one is refused until the user gives the file.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from AutoVolumeCalibrationLib.core.errors import UsageError

from ..losses import DISPLACEMENT, HEATMAP, KINDS, LOSSES, POINTS, PRESENCE, Loss, LossEntry

logger = logging.getLogger(__name__)

#: Shapes of (prediction, target) that a loss of each kind is tried with; the weight is (b, k).
_TRIAL_SHAPES = {
    HEATMAP: ((2, 3, 8, 8), (2, 3, 8, 8)),
    POINTS: ((2, 3, 2), (2, 3, 2)),
    PRESENCE: ((2, 3), (2, 3)),
    DISPLACEMENT: ((2, 3, 2, 8, 8), (2, 3, 2)),
}

_SIGNATURE = "def {name}(prediction, target, weight, **options)"


def use_loss_file(named: str) -> tuple[str, str]:
    """Execute the file of ``FILE.py:FUNCTION`` and register its function as a loss.

    The function takes (prediction, target, weight) as described in ``core.training.losses`` and returns a scalar
    tensor; further parameters, all with defaults, are options of the loss's term. Its attribute ``kind`` says what it
    compares, one of KINDS; heatmaps where it has none.

    Returns:
        The name under which settings use the loss, ``loss.py:function``, and its kind.

    Raises:
        UsageError: the file or the function does not exist, the file cannot be executed, or the function does not
            work as a loss. It is tried on random tensors, so that a mistake does not show up after the data are read.
    """
    path, function_name = _split(named)
    function = _function(_executed(path), function_name, path)
    kind = getattr(function, "kind", HEATMAP)
    if kind not in KINDS:
        raise UsageError(
            f"{function_name}.kind is {kind!r}", source=str(path), remedy=f"Set it to one of: {', '.join(KINDS)}."
        )
    factory = _factory(function, function_name, path)
    _require_working(factory(), kind, function_name, path)
    name = f"{path.name}:{function_name}"
    LOSSES[name] = LossEntry(kind, factory)
    return name, kind


def _split(named: str) -> tuple[Path, str]:
    file, colon, function = named.rpartition(":")
    if not (colon and file.endswith(".py") and function.isidentifier()):
        raise UsageError(f"{named!r} does not name a loss", remedy="Write FILE.py:FUNCTION.")
    path = Path(file)
    if not path.is_file():
        raise UsageError("the file does not exist", source=file, remedy="Give the path of a Python file.")
    return path, function


def _executed(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_own_loss_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError("is not a Python file", source=str(path), remedy="Give a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may fail in any way
        raise _failed("cannot be executed", error, path) from error
    return module


def _function(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if callable(function):
        return function
    own = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
    known = f"It has: {', '.join(own)}." if own else f"Define it: {_SIGNATURE.format(name=name)}."
    raise UsageError(f"has no function {name}", source=str(path), remedy=known)


def _factory(function: Callable[..., Any], name: str, path: Path) -> Callable[..., Loss]:
    """Takes the options and returns the loss; its signature names the options with their defaults."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters[:3] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    options = parameters[3:]
    if len(positional) < 3 or any(p.default is p.empty for p in options if p.kind not in (p.VAR_KEYWORD,)):
        raise UsageError(
            f"{name} cannot be called with prediction, target and weight",
            source=str(path),
            remedy=f"Define it: {_SIGNATURE.format(name=name)}, every option with a default.",
        )

    def factory(**values: Any) -> Loss:
        return partial(function, **values)

    as_keywords = [p if p.kind == p.VAR_KEYWORD else p.replace(kind=p.KEYWORD_ONLY) for p in options]
    factory.__signature__ = inspect.Signature(as_keywords)  # type: ignore[attr-defined]
    return factory


def _require_working(loss: Loss, kind: str, name: str, path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    prediction, target = (torch.rand(shape, generator=random) for shape in _TRIAL_SHAPES[kind])
    try:
        value = loss(prediction.requires_grad_(), target, torch.ones(2, 3))
    except Exception as error:  # the user's code may fail in any way
        raise _failed(f"{name} fails on a {kind} of shape {tuple(prediction.shape)}", error, path) from error
    if not (isinstance(value, torch.Tensor) and value.ndim == 0 and value.requires_grad):
        what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise UsageError(
            f"{name} returns {what}, not a scalar with a gradient",
            source=str(path),
            remedy="Return a tensor computed from the prediction, reduced by .mean() or .sum().",
        )


def _failed(what: str, error: Exception, path: Path) -> UsageError:
    logger.debug("%s", path, exc_info=error)
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return UsageError(f"{what} ({reason})", source=str(path), remedy="Correct the file.")
