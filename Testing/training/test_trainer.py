import json
import pickle
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import Cancelled, ModelError, UsageError
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.runs.checkpoints import load_checkpoint, save_checkpoint
from LandmarkTrainingLib.core.runs.run_folder import RunFolder
from LandmarkTrainingLib.core.training.learner import landmark_network, warmed_average
from LandmarkTrainingLib.core.training.trainer import best_network, choose_training_device
from LandmarkTrainingLib.core.training.trainer import train as train_on_slices
from toy_heads import NAMES
from toy_training import SLICES, TINY, SameBatch, errors_of, one_batch, toy_data

#: Everything that draws random numbers at once, with several batches a step.
RANDOM = TINY.replaced(
    {"options": {"features": [8] * 6, "stem": 1, "dropout": 0.3}, "accumulation": 2, "mixup": 0.5, "cutout": 0.1}
)
#: A network that is told landmarks, with its own answers among its inputs.
TOLD = TINY.replaced(
    {
        "architecture": "iterative",
        "options": {"inner": "unet", "inner_options": {"features": [8] * 6}, "stem": 1, "group_size": 2},
        "known_fraction": 0.5,
        "teacher_forcing": 0.5,
    }
)


def train(config, data, folder, **more):
    return train_on_slices(config, data, folder, slices=SLICES, **more)


@pytest.fixture(scope="module")
def data():
    return toy_data()


@pytest.fixture(autouse=True)
def same_threads():
    """The number of threads is put back."""
    threads = torch.get_num_threads()
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


def test_a_few_slices_are_memorised(tmp_path):
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
    batch = one_batch(config)
    folder = train(config, toy_data(source=SameBatch(batch)), tmp_path)
    errors = errors_of(folder.best_weights()["average"], config, batch)  # one checkpoint: the last step is the best
    assert (batch.visible & (batch.depths_mm.abs() < 8)).sum() >= 4
    assert errors["p95_mm"] < 1.0


@pytest.mark.parametrize("config", [TINY, RANDOM, TOLD], ids=["plain", "random", "told"])
def test_a_killed_run_goes_on_bit_for_bit(data, tmp_path, config):
    whole = train(config, data, tmp_path / "whole").load()

    def kill(step, _steps, _line):
        if step == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(config, data, tmp_path / "killed", progress=kill)
    assert RunFolder(tmp_path / "killed").load()["step"] == 3
    resumed = train(config, data, tmp_path / "killed", resume=True).load()
    assert_same(resumed, whole)
    assert [line["step"] for line in log_of(tmp_path / "killed")] == [3, 6]


def ask_by_callback(_folder):
    steps = iter([False, False, False, True])
    return {"cancelled": lambda: next(steps)}


def ask_by_file(folder):
    def ask(step, _steps, _line):
        if step == 3:
            (folder / "stop").touch()

    return {"progress": ask}


def ask_by_signal(_folder):
    def ask(step, _steps, _line):
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    return {"progress": ask}


@pytest.mark.parametrize("ask", [ask_by_callback, ask_by_file, ask_by_signal])
def test_a_stopped_run_keeps_its_last_step_and_goes_on_bit_for_bit(data, tmp_path, ask):
    with pytest.raises(Cancelled, match="stopped at step 4; the run can be resumed"):
        train(TINY, data, tmp_path / "a", **ask(tmp_path / "a"))
    assert RunFolder(tmp_path / "a").load()["step"] == 4
    resumed = train(TINY, data, tmp_path / "a", resume=True).load()
    whole = train(TINY, data, tmp_path / "b").load()
    for part in ("network", "average", "optimizer", "schedule", "step"):
        assert_same(resumed[part], whole[part])


def test_the_signals_mean_what_they_meant_before_once_a_run_is_over(data, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train(TINY, data, tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_in_another_thread_needs_no_signals(data, tmp_path):
    thread = threading.Thread(target=train, args=(TINY.replaced({"steps": 1}), data, tmp_path))
    thread.start()
    thread.join()
    assert (tmp_path / "checkpoint.pt").exists()


def test_the_log_forgets_what_a_killed_run_had_not_kept(data, tmp_path):
    train(TINY, data, tmp_path)
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    with open(tmp_path / "log.jsonl", "a", encoding="utf-8") as log:
        log.write('{"step": 9, "loss": 1}\n{"step": 12, "lo')
    train(TINY.replaced({"steps": 7}), data, tmp_path, resume=True)
    assert state["step"] == 6 and [line["step"] for line in log_of(tmp_path)] == [3, 6, 7]


def test_the_seed_decides_the_weights(data, tmp_path):
    config = TINY.replaced({"steps": 1})
    one, other = (train(config.replaced({"seed": s}), data, tmp_path / str(s)).load()["network"] for s in (0, 1))
    assert any(not torch.equal(one[key], other[key]) for key in one)


#: Terms whose means are taken over different numbers of landmarks.
GATHERED = {
    "heatmaps": {
        "architecture": "flat_net",
        "options": {"width": 2, "stem": 1, "rates": [1, 1, 2, 2, 3]},
        "losses": [{"name": "mse", "weight": 100.0}],
        "l1": 1e-3,
    },
    "coordinates and presence": {"architecture": "t2dl", "options": {"width": 4, "stage": 2, "stem": 1}},
    "displacements": {"architecture": "t2dl", "options": {"width": 4, "stage": 1, "stem": 1}},
}


def batch_norms(config):
    network = landmark_network(config, len(NAMES))
    return [name for name, module in network.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize("change", GATHERED.values(), ids=GATHERED)
def test_gradients_gathered_over_batches_are_those_of_one_large_batch(tmp_path, change):
    """Also where one batch knows one landmark, and the other all of them. Batch norm is held: it sees each batch."""
    plain = {"optimizer": "sgd", "learning_rate": 0.1, "gradient_clip": 1e6, "weight_decay": 0.0, "steps": 2}
    config = TINY.replaced({**plain, **change})
    config = config.replaced({"freeze": [f"{name}.*" for name in batch_norms(config)]})
    batch = one_batch(config.replaced({"batch_size": 8}))
    halves = [type(batch)(*(t[i : i + 4].clone() for t in vars(batch).values())) for i in (0, 4)]
    halves[1].depths_mm[:, 1:], halves[1].points[:, 1:], halves[1].visible[:, 1:] = np.nan, np.nan, False
    assert int(halves[0].known.sum()) > 2 * int(halves[1].known.sum()) > 0

    class Halves:
        def batch(self, count, seed):
            return halves[seed[-1] % 2]

    whole = type(batch)(*(torch.cat(t) for t in zip(*(vars(h).values() for h in halves), strict=True)))
    large = train(config, toy_data(source=SameBatch(whole)), tmp_path / "large").load()["network"]
    small = train(config.replaced({"accumulation": 2}), toy_data(source=Halves()), tmp_path / "small").load()["network"]
    fresh = train(config.replaced({"learning_rate": 1e-30}), toy_data(source=Halves()), tmp_path / "f").load()[
        "network"
    ]
    moved = max(float((large[key] - fresh[key]).abs().max()) for key in large)
    assert moved > 1e-4
    assert all(torch.allclose(large[key], small[key], rtol=1e-6, atol=1e-5 * moved) for key in large)


def test_a_run_leaves_its_configuration_log_checkpoint_and_best_weights(data, tmp_path):
    seen = []
    folder = train(TINY, data, tmp_path, progress=lambda *step: seen.append(step))
    assert TrainingConfig.from_json(tmp_path / "config.json") == TINY
    state = folder.load()
    assert state["step"] == 6 and state["names"] == list(NAMES)
    log = log_of(tmp_path)
    assert [line["step"] for line in log] == [3, 6] == [step for step, _, _ in seen]
    assert all(np.isfinite([line["loss"], line["check_median_mm"], line["check_p95_mm"]]).all() for line in log)
    assert log == [line for _, _, line in seen] and log[0]["steps"] == 6 and log[-1]["seconds_left"] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "versions.json",
        "log.jsonl",
        "checkpoint.pt",
        "best.pt",
        "lock",
    }


def test_pictures_and_tensorboard_are_kept_on_the_way(data, tmp_path):
    pytest.importorskip("tensorboard")
    train(TINY.replaced({"picture_steps": 3, "loggers": ["tensorboard"]}), data, tmp_path)
    drawn = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert drawn == [f"{kind}_{step:06d}.png" for kind in ("kernels", "step") for step in (3, 6)]
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize(("picture_steps", "drawn"), [(5, [6, 12]), (12, [12]), (13, []), (0, [])])
def test_pictures_are_drawn_at_the_next_checkpoint(data, tmp_path, monkeypatch, picture_steps, drawn):
    from LandmarkTrainingLib.core.training import trainer

    steps = []
    monkeypatch.setattr(trainer._Run, "_draw", lambda _run, step: steps.append(step))
    train(TINY.replaced({"steps": 12, "picture_steps": picture_steps}), data, tmp_path)
    assert steps == drawn


def test_pictures_are_on_by_default():
    assert TrainingConfig().picture_steps == 500


def test_the_best_weights_are_those_of_the_lowest_error(data, tmp_path):
    folder = train(TINY.replaced({"steps": 12, "checkpoint_steps": 2, "learning_rate": 3e-2}), data, tmp_path)
    log = log_of(tmp_path)
    best = min(log, key=lambda line: line["check_median_mm"])
    state = folder.best_weights()
    assert state["step"] == best["step"]
    assert errors_of(state["average"], TINY, data.check)["median_mm"] == pytest.approx(
        best["check_median_mm"], abs=1e-3
    )


def test_a_run_that_gets_no_better_ends_early_and_stays_ended(data, tmp_path):
    config = TINY.replaced(
        {"steps": 60, "checkpoint_steps": 1, "learning_rate": 1e-12, "ema_decay": 0.0, "patience": 4}
    )
    folder = train(config, data, tmp_path)
    steps = [line["step"] for line in log_of(tmp_path)]
    assert steps[-1] < 60 and steps[-1] == folder.best_weights()["step"] + 4
    train(config, data, tmp_path, resume=True)
    assert [line["step"] for line in log_of(tmp_path)] == steps


def test_frozen_parameters_stay_until_they_are_let_go(data, tmp_path):
    config = TINY.replaced({"freeze": ["nested.conv_0_0*"], "unfreeze_step": 4, "checkpoint_steps": 1})
    states = {}
    train(
        config,
        data,
        tmp_path,
        progress=lambda step, *_: states.update({step: load_checkpoint(tmp_path / "checkpoint.pt")}),
    )
    frozen = [key for key in states[1]["network"] if key.startswith("nested.conv_0_0")]
    others = [key for key in states[1]["network"] if key.startswith("nested.conv_1_0") and key.endswith("conv.weight")]
    assert frozen and all(torch.equal(states[1]["network"][key], states[4]["network"][key]) for key in frozen)
    assert all(not torch.equal(states[1]["network"][key], states[2]["network"][key]) for key in others)
    assert any(not torch.equal(states[4]["network"][key], states[6]["network"][key]) for key in frozen)


def test_a_folder_with_a_run_is_not_overwritten(data, tmp_path):
    train(TINY.replaced({"steps": 1}), data, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes(), (tmp_path / "config.json").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="holds a run already.*Resume"):
        train(TINY, data, tmp_path)
    assert before == (
        (tmp_path / "checkpoint.pt").read_bytes(),
        (tmp_path / "config.json").read_text(encoding="utf-8"),
    )


def test_a_finished_run_is_left_as_it_is(data, tmp_path):
    config = TINY.replaced({"steps": 1})
    before = train(config, data, tmp_path).load()
    assert_same(train(config, data, tmp_path, resume=True).load(), before)
    assert len(log_of(tmp_path)) == 1


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint_before_it(data, tmp_path):
    with pytest.raises(UsageError, match="the loss became .* Lower learning_rate"):
        train(
            TINY.replaced({"learning_rate": 1e30, "warmup_steps": 0, "steps": 9, "gradient_clip": 1e30}), data, tmp_path
        )


def test_the_average_is_what_is_exported(data, tmp_path):
    config = TINY.replaced({"checkpoint_steps": 6})
    folder = train(config, data, tmp_path)
    network, state = best_network(config, folder, SLICES), folder.load()
    assert not network.training
    own = network.state_dict()
    assert own.keys() == state["network"].keys()
    assert all(torch.equal(own[key], state["average"][f"module.{key}"]) for key in own)
    assert any(not torch.equal(own[key], state["network"][key]) for key in own)


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

    write = Path.write_bytes

    def half_written(file, data):
        write(file, data[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half_written)
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
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"junk" * 20, pickle.dumps({"a": 1}), b"PK\x03\x04" + b"\0" * 40])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a readable checkpoint") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
