"""Measures of the published tables: mean radial error, its standard deviation, success rates; as numbers and as text.

``measured.json`` holds::

    benchmark, annotator (null if the set has only one), unit: "mm" or "px", matrix, architecture, parameters,
    step: of the weights,
    parts: {split: {images, points, mean, sd, success: {radius: share within it}, landmarks: {name: mean},
                    errors: {image: [k numbers]}}}

Standard deviations are those of all points (divided by their number), and a radius includes its edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.metrics import markdown_table
from .xray_published import Benchmark


@dataclass(frozen=True, eq=False)
class Part:
    """Errors of a split: ``images`` (n,) and ``landmarks`` (k,) names, ``errors`` (n, k)."""

    images: tuple[str, ...]
    landmarks: tuple[str, ...]
    errors: np.ndarray


def together(parts: Mapping[str, Part]) -> dict[str, Part]:
    """The parts, and where there are several all of them as one, which some tables show."""
    if len(parts) < 2:
        return dict(parts)
    several = list(parts.values())
    names = tuple(name for part in several for name in part.images)
    whole = Part(names, several[0].landmarks, np.concatenate([part.errors for part in several]))
    return {**parts, " + ".join(parts): whole}


def measures(part: Part, benchmark: Benchmark) -> dict[str, Any]:
    """The measures of a part, plain JSON values."""
    errors = part.errors
    return {
        "images": len(part.images),
        "points": errors.size,
        "mean": float(errors.mean()),
        "sd": float(errors.std()),
        "success": {f"{radius:g}": float((errors <= radius).mean()) for radius in benchmark.radii},
        "landmarks": dict(zip(part.landmarks, errors.mean(axis=0).tolist(), strict=True)),
        "errors": {name: row.tolist() for name, row in zip(part.images, errors, strict=True)},
    }


def report(measured: Mapping[str, Any], benchmark: Benchmark) -> str:
    """The content of ``measured.json`` as Markdown."""
    unit, parts = measured["unit"], measured["parts"]
    header = ["split", "images", "points", f"mean {unit}", f"SD {unit}"]
    header += [f"within {radius:g} {unit}" for radius in benchmark.radii]
    landmarks = next(iter(parts.values()))["landmarks"]
    each = [[name, *(f"{part['landmarks'][name]:.2f}" for part in parts.values())] for name in landmarks]
    annotator = f", points of annotator {measured['annotator']}" if measured["annotator"] else ""
    return (
        f"# {benchmark.title}\n\n"
        f"{measured['architecture']}, {measured['parameters'] / 1e6:.2f} million parameters, weights of step "
        f"{measured['step']}, grid of {measured['matrix']} x {measured['matrix']} pixels{annotator}.\n\n"
        f"{markdown_table(header, [_row(name, part) for name, part in parts.items()])}\n\n"
        f"Mean radial error of each landmark, {unit}:\n\n{markdown_table(['landmark', *parts], each)}\n"
    )


def _row(name: str, part: Mapping[str, Any]) -> list[str]:
    rates = [f"{100 * share:.2f} %" for share in part["success"].values()]
    return [name, str(part["images"]), str(part["points"]), f"{part['mean']:.2f}", f"{part['sd']:.2f}", *rates]
