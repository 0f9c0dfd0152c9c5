"""``crossvalidate``, ``find-rate`` and ``inspect`` from a data set or a model to files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from AutoVolumeCalibrationLib.cli.main import main
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from command_line import MIDDLE_SLICES, assert_refused
from labelled_studies import spot_study
from LandmarkTrainingLib.cli import crossvalidate_commands

TWO_PLANES = [str(path) for path in MIDDLE_SLICES[:2]]

TINY = {
    "architecture": "unet",
    "options": {"features": [4] * 6, "stem": 4},
    "steps": 3,
    "checkpoint_steps": 1,
    "batch_size": 2,
    "workers": 0,
    "bf16": False,
    "device": "cpu",
    "warmup_steps": 0,
    "picture_steps": 0,
}


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three people, the first with two studies, with the brain's landmarks where a typical head has them."""
    folder = tmp_path_factory.mktemp("data") / "set"
    constellation = load_protocol("BrainAcPc").constellation
    places = {mark.name: mark.reference_mm for mark in constellation.landmarks}
    people = [0, 0, 1, 2]
    studies = [spot_study(f"case_{i}", places=places, subject=f"person_{who}") for i, who in enumerate(people)]
    write_dataset(folder, studies, constellation)
    return folder


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def files_and_times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def command(dataset, output):
    return ("crossvalidate", "--dataset", dataset, "--output", output, "--leave-one-out", *settings(**TINY))


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """What a whole cross-validation printed, and its folder."""
    folder, out = tmp_path_factory.mktemp("finished"), io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([str(word) for word in command(dataset, folder)]) == 0
    return out.getvalue(), folder


def test_everybody_is_kept_back_once(finished):
    said, folder = finished
    assert "fold 3 of 3, step 3 of 3" in said and (folder / "report.md").read_text(encoding="utf-8") in said
    summary = read(folder / "crossvalidation.json")
    assert [fold["subjects"] for fold in summary["folds"]] == [["person_0"], ["person_1"], ["person_2"]]
    assert summary["folds"][0]["points"] == 2 * summary["folds"][1]["points"] > 0
    assert summary["trained"]["points"] == 4 * summary["folds"][1]["points"] and summary["starting"] is None
    assert summary["trained"]["low"] <= summary["trained"]["median"] <= summary["trained"]["high"]


def test_the_same_command_trains_nothing_again(autovolume, dataset, finished):
    before = files_and_times(finished[1] / "fold-01")
    again = autovolume(*command(dataset, finished[1]))
    assert again.code == 0 and again.out.startswith("# Cross-validation")
    assert files_and_times(finished[1] / "fold-01") == before


def test_what_is_fine_tuned_is_compared_with_the_model_that_it_started_from(autovolume, dataset, tmp_path):
    changes = {"steps": 1, "checkpoint_steps": 1, "batch_size": 2, "workers": 0, "bf16": False, "device": "cpu"}
    ran = autovolume(
        *("crossvalidate", "--dataset", dataset, "--output", tmp_path, "--folds", 2, "--model", "brain-scout"),
        *settings(**changes, learning_rate=1e-12, ema_decay=0.0),
    )
    assert ran.code == 0, ran.err
    summary = read(tmp_path / "crossvalidation.json")
    assert summary["base"] == "brain-scout" and summary["starting"]["points"] == summary["trained"]["points"]
    assert summary["difference"]["subjects"] == 3 and "Mean error less that of brain-scout" in ran.out
    assert all(fold["starting_median"] is not None for fold in summary["folds"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no data are named that could be split into folds"),
        (["--dataset", "nowhere"], 3, "nowhere"),
        (["--dataset", "DATA", "--folds", "4"], 2, "3 subjects cannot be split into 4 folds"),
        (["--dataset", "DATA", "--folds", "1"], 2, "into 1 folds"),
        (["--dataset", "DATA", "--folds", "2", "--leave-one-out"], 2, "not allowed with"),
        (["--dataset", "DATA", "--model", "nobody"], 4, "nobody"),
        (["--dataset", "DATA", "--labels", "nowhere"], 3, "nowhere"),
        (["--dataset", "DATA", "--set", "stepz=3"], 2, "unknown setting stepz"),
        (["--dataset", "DATA", "--set", 'optimizer="magic"'], 2, "magic"),
    ],
)
def test_what_cannot_be_cross_validated_is_refused_in_one_line(autovolume, dataset, tmp_path, arguments, code, said):
    named = [str(dataset) if argument == "DATA" else argument for argument in arguments]
    assert_refused(autovolume("crossvalidate", "--output", tmp_path, *settings(**TINY), *named), code, said)
    assert not list(tmp_path.glob("fold-*/checkpoint.pt"))


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_terminated_cross_validation_goes_on_and_comes_to_the_same(
    autovolume, dataset, finished, tmp_path, monkeypatch
):
    say = crossvalidate_commands._say

    def terminate_in_fold_2(fold, folds, step, *rest):
        say(fold, folds, step, *rest)
        if (fold, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(crossvalidate_commands, "_say", terminate_in_fold_2)
        ran = autovolume(*command(dataset, tmp_path))
    assert ran.code == 130 and ran.err.endswith("stopped in fold 2 of 3; it can be resumed\n")
    before = files_and_times(tmp_path / "fold-01")
    assert_refused(autovolume(*command(dataset, tmp_path), "--set", "tau_mm=9"), 2, "was begun with other data")
    ran = autovolume(*command(dataset, tmp_path), "--set", "threads=1")
    assert ran.code == 0 and "fold 2 of 3, step 2" not in ran.out and "fold 2 of 3, step 3" in ran.out
    assert files_and_times(tmp_path / "fold-01") == before
    assert read(tmp_path / "crossvalidation.json") == read(finished[1] / "crossvalidation.json")


def test_a_killed_cross_validation_goes_on_from_its_last_checkpoint(
    autovolume, dataset, finished, tmp_path, monkeypatch
):
    """A kill leaves what is on the disk after a checkpoint, and nothing is said or tidied up."""

    class Killed(BaseException):
        pass

    def kill_in_fold_2(fold, folds, step, *rest):
        if (fold, step) == (2, 2):
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(crossvalidate_commands, "_say", kill_in_fold_2)
        autovolume(*command(dataset, tmp_path))
    before = files_and_times(tmp_path / "fold-01")
    ran = autovolume(*command(dataset, tmp_path))
    assert ran.code == 0 and "fold 2 of 3, step 2" not in ran.out and "fold 2 of 3, step 3" in ran.out
    assert files_and_times(tmp_path / "fold-01") == before
    assert read(tmp_path / "crossvalidation.json") == read(finished[1] / "crossvalidation.json")
    (tmp_path / "fold-03" / "errors.json").write_text('{"errors": [[1]]}', encoding="utf-8")
    ran = autovolume(*command(dataset, tmp_path))
    assert_refused(ran, 2, "fold-03/errors.json: does not hold the errors of a fold. Delete the file")
    (tmp_path / "fold-03" / "errors.json").unlink()
    assert autovolume(*command(dataset, tmp_path)).out.startswith("# Cross-validation")


def opened(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), dtype=float)


def test_a_learning_rate_is_suggested_with_its_curve(autovolume, dataset, tmp_path):
    quick = {**TINY, "options": {"features": [8] * 6, "stem": 4}, "batch_size": 4}
    flags = ("--lowest", "1e-4", "--highest", "10", "--steps", "30")
    ran = autovolume("find-rate", "--dataset", dataset, "--output", tmp_path, *flags, *settings(**quick))
    assert ran.code == 0, ran.err
    found = read(tmp_path / "range.json")
    assert 1e-4 < found["suggestion"] < 10 and f"learning_rate={found['suggestion']:.1e}" in ran.out
    assert found["settings"]["architecture"] == "unet" and len(found["rates"]) == len(found["losses"]) > 10
    assert opened(tmp_path / "range.png").std() > 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no training data"),
        (["--dataset", "DATA", "--steps", "3"], 2, "no range test of 3 steps"),
        (["--dataset", "DATA", "--lowest", "2"], 2, "from 2 to 1"),
        (["--dataset", "DATA", "--set", 'architecture="magic"'], 2, "magic"),
    ],
)
def test_a_range_that_cannot_be_tested_is_refused_in_one_line(autovolume, dataset, tmp_path, arguments, code, said):
    named = [str(dataset) if argument == "DATA" else argument for argument in arguments]
    assert_refused(autovolume("find-rate", "--output", tmp_path / "range", *settings(**TINY), *named), code, said)
    assert not (tmp_path / "range").exists()


def test_a_model_is_drawn_from_its_kernels_to_its_heatmaps(autovolume, tmp_path):
    ran = autovolume("inspect", "brain-scout", "--output", tmp_path / "alone")
    assert ran.code == 0, ran.err
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["kernels.png"]
    layers = ran.out.partition("layers: ")[2].strip().split(", ")
    ran = autovolume(
        *("inspect", "brain-scout", "--output", tmp_path, "--scouts", *MIDDLE_SLICES, "--plane", "axial"),
        *("--layer", layers[0], "--layer", layers[-1]),
    )
    assert ran.code == 0, ran.err
    names = ["kernels.png", "heatmaps_axial.png", *(f"features_axial_{layers[i]}.png" for i in (0, -1))]
    pictures = [opened(tmp_path / name) for name in names]
    assert all(picture.std() > 10 for picture in pictures)
    assert ran.out.count("written") == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], 4, "nobody"),
        (["brain-scout", "--layer", "x"], 2, "Give --scouts"),
        (["brain-scout", "--scouts", "nowhere"], 3, "nowhere"),
        (["brain-scout", "--scouts", *TWO_PLANES, "--layer", "conv_99"], 2, "no layer 'conv_99'"),
        (["brain-scout", "--scouts", *TWO_PLANES, "--plane", "axial"], 3, "the scouts have no axial slices"),
        (["brain-scout", "--scouts", *TWO_PLANES, "--slice", "2"], 2, "Choose one from 1 to 1"),
    ],
)
def test_what_cannot_be_inspected_is_refused_in_one_line(autovolume, tmp_path, arguments, code, said):
    assert_refused(autovolume("inspect", *arguments, "--output", tmp_path / "pictures"), code, said)
