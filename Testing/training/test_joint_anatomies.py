"""One network learns two toy anatomies in alternate batches: both are memorised, resumed and logged."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.evaluation.validation import inplane_errors_mm
from LandmarkTrainingLib.core.joint.anatomies import joint_config, read_anatomies
from LandmarkTrainingLib.core.runs.run_watch import step_text
from LandmarkTrainingLib.core.simulator.render import SliceBatch
from LandmarkTrainingLib.core.slices.anatomies import AlternatingSource, each_anatomy, joint_data
from LandmarkTrainingLib.core.slices.batches import TrainingData
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.learner import Learner, landmark_network
from LandmarkTrainingLib.core.training.trainer import best_network, train
from toy_heads import NAMES
from toy_training import SLICES, TINY, SameBatch, one_batch, toy_data

GU2NET = {
    "architecture": "gu2net",
    "options": {"features": [8] * 5, "width": 8, "stem": 2, "anatomies": [4, 2]},
    "losses": [{"name": "peak_weighted_mse"}],
    "sigma_mm": 10.0,
}
CONFIG = TINY.replaced(GU2NET)


def part_with(data: TrainingData, columns: list[int], title: str) -> TrainingData:
    """The same images as another anatomy: some of the landmarks, in another order."""

    def chosen(batch: SliceBatch) -> SliceBatch:
        marks = (batch.points[:, columns], batch.depths_mm[:, columns], batch.visible[:, columns])
        return SliceBatch(batch.images, batch.planes, *marks)

    names = tuple(data.names[i] for i in columns)
    source = SameBatch(chosen(data.source.slices))
    return TrainingData(names, np.arange(len(columns)), source, chosen(data.check), title=title)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Channel 0 is MIDDLE in the first anatomy and RIGHT in the second one."""
    whole = toy_data(source=SameBatch(one_batch(CONFIG.replaced({"batch_size": 8}))))
    return joint_data([replace(whole, title="head"), part_with(whole, [2, 0], "paw")])


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_batches_are_of_one_anatomy_in_turn():
    class Part:
        def __init__(self, landmarks: int) -> None:
            self.landmarks = landmarks

        def batch(self, count, seed):
            shape = (count, self.landmarks)
            planes = torch.zeros(count, dtype=torch.long)
            return SliceBatch(
                torch.zeros(count, 4, 4), planes, torch.zeros(*shape, 2), torch.zeros(shape), torch.ones(shape)
            )

    source = AlternatingSource([Part(3), Part(5), Part(2)])
    batches = [source.batch(2, (7, number)) for number in range(5)]
    assert [batch.anatomy for batch in batches] == [0, 1, 2, 0, 1]
    assert [batch.points.shape[1] for batch in batches] == [3, 5, 2, 3, 5]
    drawn = AlternatingSource(source.parts, [0.6, 0.3, 0.1])
    numbers = [drawn.batch(2, (7, number)).anatomy for number in range(400)]
    assert np.bincount(numbers) / 400 == pytest.approx([0.6, 0.3, 0.1], abs=0.06)
    assert numbers[100:] == [drawn.batch(2, (7, number)).anatomy for number in range(100, 400)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_anatomies_are_memorised_by_one_network(data):
    """In the same images channel 0 means another landmark: the task decides which."""
    config = CONFIG.replaced({"steps": 400, "learning_rate": 1e-2, "ema_decay": 0.9, "warmup_steps": 2})
    targets = target_settings(config, SLICES)
    learner = Learner(landmark_network(config, len(data.names), targets), config, targets, torch.device("cpu"))
    for number in range(config.steps):
        learner.learn(data.source.batch(8, (0, number)), number)
        if number % 20 == 19 and max(errors(learner, data)) < 1.5:
            break
    assert max(errors(learner, data)) < 1.5


def errors(learner: Learner, data: TrainingData) -> list[float]:
    """95th percentile on the slices that each anatomy learnt."""
    return [
        inplane_errors_mm(own, part.source.slices, learner.targets, learner.device)["p95_mm"]
        for own, part in each_anatomy(learner.average.module, data)
    ]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_stopped_run_goes_on_bit_for_bit_and_logs_every_anatomy(data, tmp_path, accumulation):
    config = CONFIG.replaced({"accumulation": accumulation, "picture_steps": 6})
    whole = train(config, data, tmp_path / "whole", slices=SLICES)
    with pytest.raises(MemoryError):
        train(config, data, tmp_path / "parts", slices=SLICES, progress=killed_at_3)
    parts = train(config, data, tmp_path / "parts", slices=SLICES, resume=True)
    one, other = whole.load(), parts.load()
    assert all(
        torch.equal(one[which][key], other[which][key]) for which in ("network", "average") for key in one[which]
    )
    (_, line) = [json.loads(text) for text in whole.log.read_text(encoding="utf-8").splitlines()]
    each = [line[f"check_{title}_median_mm"] for title in ("head", "paw")]
    assert line["check_median_mm"] == pytest.approx(sum(each) / 2, abs=2e-3) and all(map(math.isfinite, each))
    assert f"head {each[0]:.2f} mm, paw {each[1]:.2f} mm" in step_text(line, "error", "mm")
    assert {path.name for path in (tmp_path / "whole" / "pictures").iterdir()} == {
        f"{kind}_000006_{title}.png" for kind in ("step", "kernels") for title in ("head", "paw")
    }


def killed_at_3(step, _steps, _line):
    if step == 3:
        raise MemoryError


def test_every_anatomy_of_a_finished_run_is_a_network_of_its_own(data, tmp_path):
    folder = train(CONFIG, data, tmp_path / "run", slices=SLICES)
    joint = best_network(CONFIG, folder, SLICES)
    image = torch.randn(2, 4, 64, 64)
    for number, (own, part) in enumerate(each_anatomy(joint, data)):
        with torch.inference_mode():
            assert torch.equal(own.eval()(image), joint(image, number))
        assert own(image).shape[1] == len(part.names)
    assert len(NAMES) == 4 and len(data.names) == 6


ANATOMIES = ({"protocol": "BrainAcPc", "labels": "heads"}, {"protocol": "KneeSagittal", "datasets": ["knees"]})


def joint(**changes) -> TrainingConfig:
    settings = {**GU2NET, "options": {"features": [8] * 5, "width": 8, "stem": 4}, "anatomies": ANATOMIES, **changes}
    return TrainingConfig().replaced({**settings, "anatomies": list(settings["anatomies"])})


def test_the_network_gets_the_landmarks_of_each_anatomy_and_folders_are_named_absolutely():
    config = joint()
    anatomies = read_anatomies(config)
    assert [anatomy.title for anatomy in anatomies] == ["brain", "knee"]
    assert [anatomy.config.name for anatomy in anatomies] == ["brain-scout", "knee-scout"]
    assert all(anatomy.config.options["anatomies"] == 1 for anatomy in anatomies)
    complete = joint_config(config, anatomies)
    assert complete.options["anatomies"] == [len(a.protocol.constellation.names) for a in anatomies]
    assert complete.anatomies[0]["labels"] == str(Path("heads").resolve())
    assert complete.anatomies[1]["datasets"] == [str(Path("knees").resolve())]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"anatomies": ANATOMIES[:1]}, "one anatomy"),
        ({"anatomies": ANATOMIES[:1] * 2}, "brain, brain"),
        ({"anatomies": [{"labels": "heads"}, ANATOMIES[1]]}, "number 1: names no protocol"),
        ({"anatomies": [ANATOMIES[0], {**ANATOMIES[1], "label": "x"}]}, "unknown key label"),
        ({"anatomies": [ANATOMIES[0], {**ANATOMIES[1], "datasets": "knees"}]}, "names folders"),
        ({"anatomies": [ANATOMIES[0], {**ANATOMIES[1], "check_heads": ["one"]}]}, "check_heads"),
        ({"architecture": "unet", "options": {"features": [8] * 6, "stem": 4}}, "unet cannot learn several"),
        ({"base": "brain-scout"}, "from scratch"),
    ],
)
def test_what_does_not_fit_is_refused(changes, said):
    config = joint(**changes)
    with pytest.raises(UsageError, match=said):
        joint_config(config, read_anatomies(config))
