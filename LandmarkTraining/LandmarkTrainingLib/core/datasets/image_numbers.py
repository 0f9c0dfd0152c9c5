"""Images chosen by their numbers, as ``1-90,95,131-``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from AutoVolumeCalibrationLib.core.errors import UsageError

#: Remedy for images without splits.
NAME_SPLITS = "Name the numbers of the images to train, to watch and to test."

_RANGE = re.compile(r"\s*(\d+)\s*(-?)\s*(\d*)\s*")
_NO_END = 10**12


@dataclass(frozen=True)
class ImageNumbers:
    """Ranges of numbers, ends included; a file's name is in them by its number."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, name: object) -> bool:
        number = number_of(str(name))
        return number is not None and any(first <= number <= last for first, last in self.ranges)

    def shared_with(self, other: ImageNumbers) -> int | None:
        """The lowest number that is in both; None where there is none."""
        starts = [max(a, c) for a, b in self.ranges for c, d in other.ranges if max(a, c) <= min(b, d)]
        return min(starts, default=None)


def number_of(name: str) -> int | None:
    """The number of an image: the longest row of digits in its name, the first of several; None without digits."""
    found = re.findall(r"\d+", name)
    return int(max(found, key=len)) if found else None


def read_numbers(text: str) -> ImageNumbers:
    """Numbers and ranges separated by commas; a range without an end has all that follow.

    Raises:
        UsageError: the text is none, or a range ends before it starts.
    """
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise UsageError(f"{text!r} does not name images", remedy="Write numbers and ranges, as 1-90,95,131-.")
        first, dash, last = match.groups()
        end = int(last) if last else _NO_END if dash else int(first)
        if end < int(first):
            raise UsageError(
                f"the range {part.strip()} ends before it starts", remedy="Write the smaller number first."
            )
        ranges.append((int(first), end))
    return ImageNumbers(tuple(ranges))
