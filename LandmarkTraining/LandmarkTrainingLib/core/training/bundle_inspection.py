"""Inspect a model: its layers as trained, and a scout slice as its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.derotation import standard_orientation
from AutoVolumeCalibrationLib.core.detection.network_input import encode_slices, to_network_grid
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE
from AutoVolumeCalibrationLib.core.errors import InputError, ModelError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, read_weights
from AutoVolumeCalibrationLib.core.models.store import model_folder
from AutoVolumeCalibrationLib.core.networks.registry import build_network, find_architecture
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack

from ..slices.targets import TargetSettings


@dataclass(frozen=True, eq=False)
class InspectedModel:
    """A bundle's network with all its layers.

    Attributes:
        network: in evaluation mode on the CPU, no norm folded into a convolution.
        names: k landmarks in channel order.
        targets: sizes of its heatmaps.
        divisor, largest_size: an input's sides are multiples of, and at most, so many pixels.
        threshold: a lower peak means that the landmark is absent.
    """

    network: torch.nn.Module
    names: tuple[str, ...]
    targets: TargetSettings
    divisor: int
    largest_size: int
    threshold: float

    def layers(self) -> tuple[str, ...]:
        """Names of the 2D convolutions, from the input on."""
        modules = self.network.named_modules()
        return tuple(name for name, layer in modules if isinstance(layer, torch.nn.Conv2d) and name)


def open_model(name_or_folder: str | Path) -> InspectedModel:
    """A bundle by its name or folder.

    Raises:
        ModelError: the bundle does not exist, or is damaged.
    """
    folder = model_folder(name_or_folder)
    metadata = read_metadata(folder)
    architecture, options = metadata["network"]["architecture"], metadata["network"]["options"]
    divisor = find_architecture(architecture, options).divisor(options)
    weights = read_weights(folder, metadata["weights"])
    # Shapes only: whatever widths a bundle names, no more memory is used than its file is long.
    with torch.device("meta"):
        network = build_network(architecture, options)
    try:
        network.load_state_dict(weights, assign=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        remedy = "Get the bundle again or choose another model."
        raise ModelError("the weights do not fit the network", source=str(folder), remedy=remedy) from error
    sizes = metadata["targets"]["sigma_mm"], metadata["targets"]["tau_mm"], options.get("stem", 1)
    return InspectedModel(
        network.eval().float(),
        tuple(entry["name"] for entry in metadata["landmarks"]),
        TargetSettings(*sizes, metadata["input"]["pixel_mm"], metadata["targets"].get("sagittal_pairs", MIDDLE)),
        divisor,
        metadata["input"]["largest_size"],
        metadata["threshold"],
    )


def slice_as_seen(
    model: InspectedModel, stacks: Sequence[ScoutStack], plane: str, number: int | None = None
) -> torch.Tensor:
    """Network input (4, H, W) of one slice, with zeros around it up to sides that the network takes.

    Args:
        number: of the slice in the first stack of ``plane``, from 1; None: the middle one.

    Raises:
        InputError: no stack is of this plane.
        UsageError: the stack has no such slice.
    """
    stack = next((stack for stack in stacks if stack.plane == plane), None)
    if stack is None:
        planes = ", ".join(sorted({stack.plane for stack in stacks}))
        source = stacks[0].slices[0].source or None
        raise InputError(f"the scouts have no {plane} slices", source=source, remedy=f"Choose one of: {planes}.")
    count = len(stack.slices)
    if number is not None and not 1 <= number <= count:
        raise UsageError(f"{plane} slice {number} does not exist", remedy=f"Choose one from 1 to {count}.")
    chosen = stack.slices[count // 2 if number is None else number - 1]
    oriented = standard_orientation(chosen, plane)
    image = to_network_grid(oriented, model.targets.pixel_mm, model.largest_size).image
    missing = [-n % model.divisor for n in image.shape]
    padded = np.pad(image, [(n // 2, n - n // 2) for n in missing])
    return torch.from_numpy(encode_slices(padded[None], [PLANES.index(plane)])[0])
