"""``refit --repredict``, and ``calibrate --landmarks``: the placed landmarks guide detection."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.models import store
from command_line import (
    MIDDLE_SLICES,
    PLANNED_CODES,
    RESULT_FILES,
    assert_refused,
    at,
    content_of,
    edit_points,
    files_in,
    landmark,
    landmark_names,
    write_points,
)
from guided_networks import guided_bundle

pytestmark = pytest.mark.usefixtures("no_picture", "default_model_only")


@pytest.fixture
def default_model_only(monkeypatch, tmp_path):
    """Of the shipped models only the default one, and none of the user's."""
    plain = {store.DEFAULT_MODEL: store.shipped_models()[store.DEFAULT_MODEL]}
    monkeypatch.setattr(store, "shipped_models", lambda: plain)
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return guided_bundle(tmp_path_factory.mktemp("bundle") / "guide")


@pytest.fixture
def installed(bundle, default_model_only):
    """The guided model is one of the user's."""
    store.user_models_folder().mkdir()
    (store.user_models_folder() / "guide").symlink_to(bundle, target_is_directory=True)


@pytest.fixture
def corrected(results):
    """The landmark file of a result folder, with AC moved up."""
    moved = np.array(landmark(results, "AC")["position_mm"]) + [0, 0, 4]
    return edit_points(results / "landmarks.mrk.json", {"AC": at(moved)})


def test_the_rest_is_found_anew_by_the_study_s_own_model(autovolume, results, corrected):
    before = content_of(results)
    ran = autovolume("refit", results, "--landmarks", corrected, "--repredict", "--device", "cpu")
    assert (ran.code in PLANNED_CODES, ran.err) == (True, "")
    after = content_of(results)
    assert (after["model"]["name"], after["model"]["given"]) == (before["model"]["name"], ["AC"])
    assert landmark_names(results, "corrected") == ["AC"]
    was, found = ({mark["name"]: mark for mark in content["predicted"]} for content in (before, after))
    assert found["PC"] != was["PC"]
    assert found["PC"]["status"] == found["AC"]["status"] == "predicted"
    assert {"read", "load", "detect", "fit", "total"} <= set(after["timings_s"])
    assert after["timings_s"]["total"] < 2 * sum(after["timings_s"][step] for step in ("read", "load", "detect", "fit"))
    assert set(files_in(results)) == RESULT_FILES


def test_another_model_can_look_again_and_a_plain_refit_keeps_what_it_found(autovolume, results, corrected, bundle):
    autovolume("refit", results, "--landmarks", corrected, "--repredict", "--model", bundle, "--device", "cpu")
    found = content_of(results)
    assert (found["model"]["name"], found["model"]["given"]) == ("guide", ["AC"])
    assert autovolume("refit", results, "--landmarks", results / "landmarks.mrk.json").code in PLANNED_CODES
    again = content_of(results)
    assert (again["model"], again["predicted"]) == (found["model"], found["predicted"])
    assert again["box"]["center_mm"] == pytest.approx(found["box"]["center_mm"], abs=1e-3)


@pytest.mark.parametrize("guided", [False, True])
def test_points_given_at_once_hold_and_the_plan_tells_that_the_model_had_them(
    autovolume, tmp_path, planned_dicom, bundle, guided
):
    place = np.array(landmark(planned_dicom.folder, "AC")["position_mm"]) + [0, 0, 4]
    points = write_points(tmp_path / "mine.mrk.json", {"AC": place})
    where = ["--output", tmp_path / "plan", "--landmarks", points, "--device", "cpu"]
    model = ["--model", bundle] if guided else []
    assert autovolume("calibrate", *MIDDLE_SLICES, *where, *model).code in PLANNED_CODES
    assert content_of(tmp_path / "plan")["model"]["given"] == ["AC"]
    assert landmark(tmp_path / "plan", "AC")["position_mm"] == pytest.approx(place, abs=1e-6)


def test_where_the_study_s_own_model_is_gone_the_default_one_looks_again(autovolume, results, corrected):
    path = results / "calibration.json"
    path.write_text(path.read_text().replace('"name": "brain-scout"', '"name": "gone"'))
    assert content_of(results)["model"]["name"] == "gone"
    autovolume("refit", results, "--landmarks", corrected, "--repredict", "--device", "cpu")
    assert content_of(results)["model"]["name"] == store.DEFAULT_MODEL


def test_a_model_that_is_not_there_changes_nothing(autovolume, results, corrected):
    before = files_in(results)
    ran = autovolume("refit", results, "--landmarks", corrected, "--repredict", "--model", "nowhere")
    assert_refused(ran, 4, "unknown model nowhere")
    assert files_in(results) == before


@pytest.mark.parametrize("flag", ["--model", "--device"])
def test_flags_of_a_new_prediction_are_refused_without_one(autovolume, results, corrected, flag):
    assert_refused(autovolume("refit", results, "--landmarks", corrected, flag, "cpu"), 2, "Give --repredict too")


def test_the_list_of_models_shows_which_are_guided(autovolume, installed):
    lines = autovolume("models").out.splitlines()
    assert [line.split(":")[0] for line in lines if "guided" in line] == ["guide"]
    assert len(lines) == 2


def test_the_help_says_what_the_points_do(autovolume):
    for command in ("calibrate", "refit"):
        assert "guide" in " ".join(autovolume(command, "--help").out.split())
