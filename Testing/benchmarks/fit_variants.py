"""What limits pose and box once the network has spoken: variants of fusion, fit and of further looks, side by side.

Run: ``python Testing/benchmarks/fit_variants.py DATA --output FOLDER [--model NAME|DIR] [--simulated N]``, DATA holding
``heads.csv`` and ``labels``. Step 1 keeps what the model sees in FOLDER (minutes; can be stopped and taken up again):
simulated studies of label maps 19 and 20, with exact truth, and heads of split ``train``, with silver truth. Step 2
plans every study by every variant and writes ``variants.md``: errors of the present way, paired gains of every variant
with standard errors, where the extremes are lost on the way to the box, and how well the stated deviations hold.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import torch  # noqa: E402
from fit_study.cases import cases  # noqa: E402
from fit_study.report import report  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", default="brain-scout", metavar="NAME|DIR")
    parser.add_argument("--simulated", type=int, default=60, metavar="N", help="simulated studies (default: 60)")
    arguments = parser.parse_args()
    protocol, model = load_protocol("BrainAcPc"), load_model(arguments.model, "cpu")
    folder = arguments.output / f"{model.name}-{model.sha256[:8]}"
    found = cases(arguments.data, folder / "cases", protocol, model, arguments.simulated)
    (folder / "variants.md").write_text(report(found, protocol, model, arguments.data / "labels"), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
