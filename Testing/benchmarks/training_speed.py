"""How fast training steps are against a bare torch loop, and whether slices are made as fast as they are used.

Run: ``python Testing/benchmarks/training_speed.py [--labels DIR] [--steps N] [--rounds N]``.

The bare loop has the same network, loss, optimiser and arithmetic on batches that lie ready in memory: no engine, no
moving average, no clipping, no log, no look for a stop. Both run in turn in one process, and the fastest rounds are
compared. Slices are those of the sample study, varied; with ``--labels`` simulated ones are timed too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.files.resources import resource_path  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy  # noqa: E402
from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.simulator.label_heads import load_label_heads  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402
from LandmarkTrainingLib.core.slices.augmentation import Augmentation  # noqa: E402
from LandmarkTrainingLib.core.slices.batches import TrainingData, encode_images  # noqa: E402
from LandmarkTrainingLib.core.slices.sources import (  # noqa: E402
    FixedSlices,  # noqa: E402
    LabelSource,  # noqa: E402
    SliceSource,  # noqa: E402
    part_of,  # noqa: E402
)
from LandmarkTrainingLib.core.slices.study_source import StudySource  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import (  # noqa: E402
    make_targets,  # noqa: E402
    target_settings,  # noqa: E402
)
from LandmarkTrainingLib.core.training.learner import landmark_network  # noqa: E402
from LandmarkTrainingLib.core.training.trainer import train  # noqa: E402
from LandmarkTrainingLib.core.training.training_loss import TrainingLoss  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--labels", type=Path, help="folder of label maps")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = TrainingConfig(steps=arguments.steps, checkpoint_steps=10**9, device="cpu", workers=0)
    constellation = load_protocol("BrainAcPc").constellation
    varied = sample_source(constellation)
    ready = FixedSlices(varied.batch(64, (0,)), constellation.mirror_indices)
    check = part_of(ready.slices, slice(0, 3))
    data = TrainingData(constellation.names, constellation.mirror_indices, ready, check)

    bare, ours = [], []
    for _ in range(arguments.rounds):
        bare.append(bare_seconds(config, ready, len(constellation.names)))
        ours.append(trained_seconds(config, data))
    per_step = min(ours) / config.steps
    print(f"bare loop {min(bare) / config.steps * 1000:.0f} ms per step of {config.batch_size} slices")
    print(f"trainer   {per_step * 1000:.0f} ms per step: {min(bare) / min(ours):.2f} of the bare loop's throughput")

    used = config.batch_size / per_step
    sources: dict[str, SliceSource] = {"studies, varied": varied}
    if arguments.labels:
        heads = load_label_heads(arguments.labels, [1, 2], constellation.names)
        sources["simulated"] = LabelSource(heads, constellation.mirror_indices)
    print(f"slices per second used by training: {used:.0f}; made by one process:")
    for name, source in sources.items():
        made = 160 / timed(lambda source=source: [source.batch(8, (0, i)) for i in range(20)])
        print(f"  {name}: {made:.0f}, {made / used:.1f} times as many")


def sample_source(constellation) -> StudySource:
    """The sample scouts with a typical head's landmarks: their places do not matter here."""
    stacks = read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
    landmarks = tuple(Landmark(mark.name).corrected(mark.reference_mm) for mark in constellation.landmarks)
    study = LabelledStudy("sample", tuple(stacks), landmarks, {})
    return StudySource([study], constellation.names, constellation.mirror_indices, SliceSettings(), Augmentation())


def bare_seconds(config: TrainingConfig, source: SliceSource, landmarks: int) -> float:
    """Seconds of the run's steps without anything but the steps."""
    targets = target_settings(config, SliceSettings())
    network = landmark_network(config, landmarks, targets).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    loss_of = TrainingLoss(config)
    batches = [source.batch(config.batch_size, (config.seed, i)) for i in range(config.steps)]

    def steps() -> None:
        for batch in batches:
            image = encode_images(batch.images, batch.planes).contiguous(memory_format=torch.channels_last)
            target = make_targets(batch, targets)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bf16):
                answer = network(image)
            loss_of(answer, target).backward()
            optimizer.step()

    return timed(steps)


def trained_seconds(config: TrainingConfig, data: TrainingData) -> float:
    """Seconds of the whole training: what is done once (building, one look at the error, writing) is part of it."""
    with tempfile.TemporaryDirectory() as folder:
        return timed(lambda: train(config, data, Path(folder)))


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
