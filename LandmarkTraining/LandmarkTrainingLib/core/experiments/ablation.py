"""Compare networks or settings fairly: train variants of one configuration on the same slices, measure them on the
same real slices.

A plan is a JSON file::

    {"title": "...", "base": {settings of every run}, "seeds": [0, 1], "images": 8000,
     "variants": {"U-Net": {"set": {settings}, "images": 100, "augment": true, "volumes": 5}}}

``images``: number of simulated training slices, the same for all variants (a variant's own number uses the first ones).
``augment``: augment them, as ``augmentation`` of the settings says.
``volumes``: learn from this number of real heads of split ``train`` instead.
Everything is kept in the output folder; an interrupted comparison can be resumed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path, write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
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
from ..training.starting_point import starting_network
from ..training.trainer import choose_training_device, train
from ..training.training_data import CHECK_SEED, CHECK_SLICES

logger = logging.getLogger(__name__)

#: Simulated slices are made in parts of this size.
_PART = 100

#: File that is written last: its run is measured.
_ERRORS = "errors.npz"

#: Key of the errors without guidance, beside those named by the number of given landmarks.
_ALL = "all"


@dataclass(frozen=True)
class Variant:
    """One line of a comparison."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0
    augment: bool = False
    volumes: int = 0


@dataclass(frozen=True)
class AblationPlan:
    """The variants of a comparison and what they share."""

    title: str
    base: TrainingConfig
    seeds: tuple[int, ...]
    images: int
    variants: tuple[Variant, ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One trained run.

    Attributes:
        errors_mm: (n, k) in-plane errors, NaN where nothing is measured.
        given_errors_mm: number of given landmarks -> the same, for networks with guidance; on fewer landmarks
            (``slice_errors_mm``).
        parameters: of the network; seconds: of training.
    """

    variant: str
    seed: int
    errors_mm: np.ndarray
    given_errors_mm: Mapping[int, np.ndarray]
    parameters: int
    seconds: float


def read_plan(path: Path) -> AblationPlan:
    """The plan in a file.

    Raises:
        UsageError: the file is damaged, or a setting is unknown or of another kind.
    """
    values = read_json(path, UsageError, "See the documentation of ablation plans.")
    try:
        base = TrainingConfig().replaced(values.get("base", {}), source=f"{path}: base")
        variants = tuple(_variant(name, entry) for name, entry in values["variants"].items())
        plan = AblationPlan(values["title"], base, tuple(values.get("seeds", [0])), int(values["images"]), variants)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"is not an ablation plan ({error})", source=str(path), remedy="Give title, images, variants."
        ) from error
    seeds_fit = plan.seeds and all(type(seed) is int and seed >= 0 for seed in plan.seeds)
    if not (plan.variants and seeds_fit and plan.images > 0):
        remedy = "Give at least one image, variant and seed, seeds as integers of 0 or more."
        raise UsageError("is not a complete ablation plan", source=str(path), remedy=remedy)
    for variant in plan.variants:
        base.replaced(dict(variant.settings), source=f"{path}: {variant.name}")
    if len({_run_name(variant.name) for variant in variants}) < len(variants):
        raise UsageError("two variants have the same name", source=str(path), remedy="Give them different names.")
    return plan


def _variant(name: str, entry: Mapping[str, Any]) -> Variant:
    return Variant(name, entry.get("set", {}), **{key: value for key, value in entry.items() if key != "set"})


def measured_outcomes(plan: AblationPlan, output: Path) -> list[Outcome]:
    """The outcomes measured so far, seed by seed."""
    runs = [(v.name, seed, run_place(output, v.name, seed)) for seed in plan.seeds for v in plan.variants]
    return [read_outcome(run, name, seed) for name, seed, run in runs if (run / _ERRORS).exists()]


def run_ablation(
    plan: AblationPlan,
    labels: Path,
    data: Path,
    slices: RealSlices,
    output: Path,
    say: Callable[[str], None] = logger.info,
) -> list[Outcome]:
    """Train and measure all missing runs; returns all outcomes, seed by seed.

    Args:
        labels: label maps to learn from; data: folder with ``heads.csv``, for variants that learn from real heads.
        slices: the test slices.
    """
    bench = _Bench(plan, labels, data, output, slices)
    for seed in plan.seeds:
        for variant in plan.variants:
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
            return Outcome(variant, seed, arrays[_ALL], given, facts["parameters"], facts["seconds"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError("is not a measured run", source=str(run), remedy="Remove it to measure it again.") from error


class _Bench:
    """Data and settings that all runs of a comparison share."""

    def __init__(self, plan: AblationPlan, labels: Path, data: Path, output: Path, slices: RealSlices) -> None:
        self.plan, self.data, self.slices = plan, data, slices
        self.constellation = load_protocol(plan.base.protocol).constellation
        self.mirror, self.names = self.constellation.mirror_indices, self.constellation.names
        require_place(output, overwrite=True)
        heads = load_label_heads(labels, plan.base.check_heads, self.names)
        self.check = simulate_batch(heads, self.mirror, CHECK_SLICES, (CHECK_SEED,), SliceSettings())
        self.images = self._images(labels, output / f"images-{plan.images}.pt")

    def run(self, variant: Variant, seed: int, run: Path) -> None:
        """Train or resume one run, and write its outcome."""
        config = self.plan.base.replaced({**variant.settings, "seed": seed}, source=variant.name)
        targets = target_settings(config, SliceSettings())
        data = TrainingData(self.names, self.mirror, self._source(variant), self.check)
        network, _ = starting_network(config, self.names, targets)
        folder = train(config, data, run, network=network, resume=True)
        # The last weights, not the best: selection is not part of the comparison.
        average = folder.load()["average"]
        network.load_state_dict({k.removeprefix("module."): v for k, v in average.items() if k.startswith("module.")})
        device = choose_training_device(config.device)
        errors = {_ALL: slice_errors_mm(network.to(device), self.slices, targets, device)}
        for given in GIVEN if find_architecture(config.architecture, {}).guided else ():
            errors[str(given)] = slice_errors_mm(network, self.slices, targets, device, given=given)
        self._write(run, folder, network, errors)

    def _write(self, run: Path, folder: RunFolder, network: torch.nn.Module, errors: Mapping[str, np.ndarray]) -> None:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        seconds = json.loads(folder.log.read_text(encoding="utf-8").splitlines()[-1])["seconds"]
        write_text(run / "outcome.json", json_text({"parameters": parameters, "seconds": seconds}))
        # Any: a type checker takes every name for numpy's allow_pickle, too.
        arrays: dict[str, Any] = {**errors}
        with atomic_path(run / _ERRORS) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    def _source(self, variant: Variant) -> SliceSource:
        if variant.volumes:
            heads = list_heads(self.data, "train")[: variant.volumes]
            return VolumeSource(load_volume_heads(heads, self.names), self.mirror)
        images = part_of(self.images, slice(0, variant.images or self.plan.images))
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


def run_place(output: Path, variant: str, seed: int) -> Path:
    """The folder of a variant's run in the output folder of its comparison."""
    return output / "runs" / f"{_run_name(variant)}-{seed}"


def _run_name(variant: str) -> str:
    """Folder name of a variant; names that differ in more than punctuation stay different."""
    plain = "".join(c if c.isalnum() else "-" for c in variant.lower().replace("+", "p"))
    return "-".join(part for part in plain.split("-") if part)
