import json
import pickle

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from LandmarkTrainingLib.core import checkpoints, trainer
from LandmarkTrainingLib.core.batches import SimulatedBatches, TrainingData, target_settings
from LandmarkTrainingLib.core.checkpoints import load_checkpoint, save_checkpoint
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.simulator.render import SliceSettings
from LandmarkTrainingLib.core.trainer import (
    averaged_network,
    choose_training_device,
    learning_rate_factor,
    train,
    warmed_average,
)
from LandmarkTrainingLib.core.watching import inplane_errors_mm
from toy_heads import MIRROR, NAMES, RIGID, toy_heads

SLICES = SliceSettings(matrix=64, pixel_mm=4.0, profile_samples=1, limits=RIGID)
TINY = TrainingConfig(
    options={"features": [8] * 6, "stem": 1},
    steps=6,
    checkpoint_steps=3,
    batch_size=4,
    warmup_steps=2,
    bf16=False,
    workers=0,
    device="cpu",
)


@pytest.fixture(scope="module")
def data():
    heads = toy_heads(4.0)
    return TrainingData(heads, heads, MIRROR)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Slices of 64 pixels, few of them looked at; the number of threads is put back."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(trainer, "SliceSettings", lambda: SLICES)
    monkeypatch.setattr(trainer, "CHECK_SLICES", 24)
    yield
    torch.set_num_threads(threads)


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_same(one, other):
    """Two checkpoints are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


def test_a_few_slices_are_learnt_by_heart(data, tmp_path, monkeypatch):
    """Images, targets, loss, optimiser, average and decoding belong together: any sign or axis wrong shows here."""

    config = TINY.replaced(
        {
            "options": {"features": [8] * 6, "stem": 2},
            "sigma_mm": 10.0,
            "steps": 120,
            "checkpoint_steps": 120,
            "batch_size": 8,
            "learning_rate": 1e-2,
            "ema_decay": 0.9,
        }
    )
    batch = SimulatedBatches(data, config, SLICES)[0]
    monkeypatch.setattr(SimulatedBatches, "__getitem__", lambda self, index: batch)
    network = averaged_network(config, train(config, data, tmp_path), len(NAMES))
    errors = inplane_errors_mm(network, batch, target_settings(config, SLICES), torch.device("cpu"))
    assert (batch.visible & (batch.depths_mm.abs() < 8)).sum() >= 4
    assert errors["p95_mm"] < 1.0


def test_a_killed_run_goes_on_bit_for_bit(data, tmp_path):
    whole = load_checkpoint(train(TINY, data, tmp_path / "whole"))

    def kill(step, _steps, _text):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TINY, data, tmp_path / "killed", progress=kill)
    assert load_checkpoint(tmp_path / "killed" / "checkpoint.pt")["step"] == 3
    resumed = load_checkpoint(train(TINY, data, tmp_path / "killed", resume=True))
    assert_same(resumed, whole)
    assert [line["step"] for line in log_of(tmp_path / "killed")] == [3, 6]


def test_a_cancelled_run_keeps_its_last_step_and_goes_on_bit_for_bit(data, tmp_path):
    steps = iter([False, False, False, True])
    cancelled = load_checkpoint(train(TINY, data, tmp_path / "a", cancelled=lambda: next(steps)))
    assert cancelled["step"] == 4
    assert_same(
        load_checkpoint(train(TINY, data, tmp_path / "a", resume=True)),
        load_checkpoint(train(TINY, data, tmp_path / "b")),
    )


def test_the_seed_decides_the_weights(data, tmp_path):
    config = TINY.replaced({"steps": 1})
    one, other = (
        load_checkpoint(train(config.replaced({"seed": s}), data, tmp_path / str(s)))["network"] for s in (0, 1)
    )
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_a_run_leaves_its_configuration_log_and_checkpoint(data, tmp_path):
    seen = []
    checkpoint = train(TINY, data, tmp_path, progress=lambda *step: seen.append(step))
    assert TrainingConfig.from_json(tmp_path / "config.json") == TINY
    state = load_checkpoint(checkpoint)
    assert state["step"] == 6 and state["names"] == list(NAMES)
    log = log_of(tmp_path)
    assert [line["step"] for line in log] == [3, 6] == [step for step, _, _ in seen]
    assert all(np.isfinite([line["loss"], line["check_median_mm"], line["check_p95_mm"]]).all() for line in log)
    assert "in-plane error" in seen[0][2] and seen[0][1] == 6
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "log.jsonl", "checkpoint.pt"}


def test_a_folder_with_a_run_is_not_overwritten(data, tmp_path):
    train(TINY.replaced({"steps": 1}), data, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes(), (tmp_path / "config.json").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="holds a run already.*--resume"):
        train(TINY, data, tmp_path)
    assert before == (
        (tmp_path / "checkpoint.pt").read_bytes(),
        (tmp_path / "config.json").read_text(encoding="utf-8"),
    )


def test_a_finished_run_is_left_as_it_is(data, tmp_path):
    config = TINY.replaced({"steps": 1})
    before = load_checkpoint(train(config, data, tmp_path))
    assert_same(load_checkpoint(train(config, data, tmp_path, resume=True)), before)
    assert len(log_of(tmp_path)) == 1


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(data, tmp_path):
    with pytest.raises(UsageError, match="the loss became .* Lower learning_rate"):
        train(TINY.replaced({"learning_rate": 1e30, "warmup_steps": 0, "steps": 9}), data, tmp_path)


def test_the_average_is_what_is_exported(data, tmp_path):
    checkpoint = train(TINY, data, tmp_path)
    network, state = averaged_network(TINY, checkpoint, len(NAMES)), load_checkpoint(checkpoint)
    assert not network.training
    own = network.state_dict()
    assert own.keys() == state["network"].keys()
    assert all(torch.equal(own[key], state["average"][f"module.{key}"]) for key in own)
    assert any(not torch.equal(own[key], state["network"][key]) for key in own)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine_to_two_percent():
    config = TrainingConfig(steps=1000, warmup_steps=100)
    factor = np.array([learning_rate_factor(step, config) for step in range(1001)])
    assert factor[0] == pytest.approx(0.01, rel=0.01) and factor[49] == pytest.approx(0.5, rel=0.01)
    assert factor.argmax() in range(95, 105) and factor.max() > 0.95
    assert factor[500] == pytest.approx(0.51) and factor[1000] == pytest.approx(0.02)
    assert (np.diff(factor[100:]) < 0).all()
    assert learning_rate_factor(5000, config) == pytest.approx(0.02)


@pytest.mark.parametrize(("count", "decay"), [(0, 0.1), (8, 0.5), (90, 0.91), (10**6, 0.998)])
def test_the_average_follows_quickly_at_first(count, decay):
    mean, number = torch.tensor([1.0]), torch.tensor(3)
    warmed_average(0.998)([mean, number], [torch.tensor([2.0]), torch.tensor(7)], torch.tensor(count))
    assert float(mean) == pytest.approx(2.0 - decay, rel=1e-5)
    assert int(number) == 7


def test_a_device_that_is_not_there_is_refused():
    assert choose_training_device("cpu").type == "cpu"
    for name in ("abacus", "cuda:x"):
        with pytest.raises(UsageError, match="unknown device"):
            choose_training_device(name)


def test_a_checkpoint_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1, "weights": torch.ones(3)})

    def half_written(state, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


class Code:
    """Pickled code: touches a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"step": Code(tmp_path / "run")}, tmp_path / "checkpoint.pt")
    with pytest.raises(ModelError, match="no readable checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"junk" * 20, pickle.dumps({"a": 1}), b"PK\x03\x04" + b"\0" * 40])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no readable checkpoint") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
