"""Which axes of a network's weights run along its landmarks, and how to carry them over to other landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LandmarkAxis:
    """An axis of a weight: ``offset`` entries of something else, then ``block`` entries for each landmark.

    ``block`` is 0 where the axis grows with the landmarks in an unsupported way.
    """

    axis: int
    offset: int
    block: int

    def size(self, landmarks: int) -> int:
        return self.offset + self.block * landmarks

    def entries(self, landmark: int) -> range:
        return range(self.size(landmark), self.size(landmark + 1))


def landmark_axes(build: Callable[[int], torch.nn.Module], landmarks: int) -> dict[str, tuple[LandmarkAxis, ...]]:
    """The axes along landmarks of each weight that has any: those that grow with the number of landmarks.

    Args:
        build: makes the network for a number of landmarks, any number. It is called on torch's ``meta`` device,
            which costs neither time nor memory.
        landmarks: the number in question.
    """
    counts = (landmarks, landmarks + 1, 2 * landmarks)
    with torch.device("meta"):
        own, one_more, twice = ({k: v.shape for k, v in build(n).state_dict().items()} for n in counts)
    axes = {}
    for key, shape in own.items():
        others = (one_more.get(key, ()), twice.get(key, ()))
        sizes = zip(shape, *others, strict=True) if all(len(other) == len(shape) for other in others) else ()
        found = [_axis(i, *three, landmarks) for i, three in enumerate(sizes) if len(set(three)) > 1]
        if found:
            axes[key] = tuple(found)
    return axes


def _axis(axis: int, size: int, one_more: int, twice: int, landmarks: int) -> LandmarkAxis:
    block = one_more - size
    offset = size - block * landmarks
    supported = block > 0 and offset >= 0 and twice == offset + 2 * block * landmarks
    return LandmarkAxis(axis, offset, block if supported else 0)


@dataclass(frozen=True)
class LandmarkChange:
    """From one set of landmarks to another, in the order of the channels.

    Attributes:
        names: of the target network.
        source_names: of the source network.
        axes: of the target, from :func:`landmark_axes`.
    """

    names: Sequence[str]
    source_names: Sequence[str]
    axes: Mapping[str, Sequence[LandmarkAxis]]

    def __bool__(self) -> bool:
        """Whether the landmarks or their order differ."""
        return tuple(self.names) != tuple(self.source_names)

    @property
    def kept(self) -> tuple[str, ...]:
        """Names that both have."""
        return tuple(name for name in self.names if name in self.source_names)

    @property
    def new(self) -> tuple[str, ...]:
        """Names that only the target network has."""
        return tuple(name for name in self.names if name not in self.source_names)

    def matched(self, key: str, own: torch.Tensor, source: torch.Tensor) -> torch.Tensor | None:
        """``own`` with the entries of the kept landmarks from ``source``; None where the shapes do not allow it."""
        if own.dim() != source.dim():
            return None
        along = {axis.axis: axis for axis in self.axes[key]}
        to, from_ = [], []
        for i, (size, source_size) in enumerate(zip(own.shape, source.shape, strict=True)):
            axis = along.get(i)
            if axis is None and size != source_size:
                return None
            if axis and (not axis.block or axis.size(len(self.source_names)) != source_size):
                return None
            to.append(self._entries(axis, self.names) if axis else list(range(size)))
            from_.append(self._entries(axis, self.source_names) if axis else list(range(size)))
        result = own.clone()
        result[_grid(to)] = source[_grid(from_)].to(own)
        return result

    def _entries(self, axis: LandmarkAxis, names: Sequence[str]) -> list[int]:
        return [*range(axis.offset), *(entry for name in self.kept for entry in axis.entries(names.index(name)))]


def _grid(indices: Sequence[Sequence[int]]) -> tuple[torch.Tensor, ...]:
    """Index of the block of a tensor at the product of indices along its axes (``numpy.ix_``)."""
    return torch.meshgrid(*(torch.tensor(index, dtype=torch.long) for index in indices), indexing="ij")
