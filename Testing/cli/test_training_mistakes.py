"""What a site does wrong with the training commands: one line that names and mends, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from command_line import assert_refused, files_in
from labelled_studies import spot_study
from LandmarkTrainingLib.core.runs.run_lock import exclusive_lock

SMALL = {
    "steps": 2,
    "checkpoint_steps": 1,
    "batch_size": 2,
    "architecture": "unet",
    "options": {"features": [4] * 6, "stem": 4},
    "workers": 0,
    "bf16": False,
    "device": "cpu",
    "folds": 3,
}


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


def small(**changes):
    return settings(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three people with the brain's landmarks where a typical head has them."""
    folder = tmp_path_factory.mktemp("data") / "set"
    constellation = load_protocol("BrainAcPc").constellation
    places = {mark.name: mark.reference_mm for mark in constellation.landmarks}
    write_dataset(folder, [spot_study(f"case_{i}", places=places, subject=f"p{i}") for i in range(3)], constellation)
    return folder


@pytest.fixture
def run(autovolume, dataset, tmp_path):
    """A finished run of two steps."""
    folder = tmp_path / "run"
    assert autovolume("train", "--output", folder, "--dataset", dataset, *small()).code == 0
    return folder


@pytest.mark.parametrize(
    "setting",
    [
        *("learning_rate=NaN", "learning_rate=0", "learning_rate=-1", "learning_rate=Infinity"),
        *("batch_size=0", "steps=0", "checkpoint_steps=0", "accumulation=0", "threads=0"),
        *("sigma_mm=0", "tau_mm=-1", "gradient_clip=0", "weight_decay=-1", "l1=-1", "peak_weight=-1"),
        *("patience=-1", "picture_steps=-1", "workers=-1", "seed=-1", "fold=-1", "warmup_steps=-1"),
        *("study_fraction=2", "volume_fraction=-0.1", "mixup=1.1", "cutout=1", "ema_decay=1", "teacher_forcing=2"),
        *("freeze=[1]", 'train_heads=["x"]', "losses=[3]", "loggers=[3]", "name=", "steps=2.5", 'steps="many"'),
        *('architecture="magic"', 'options={"stem": 0}', 'options={"nothing": 1}'),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(autovolume, dataset, tmp_path, setting):
    ran = autovolume("train", "--output", tmp_path / "run", "--dataset", dataset, *small(), "--set", setting)
    assert_refused(ran, 2, setting.partition("=")[0])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "setting", ['optimizer="sgd"', 'schedule="plateau"', 'options={"features": [8, 4, 4, 4, 4, 4], "stem": 4}']
)
def test_a_checkpoint_that_does_not_fit_the_settings_leaves_the_run_as_it_was(autovolume, run, setting):
    before = files_in(run)
    assert_refused(
        autovolume("train", "--output", run, "--resume", "--set", "steps=4", "--set", setting), 4, "checkpoint"
    )
    assert files_in(run) == before
    assert autovolume("train", "--output", run, "--resume", "--set", "steps=3").code == 0


def test_a_second_training_in_the_folder_of_a_run_leaves_it_as_it_was(autovolume, run, tmp_path):
    before = files_in(run)
    assert_refused(autovolume("train", "--output", run, "--dataset", tmp_path, *small()), 2, "holds a run already")
    assert files_in(run) == before


def test_two_processes_do_not_train_in_one_folder(autovolume, run):
    before = files_in(run)
    with exclusive_lock(run):
        assert_refused(autovolume("train", "--output", run, "--resume", "--set", "steps=4"), 2, "another process")
    assert files_in(run) == before
    assert autovolume("train", "--output", run, "--resume", "--set", "steps=3").code == 0


@pytest.mark.parametrize(("name", "code"), [("checkpoint.pt", 4), ("best.pt", 4), ("config.json", 2), ("data.json", 2)])
def test_a_damaged_file_of_a_run_is_named(autovolume, run, name, code):
    (run / name).write_bytes(b"\xff{garbage")
    assert_refused(autovolume("train", "--output", run, "--resume"), code, name)


def test_a_checkpoint_of_something_else_is_named(autovolume, run):
    torch.save({"step": 3}, run / "checkpoint.pt")
    assert_refused(autovolume("train", "--output", run, "--resume"), 4, "checkpoint.pt")


def test_a_damaged_log_is_cut_and_the_run_goes_on(autovolume, run):
    (run / "log.jsonl").write_bytes(b'\xff\n[3]\n3\n{"step": "x"}\n{"step": 1}\n{"step"')
    assert autovolume("train", "--output", run, "--resume", "--set", "steps=3").code == 0
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert steps == [1, 3]


def test_damaged_words_of_where_the_data_lie_are_mended_by_naming_them(autovolume, dataset, run):
    (run / "data.json").write_text("{}", encoding="utf-8")
    assert autovolume("train", "--output", run, "--resume", "--dataset", dataset, "--set", "steps=3").code == 0
    assert json.loads((run / "data.json").read_text(encoding="utf-8"))["datasets"] == [str(dataset.resolve())]


def test_going_on_with_other_data_is_told(autovolume, dataset, run, tmp_path, caplog):
    other = shutil.copytree(dataset, tmp_path / "other")
    ran = autovolume("train", "--output", run, "--resume", "--dataset", other, "--set", "steps=3")
    assert ran.code == 0 and "other data than it began with" in caplog.text


def test_a_full_disk_is_told_and_the_last_checkpoint_stays(autovolume, run, monkeypatch):
    before = (run / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full_for_checkpoints(Path.write_bytes))
    assert_refused(autovolume("train", "--output", run, "--resume", "--set", "steps=4"), 2, "checkpoint.pt")
    assert (run / "checkpoint.pt").read_bytes() == before and not list(run.glob(".*"))


def full_for_checkpoints(write):
    """Writing as it was, on a disk that has no room for checkpoints."""

    def write_bytes(path, data):
        if path.suffix != ".pt" or "checkpoint" not in path.name:
            return write(path, data)
        write(path, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    return write_bytes


def test_resuming_what_never_began_names_the_folder(autovolume, tmp_path):
    assert_refused(autovolume("train", "--output", tmp_path / "none", "--resume"), 2, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["train", *small()],
        ["find-rate", "--steps", "10", *small()],
        ["crossvalidate", *small()],
        ["compare", "current"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("below", ["", "run"])
def test_an_output_folder_that_is_a_file_is_refused(autovolume, dataset, tmp_path, command, below):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    assert_refused(autovolume(*command, "--dataset", dataset, "--output", file / below), 2, file)
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "--labels", "x", "--count", "0"],
        ["render", "--labels", "x", "--slices", "0"],
        ["render", "--labels", "x", "--seed", "-1"],
        ["dataset", "build", "--volumes", "x", "--poses", "0"],
        ["dataset", "build", "--volumes", "x", "--slices", "many"],
        ["search", "--trials", "0"],
        ["compare", "current", "--data", "x", "--poses", "0"],
    ],
)
def test_numbers_of_a_flag_that_make_no_sense_are_refused(autovolume, tmp_path, arguments):
    flag = arguments[-2]
    assert_refused(autovolume(*arguments, "--output", tmp_path / "out"), 2, flag)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes", [{"images": "x"}, {"images": 0}, {"seeds": []}, {"seeds": ["a"]}, {"variants": {}}, {"variants": 3}]
)
def test_an_ablation_plan_that_cannot_be_run_is_refused(autovolume, tmp_path, changes):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"title": "t", "images": 4, "variants": {"A": {}}, **changes}), encoding="utf-8")
    ran = autovolume("ablation", plan, "--labels", "x", "--data", "x", "--output", tmp_path / "out")
    assert_refused(ran, 2, plan)


def test_a_slice_that_is_not_there_leaves_no_pictures(autovolume, dataset, tmp_path):
    place = dataset / "studies" / "case_0"
    ran = autovolume("inspect", "brain-scout", "--output", tmp_path / "out", "--scouts", place, "--slice", "99")
    assert_refused(ran, 2, "slice 99")
    assert not (tmp_path / "out").exists()


def test_checking_a_data_set_that_is_not_there_names_it(autovolume, tmp_path):
    assert_refused(autovolume("dataset", "check", tmp_path / "none"), 3, tmp_path / "none")


def test_many_unknown_names_are_one_finding(autovolume, dataset, tmp_path):
    other = shutil.copytree(dataset, tmp_path / "other")
    points = other / "studies" / "case_0" / "landmarks.mrk.json"
    markups = json.loads(points.read_text(encoding="utf-8"))
    for number, point in enumerate(markups["markups"][0]["controlPoints"]):
        point["label"] = f"9999{number}"
    points.write_text(json.dumps(markups), encoding="utf-8")
    ran = autovolume("dataset", "check", other)
    assert ran.out.count("not landmarks of BrainAcPc") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--output", "a"], "no training data are named. Give --dataset, --labels or --volumes."),
        (["train", "--output", "a", "--dataset", "nowhere"], "nowhere: is not a folder. Check the path."),
        (["finetune", "--output", "a", "--labels", "nowhere"], "nowhere: is not a folder."),
        (["train", "--output", "a", "--dataset", ".", "--set", "step=3"], "unknown setting step. Did you mean steps?"),
        (["finetune", "--output", "begun", "--dataset", "."], "begun: holds a run already. Give --resume or another"),
        (["find-rate", "--output", "a", "--dataset", "nowhere"], "nowhere: is not a folder."),
        (["xray", "hand", "nowhere", "--output", "a"], "nowhere: is not a folder."),
        (["search", "--output", "a", "--labels", "nowhere"], "nowhere: is not a folder."),
        (["crossvalidate", "--output", "a", "--dataset", "nowhere"], "nowhere: is not a folder."),
        (["evaluate", "--output", "a", "--dataset", ".", "--model", "mine"], "unknown model mine."),
    ],
    ids=range(10),
)
def test_mistakes_in_the_flags_are_named_without_loading_torch(tmp_path, arguments, said):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "checkpoint.pt").touch()
    loaded = "sys.exit(f'{code} {\"torch\" in sys.modules}')"
    code = f"import sys; from AutoVolumeCalibrationLib.cli.main import main; code = main({arguments!r}); {loaded}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert said in ran.stderr and ran.stderr.splitlines()[-1] in ("2 False", "3 False", "4 False"), ran.stderr


def test_label_maps_that_are_not_there_are_named(autovolume, tmp_path):
    (tmp_path / "labels").mkdir()
    command = ("train", "--output", tmp_path / "a", "--labels", tmp_path / "labels", *small())
    assert_refused(autovolume(*command), 3, "labels: holds no head_NN.nii.gz")
    (tmp_path / "labels" / "head_01.nii.gz").touch()
    assert_refused(autovolume(*command), 3, "labels: has no head_02.nii.gz. Set train_heads and check_heads")
