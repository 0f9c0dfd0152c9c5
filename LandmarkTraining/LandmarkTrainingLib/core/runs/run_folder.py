"""The folder of a training run: what lies in it, and how it is read and written.

``config.json`` settings, ``data.json`` where the data lie, ``versions.json`` what it ran with, ``log.jsonl`` one line
per checkpoint, ``checkpoint.pt`` all that is needed to go on, ``best.pt`` the averaged weights of the lowest error,
``pictures/`` predictions and the first kernels, ``bundle/`` the exported model, ``lock`` held while a process is at
work (``run_lock``).
A file named ``stop`` asks a run to end with a checkpoint: this works on every system and between any two programs.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text

from ..config import TrainingConfig

LOG_FILE, PICTURES, CONFIG_FILE = "log.jsonl", "pictures", "config.json"
#: Kinds of pictures, and the beginning of their files' names: predictions on validation slices, the first kernels.
PREDICTIONS, KERNELS = "step", "kernels"
#: Remedy for a folder that holds a run already.
RESUME_OR_OTHER = "Resume that run, or choose another folder."

#: What torch's averaged model writes before the names of a network's weights.
_AVERAGED = "module."

CHECKPOINT_FILE, BUNDLE_FOLDER, STOP_FILE = "checkpoint.pt", "bundle", "stop"


@dataclass(frozen=True)
class RunFolder:
    """The files of the run in ``path``."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / CONFIG_FILE

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def log(self) -> Path:
        return self.path / LOG_FILE

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT_FILE

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def bundle(self) -> Path:
        return self.path / BUNDLE_FOLDER

    @property
    def stop_request(self) -> Path:
        return self.path / STOP_FILE

    def picture(self, kind: str, step: int, anatomy: str = "") -> Path:
        """Path of the picture of a step, PREDICTIONS or KERNELS; of one anatomy where a run learns several."""
        folder = self.path / PICTURES
        folder.mkdir(exist_ok=True)
        return folder / f"{kind}_{step:06d}{'_' if anatomy else ''}{anatomy}.png"

    def require_new(self) -> None:
        """Raises UsageError if the folder holds a run already."""
        if self.checkpoint.exists():
            raise UsageError("holds a run already", source=str(self.path), remedy=RESUME_OR_OTHER)

    def begin(self, config: TrainingConfig) -> None:
        """Make the folder and keep what the run depends on."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, config.to_json())
        write_text(self.path / "versions.json", json_text(_versions()))

    def append_log(self, line: dict[str, Any]) -> None:
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def trim_log(self, last_step: int) -> None:
        """Drop the lines after ``last_step``: a run killed between its log and its checkpoint writes them again."""
        if not self.log.exists():
            return
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if _step_of(line) <= last_step]
        write_text(self.log, "".join(line + "\n" for line in lines))

    def save(self, state: dict[str, Any]) -> None:
        from .checkpoints import save_checkpoint

        save_checkpoint(self.checkpoint, state)

    def save_best(self, state: dict[str, Any]) -> None:
        from .checkpoints import save_checkpoint

        save_checkpoint(self.best, state)

    def load(self) -> dict[str, Any]:
        """The last checkpoint; ModelError where it cannot be read."""
        from .checkpoints import load_checkpoint

        return load_checkpoint(self.checkpoint)

    def last_weights(self) -> dict[str, Any]:
        """The last averaged weights, as the network names them; ModelError where they cannot be read."""
        average = self.load()["average"]
        return {key.removeprefix(_AVERAGED): t for key, t in average.items() if key.startswith(_AVERAGED)}

    def best_weights(self) -> dict[str, Any]:
        """``{"average": tensors, "step": n}`` of the best checkpoint; ModelError where it cannot be read."""
        from .checkpoints import load_checkpoint

        return load_checkpoint(self.best)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, LookupError):  # the last line of a killed run may be half written
        return float("inf")


def _versions() -> dict[str, str]:
    import monai
    import numpy
    import torch

    return {
        "autovolume": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "numpy": numpy.__version__,
    }
