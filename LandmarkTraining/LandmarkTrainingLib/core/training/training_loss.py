"""The loss of a run: the weighted terms of its configuration on the outputs of a network in training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.networks.architectures.outputs import DisplacementOutput, PointOutput, SigmaOutput

from ..config import TrainingConfig
from ..options import build_with_options, find_named
from ..slices.blending import Blend
from ..slices.targets import Targets
from .losses import DISPLACEMENT, HEATMAP, LOSSES, POINTS, PRESENCE, SIGMA, Loss

Output = torch.Tensor | PointOutput | DisplacementOutput | SigmaOutput

#: Units of coordinates in a loss: heatmap pixels, or heights and widths of the image (0..1 inside it).
PIXELS, IMAGE = UNITS = ("pixels", "image")

#: Remedy for settings that name a loss of the user's own, whose file was not given.
NAME_LOSS_FILE = "Name its file too: it is code, and is executed at your request only."

#: Terms for outputs that the configuration's ``point_losses`` do not cover.
DEFAULT_POINT_TERMS = {POINTS: "wing", PRESENCE: "presence_bce", DISPLACEMENT: "smooth_l1"}


class TrainingLoss(torch.nn.Module):
    """The sum of a configuration's terms, each with its weight, averaged over a network's outputs.

    ``config.losses`` are the terms of heatmaps, ``config.point_losses`` those of coordinates, presence and
    displacements. A term is ``{"name": ..., "weight": 1.0, "output_weights": [...], **options}``; the last two kinds
    of keys may be left out. ``output_weights`` has one number for each output of a network with several (deep
    supervision): the term is their weighted mean. A term of coordinates may have ``"unit": "image"``: they are then
    in heights and widths of the image, as in KNEEL, instead of heatmap pixels.

    Raises:
        UsageError: a term is unknown, of the wrong kind, or its weight or an option is not valid.
    """

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        heatmap_terms = [_Term(values, config, (HEATMAP, SIGMA), "losses") for values in config.losses]
        kinds = tuple(DEFAULT_POINT_TERMS)
        point_terms = [_Term(values, config, kinds, "point_losses") for values in config.point_losses]
        covered = {term.kind for term in point_terms}
        for kind, name in DEFAULT_POINT_TERMS.items():
            if kind not in covered:
                point_terms.append(_Term({"name": name}, config, (kind,), "point_losses"))
        # A list module also holds the parameters of losses that have some.
        self.terms = torch.nn.ModuleList(heatmap_terms + point_terms)

    def forward(
        self,
        outputs: Output | list[Output],
        targets: Targets,
        blend: Blend | None = None,
        shares: Mapping[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Scalar float32 loss.

        Args:
            outputs: (b, k, h, w) heatmaps, a PointOutput or a DisplacementOutput, or a list of them. Heatmaps of
                another size than the targets' are compared with the targets at their size.
            targets: of the b slices; entries that are not ``known`` do not count.
            blend: what the slices were blended with, for the blend of the losses against both; None: nothing.
            shares: for each kind, the share that this batch has in the known landmarks of a step of several batches:
                their losses add up to that of one batch. None: the batch is alone.

        Raises:
            UsageError: ``output_weights`` are not as many as the outputs, or no term fits an output.
        """
        several = outputs if isinstance(outputs, list) else [outputs]
        if blend is not None:
            several, targets = [_twice(output) for output in several], blend.with_own(targets)
        with torch.autocast(targets.heatmaps.device.type, enabled=False):
            cases = [_cases(output, targets) for output in several]
            needed = {kind for case in cases for kind in case}
            if missing := needed - {term.kind for term in self.terms}:
                kind = sorted(missing)[0]
                fitting = "sigma_penalty" if kind == SIGMA else "peak_weighted_mse"
                raise UsageError(
                    f"losses has no term for a network that outputs {kind}s",
                    remedy=f'Add {{"name": "{fitting}"}}.',
                )
            size = targets.heatmaps.shape[-2:]
            parts: list[tuple[str, torch.Tensor]] = [
                (str(term.kind), term(cases, size)) for term in self.terms if term.kind in needed
            ]
            shared = [part if shares is None else part * shares[kind] for kind, part in parts]
            return sum(shared, start=torch.zeros(()))

    @staticmethod
    def known_of(targets: Targets, blend: Blend | None = None) -> dict[str, torch.Tensor]:
        """Kind -> what the mean over the known landmarks is divided by (scalar float32), at least 1 taken."""
        if blend is not None:
            targets = blend.with_own(targets)
        known, visible = targets.known.float().sum(), (targets.peak_values * targets.known).sum()
        return {HEATMAP: known, PRESENCE: known, POINTS: visible, DISPLACEMENT: visible, SIGMA: known}


class _Term(torch.nn.Module):
    """One weighted loss of the configuration."""

    def __init__(self, values: Mapping[str, Any], config: TrainingConfig, kinds: Sequence[str], source: str) -> None:
        super().__init__()
        if not isinstance(values, Mapping) or "name" not in values:
            raise UsageError(f"{source}: {values!r} is not a loss term", remedy='Write {"name": ..., "weight": ...}.')
        options = dict(values)
        self.name = options.pop("name")
        if isinstance(self.name, str) and ".py:" in self.name and self.name not in LOSSES:
            raise UsageError(f"{source}: {self.name} is a loss of your own", remedy=NAME_LOSS_FILE)
        known = {name: entry for name, entry in LOSSES.items() if entry.kind in kinds}
        entry = find_named(known, self.name, f"loss in {source}")
        self.kind = entry.kind
        self.weight = _number(options.pop("weight", 1.0), f"{source}: weight of {self.name}")
        self.output_weights = _output_weights(options.pop("output_weights", None), f"{source}: {self.name}")
        self.unit = options.pop("unit", PIXELS) if self.kind == POINTS else PIXELS
        if self.unit not in UNITS:
            raise UsageError(
                f"{source}: unit {self.unit!r} of {self.name} is unknown", remedy=f"Known: {', '.join(UNITS)}."
            )
        if self.name == "peak_weighted_mse":
            options.setdefault("peak_weight", config.peak_weight)
        self.loss: Loss = build_with_options(entry.factory, options, f"{source}: loss {self.name}")

    def forward(self, cases: Sequence[dict[str, tuple[torch.Tensor, ...]]], size: Sequence[int]) -> torch.Tensor:
        """The weighted mean over the outputs; outputs of another kind add nothing. ``size``: of the heatmaps."""
        if self.unit == IMAGE:
            cases = [{**case, POINTS: _in_image(case[POINTS], size)} if POINTS in case else case for case in cases]
        weights = self.output_weights or [1.0] * len(cases)
        if len(weights) != len(cases):
            raise UsageError(
                f"loss {self.name}: {len(weights)} output_weights for {len(cases)} outputs", remedy="Give one for each."
            )
        parts = [w * self.loss(*case[self.kind]) for w, case in zip(weights, cases, strict=True) if self.kind in case]
        return self.weight * (sum(parts, start=torch.zeros(())) / sum(weights))


def _cases(output: Output, targets: Targets) -> dict[str, tuple[torch.Tensor, ...]]:
    """Kind -> (prediction, target, weight) of one output, as described in ``core.training.losses``."""
    if isinstance(output, (PointOutput, DisplacementOutput)):
        visible = targets.peak_values * targets.known
        points = targets.points.nan_to_num(nan=0.0)
        if isinstance(output, DisplacementOutput):
            if output.displacements.shape[-2:] != targets.heatmaps.shape[-2:]:
                sizes = [tuple(t.shape[-2:]) for t in (output.displacements, targets.heatmaps)]
                raise UsageError(f"displacements on {sizes[0]} pixels do not suit heatmaps of {sizes[1]}")
            return {DISPLACEMENT: (output.displacements.float(), points, visible)}
        return {
            POINTS: (output.points.float(), points, visible),
            PRESENCE: (output.presence.float(), targets.peak_values, targets.known),
        }
    if isinstance(output, SigmaOutput):
        heatmaps, known = output.heatmaps.float(), targets.known
        squares = targets.peak_values**2 * known / (known.sum().clamp_min(1) * heatmaps[0, 0].numel())
        return {
            HEATMAP: (heatmaps, _of_sigmas(targets, output, heatmaps.shape[-2:]), known),
            SIGMA: (output.sigmas, output.start, squares),
        }
    return {HEATMAP: (output.float(), _resized(targets.heatmaps, output.shape[-2:]), targets.known)}


def _of_sigmas(targets: Targets, output: SigmaOutput, size: Sequence[int]) -> torch.Tensor:
    """(b, k, h, w) targets of the learned widths, of one mass; gradients reach the widths."""
    peak_values = targets.peak_values * (output.start / output.sigmas) ** 2
    return render_targets(targets.points, peak_values, size, output.sigmas[:, None])


def _in_image(case: tuple[torch.Tensor, ...], size: Sequence[int]) -> tuple[torch.Tensor, ...]:
    """Points (b, k, 2) and their targets in heights and widths of the image instead of heatmap pixels; the weights."""
    points, target, weight = case
    sides = torch.tensor(tuple(size), dtype=points.dtype, device=points.device)
    return points / sides, target / sides, weight


def _twice(output: Output) -> Output:
    """The output of a batch, for its slices and once more for the slices they were blended with."""
    if isinstance(output, torch.Tensor):
        return torch.cat([output, output])
    if isinstance(output, SigmaOutput):
        return output._replace(heatmaps=torch.cat([output.heatmaps, output.heatmaps]))
    return type(output)(*(torch.cat([part, part]) for part in output))


def _resized(heatmaps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Heatmaps (b, k, h, w) at another ``size``; a coarser pixel is the mean of what it covers, not a sample."""
    if heatmaps.shape[-2:] == tuple(size):
        return heatmaps
    return torch.nn.functional.interpolate(heatmaps, tuple(size), mode="bilinear", align_corners=False, antialias=True)


def _number(value: Any, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise UsageError(f"{value!r} should be a number not below 0", source=source, remedy="Correct it.")
    return float(value)


def _output_weights(value: Any, source: str) -> list[float] | None:
    if value is None:
        return None
    weights = [_number(v, f"{source}: output_weights") for v in value] if isinstance(value, (list, tuple)) else []
    if not sum(weights):
        raise UsageError(
            f"output_weights {value!r} should be a list of numbers, not all 0", source=source, remedy="Correct it."
        )
    return weights
