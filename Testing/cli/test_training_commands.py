"""``train`` and ``finetune`` from a data set to a bundle, stopped, resumed and by several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from child_processes import run_to_end, started
from command_line import assert_refused
from labelled_studies import spot_study
from LandmarkTrainingLib.core.runs.checkpoints import load_checkpoint

QUICK = {
    "steps": 4,
    "checkpoint_steps": 2,
    "batch_size": 2,
    "workers": 0,
    "bf16": False,
    "device": "cpu",
    "picture_steps": 0,
}
SMALL = {"architecture": "unet", "options": {"features": [4] * 6, "stem": 4}, "name": "small", **QUICK}


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three people with the brain's landmarks where a typical head has them."""
    folder = tmp_path_factory.mktemp("data") / "set"
    constellation = load_protocol("BrainAcPc").constellation
    places = {mark.name: mark.reference_mm for mark in constellation.landmarks}
    studies = [spot_study(f"case_{i}", places=places, subject=f"person_{i}") for i in range(3)]
    write_dataset(folder, studies, constellation)
    return folder


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_finetuning_starts_from_the_model_in_use_and_ends_with_a_bundle(autovolume, dataset, tmp_path):
    run = tmp_path / "run"
    ran = autovolume("finetune", "--dataset", dataset, "--output", run, *settings(**QUICK))
    assert ran.code == 0, ran.err
    assert "step 4 of 4" in ran.out and f"bundle in {run / 'bundle'}" in ran.out
    metadata, base = read_metadata(run / "bundle"), load_model("brain-scout", "cpu")
    assert metadata["name"] == "brain-scout-tuned"
    assert metadata["training"]["base"] == {"name": "brain-scout", "sha256": base.sha256}
    assert metadata["training"]["studies"] == 2  # one person is kept back
    assert "238 of 238 weights transferred" in (run / "transfer.txt").read_text(encoding="utf-8")
    model = load_model(run / "bundle", "cpu")
    assert model.names == base.names and model.sha256 != base.sha256
    assert model.uncertainty.base_mm == pytest.approx(base.uncertainty.base_mm)


def test_a_bundle_tells_no_folder_of_this_computer(autovolume, dataset, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert autovolume("train", "--dataset", dataset, "--output", first, *settings(**SMALL)).code == 0
    chosen = ("finetune", "--dataset", dataset, "--output", second, "--model", first / "bundle")
    assert autovolume(*chosen, *settings(**QUICK)).code == 0
    for path in (second / "bundle" / "configs").iterdir():
        assert str(tmp_path) not in path.read_text(encoding="utf-8"), path.name
    assert json.loads((second / "bundle" / "configs" / "train.json").read_text())["training"]["base"] == "small"


def test_training_needs_no_more_words_to_go_on(autovolume, dataset, tmp_path):
    run = tmp_path / "run"
    assert autovolume("train", "--dataset", dataset, "--output", run, *settings(**SMALL)).code == 0
    assert_refused(autovolume("train", "--dataset", dataset, "--output", run), 2, "holds a run already")
    ran = autovolume("train", "--output", run, "--resume", *settings(steps=6))
    assert ran.code == 0 and [line["step"] for line in log_of(run)] == [2, 4, 6]
    assert load_model(run / "bundle", "cpu").name == "small"


def test_a_validation_set_is_watched_and_its_subjects_may_not_be_trained_on(autovolume, dataset, tmp_path):
    ran = autovolume(
        *("train", "--dataset", dataset, "--validation", dataset, "--output", tmp_path / "a"), *settings(**SMALL)
    )
    assert_refused(ran, 3, "person_0 is in the training data too")


def test_what_the_check_of_the_data_finds_is_logged_before_training(autovolume, tmp_path, caplog):
    constellation = load_protocol("BrainAcPc").constellation
    places = {mark.name: mark.reference_mm for mark in constellation.landmarks}
    swapped = {**places, "LSLMS": places["RSLMS"], "RSLMS": places["LSLMS"], "AC": [0.0, 400.0, 0.0]}
    write_dataset(tmp_path / "set", [spot_study("case", places=swapped)], constellation)
    ran = autovolume("train", "--dataset", tmp_path / "set", "--output", tmp_path / "run", *settings(**SMALL))
    assert ran.code == 0 and "errors, such as case: " in caplog.text and "Check the data set" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no training data"),
        (["--resume"], 2, "no training data"),
        (["--dataset", "nowhere"], 3, "nowhere"),
        (["--labels", "nowhere"], 3, "nowhere"),
        (["--dataset", "DATA", "--set", "stepz=3"], 2, "unknown setting stepz"),
        (["--dataset", "DATA", "--set", 'architecture="magic"'], 2, "magic"),
        (["--dataset", "DATA", "--set", 'optimizer="magic"'], 2, "magic"),
        (["--dataset", "DATA", "--set", 'losses=[{"name": "magic"}]'], 2, "magic"),
        (["--dataset", "DATA", "--set", 'augmentation={"magic": 1}'], 2, "magic"),
        (["--dataset", "DATA", "--set", 'base="nobody"'], 4, "nobody"),
        (["--dataset", "DATA", "--set", 'freeze=["nothing*"]'], 2, "nothing*"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(autovolume, dataset, tmp_path, arguments, code, said):
    named = [str(dataset) if argument == "DATA" else argument for argument in arguments]
    ran = autovolume("train", "--output", tmp_path / "run", *settings(**SMALL), *named)
    assert_refused(ran, code, said)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def command(*arguments):
    return [sys.executable, "-m", "AutoVolumeCalibrationLib.cli.main", *map(str, arguments)]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def long_run(dataset, run, **changes):
    return ["train", "--dataset", dataset, "--output", run, *settings(**{**SMALL, "steps": 100000, **changes})]


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} does not come"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_terminated_run_ends_with_a_checkpoint_and_a_killed_one_with_its_last(dataset, tmp_path):
    run = tmp_path / "run"
    arguments = long_run(dataset, run, workers=1, checkpoint_steps=5)
    with started(command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True) as process:
        wait_for(run / "checkpoint.pt")
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "resumed with --resume" in said and "Traceback" not in said
    stopped = load_checkpoint(run / "checkpoint.pt")["step"]
    resumed = command("train", "--output", run, "--resume")
    with started(resumed, env=environment(), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while load_checkpoint(run / "checkpoint.pt")["step"] < stopped + 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.wait(timeout=10)
    assert load_checkpoint(run / "checkpoint.pt")["step"] >= stopped + 5


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="torchrun's rendezvous is tried on Linux only")
def test_two_processes_learn_what_one_does_from_twice_the_batches(dataset, tmp_path):
    """With a network without batch norm: two processes average their gradients, one gathers those of two batches."""
    common = {
        **SMALL,
        "architecture": "scn",
        "options": {"width": 4, "stem": 4, "dropout": 0.0},
        "optimizer": "sgd",
        "learning_rate": 1.0,
        "warmup_steps": 0,
    }
    alone = command("train", "--dataset", dataset, "--output", tmp_path / "alone", *settings(**common, accumulation=2))
    assert run_to_end(alone, env=environment(), stdout=subprocess.DEVNULL, timeout=40) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    together = ["-m", "AutoVolumeCalibrationLib.cli.main", "train", "--dataset", dataset, "--output", tmp_path / "two"]
    arguments = [*launch, *map(str, together), *settings(**common)]
    assert run_to_end(arguments, env=environment(), stdout=subprocess.DEVNULL, timeout=70) == 0
    one, two = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("alone", "two"))
    assert one["step"] == two["step"] == 4 and (tmp_path / "two" / "bundle" / "models" / "model.pt").exists()
    for key, weights in one["network"].items():
        assert torch.allclose(weights, two["network"][key], rtol=1e-3, atol=1e-6), key
    assert [line["step"] for line in log_of(tmp_path / "two")] == [2, 4]
