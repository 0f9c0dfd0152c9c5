"""Correct one, the rest follow: a model looks again, told by placed points how the head lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, CORRECTED_SD_MM, MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import default_uncertainty
from AutoVolumeCalibrationLib.core.errors import Cancelled
from AutoVolumeCalibrationLib.core.models.bundle import is_guided, load_model, model_used_before, read_metadata
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, shipped_models
from AutoVolumeCalibrationLib.core.storage.results import calibration_to_dict, saved_from_dict
from AutoVolumeCalibrationLib.core.workflow import localization, pipeline
from AutoVolumeCalibrationLib.core.workflow.manual_planning import is_by_hand, plan_by_hand
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, refit, repredict
from fake_models import KnowingNetwork, blank_stacks, fake_model
from guided_networks import FollowingNetwork, guided_bundle
from posed_landmarks import named

OFFSETS = [-36.0, -18.0, 0.0, 18.0, 36.0]


@pytest.fixture(scope="module", autouse=True)
def seen_from_one_end():
    """The fake networks answer slice after slice: they are not asked how the head looks the other way round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(localization.StudyLocalizer, "resolve_half_turn", lambda self, located, frame: None)
        yield


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.fixture(scope="module")
def truth(protocol):
    """Name -> place of a straight head."""
    constellation = protocol.constellation
    return dict(zip(constellation.names, constellation.reference_mm + [0.0, 18.0, -5.0], strict=True))


@pytest.fixture(scope="module")
def stacks():
    return blank_stacks(OFFSETS)


@pytest.fixture
def guided(protocol, truth, stacks):
    """A model that is off by 8 mm until it is told of a point."""
    constellation = protocol.constellation
    network = FollowingNetwork(
        stacks, np.array(list(truth.values())), constellation.mirror_indices, head_axes=np.eye(3)
    )
    return fake_model(network, constellation.names, constellation.mirror_indices, guided=True, name="guided")


@pytest.fixture
def plan(stacks, protocol, guided):
    return calibrate(stacks, protocol, guided)


def placed(truth, *names):
    return [Landmark(name).corrected(truth[name]) for name in names]


def errors_mm(landmarks, truth):
    return [np.linalg.norm(m.position_mm - truth[m.name]) for m in landmarks if m.status == PREDICTED]


def test_the_rest_follows_the_placed_point_and_so_does_the_box(plan, guided, truth):
    again = repredict(plan, placed(truth, "AC"), guided)
    assert np.median(errors_mm(plan.landmarks, truth)) > 5
    assert len(errors_mm(again.landmarks, truth)) == 44 and np.median(errors_mm(again.landmarks, truth)) < 1.5
    assert np.linalg.norm(again.box.center_mm - plan.box.center_mm) > 5
    assert np.linalg.norm(refit(plan, placed(truth, "AC")).box.center_mm - again.box.center_mm) > 2


def test_placed_points_stay_exactly_where_they_are_and_cleared_ones_away(plan, guided, truth):
    off = named(plan.landmarks, "PC").corrected(truth["PC"] + [0.0, 3.0, 1.0])
    again = repredict(plan, [*placed(truth, "AC"), off, Landmark("GENU")], guided)
    assert named(again.landmarks, "PC") is off
    assert named(again.landmarks, "AC").covariance_mm2 == pytest.approx(np.eye(3) * CORRECTED_SD_MM**2)
    assert {m.name for m in again.landmarks if m.status == CORRECTED} == {"AC", "PC"}
    assert named(again.landmarks, "GENU").status == MISSING and named(again.predicted, "GENU").status == PREDICTED


def test_the_new_predictions_replace_the_old_ones_but_for_the_placed_points(plan, guided, truth):
    again = repredict(plan, placed(truth, "AC"), guided)
    assert named(again.predicted, "AC") is named(plan.predicted, "AC")
    restored = refit(again, [])
    assert named(restored.landmarks, "AC").position_mm == pytest.approx(named(plan.predicted, "AC").position_mm)
    assert np.median(errors_mm(restored.landmarks, truth)) < 1.5
    once_more = repredict(again, placed(truth, "PC"), guided)
    assert np.linalg.norm(named(once_more.predicted, "AC").position_mm - truth["AC"]) < 3
    assert named(once_more.predicted, "PC") is named(again.predicted, "PC")


def test_the_model_s_note_tells_what_it_was_given_and_results_keep_it(plan, guided, truth):
    again = repredict(plan, placed(truth, "PC", "AC"), guided)
    assert (again.model.name, again.model.guidance, plan.model.guidance) == ("guided", ("PC", "AC"), ())
    assert saved_from_dict(calibration_to_dict(again), "here").model.guidance == ("PC", "AC")
    older = calibration_to_dict(again)
    del older["model"]["given"]
    assert saved_from_dict(older, "here").model.guidance == ()


def test_box_and_threshold_that_a_person_chose_hold(plan, guided, truth):
    rule = replace(plan.protocol.boxes[0], name="Second", tilt_deg=(20.0, 0.0, 0.0))
    both = replace(plan, protocol=replace(plan.protocol, boxes=(plan.protocol.boxes[0], rule)))
    chosen = refit(replace(both, model=replace(plan.model, threshold=0.4)), [], box="Second")
    again = repredict(chosen, placed(truth, "AC"), guided)
    assert (again.box.name, again.model.threshold) == ("Second", 0.4)


def test_a_plan_by_hand_becomes_a_model_s(stacks, protocol, guided, truth):
    by_hand = plan_by_hand(stacks, protocol)
    again = repredict(by_hand, placed(truth, "AC"), guided)
    assert not is_by_hand(again) and "by hand" not in {check.name for check in again.checks}
    assert np.median(errors_mm(again.landmarks, truth)) < 1.5
    # A typical head's place is nothing to go back to.
    assert named(again.predicted, "AC").status == MISSING


def test_points_given_to_calibrate_guide_a_sequential_model(stacks, protocol, guided, truth):
    result = calibrate(stacks, protocol, guided, corrections=[*placed(truth, "AC"), Landmark("PC")])
    assert np.median(errors_mm(result.landmarks, truth)) < 1.5
    assert (result.model.guidance, named(result.predicted, "AC").status) == (("AC",), MISSING)
    assert named(result.landmarks, "AC").position_mm == pytest.approx(truth["AC"])


def test_progress_and_cancel_come_through(plan, guided, truth):
    steps = []
    repredict(plan, placed(truth, "AC"), guided, progress=steps.append)
    assert steps == sorted(steps) and steps[-1] == 1
    with pytest.raises(Cancelled):
        repredict(plan, placed(truth, "AC"), guided, cancelled=lambda: True)


@pytest.fixture
def plain(protocol, truth, stacks):
    """A model that takes the image alone."""
    constellation = protocol.constellation
    network = KnowingNetwork(stacks, np.array(list(truth.values())), constellation.mirror_indices, head_axes=np.eye(3))
    return fake_model(network, constellation.names, constellation.mirror_indices, name="plain")


def test_a_plain_model_looks_again_too_and_sees_even_the_placed_points(plan, plain, truth):
    off = named(plan.landmarks, "PC").corrected(truth["PC"] + [0.0, 3.0, 1.0])
    again = repredict(plan, [*placed(truth, "AC"), off], plain)
    assert (again.model.name, again.model.guidance) == ("plain", ("AC", "PC"))
    assert len(errors_mm(again.landmarks, truth)) == 43 and np.median(errors_mm(again.landmarks, truth)) < 1.5
    assert named(again.landmarks, "PC") is off
    assert named(refit(again, []).landmarks, "PC").position_mm == pytest.approx(truth["PC"], abs=1.5)


def test_the_search_is_told_where_the_placed_points_lie(plan, plain, truth, monkeypatch):
    told = []

    def locate(*arguments, guidance):
        told.append({mark.name: tuple(mark.position_mm) for mark in guidance})
        return localization.locate(*arguments, guidance=guidance)

    monkeypatch.setattr(pipeline, "locate", locate)
    repredict(plan, [*placed(truth, "AC"), Landmark("GENU")], plain)
    assert told == [{"AC": tuple(truth["AC"])}]


@pytest.mark.parametrize("kind", ["guided", "plain"])
def test_a_placed_point_that_the_model_does_not_know_counts_in_the_plan(plan, truth, kind, request):
    model = request.getfixturevalue(kind)
    name, others, mirror = model.names[0], model.names[1:], model.mirror[1:] - 1
    network, uncertainty = _Without(model.network, 0), default_uncertainty(len(others))
    unknown = replace(model, network=network, names=others, mirror=mirror, uncertainty=uncertainty)
    again = repredict(plan, placed(truth, name), unknown)
    assert again.model.guidance == () and name not in again.frame.outliers
    assert named(again.landmarks, name).position_mm == pytest.approx(truth[name])
    assert len(errors_mm(again.landmarks, truth)) == 44


class _Without(torch.nn.Module):
    """A network without one of its landmarks."""

    def __init__(self, network, index: int) -> None:
        super().__init__()
        self.network, self.index = network, index

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        heatmaps = self.network(batch)
        return torch.cat([heatmaps[:, : self.index], heatmaps[:, self.index + 1 :]], dim=1)


def test_a_study_s_own_model_is_found_by_its_name_where_it_is_installed(plan, stacks, protocol):
    assert model_used_before(replace(plan.model, name=DEFAULT_MODEL)) == DEFAULT_MODEL
    assert model_used_before(plan.model) is None
    assert model_used_before(plan_by_hand(stacks, protocol).model) is None
    assert model_used_before(None) is None


def test_a_bundle_with_a_sequential_network_is_guided(tmp_path):
    made = guided_bundle(tmp_path / "guide")
    assert is_guided(read_metadata(made)) and not is_guided(read_metadata(shipped_models()[DEFAULT_MODEL]))
    assert load_model(made, "cpu").guided and not load_model(DEFAULT_MODEL, "cpu").guided


def test_planes_that_disagree_are_still_told_after_a_refit_but_not_of_placed_points(plan, truth):
    names = [mark.name for mark in plan.landmarks][:9]
    doubted = replace(plan, disagreeing=tuple(names))
    findings = {check.name: check.message for check in refit(doubted, placed(truth, names[0])).checks}
    assert names[1] in findings["planes disagree"] and names[0] not in findings["planes disagree"]
    settled = refit(doubted, placed(truth, *names))
    assert "planes disagree" not in {check.name for check in settled.checks}
    assert "planes disagree" in {check.name for check in refit(settled, []).checks}
    saved = saved_from_dict(calibration_to_dict(doubted), "here")
    assert saved.disagreeing == tuple(names)
