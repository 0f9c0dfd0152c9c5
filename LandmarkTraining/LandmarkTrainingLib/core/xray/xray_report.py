"""Measures of the published tables: mean radial error, its standard deviation, success rates; as numbers and as text.

``measured.json`` holds, of several sets in a list ``together``::

    benchmark, annotator (null if the set has only one), unit: "mm" or "px", matrix, architecture, parameters,
    step: of the weights,
    parts: {split: {images, points, mean, sd, success: {radius: share within it}, landmarks: {name: mean},
                    errors: {image: [k numbers, null where nobody placed the point]},
                    pixels: {mean, landmarks: {name: mean}}: in pixels of the images,
                    readers, where there are two: {distance: mean, ratio, landmarks: {name: distance}, within,
                                                   similarity, mean_average_precision}}}

Standard deviations are those of all points (divided by their number), and a radius includes its edge. ``ratio`` is the
mean error over the mean distance of the two readers, both in pixels; ``within`` the share of points nearer to the truth
than the readers' mean distance at this landmark. Where the truth is one reader, the other one has the ratio 1; where it
is their mean, each reader has 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.keypoint_metrics import mean_average_precision, object_keypoint_similarity
from ..evaluation.metrics import markdown_table
from .xray_published import Benchmark


@dataclass(frozen=True, eq=False)
class Part:
    """Errors of a split; NaN where nobody placed the point.

    Attributes:
        images: (n,) names; landmarks: (k,) names.
        errors: (n, k) in the unit of the set.
        pixels: (n, k) in pixels of the images.
        peaks: (n, k) heights of the network's peaks.
        readers_apart: (n, k) distance of the two readers, pixels of the images.
    """

    images: tuple[str, ...]
    landmarks: tuple[str, ...]
    errors: np.ndarray
    pixels: np.ndarray
    peaks: np.ndarray
    readers_apart: np.ndarray | None = None


def together(parts: Mapping[str, Part]) -> dict[str, Part]:
    """The parts, and where there are several all of them as one, which some tables show."""
    if len(parts) < 2:
        return dict(parts)
    several = list(parts.values())
    apart = [part.readers_apart for part in several if part.readers_apart is not None]
    whole = Part(
        images=tuple(name for part in several for name in part.images),
        landmarks=several[0].landmarks,
        errors=np.concatenate([part.errors for part in several]),
        pixels=np.concatenate([part.pixels for part in several]),
        peaks=np.concatenate([part.peaks for part in several]),
        readers_apart=np.concatenate(apart) if len(apart) == len(several) else None,
    )
    return {**parts, " + ".join(parts): whole}


def measures(part: Part, benchmark: Benchmark) -> dict[str, Any]:
    """The measures of a part, plain JSON values."""
    errors = part.errors
    placed = errors[np.isfinite(errors)]
    measured = {
        "images": len(part.images),
        "points": placed.size,
        "mean": float(placed.mean()),
        "sd": float(placed.std()),
        "success": {f"{radius:g}": float((placed <= radius).mean()) for radius in benchmark.radii},
        "landmarks": _means(part.landmarks, errors),
        "errors": {name: _numbers(row) for name, row in zip(part.images, errors, strict=True)},
        "pixels": {"mean": float(np.nanmean(part.pixels)), "landmarks": _means(part.landmarks, part.pixels)},
    }
    if part.readers_apart is not None:
        measured["readers"] = _against_readers(part, part.readers_apart)
    return measured


def _against_readers(part: Part, apart: np.ndarray) -> dict[str, Any]:
    """Errors in units of the distance of the two readers, and the keypoint measures with their deviations."""
    both = np.isfinite(apart) & np.isfinite(part.pixels)
    distance = _column_mean(np.where(both, apart, np.nan))
    similarity = _similarities(part, apart)
    return {
        "distance": float(apart[both].mean()),
        "ratio": float(part.pixels[both].mean() / apart[both].mean()),
        "landmarks": dict(zip(part.landmarks, _numbers(distance), strict=True)),
        "within": float((part.pixels <= distance)[both].mean()),
        "similarity": float(np.nanmean(similarity)),
        "mean_average_precision": mean_average_precision(similarity, part.peaks.mean(axis=1)),
    }


def _similarities(part: Part, apart: np.ndarray) -> np.ndarray:
    """(n,) object keypoint similarity of the images, each landmark with its own deviation.

    COCO's deviation is the root mean square distance of a reader from the truth; two independent readers are apart by
    sqrt(2) of it. A landmark at which they never differ, or that one of them never placed, has the mean deviation.
    """
    deviation = np.sqrt(_column_mean(apart**2) / 2)
    usable = np.isfinite(deviation) & (deviation > 0)
    if not usable.any():
        return np.full(len(part.images), np.nan)
    deviation = np.where(usable, deviation, deviation[usable].mean())
    return object_keypoint_similarity(part.pixels, 2 * deviation, np.ones(len(part.images)))


def _column_mean(values: np.ndarray) -> np.ndarray:
    """(k,) mean of (n, k) over what is finite, NaN where nothing is."""
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    return np.where(count, np.where(finite, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _means(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return dict(zip(names, _numbers(_column_mean(values)), strict=True))


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def report(measured: Mapping[str, Any], benchmark: Benchmark) -> str:
    """The content of ``measured.json`` as Markdown."""
    unit, parts = measured["unit"], measured["parts"]
    header = ["split", "images", "points", f"mean {unit}", f"SD {unit}"]
    header += [f"within {radius:g} {unit}" for radius in benchmark.radii]
    header += ["mean, pixels of the image"]
    landmarks = next(iter(parts.values()))["landmarks"]
    each = [[name, *(_text(part["landmarks"][name]) for part in parts.values())] for name in landmarks]
    annotator = f", points of annotator {measured['annotator']}" if measured["annotator"] else ""
    return (
        f"# {benchmark.title}\n\n"
        f"{measured['architecture']}, {measured['parameters'] / 1e6:.2f} million parameters, weights of step "
        f"{measured['step']}, grid of {measured['matrix']} x {measured['matrix']} pixels{annotator}.\n\n"
        f"{markdown_table(header, [_row(name, part) for name, part in parts.items()])}\n\n"
        f"Mean radial error of each landmark, {unit}:\n\n{markdown_table(['landmark', *parts], each)}\n"
        f"{_readers_text(parts)}"
    )


def _readers_text(parts: Mapping[str, Any]) -> str:
    """The errors against the distance of the two readers, empty where there is one."""
    read = {name: part for name, part in parts.items() if "readers" in part}
    if not read:
        return ""
    header = ["split", "readers apart, px", "error / distance", "nearer than the readers", "OKS", "mAP"]
    rows = [
        [
            *(name, f"{values['distance']:.2f}", f"{values['ratio']:.2f}", f"{100 * values['within']:.2f} %"),
            *(_text(values["similarity"], 3), _text(values["mean_average_precision"], 3)),
        ]
        for name, part in read.items()
        for values in [part["readers"]]
    ]
    name, part = list(read.items())[-1]
    own, apart = part["pixels"]["landmarks"], part["readers"]["landmarks"]
    each = [[mark, _text(own[mark]), _text(apart[mark]), _ratio(own[mark], apart[mark])] for mark in own]
    columns = ["landmark", "error, px", "readers apart, px", "error / distance"]
    return (
        f"\nAgainst the two readers, in pixels of the images:\n\n{markdown_table(header, rows)}\n\n"
        f"Each landmark, {name}:\n\n{markdown_table(columns, each)}\n"
    )


def _text(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _ratio(error: float | None, distance: float | None) -> str:
    return "-" if error is None or not distance else f"{error / distance:.2f}"


def _row(name: str, part: Mapping[str, Any]) -> list[str]:
    rates = [f"{100 * share:.2f} %" for share in part["success"].values()]
    numbers = [str(part["images"]), str(part["points"]), f"{part['mean']:.2f}", f"{part['sd']:.2f}"]
    return [name, *numbers, *rates, f"{part['pixels']['mean']:.2f}"]
