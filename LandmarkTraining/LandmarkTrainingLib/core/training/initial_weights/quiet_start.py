"""Heatmaps that start at the background's level, 0, so that no landmark is lost in the first steps.

torch starts the last layer at random: its heatmaps differ from the background by a third everywhere, and the first
steps only press them down. The gradients of that press are thousands of times those of a landmark; after them the
layer's weights are small, the optimiser's running variances are large, and a faint landmark gets neither a gradient
into the network nor a step of a useful size for the rest of a short run: its channel stays flat
(``Testing/benchmarks/dead_channels.py``). A layer that starts at 0 has nothing to press down. Payer et al. (2019) start
their heatmap layers near 0, too (standard deviation 0.001).
"""

from __future__ import annotations

import torch

#: Steps of the graph that only pass on, choose from, join or resample what comes in; their names as autograd has them.
_PASSED_ON = (
    "Cat",
    "Slice",
    "Select",
    "Index",
    "Where",
    "Stack",
    "View",
    "Permute",
    "Clone",
    "Copy",
    "ToCopy",
    "Upsample",
)


def start_quietly(network: torch.nn.Module, in_channels: int, side: int) -> list[str]:
    """Set the layers whose outputs are the heatmaps to 0; returns the names of their parameters.

    They are convolutions with nothing behind them but resampling and joining. Networks whose heatmaps are products,
    sigmoids or coordinates have none, and keep the start of their papers.

    Args:
        network: freshly initialised, on the CPU; its buffers and mode stay as they are.
        in_channels, side: of images that the network takes.
    """
    found = {id(parameter) for output in _outputs(network, in_channels, side) for parameter in _last_layer(output)}
    quiet = {name: parameter for name, parameter in network.named_parameters() if id(parameter) in found}
    with torch.no_grad():
        for parameter in quiet.values():
            parameter.zero_()
    return list(quiet)


def _outputs(network: torch.nn.Module, in_channels: int, side: int) -> list[torch.Tensor]:
    """Heatmaps in training, with their graph; none where the network outputs something else."""
    was_training, buffers = network.training, {name: value.clone() for name, value in network.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        # A slice twice: a batch norm of single pixels needs more than one, also where each plane has a norm of its own.
        outputs = network.train()(torch.rand(1, in_channels, side, side).repeat(2, 1, 1, 1))
    network.train(was_training)
    with torch.no_grad():
        for name, value in network.named_buffers():
            value.copy_(buffers[name])
    several = outputs if isinstance(outputs, list) else [outputs]
    return [output for output in several if isinstance(output, torch.Tensor)]


def _last_layer(output: torch.Tensor) -> list[torch.Tensor]:
    """Parameters of the convolutions that ``output`` is passed on from."""
    found: list[torch.Tensor] = []
    waiting, seen = [output.grad_fn], set()
    while waiting:
        step = waiting.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        before = [node for node, _ in step.next_functions]
        name = type(step).__name__
        if name.startswith("ConvolutionBackward"):
            found += [node.variable for node in before[1:] if node is not None and hasattr(node, "variable")]
        elif name.startswith(_PASSED_ON):
            waiting += before
    return found
