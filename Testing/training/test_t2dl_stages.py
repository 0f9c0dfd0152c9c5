"""The two stages of T2DL as two runs: displacements first, then all points from the same weights."""

import torch

from AutoVolumeCalibrationLib.core.networks.registry import build_network
from LandmarkTrainingLib.core.evaluation.validation import inplane_errors_mm
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.learner import Learner, landmark_network, network_options
from toy_heads import NAMES
from toy_training import SLICES, TINY, one_batch

CPU = torch.device("cpu")
FIRST = TINY.replaced(
    {
        "architecture": "t2dl",
        "options": {"width": 8, "stage": 1, "stem": 2},
        "batch_size": 8,
        "steps": 300,
        "learning_rate": 1e-2,
        "ema_decay": 0.9,
        "sigma_mm": 10.0,
    }
)
SECOND = FIRST.replaced({"options": {**FIRST.options, "stage": 2}})


def test_patches_alone_learn_where_the_landmarks_are_and_stage_2_starts_with_what_they_know():
    targets, batch = target_settings(FIRST, SLICES), one_batch(FIRST)
    torch.manual_seed(0)
    learner = Learner(landmark_network(FIRST, len(NAMES), targets), FIRST, targets, CPU)
    for number in range(FIRST.steps):
        learner.learn(batch, number)
    first = learner.average.module.eval()
    assert inplane_errors_mm(first, batch, targets, CPU)["p95_mm"] < 2.0

    second = build_network("t2dl", network_options(SECOND, len(NAMES)))
    second.load_state_dict(first.state_dict(), strict=False)
    second.stage = 1  # its patches' votes as heatmaps
    assert inplane_errors_mm(second.eval(), batch, targets, CPU)["p95_mm"] < 2.0
