"""A picture measured in pixels from its top left: plates, texts and matplotlib's figures on it.

Texts outside figures are drawn by Pillow, which measures and draws them many times faster than matplotlib.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .style import BACKGROUND, PANEL, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont

DPI = 100
#: Of a PNG, 0 to 9: beyond this files hardly become smaller, and writing them takes longer than drawing.
_COMPRESSION = 4
#: Of a JPEG, 0 to 95: thin lines stay clean.
_QUALITY = 88
#: A number and the space before its unit.
_BEFORE_UNIT = re.compile(r"(\d) (?=%|mm|deg|s\b)")
#: The baseline of a line over its height.
_BASELINE = 0.74


class Sheet:
    """A picture of (width, height) pixels."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", size_px, BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)

    def plate(self, left: float, top: float, width: float, height: float) -> None:
        """A rectangle under a block of text."""
        self._draw.rectangle((left, top, left + width - 1, top + height - 1), fill=PANEL)

    def write(
        self,
        x: float,
        baseline: float,
        text: str,
        size: float,
        *,
        colour: str = TEXT,
        bold: bool = False,
        side: str = "l",
    ) -> None:
        """One line of text; ``size`` in points.

        Args:
            side: of the text that lies at ``x``: "l", "m" or "r".
        """
        # Whole pixels: letters between them look blurred.
        place = round(x), round(baseline)
        self._draw.text(place, text, fill=colour, font=_font(size, bold), anchor=f"{side}s")

    def write_lines(
        self, x: float, top: float, lines: Sequence[str], size: float, row_px: float, colour: str = TEXT
    ) -> None:
        """Lines of ``row_px`` pixels each below ``top``."""
        for number, line in enumerate(lines):
            self.write(x, top + (number + _BASELINE) * row_px, line, size, colour=colour)

    def paste(self, figure: Figure, left: int, top: int) -> None:
        """Draw a figure of ``DPI`` with its upper left corner there."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self._image.paste(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"), (left, top))

    def save(self, path: Path) -> None:
        """Write it as a PNG."""
        self._image.save(path, format="PNG", compress_level=_COMPRESSION)

    def jpeg(self) -> bytes:
        """It as a JPEG, a quarter of the size of a PNG."""
        buffer = BytesIO()
        self._image.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
        return buffer.getvalue()


def width_px(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text is."""
    return float(_font(size, bold).getlength(text))


def wrapped(text: str, size: float, room_px: float) -> list[str]:
    """The text in lines that fit into ``room_px``; a word that is wider stays whole, and a number keeps its unit."""
    lines: list[str] = []
    for word in _BEFORE_UNIT.sub("\\1\N{NO-BREAK SPACE}", text).split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if not word:
            continue
        if lines and width_px(longer, size) <= room_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@lru_cache(maxsize=64)
def _font(size: float, bold: bool) -> FreeTypeFont:
    import matplotlib
    from PIL import ImageFont

    # ``style.FONT``, which travels with matplotlib.
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")
    return ImageFont.truetype(str(file), round(size * DPI / 72), layout_engine=ImageFont.Layout.BASIC)
