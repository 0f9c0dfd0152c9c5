"""The arithmetic that a network computes in: bfloat16 where the processor has it and the network bears it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Processors with one of these multiply bfloat16 about twice as fast as float32; others emulate it slowly.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def quick_arithmetic(network: torch.nn.Module, device: str) -> AbstractContextManager:
    """While it is entered, ``network`` on ``device`` computes in bfloat16 where that is quicker and does no harm.

    It does none where the heads stay in float32, which a network tells by ``float32_heads``: rounded heatmaps tell
    a peak's place badly. The shipped network takes 5.2 instead of 9.4 ms per slice on one processor core; the peaks
    of the sample study move by 0.02 mm (median; a faint one by 0.7 mm; ``Testing/benchmarks/network_speed.py``).
    """
    import torch

    if device == "cpu" and getattr(network, "float32_heads", False) and processor_has_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by instructions of its own; False where this torch cannot tell."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)
