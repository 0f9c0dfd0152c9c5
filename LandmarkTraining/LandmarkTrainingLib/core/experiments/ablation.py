"""Compare networks or settings fairly: train variants of one configuration on the same slices, measure them on the
same real slices.

A plan is a JSON file::

    {"title": "...", "base": {settings of every run}, "seeds": [0, 1, 2], "images": 8000,
     "tera_multiply_adds": 20, "learning_rate": "range test",
     "variants": {"U-Net": {"set": {settings}, "images": 100, "augment": true, "volumes": 5, "seeds": [0]}},
     "claims": [{"text": "...", "source": "...", "better": "U-Net", "than": "U-Net++"}]}

``images``: number of simulated training slices, the same for all variants; of a variant's own number each seed has its
own ones, the same for all variants with this number.
``augment``: augment them, as ``augmentation`` of the settings says.
``volumes``: learn from this number of real heads of split ``train`` instead.
``tera_multiply_adds``: every run computes so much, its number of steps follows. ``learning_rate``: found for each
network by the range test (also in a variant). ``claims``: what the report confirms, contradicts or leaves open
(``ablations.plan``). Variants are run in their order, each with all its seeds, so that a comparison that is cut short
has answered its first questions. Everything is kept in the output folder; an interrupted comparison can be resumed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path, write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.files.output_folder import require_place
from AutoVolumeCalibrationLib.core.networks.registry import find_architecture

from ..config import TrainingConfig
from ..evaluation.slice_measurement import GIVEN, RealSlices, slice_errors_mm
from ..reference_heads.heads import list_heads
from ..runs.run_folder import RunFolder
from ..simulator.label_heads import load_label_heads
from ..simulator.render import SliceBatch, simulate_batch
from ..simulator.slice_planes import SliceSettings
from ..simulator.volume_heads import load_volume_heads
from ..slices.augmentation import Augmentation
from ..slices.batches import TrainingData
from ..slices.sources import FixedSlices, SliceSource, VolumeSource, part_of
from ..slices.targets import target_settings
from ..training.lr_range_run import JSON_FILE
from ..training.starting_point import starting_network
from ..training.trainer import choose_training_device, train
from ..training.training_data import CHECK_SEED, CHECK_SLICES
from .ablations.costs import Costs, network_costs, steps_for
from .ablations.plan import AblationPlan, Variant, run_name
from .ablations.rates import found_rate

logger = logging.getLogger(__name__)

#: Simulated slices are made in parts of this size.
_PART = 100

#: File that is written last: its run is measured.
_ERRORS = "errors.npz"

#: Checkpoints of a run whose steps follow from its cost: points of its learning curve. Its warm-up ends by the first.
CHECKPOINTS = 12

#: Key of the errors without guidance, beside those named by the number of given landmarks.
_ALL = "all"


@dataclass(frozen=True, eq=False)
class Outcome:
    """One trained run.

    Attributes:
        errors_mm: (n, k) in-plane errors, NaN where nothing is measured.
        given_errors_mm: number of given landmarks -> the same, for networks with guidance; on fewer landmarks
            (``slice_errors_mm``).
        parameters: of the network; seconds: of training, which depend on what else ran on the machine.
        steps, learning_rate: of the training.
        per_slice, per_training: multiply-adds (``ablations.costs``).
    """

    variant: str
    seed: int
    errors_mm: np.ndarray
    given_errors_mm: Mapping[int, np.ndarray]
    parameters: int
    seconds: float
    steps: int = 0
    learning_rate: float = 0.0
    per_slice: int = 0
    per_training: int = 0


def measured_outcomes(plan: AblationPlan, output: Path) -> list[Outcome]:
    """The outcomes measured so far, variant by variant."""
    runs = [(v.name, seed, run_place(output, v.name, seed)) for v in plan.variants for seed in plan.seeds_of(v)]
    return [read_outcome(run, name, seed) for name, seed, run in runs if (run / _ERRORS).exists()]


def run_ablation(
    plan: AblationPlan,
    labels: Path,
    data: Path,
    slices: RealSlices,
    output: Path,
    say: Callable[[str], None] = logger.info,
) -> list[Outcome]:
    """Train and measure all missing runs; returns all outcomes, variant by variant.

    Args:
        labels: label maps to learn from; data: folder with ``heads.csv``, for variants that learn from real heads.
        slices: the test slices.
    """
    bench = _Bench(plan, labels, data, output, slices)
    # First of all: a network that learns at no rate shows before the hours of training.
    for variant in plan.variants:
        if variant.range_test and not (rate_place(output, variant.name) / JSON_FILE).exists():
            say(f"{variant.name}, learning rate")
            bench.settings(variant, plan.seeds_of(variant)[0])
    for variant in plan.variants:
        for seed in plan.seeds_of(variant):
            run = run_place(output, variant.name, seed)
            if not (run / _ERRORS).exists():
                say(f"{variant.name}, seed {seed}")
                bench.run(variant, seed, run)
    return measured_outcomes(plan, output)


def read_outcome(run: Path, variant: str, seed: int) -> Outcome:
    """A measured run; InputError where its files are damaged."""
    try:
        facts = json.loads((run / "outcome.json").read_text(encoding="utf-8"))
        with np.load(run / _ERRORS, allow_pickle=False) as arrays:
            given = {int(key): arrays[key] for key in arrays.files if key != _ALL}
            return Outcome(variant, seed, arrays[_ALL], given, **facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("is not a measured run", source=str(run), remedy="Remove it to measure it again.") from error


class _Bench:
    """Data and settings that all runs of a comparison share."""

    def __init__(self, plan: AblationPlan, labels: Path, data: Path, output: Path, slices: RealSlices) -> None:
        self.plan, self.data, self.slices, self.output = plan, data, slices, output
        self.constellation = load_protocol(plan.base.protocol).constellation
        self.mirror, self.names = self.constellation.mirror_indices, self.constellation.names
        require_place(output, overwrite=True)
        heads = load_label_heads(labels, plan.base.check_heads, self.names)
        self.check = simulate_batch(heads, self.mirror, CHECK_SLICES, (CHECK_SEED,), SliceSettings())
        self.images = self._images(labels, output / f"images-{plan.images}.pt")

    def run(self, variant: Variant, seed: int, run: Path) -> None:
        """Train or resume one run, and write its outcome."""
        data = self._training_data(variant, seed)
        config, costs = self.settings(variant, seed)
        targets = target_settings(config, SliceSettings())
        network, _ = starting_network(config, self.names, targets)
        folder = train(config, data, run, network=network, resume=True)
        # The last weights, not the best: selection is not part of the comparison.
        network.load_state_dict(folder.last_weights())
        device = choose_training_device(config.device)
        errors = {_ALL: slice_errors_mm(network.to(device), self.slices, targets, device)}
        for given in GIVEN if find_architecture(config.architecture, {}).guided else ():
            errors[str(given)] = slice_errors_mm(network, self.slices, targets, device, given=given)
        self._write(run, _facts(folder, config, costs), errors)

    def settings(self, variant: Variant, seed: int) -> tuple[TrainingConfig, Costs]:
        """Settings of a run with the steps that the plan's cost allows, and with the rate of the range test."""
        config = self.plan.config_of(variant, seed)
        costs = network_costs(config, len(self.names), self.check)
        if self.plan.tera_multiply_adds:
            steps = steps_for(self.plan.tera_multiply_adds, costs)
            lengths = {"steps": steps, "checkpoint_steps": max(1, steps // CHECKPOINTS)}
            config = config.replaced({**lengths, "warmup_steps": min(config.warmup_steps, steps // CHECKPOINTS)})
        if variant.range_test:
            data = self._training_data(variant, self.plan.seeds_of(variant)[0])
            config = config.replaced({"learning_rate": found_rate(config, data, rate_place(self.output, variant.name))})
        return config, costs

    def _training_data(self, variant: Variant, seed: int) -> TrainingData:
        return TrainingData(self.names, self.mirror, self._source(variant, seed), self.check)

    def _write(self, run: Path, facts: Mapping[str, float], errors: Mapping[str, np.ndarray]) -> None:
        write_text(run / "outcome.json", json_text(facts))
        # Any: a type checker takes every name for numpy's allow_pickle, too.
        arrays: dict[str, Any] = {**errors}
        with atomic_path(run / _ERRORS) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    def _source(self, variant: Variant, seed: int) -> SliceSource:
        if variant.volumes:
            heads = list_heads(self.data, "train")[: variant.volumes]
            return VolumeSource(load_volume_heads(heads, self.names), self.mirror)
        images = part_of(self.images, share_of(self.plan.images, variant.images, seed))
        config = self.plan.base.replaced(dict(variant.settings), source=variant.name)
        augmentation = Augmentation.suited_to(config.augmentation, self.mirror) if variant.augment else None
        return FixedSlices(images, self.mirror, augmentation=augmentation)

    def _images(self, labels: Path, path: Path) -> SliceBatch:
        """The simulated training slices of all variants, made once and kept."""
        if not path.exists():
            parts = list(self._simulated(labels))
            tensors = [torch.cat(t) for t in zip(*(vars(part).values() for part in parts), strict=True)]
            with atomic_path(path) as temporary:
                torch.save(tensors, temporary)
        return SliceBatch(*torch.load(path, weights_only=True, mmap=True))

    def _simulated(self, labels: Path) -> Iterator[SliceBatch]:
        heads = load_label_heads(labels, self.plan.base.train_heads, self.names)
        for start in range(0, self.plan.images, _PART):
            count = min(_PART, self.plan.images - start)
            yield simulate_batch(heads, self.mirror, count, (self.plan.base.seed, start), SliceSettings())


def share_of(total: int, count: int, seed: int) -> slice:
    """The training slices of a run: all where ``count`` is 0, else ``count`` of them, others for each seed.

    Which few images a network gets matters like its first weights: both belong to what differs between seeds.
    """
    if not count or count >= total:
        return slice(0, total)
    start = seed * count % (total - count + 1)
    return slice(start, start + count)


def _facts(folder: RunFolder, config: TrainingConfig, costs: Costs) -> dict[str, float]:
    """What ``outcome.json`` says of a finished run."""
    return {
        "parameters": costs.parameters,
        "seconds": json.loads(folder.log.read_text(encoding="utf-8").splitlines()[-1])["seconds"],
        "steps": config.steps,
        "learning_rate": config.learning_rate,
        "per_slice": costs.per_slice,
        "per_training": costs.per_step * config.steps,
    }


def rate_place(output: Path, variant: str) -> Path:
    """The folder of a variant's range test in the output folder of its comparison."""
    return output / "rates" / run_name(variant)


def run_place(output: Path, variant: str, seed: int) -> Path:
    """The folder of a variant's run in the output folder of its comparison."""
    return output / "runs" / f"{run_name(variant)}-{seed}"
