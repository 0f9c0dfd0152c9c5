"""Fair comparisons: the same slices for all, measured on the same real slices, taken up where they were left."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.evaluation.slice_measurement import GIVEN, REACH_MM, RealSlices, slice_errors_mm
from LandmarkTrainingLib.core.experiments import ablation, ablation_report
from LandmarkTrainingLib.core.experiments.ablation import measured_outcomes, run_ablation
from LandmarkTrainingLib.core.experiments.ablation_report import report, write_report
from LandmarkTrainingLib.core.experiments.ablations import rates
from LandmarkTrainingLib.core.experiments.ablations.plan import read_plan
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS
from LandmarkTrainingLib.core.simulator.label_heads import LabelHeads
from LandmarkTrainingLib.core.simulator.render import simulate_batch
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.targets import TargetSettings, make_targets
from LandmarkTrainingLib.core.training.learner import landmark_network
from LandmarkTrainingLib.core.training.learning_rate_finder import RangeTest
from LandmarkTrainingLib.core.training.trainer import train
from toy_heads import toy_heads

ROOT = Path(__file__).resolve().parents[2]
#: Rows of the shipped comparison that no claim is about.
COORDINATES = {"hourglass (KNEEL)", "T2DL"}
CONSTELLATION = load_protocol("BrainAcPc").constellation
NAMES, MIRROR = CONSTELLATION.names, CONSTELLATION.mirror_indices
TARGETS = TargetSettings(sigma_mm=8.0, tau_mm=12.0, stem=4, pixel_mm=2.0)
SMALL = {"features": [4] * 6, "stem": 4}
PLAN = {
    "title": "Two small networks",
    "images": 12,
    "seeds": [0, 1],
    "base": {
        "architecture": "unet",
        "options": SMALL,
        "sigma_mm": 8.0,
        "steps": 2,
        "checkpoint_steps": 1,
        "batch_size": 2,
        "workers": 0,
        "bf16": False,
        "device": "cpu",
    },
    "variants": {
        "U-Net": {},
        "U-Net again": {},
        "iterative": {
            "set": {
                "architecture": "iterative",
                "options": {"inner": "unet", "inner_options": {"features": [4] * 6}, "stem": 4, "group_size": 45},
                "known_fraction": 0.5,
            },
            "images": 4,
            "augment": True,
        },
    },
}


def brain_heads():
    """Toy heads with the brain's landmarks."""
    toy = toy_heads(4.0)
    places = torch.tensor(np.array([mark.reference_mm for mark in CONSTELLATION.landmarks])).float()
    return LabelHeads(toy.tissues, toy.voxel_from_head, places[None], NAMES)


@pytest.fixture(scope="module")
def slices():
    batch = simulate_batch(brain_heads(), MIRROR, 12, (5,), SliceSettings(profile_samples=1))
    counted = batch.visible & (batch.depths_mm.abs() <= REACH_MM)
    return RealSlices(batch, tuple("abcdef"[i // 2] for i in range(12)), counted)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "load_label_heads", lambda *_: brain_heads())
    monkeypatch.setattr(ablation, "CHECK_SLICES", 4)

    def write(**changes):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps({**PLAN, **changes}), encoding="utf-8")
        return read_plan(path)

    return write


class Oracle(torch.nn.Module):
    """Answers with the targets moved by so many heatmap columns, whatever the image."""

    def __init__(self, slices, columns=0):
        super().__init__()
        self.answers = make_targets(slices.batch, TARGETS).heatmaps.roll(columns, -1)
        self.start, self.told = 0, []

    def forward(self, image, known=None):
        self.told.append(known)
        part = self.answers[self.start : self.start + len(image)]
        self.start += len(image)
        return part


def test_the_error_is_how_far_the_peaks_lie_from_the_points(slices):
    exact = slice_errors_mm(Oracle(slices), slices, TARGETS, torch.device("cpu"))
    moved = slice_errors_mm(Oracle(slices, 1), slices, TARGETS, torch.device("cpu"))
    counted = slices.counted.numpy()
    assert (np.isfinite(exact) == counted).all() and (np.isfinite(moved) == counted).all()
    inside = counted & (np.abs(slices.batch.points.numpy() - 63.5) < 50).all(axis=-1)
    assert inside.sum() > 20
    assert np.nanmax(exact[inside]) < 0.5 and moved[inside] == pytest.approx(8.0, abs=0.5)


def test_landmarks_that_may_be_given_are_never_measured(slices):
    measured, given_counts = [], []
    for given in GIVEN:
        oracle = Oracle(slices)
        errors = slice_errors_mm(oracle, slices, TARGETS, torch.device("cpu"), given=given)
        measured.append(np.isfinite(errors))
        told = torch.cat(oracle.told).flatten(2).amax(-1) > 0
        given_counts.append(told.sum(1).tolist())
        assert not (told.numpy() & measured[-1]).any()
    assert all((one == measured[0]).all() for one in measured)
    several = slices.counted.sum(1) >= max(GIVEN)
    for given, counts in zip(GIVEN, given_counts, strict=True):
        assert all(count == given for count, enough in zip(counts, several, strict=True) if enough)


def test_extremes_are_known_to_be_ill_defined():
    assert set(NORMAL_AXIS) & set(NAMES)


@pytest.mark.slow
def test_a_comparison_trains_measures_and_reports_every_variant_and_seed(plan, slices, tmp_path):
    said = []
    outcomes = run_ablation(plan(), tmp_path, tmp_path, slices, tmp_path / "out", say=said.append)
    assert [(o.variant, o.seed) for o in outcomes] == [(v, seed) for v in PLAN["variants"] for seed in (0, 1)]
    assert len(said) == 6 and set(outcomes[4].given_errors_mm) == set(GIVEN) and not outcomes[0].given_errors_mm
    text = report(plan(), outcomes, slices)
    (difference,) = (line for line in text.splitlines() if line.startswith("| U-Net again") and "+" in line)
    assert "+0.00 [-" in difference  # the same network on the same slices, but its seeds are other trainings
    assert f"{outcomes[0].parameters / 1e6:.2f}" in text and "4 given" in text


def test_the_same_settings_give_the_same_errors(plan, slices, tmp_path):
    outcomes = run_ablation(plan(seeds=[3]), tmp_path, tmp_path, slices, tmp_path / "out")
    first, again = outcomes[0].errors_mm, outcomes[1].errors_mm
    assert np.array_equal(first, again, equal_nan=True)


def test_what_is_measured_is_not_trained_again(plan, slices, tmp_path, monkeypatch):
    chosen = plan(seeds=[0])
    first = run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out")

    def never(*_args, **_more):
        raise AssertionError("trained again")

    monkeypatch.setattr(ablation, "train", never)
    second = run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out")
    assert all(np.array_equal(a.errors_mm, b.errors_mm, equal_nan=True) for a, b in zip(first, second, strict=True))


def test_a_report_of_a_comparison_under_way_tells_what_is_there(plan, slices, tmp_path):
    chosen = plan(seeds=[0])
    assert "No variant is measured yet" in report(chosen, measured_outcomes(chosen, tmp_path / "out"), slices)

    def stop_after_two(text):
        if text.startswith("iterative"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out", say=stop_after_two)
    text = report(chosen, measured_outcomes(chosen, tmp_path / "out"), slices)
    assert "U-Net again" in text and "iterative" not in text


def killed_in_its_second_run(config, data, run, **more):
    """Trains, but the process dies at a checkpoint in the middle of its second run."""
    if run.name.endswith("-0"):
        return train(config, data, run, **more)

    def die(step, _steps, _line):
        if step == 1:
            raise MemoryError

    return train(config, data, run, progress=die, **more)


def test_a_killed_comparison_goes_on_in_the_middle_of_a_run(plan, slices, tmp_path, monkeypatch):
    chosen = plan(variants={"U-Net": {}})
    whole = run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "whole")
    monkeypatch.setattr(ablation, "train", killed_in_its_second_run)
    with pytest.raises(MemoryError):
        run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out")
    assert [o.seed for o in measured_outcomes(chosen, tmp_path / "out")] == [0]
    monkeypatch.undo()
    monkeypatch.setattr(ablation, "load_label_heads", lambda *_: brain_heads())
    monkeypatch.setattr(ablation, "CHECK_SLICES", 4)
    resumed = run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out")
    assert [o.seed for o in resumed] == [0, 1]
    assert all(np.array_equal(a.errors_mm, b.errors_mm, equal_nan=True) for a, b in zip(whole, resumed, strict=True))


def found_at_once(config, data, *, lowest, highest, steps):
    """A range test that suggests a rate by the width of the network."""
    assert lowest < highest and steps >= 100 and len(data.names) == len(NAMES)
    return RangeTest((lowest, highest), (1.0, 0.5), 1e-4 * config.options["features"][0])


def test_rates_are_found_and_steps_follow_from_the_cost(plan, slices, tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "try_rates", found_at_once)
    variants = {"small": {}, "large": {"set": {"options": {"features": [8] * 6, "stem": 4}}}}
    chosen = plan(seeds=[0], variants=variants, tera_multiply_adds=1e-3, learning_rate="range test")
    small, large = run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out")
    assert small.per_slice < large.per_slice and small.steps > large.steps
    for outcome in (small, large):
        assert outcome.per_training == pytest.approx(1e9, rel=0.3)
        found = json.loads((tmp_path / "out" / "rates" / outcome.variant / "range.json").read_text(encoding="utf-8"))
        assert outcome.learning_rate == found["suggestion"]
    assert (small.learning_rate, large.learning_rate) == pytest.approx((4e-4, 8e-4))
    text = write_report(chosen, [small, large], slices, tmp_path / "out")
    assert f"{small.learning_rate:.1e}" in text and "small *" in text
    assert "curves.png" in text and (tmp_path / "out" / "curves.png").stat().st_size > 5000


def test_search_agents_are_a_row_of_equal_cost(plan, slices, tmp_path):
    """Counted is a step of their own learning, the mean over their grids."""
    options = {"width": 4, "patch": 9, "levels": 2, "stem": 4}
    settings = {"architecture": "search_agent", "options": options, "batch_size": 4}
    variants = {"U-Net": {}, "agents": {"set": settings}}
    chosen = plan(seeds=[0], variants=variants, tera_multiply_adds=2e-2)
    _, agents = run_ablation(chosen, tmp_path, tmp_path, slices, tmp_path / "out")
    assert agents.steps > 1 and agents.per_training == pytest.approx(2e10, rel=0.3)
    assert agents.per_slice > 0 and agents.errors_mm.shape == (12, len(NAMES))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": {"U-Net": {}, "u net!": {}}}, "same name"),
        ({"variants": {"U-Net": {"set": {"stepz": 1}}}}, "U-Net: unknown setting stepz"),
        ({"variants": {"U-Net": {"pictures": 3}}}, "is not an ablation plan"),
        ({"variants": [1]}, "is not an ablation plan"),
        ({"base": {"steps": "many"}}, "base: steps"),
        ({"title": "x", "images": None}, "is not an ablation plan"),
        ({"learning_rate": 0.1}, "learning_rate is 0.1"),
        ({"variants": {"U-Net": {"set": {"options": {**SMALL, "stacks": 2}}}}}, "U-Net: network option stacks=2"),
        ({"variants": {"U-Net": {"seeds": [-1]}}}, "is not a complete ablation plan"),
        (
            {"claims": [{"text": "", "source": "", "better": "V-Net", "than": "U-Net"}]},
            "'V-Net', which is not a variant",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_its_place(plan, changes, said):
    with pytest.raises(UsageError, match=said) as caught:
        plan(**changes)
    assert "plan.json" in str(caught.value)


def test_each_seed_has_its_own_few_images():
    shares = [range(8000)[ablation.share_of(8000, 10, seed)] for seed in range(3)]
    assert all(len(share) == 10 for share in shares) and not set(shares[0]) & set(shares[1])
    assert len(range(12)[ablation.share_of(12, 5, 7)]) == 5
    assert len(range(12)[ablation.share_of(12, 0, 1)]) == len(range(12)[ablation.share_of(12, 99, 1)]) == 12


@pytest.mark.parametrize("name", ["comparison", "few_images", "fine_tuning"])
def test_the_shipped_plans_can_be_run(name):
    chosen = read_plan(ROOT / "Testing" / "benchmarks" / "plans" / f"{name}.json")
    for variant in chosen.variants:
        with torch.device("meta"):
            assert landmark_network(chosen.config_of(variant, 0), len(NAMES))
    tested = [claim for claim in chosen.claims if claim.is_tested]
    named = {name for claim in tested for name in (claim.better, claim.than)}
    assert not chosen.claims or named == {variant.name for variant in chosen.variants} - {"DeepLabV3", *COORDINATES}


def test_every_network_of_the_comparison_has_its_curves_in_a_panel(monkeypatch, tmp_path):
    chosen = read_plan(ROOT / "Testing" / "benchmarks" / "plans" / "comparison.json")
    outcomes = [SimpleNamespace(variant=one.name, seed=0, per_training=1, steps=1) for one in chosen.variants]
    drawn = []
    monkeypatch.setattr(ablation_report, "curves_picture", lambda panels, curves, path: drawn.append(panels))
    ablation_report.draw_curves(chosen, outcomes, tmp_path)
    (panels,) = drawn
    assert panels["other variants"] == ["DeepLabV3", "hourglass (KNEEL)", "T2DL"]
    assert {name for panel in panels.values() for name in panel} == {one.name for one in chosen.variants}


def test_networks_that_differ_by_a_plus_are_kept_apart(plan):
    assert len(plan(variants={"U-Net": {}, "U-Net++": {}}).variants) == 2
