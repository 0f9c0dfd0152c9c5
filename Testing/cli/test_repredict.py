"""``refit --repredict``, and ``calibrate --landmarks`` with a guided model: the rest is found by the placed points."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core import user_models
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

pytestmark = pytest.mark.usefixtures("no_picture", "no_guided_model")


@pytest.fixture
def no_guided_model(monkeypatch, tmp_path):
    """Of the shipped models only the default one, and none of the user's."""
    plain = {user_models.DEFAULT_MODEL: user_models.shipped_models()[user_models.DEFAULT_MODEL]}
    monkeypatch.setattr(user_models, "shipped_models", lambda: plain)
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return guided_bundle(tmp_path_factory.mktemp("bundle") / "guide")


@pytest.fixture
def installed(bundle, no_guided_model):
    """The guided model is one of the user's."""
    user_models.user_models_folder().mkdir()
    (user_models.user_models_folder() / "guide").symlink_to(bundle, target_is_directory=True)


@pytest.fixture
def corrected(results):
    """The landmark file of a result folder, with AC moved up."""
    moved = np.array(landmark(results, "AC")["position_mm"]) + [0, 0, 4]
    return edit_points(results / "landmarks.mrk.json", {"AC": at(moved)})


def test_the_rest_is_found_by_the_placed_points(autovolume, results, corrected, installed):
    before = content_of(results)
    ran = autovolume("refit", results, "--landmarks", corrected, "--repredict", "--device", "cpu")
    assert (ran.code in PLANNED_CODES, ran.err) == (True, "")
    after = content_of(results)
    assert (after["model"]["name"], after["model"]["given"]) == ("guide", ["AC"])
    assert landmark_names(results, "corrected") == ["AC"]
    by_name = {kind: {m["name"]: m for m in content["predicted"]} for kind, content in (("was", before), ("is", after))}
    assert by_name["is"]["AC"] == by_name["was"]["AC"]
    assert by_name["is"]["PC"] != by_name["was"]["PC"] and by_name["is"]["PC"]["status"] == "predicted"
    assert {"read", "load", "detect", "fit", "total"} <= set(after["timings_s"])
    assert after["timings_s"]["total"] < 2 * sum(after["timings_s"][step] for step in ("read", "load", "detect", "fit"))
    assert set(files_in(results)) == RESULT_FILES


def test_a_plain_refit_keeps_what_a_guided_model_found(autovolume, results, corrected, bundle):
    autovolume("refit", results, "--landmarks", corrected, "--repredict", "--model", bundle, "--device", "cpu")
    found = content_of(results)
    assert autovolume("refit", results, "--landmarks", results / "landmarks.mrk.json").code in PLANNED_CODES
    again = content_of(results)
    assert (again["model"], again["predicted"]) == (found["model"], found["predicted"])
    assert again["box"]["center_mm"] == pytest.approx(found["box"]["center_mm"], abs=1e-3)


def test_points_given_at_once_guide_a_guided_model(autovolume, tmp_path, planned_dicom, bundle):
    place = np.array(landmark(planned_dicom.folder, "AC")["position_mm"]) + [0, 0, 4]
    points = write_points(tmp_path / "mine.mrk.json", {"AC": place})
    where = ["--output", tmp_path / "plan", "--landmarks", points, "--device", "cpu"]
    assert autovolume("calibrate", *MIDDLE_SLICES, *where, "--model", bundle).code in PLANNED_CODES
    assert content_of(tmp_path / "plan")["model"]["given"] == ["AC"]
    assert landmark(tmp_path / "plan", "AC")["position_mm"] == pytest.approx(place, abs=1e-6)
    plain = autovolume("calibrate", *MIDDLE_SLICES, *where, "--overwrite")
    assert plain.code in PLANNED_CODES and content_of(tmp_path / "plan")["model"]["given"] == []


def test_without_a_guided_model_nothing_is_changed_and_the_remedy_named(autovolume, results, corrected):
    before = files_in(results)
    ran = autovolume("refit", results, "--landmarks", corrected, "--repredict")
    assert_refused(ran, 4, "Install or train a guided model")
    assert files_in(results) == before


def test_a_model_that_is_not_guided_is_refused_with_the_name_of_one(autovolume, results, corrected, installed):
    before = files_in(results)
    flags = ["--repredict", "--model", user_models.DEFAULT_MODEL, "--device", "cpu"]
    assert_refused(autovolume("refit", results, "--landmarks", corrected, *flags), 4, "Choose the model guide.")
    assert files_in(results) == before


@pytest.mark.parametrize("flag", ["--model", "--device"])
def test_flags_of_a_new_prediction_are_refused_without_one(autovolume, results, corrected, flag):
    assert_refused(autovolume("refit", results, "--landmarks", corrected, flag, "cpu"), 2, "Give --repredict too")


def test_the_list_of_models_tells_the_guided_ones(autovolume, installed):
    lines = autovolume("models").out.splitlines()
    assert [line.split(":")[0] for line in lines if "guided" in line] == ["guide"]
    assert len(lines) == 2


def test_the_help_tells_what_a_guided_model_does_with_the_points(autovolume):
    texts = {command: " ".join(autovolume(command, "--help").out.split()) for command in ("calibrate", "refit")}
    assert "a guided model (see models) finds the others by them" in texts["calibrate"]
    assert "--repredict" in texts["refit"]
