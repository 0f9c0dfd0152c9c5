"""Values of a DICOM header, whatever a damaged one states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsInt

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset


def frame_value(dataset: Dataset, index: int, group: str, keyword: str) -> Any:
    """An attribute of one frame: its own functional group, else the shared one, else the top of the data set."""
    per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence")[index : index + 1]
    shared = items_of(dataset, "SharedFunctionalGroupsSequence")[:1]
    for holder in (*per_frame, *shared):
        for item in items_of(holder, group)[:1]:
            if keyword in item:
                return value_of(item, keyword)
    return value_of(dataset, keyword)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value, None where it is absent, or not a number although it should be one."""
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):
        return None


def items_of(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence, none where it is absent or damaged so that it is not a sequence any more."""
    from pydicom import Sequence as DicomSequence

    value = dataset.get(keyword)
    return value if isinstance(value, DicomSequence) else ()


def size_of(dataset: Dataset) -> tuple[int, int]:
    """(rows, columns) as the header states them.

    Raises:
        ValueError: a damaged header states something else than one number for each.
    """
    rows, columns = value_of(dataset, "Rows"), value_of(dataset, "Columns")
    if not isinstance(rows, SupportsInt) or not isinstance(columns, SupportsInt):
        raise ValueError("the size of the image is not a pair of numbers")
    return int(rows), int(columns)


def text_of(dataset: Dataset, keyword: str) -> str:
    value = value_of(dataset, keyword)
    return "" if value is None else str(value).strip()


def words_of(value: Any) -> tuple[str, ...]:
    """The words of an attribute that may have one value or several."""
    if value is None or isinstance(value, str):
        return (value,) if value else ()
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()


def numbers_of(value: Any, count: int) -> np.ndarray | None:
    """``count`` floats, None where there are not that many or they do not parse."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=float))
    except (ValueError, TypeError):
        return None
    return numbers if numbers.shape == (count,) and value is not None else None
