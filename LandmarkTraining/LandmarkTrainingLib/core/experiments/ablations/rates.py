"""The learning rate of each network of a comparison, found by the range test once and kept.

One rate for all favours the networks that it suits. The suggestion of ``learning_rate_finder`` is where the loss falls
the fastest; all seeds of a network use it.
"""

from __future__ import annotations

from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import read_json

from ...config import TrainingConfig
from ...slices.batches import TrainingData
from ...training.lr_range_run import JSON_FILE, try_rates, write_range

#: Range and length of the test; its batches are those of a run from a seed that no run uses.
LOWEST, HIGHEST, STEPS, SEED = 1e-5, 0.3, 120, 987_654


def found_rate(config: TrainingConfig, data: TrainingData, folder: Path) -> float:
    """The rate in ``folder``, found before, or found now and written there with its curve.

    Raises:
        InputError: the file there is damaged.
        UsageError: the loss falls at no rate.
    """
    path = folder / JSON_FILE
    if not path.exists():
        tried = config.replaced({"seed": SEED})
        write_range(folder, try_rates(tried, data, lowest=LOWEST, highest=HIGHEST, steps=STEPS), tried)
    try:
        return float(read_json(path, InputError, "Remove it to find the rate again.")["suggestion"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("holds no rate", source=str(path), remedy="Remove it to find the rate again.") from error
