"""Checkpoints of a run: tensors and plain values, written atomically, read without executing code."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_bytes

_logger = logging.getLogger(__name__)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at ``path`` by ``state`` in one step: a kill leaves the old or the new one.

    Raises:
        UsageError: the path cannot be written, or the disk is full.
    """
    # torch.save on a path reports a full disk as an internal error, and stores the file's name in the checkpoint.
    content = io.BytesIO()
    torch.save(state, content)
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state saved at ``path``.

    Raises:
        ModelError: it cannot be read, or holds anything but tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may fail anywhere in the unpickler
        _logger.debug("%s cannot be read", path, exc_info=error)
        raise ModelError("is not a readable checkpoint", source=str(path), remedy="Start the run again.") from error


@contextmanager
def state_errors_as_model_error(path: Path) -> Iterator[None]:
    """Turn errors of loading the state of ``path`` into a network or an optimizer into a ModelError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelError(
            "does not fit the run's settings",
            source=str(path),
            remedy="Resume with the network, optimizer, schedule and protocol it began with, or start the run again.",
        ) from error
