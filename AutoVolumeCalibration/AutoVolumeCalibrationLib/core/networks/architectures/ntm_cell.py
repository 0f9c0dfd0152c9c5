"""A cell of the neural Turing machine (Graves et al. 2014, arXiv:1410.5401): an LSTM that reads and writes a memory.

Shapes: B samples, h heads, n memory rows of width w. Equation numbers are the paper's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

#: What every memory cell holds at first: not zero, whose direction is undefined.
BLANK = 1e-6
#: Row offsets of the shift kernel: one row back, stay, one row on.
SHIFTS = (-1, 0, 1)
EPSILON = 1e-8


def content_weights(keys: torch.Tensor, strengths: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """(B, h, n) softmax over the rows of strength times cosine similarity, eq. 5 and 6.

    Args:
        keys: (B, h, w).
        strengths: (B, h), at least 0.
        memory: (B, n, w).
    """
    lengths = keys.norm(dim=2)[:, :, None] * memory.norm(dim=2)[:, None]
    similarity = keys @ memory.transpose(1, 2) / (lengths + EPSILON)
    return torch.softmax(strengths[..., None] * similarity, dim=2)


def interpolated(content: torch.Tensor, previous: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
    """(B, h, n) between the weights by content (gate 1) and the previous ones (gate 0), eq. 7."""
    return gates[..., None] * content + (1 - gates[..., None]) * previous


def shifted(weights: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """(B, h, n) circular convolution of the weights with the kernels (B, h, 3) over ``SHIFTS``, eq. 8."""
    back, stay, on = (kernels[..., index, None] * weights.roll(shift, dims=2) for index, shift in enumerate(SHIFTS))
    return back + stay + on


def sharpened(weights: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
    """(B, h, n) weights to the power of gamma (B, h), at least 1, and normalised again, eq. 9."""
    # Relative to the largest one, so that a large power does not send all of them to zero.
    powers = (weights / weights.amax(dim=2, keepdim=True)) ** gammas[..., None]
    return powers / powers.sum(dim=2, keepdim=True)


def read(memory: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(B, h, w) what the heads read, eq. 2."""
    return weights @ memory


def written(memory: torch.Tensor, weights: torch.Tensor, erase: torch.Tensor, add: torch.Tensor) -> torch.Tensor:
    """(B, n, w) memory after every head (weights (B, h, n)) has erased (B, h, w), 0..1, and then added, eq. 3 and 4."""
    kept = (1 - weights[..., None] * erase[:, :, None]).prod(dim=1)
    return memory * kept + weights.transpose(1, 2) @ add


class NtmState(NamedTuple):
    """What a cell passes to its next step.

    Attributes:
        hidden, cell: (B, controller) of the LSTM.
        reads: (B, read heads, w) what the read heads returned last.
        weights: (B, heads, n) where the heads are, read heads first.
        memory: (B, n, w).
    """

    hidden: torch.Tensor
    cell: torch.Tensor
    reads: torch.Tensor
    weights: torch.Tensor
    memory: torch.Tensor


class NtmCell(torch.nn.Module):
    """LSTM controller with ``heads`` read and ``heads`` write heads.

    In every step all heads are placed by the memory that was left by the step before; the read heads see that
    memory, then the write heads change it. Strength = softplus, gamma = 1 + softplus, gate = sigmoid,
    shift = softmax, key = tanh, erase = sigmoid, add = tanh. Of the first state what was read last
    and where the heads are is learned; the controller starts at zero and the memory blank.

    Args:
        inputs, outputs: lengths of the vectors that come in and go out in a step.
        controller: units of the LSTM.
        rows, width: of the memory.
        heads: read heads, and as many write heads.

    Shape:
        (B, inputs) and a state -> (B, outputs) and the next state. Computes in single precision.
    """

    def __init__(self, inputs: int, outputs: int, controller: int, rows: int, width: int, heads: int) -> None:
        super().__init__()
        self.rows, self.width, self.heads = rows, width, heads
        self.controller = torch.nn.LSTMCell(inputs + heads * width, controller)
        #: Key, strength, gate, shift and gamma of each head.
        self.sizes = (width, 1, 1, len(SHIFTS), 1)
        self.addressing = torch.nn.Linear(controller, 2 * heads * sum(self.sizes))
        self.erase_and_add = torch.nn.Linear(controller, 2 * heads * width)
        self.output = torch.nn.Linear(controller + heads * width, outputs)
        self.first_reads = torch.nn.Parameter(0.1 * torch.randn(heads, width))
        self.first_weights = torch.nn.Parameter(0.1 * torch.randn(2 * heads, rows))
        # Forget gate open at first (gates of torch's LSTM: input, forget, cell, output).
        torch.nn.init.ones_(self.controller.bias_ih[controller : 2 * controller])

    def first_state(self, samples: int) -> NtmState:
        """The state before the first step."""
        blank = self.first_reads.new_zeros(samples, self.controller.hidden_size)
        return NtmState(
            hidden=blank,
            cell=blank,
            reads=torch.tanh(self.first_reads).expand(samples, -1, -1),
            weights=torch.softmax(self.first_weights, dim=1).expand(samples, -1, -1),
            memory=self.first_reads.new_full((samples, self.rows, self.width), BLANK),
        )

    def forward(self, inputs: torch.Tensor, state: NtmState) -> tuple[torch.Tensor, NtmState]:
        with torch.autocast(inputs.device.type, enabled=False):
            return self._step(inputs.float(), state)

    def _step(self, inputs: torch.Tensor, state: NtmState) -> tuple[torch.Tensor, NtmState]:
        joined = torch.cat([inputs, state.reads.flatten(1)], dim=1)
        hidden, cell = self.controller(joined, (state.hidden, state.cell))
        weights = self._address(hidden, state)
        reads = read(state.memory, weights[:, : self.heads])
        erase, add = self.erase_and_add(hidden).unflatten(1, (self.heads, 2, self.width)).unbind(2)
        memory = written(state.memory, weights[:, self.heads :], torch.sigmoid(erase), torch.tanh(add))
        outputs = self.output(torch.cat([hidden, reads.flatten(1)], dim=1))
        return outputs, NtmState(hidden, cell, reads, weights, memory)

    def _address(self, hidden: torch.Tensor, state: NtmState) -> torch.Tensor:
        """(B, 2 * heads, n) where the heads are now."""
        parts = self.addressing(hidden).unflatten(1, (2 * self.heads, -1)).split(self.sizes, dim=2)
        key, strength, gate, shift, gamma = parts
        weights = content_weights(torch.tanh(key), functional.softplus(strength[..., 0]), state.memory)
        weights = interpolated(weights, state.weights, torch.sigmoid(gate[..., 0]))
        weights = shifted(weights, torch.softmax(shift, dim=2))
        return sharpened(weights, 1 + functional.softplus(gamma[..., 0]))
