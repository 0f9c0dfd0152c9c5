"""The plans of comparisons: every variant's settings are valid, its network can be built, and a small copy runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.networks.architectures.encoders import build_encoder
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.evaluation.slice_measurement import REACH_MM, RealSlices
from LandmarkTrainingLib.core.experiments import ablation
from LandmarkTrainingLib.core.experiments.ablation import run_ablation
from LandmarkTrainingLib.core.experiments.ablations.plan import read_plan
from LandmarkTrainingLib.core.simulator.label_heads import LabelHeads
from LandmarkTrainingLib.core.simulator.render import simulate_batch
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.augmentation import Augmentation
from LandmarkTrainingLib.core.training.initial_weights.encoder_weights import ENCODER_URLS
from LandmarkTrainingLib.core.training.learner import landmark_network
from toy_heads import toy_heads

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "plans"
PLANS = [path for path in sorted(FOLDER.glob("*.json")) if "variants" in json.loads(path.read_text(encoding="utf-8"))]
VARIANTS = [(path, variant) for path in PLANS for variant in read_plan(path).variants]
CONSTELLATION = load_protocol("BrainAcPc").constellation

#: A network and a run that take no time.
TINY = {
    "architecture": "unet",
    "options": {"features": [4] * 6, "stem": 4},
    "steps": 1,
    "batch_size": 2,
    "bf16": False,
    "device": "cpu",
}


def vgg19_ends_at_16() -> bool:
    with torch.device("meta"):
        return build_encoder("vgg19", 4).strides[-1] == 16


def test_the_plans_of_the_founding_texts_questions_are_there():
    assert {"encoders", "pre_training", "augmentation", "search_agents"} <= {path.stem for path in PLANS}


@pytest.mark.parametrize(("path", "variant"), VARIANTS, ids=[f"{path.stem}: {v.name}" for path, v in VARIANTS])
def test_every_variant_of_every_plan_can_be_built(path, variant):
    config = read_plan(path).base.replaced(dict(variant.settings), source=variant.name)
    if config.options.get("encoder") == "vgg19" and vgg19_ends_at_16():
        pytest.skip("VGG19 has one row less here")
    with torch.device("meta"):
        assert sum(p.numel() for p in landmark_network(config, len(CONSTELLATION.names)).parameters()) > 0
    Augmentation.suited_to(config.augmentation, CONSTELLATION.mirror_indices)


def test_pre_training_uses_the_network_of_its_first_runs_and_the_public_name_of_its_weights():
    plan = read_plan(FOLDER / "pre_training.json")
    first = TrainingConfig.from_json(FOLDER / "pre_training_first.json")
    assert (first.architecture, first.options) == (plan.base.architecture, plan.base.options)
    (weights,) = (v.settings["encoder_weights"] for v in plan.variants if "encoder_weights" in v.settings)
    assert ENCODER_URLS[plan.base.options["encoder"]].endswith(f"/{weights}")


def brain_heads():
    toy = toy_heads(4.0)
    places = torch.tensor(np.array([mark.reference_mm for mark in CONSTELLATION.landmarks])).float()
    return LabelHeads(toy.tissues, toy.voxel_from_head, places[None], CONSTELLATION.names)


def test_a_small_copy_of_the_augmentation_plan_runs_and_uses_the_settings_of_each_variant(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "load_label_heads", lambda *_: brain_heads())
    monkeypatch.setattr(ablation, "CHECK_SLICES", 4)
    used = []
    fixed = ablation.FixedSlices

    def noted(*args, augmentation):
        used.append(augmentation)
        return fixed(*args, augmentation=augmentation)

    monkeypatch.setattr(ablation, "FixedSlices", noted)
    values = json.loads((FOLDER / "augmentation.json").read_text(encoding="utf-8"))
    names = ("all", "none", "without flip")
    values |= {"images": 4, "seeds": [0], "base": TINY, "variants": {n: values["variants"][n] for n in names}}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    batch = simulate_batch(brain_heads(), CONSTELLATION.mirror_indices, 6, (5,), SliceSettings(profile_samples=1))
    slices = RealSlices(batch, tuple("aabbcc"), batch.visible & (batch.depths_mm.abs() <= REACH_MM))
    outcomes = run_ablation(read_plan(path), tmp_path, tmp_path, slices, tmp_path / "out")
    assert [outcome.variant for outcome in outcomes] == list(names)
    assert used == [Augmentation(), None, Augmentation(flip=0.0)]
