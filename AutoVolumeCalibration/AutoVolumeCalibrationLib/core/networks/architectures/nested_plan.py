"""Which nodes a nested decoder (U-Net++) has over an encoder, and how wide they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .encoders import Encoder

#: Forms of the decoder, see :func:`plan_of`.
NESTED, SEGMENTATION_MODELS = FORMS = ("nested", "segmentation_models")


@dataclass(frozen=True)
class NestedPlan:
    """The nodes of a decoder.

    Attributes:
        first, end: the encoder's maps that are used, as a slice of them.
        rows: channels of X(i, 0), finest row first; 0 for a row without.
        nodes: "i_j" -> channels that go into the node X(i, j) and come out, in the order they are computed.
        image_row: the finest row begins with the image, convolved twice.
        lone_row: the finest row has its last node alone, which is given nothing but what comes up.
        upsampling: mode of ``interpolate``.
    """

    first: int
    end: int
    rows: tuple[int, ...]
    nodes: dict[str, tuple[int, int]]
    image_row: bool
    lone_row: bool
    upsampling: str


def plan_of(encoder: Encoder, name: str, decoder: Sequence[int], stem: int, form: str) -> NestedPlan:
    """The nodes over ``encoder``, called ``name``.

    Args:
        decoder: widths, finest row first.
        form: "nested": all nodes of a row have its width, upsampling is linear, finer maps than the heatmaps' are not
            used, and where the encoder has no map as fine as them the row begins with the image, convolved twice.
            "segmentation_models": the nodes of a row are as wide as its encoder's map, and the last one as the decoder
            states; upsampling takes the nearest pixel; a map as fine as the image is not used, and the row of the image
            has its last node alone.

    Raises:
        ValueError: another number of widths than there are rows.
    """
    of_library = form == SEGMENTATION_MODELS
    finest = max(stem, 2) if of_library else stem
    used = [index for index, stride in enumerate(encoder.strides) if stride >= finest]
    first, end = used[0], len(encoder.strides)
    lone = of_library and stem == 1
    image_row = not of_library and stem < encoder.strides[0]
    rows = [*([0] if lone else []), *([decoder[0]] if image_row else []), *encoder.widths[first:end]]
    if encoder.coarsest_is_pooled and len(decoder) == len(rows) - 2:
        rows, end = rows[:-1], end - 1
    if len(decoder) != len(rows) - 1:
        raise ValueError(f"decoder needs {len(rows) - 1} widths for {name} at stem {stem}, not {len(decoder)}")
    return NestedPlan(
        first,
        end,
        tuple(rows),
        _nodes(rows, decoder, of_library),
        image_row,
        lone,
        "nearest" if of_library else "bilinear",
    )


def _nodes(rows: Sequence[int], decoder: Sequence[int], of_library: bool) -> dict[str, tuple[int, int]]:
    """Channels into and out of each node, column by column."""
    depth = len(decoder)

    def width(i: int, j: int) -> int:
        """Channels of X(i, j)."""
        if j == 0:
            return rows[i]
        return rows[i] if of_library and j < depth - i else decoder[i]

    nodes = {}
    for j in range(1, depth + 1):
        for i in range(depth - j + 1):
            if rows[i] == 0 and j < depth:
                continue  # a lone row has its last node alone
            earlier = 0 if rows[i] == 0 else sum(width(i, k) for k in range(j))
            nodes[f"{i}_{j}"] = (earlier + width(i + 1, j - 1), width(i, j))
    return nodes
