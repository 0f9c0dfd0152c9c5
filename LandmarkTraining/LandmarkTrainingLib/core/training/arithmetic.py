"""The arithmetic of a training: bfloat16 where the settings want it, float32 where bfloat16 is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = (torch.conv2d, torch.conv3d)


@contextmanager
def arithmetic(device: torch.device, bf16: bool) -> Iterator[None]:
    """Forward passes in here are in bfloat16 by torch's rules if ``bf16``, else in float32.

    On a processor, convolutions whose kernels reach further than their maps stay in float32. Some of their weights
    meet no pixel, and oneDNN's gradient of these in bfloat16 is what happened to lie in memory, not a number at worst
    (torch 2.13; 11 x 11 weights and 128 channels on 4 x 4 pixels, as in a SpatialConfiguration-Net).
    """
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        if bf16 and device.type == "cpu":
            with _LargeKernelsInFloat32():
                yield
        else:
            yield


class _LargeKernelsInFloat32(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _CONVOLUTIONS:
            return func(*args, **kwargs)
        return _convolved(func, *args, **kwargs)


def _convolved(
    convolution: Callable[..., torch.Tensor],
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> torch.Tensor:
    """torch's convolution, with its arguments."""
    if not _reaches_further(input, weight, padding, dilation):
        return convolution(input, weight, bias, stride, padding, dilation, groups)
    with torch.autocast(input.device.type, enabled=False):
        bias = None if bias is None else bias.float()
        return convolution(input.float(), weight.float(), bias, stride, padding, dilation, groups)


def _reaches_further(
    image: torch.Tensor, weight: torch.Tensor, padding: int | str | Sequence[int], dilation: int | Sequence[int]
) -> bool:
    """Whether a weight at the kernel's end meets no pixel along some axis, wherever the kernel stands."""
    for axis, (size, kernel) in enumerate(zip(image.shape[2:], weight.shape[2:], strict=True)):
        reach = (dilation if isinstance(dilation, int) else dilation[axis % len(dilation)]) * (kernel - 1)
        if isinstance(padding, str):
            border = reach // 2 if padding == "same" else 0
        else:
            border = padding if isinstance(padding, int) else padding[axis % len(padding)]
        if reach >= size + border:
            return True
    return False
