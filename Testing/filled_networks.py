"""Networks filled with numbers that any version of numpy makes alike, to compare them with numbers from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def filled(network: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    """``network`` in evaluation mode, its state drawn in the order of its names.

    Weights of convolutions are normal with variance 2 over the inputs of a filter, scales and running variances uniform
    in 0.5..1.5, all else normal with deviation 0.1.
    """
    generator = np.random.RandomState(seed)
    state = network.state_dict()
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = torch.from_numpy(np.asarray(_drawn(name, tensor, generator))).to(tensor.dtype)
    network.load_state_dict(state)
    return network.eval()


def _drawn(name: str, tensor: torch.Tensor, generator: np.random.RandomState) -> np.ndarray:
    if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
        return generator.uniform(0.5, 1.5, tensor.shape)
    if tensor.ndim == 1:
        return 0.1 * generator.standard_normal(tensor.shape)
    return generator.standard_normal(tensor.shape) * (2 / tensor[0].numel()) ** 0.5


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal float32 of a shape, the same every time."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape)).float()


def sampled(tensor: torch.Tensor, count: int = 16) -> torch.Tensor:
    """Every n-th of the flattened values, ``count`` of them or all."""
    flat = tensor.detach().flatten()
    return flat[:: max(1, flat.numel() // count)][:count]


def largest_difference(outputs: Sequence[torch.Tensor], values: Sequence[Sequence[float]]) -> float:
    """The largest difference between the sampled outputs and ``values``, relative to the largest of those."""
    expected = torch.tensor([number for part in values for number in part])
    found = torch.cat([sampled(output) for output in outputs])
    return float((found - expected).abs().max() / expected.abs().max())
