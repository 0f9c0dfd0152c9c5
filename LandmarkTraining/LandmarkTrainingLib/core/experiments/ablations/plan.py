"""Plans of comparisons: what is trained, from which seeds, at which cost, and which claims it is to test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.json_files import read_json

from ...config import TrainingConfig
from ...training.learner import network_options

#: Value of ``learning_rate`` in a plan: found for each network by the range test.
RANGE_TEST = "range test"


@dataclass(frozen=True)
class Variant:
    """One line of a comparison.

    Attributes:
        settings: what differs from the plan's base.
        images: number of training slices, other ones of the plan's for each seed; 0: all.
        augment: augment them.
        volumes: learn from this number of real heads instead; 0: from simulated slices.
        seeds: of this variant; empty: the plan's.
        range_test: the learning rate is found by the range test.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0
    augment: bool = False
    volumes: int = 0
    seeds: tuple[int, ...] = ()
    range_test: bool = False


@dataclass(frozen=True)
class Claim:
    """What a text says: one variant has smaller errors than another.

    Attributes:
        text, source: the claim in words, and who makes it.
        better, than: names of variants; "": the plan does not test the claim.
        better_given, than_given: number of given landmarks with which either is measured; None: without guidance.
    """

    text: str
    source: str
    better: str = ""
    than: str = ""
    better_given: int | None = None
    than_given: int | None = None

    @property
    def is_tested(self) -> bool:
        return bool(self.better and self.than)


@dataclass(frozen=True)
class AblationPlan:
    """The variants of a comparison and what they share.

    Attributes:
        tera_multiply_adds: every run trains for so many 10^12 of them, its steps follow; 0: ``steps`` of the settings.
        claims: tested by the comparison, in the order of the report.
    """

    title: str
    base: TrainingConfig
    seeds: tuple[int, ...]
    images: int
    variants: tuple[Variant, ...]
    tera_multiply_adds: float = 0.0
    claims: tuple[Claim, ...] = ()

    def seeds_of(self, variant: Variant) -> tuple[int, ...]:
        return variant.seeds or self.seeds

    def config_of(self, variant: Variant, seed: int) -> TrainingConfig:
        """Settings of a run, without what the plan finds (steps by cost, learning rate by range test)."""
        return self.base.replaced({**variant.settings, "seed": seed}, source=variant.name)


def read_plan(path: Path) -> AblationPlan:
    """The plan in a file.

    Raises:
        UsageError: the file is damaged, a setting is unknown or of another kind, or a claim names no variant.
    """
    values = read_json(path, UsageError, "See the documentation of ablation plans.")
    try:
        plan = _plan(values, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"is not an ablation plan ({error})", source=str(path), remedy="Give title, images, variants."
        ) from error
    seeds_fit = all(
        plan.seeds_of(variant) and all(type(seed) is int and seed >= 0 for seed in plan.seeds_of(variant))
        for variant in plan.variants
    )
    if not (plan.variants and seeds_fit and plan.images > 0 and plan.tera_multiply_adds >= 0):
        remedy = "Give at least one image, variant and seed, seeds as integers of 0 or more."
        raise UsageError("is not a complete ablation plan", source=str(path), remedy=remedy)
    for variant in plan.variants:
        _require_buildable(plan.base.replaced(dict(variant.settings), source=f"{path}: {variant.name}"), variant, path)
    names = [variant.name for variant in plan.variants]
    if len({run_name(name) for name in names}) < len(names):
        raise UsageError("two variants have the same name", source=str(path), remedy="Give them different names.")
    for claim in plan.claims:
        for name in {claim.better, claim.than} - {*names, ""}:
            raise UsageError(
                f"a claim is about {name!r}, which is not a variant",
                source=str(path),
                remedy=f"Variants: {', '.join(names)}.",
            )
    return plan


def _require_buildable(config: TrainingConfig, variant: Variant, path: Path) -> None:
    """UsageError for an option that the network does not take: better now than hours later, when it is its turn."""
    try:
        network_options(config, 1)
    except UsageError as error:
        raise UsageError(f"{variant.name}: {error.what}", source=str(path), remedy=error.remedy) from error


def _plan(values: Mapping[str, Any], path: Path) -> AblationPlan:
    ranged = _is_range_test(values.get("learning_rate"), path)
    return AblationPlan(
        values["title"],
        TrainingConfig().replaced(values.get("base", {}), source=f"{path}: base"),
        tuple(values.get("seeds", [0])),
        int(values["images"]),
        tuple(_variant(name, entry, ranged, path) for name, entry in values["variants"].items()),
        float(values.get("tera_multiply_adds", 0)),
        tuple(Claim(**entry) for entry in values.get("claims", ())),
    )


def _variant(name: str, entry: Mapping[str, Any], ranged: bool, path: Path) -> Variant:
    others = {key: value for key, value in entry.items() if key not in ("set", "seeds", "learning_rate")}
    ranged = _is_range_test(entry["learning_rate"], path) if "learning_rate" in entry else ranged
    return Variant(name, entry.get("set", {}), seeds=tuple(entry.get("seeds", ())), range_test=ranged, **others)


def _is_range_test(value: object, path: Path) -> bool:
    if value not in (None, RANGE_TEST):
        raise UsageError(
            f"learning_rate is {value!r}",
            source=str(path),
            remedy=f'Write "{RANGE_TEST}", or put a number into set or base.',
        )
    return value == RANGE_TEST


def run_name(variant: str) -> str:
    """Folder name of a variant; names that differ in more than punctuation stay different."""
    plain = "".join(c if c.isalnum() else "-" for c in variant.lower().replace("+", "p"))
    return "-".join(part for part in plain.split("-") if part)
