"""Does the displacement vote of T2DL (Zhang 2017) find wrong plans that the checks miss?

Run: ``python Testing/benchmarks/second_opinion.py PLANS --labels LABELS --volumes DATA --voter BUNDLE``, PLANS being
the ``plans.jsonl`` of ``autovolume risk`` with the same label maps and volumes, BUNDLE a trained ``t2dl``. Of the
studies in PLANS it takes all wrong plans without any finding, and as many right ones without any as ``--right`` says,
plans them again, and lets the patches vote on every slice. Two scores of a study: how far the votes lie from the plan's
landmarks (median over the landmarks near a slice), and how little the patches agree. A score is worth something if it
is higher for the wrong plans.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections, detect  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from LandmarkTrainingLib.core.coverage.risk.cases import RiskCase  # noqa: E402
from LandmarkTrainingLib.core.coverage.risk.measurement import study_source  # noqa: E402
from LandmarkTrainingLib.core.coverage.risk.studies import NON_HEAD  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402

#: Landmarks nearer to a slice than this have a vote there.
NEAR_MM = 8.0
#: Share of the right plans that a new check may flag.
TOLERATED = 0.05


class Opinion(NamedTuple):
    """What the votes say of a plan: median distance to its landmarks, mm, and 1 - the mean share that agrees."""

    distance_mm: float
    discord: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", type=Path, metavar="PLANS")
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR")
    parser.add_argument("--volumes", type=Path, required=True, metavar="DIR")
    parser.add_argument("--voter", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--model", default="brain-scout", metavar="NAME|DIR")
    parser.add_argument("--right", type=int, default=24, metavar="N")
    arguments = parser.parse_args()
    protocol, model = load_protocol("BrainAcPc"), load_model(arguments.model, "cpu")
    voter = voting(load_model(arguments.voter, "cpu", "torch"))
    wrong, right = unnoticed(read_cases(arguments.plans), model)
    chosen = [*wrong, *np.random.default_rng(0).permutation(np.array(right, dtype=object))[: arguments.right]]
    source = study_source(arguments.labels, arguments.volumes, protocol, protocol.boxes[0])
    opinions = []
    for case in chosen:
        stacks = source.study(case.number).stacks
        plan = calibrate(stacks, protocol, replace(model, risk=None))
        opinions.append(opinion(stacks, plan.landmarks, voter))
        print(case.number, "wrong" if case.wrong else "right", opinions[-1], flush=True)
    print(report(opinions[: len(wrong)], opinions[len(wrong) :]))


def read_cases(path: Path) -> list[RiskCase]:
    """The plans of ``autovolume risk``."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    return [RiskCase(**json.loads(line)) for line in lines]


def unnoticed(cases: Sequence[RiskCase], model: LandmarkModel) -> tuple[list[RiskCase], list[RiskCase]]:
    """The plans of heads that no check and no risk flags: the wrong and the right ones."""
    planned = [case for case in cases if case.planned and case.kind != NON_HEAD and not case.findings]
    quiet = [case for case in planned if model.risk and model.risk.probability(case.features) < model.risk.warning]
    return [case for case in quiet if case.wrong], [case for case in quiet if not case.wrong]


def voting(voter: LandmarkModel) -> LandmarkModel:
    """The model with its patches' votes as heatmaps (stage 1), in place of the points that stage 2 makes of them."""
    voter.torch_network.stage = 1
    return voter


def opinion(stacks: Sequence[ScoutStack], landmarks: Sequence[Landmark], voter: LandmarkModel) -> Opinion:
    """The votes on all slices, held against the landmarks of a plan."""
    parts = [_near(detections, landmarks, voter) for detections in detect(stacks, voter)]
    distances, shares = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Opinion(float(np.median(distances)), float(1 - shares.mean()))


def _near(found: StackDetections, landmarks: Sequence[Landmark], voter: LandmarkModel) -> tuple[np.ndarray, np.ndarray]:
    """(n,) mm from the votes of one stack to the landmarks near its slices, and (n,) shares of agreeing patches."""
    places = {mark.name: mark.position_mm for mark in landmarks if mark.position_mm is not None}
    distances, shares = [], []
    for k, name in enumerate(voter.names):
        # On a sagittal slice the votes of a pair mean its middle.
        if name not in places or (found.sagittal and voter.mirror[k] != k):
            continue
        column, row, normal = found.axes @ places[name]
        near = np.abs(found.positions_mm - normal) <= NEAR_MM
        distances.append(np.linalg.norm(found.points_mm[near, k] - [column, row], axis=-1))
        shares.append(found.peak_values[near, k])
    return np.concatenate([np.zeros(0), *distances]), np.concatenate([np.zeros(0), *shares])


def report(wrong: Sequence[Opinion], right: Sequence[Opinion]) -> str:
    """A table of the scores: how they separate, and what a check would find that flags few right plans."""
    rows = []
    for name in Opinion._fields:
        bad, good = (np.array([getattr(each, name) for each in group]) for group in (wrong, right))
        limit = np.quantile(good, 1 - TOLERATED)
        area = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
        medians = f"{np.median(good):.2f} / {np.median(bad):.2f}"
        rows.append([name, medians, f"{area:.2f}", f"{(bad > limit).sum()} of {len(bad)}"])
    header = ["score", f"median, {len(right)} right / {len(wrong)} wrong", "area under the curve"]
    return markdown_table(
        [*header, f"wrong ones found when {100 * TOLERATED:.0f} % of the right ones are flagged"], rows
    )


if __name__ == "__main__":
    main()
