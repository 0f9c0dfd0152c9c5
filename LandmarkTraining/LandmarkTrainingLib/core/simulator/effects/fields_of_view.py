"""Ranges of the field of view of an anatomy's scouts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldsOfView:
    """Sides of the field of view, mm, the defaults are a head's.

    Attributes:
        usual_mm: least and most.
        small_mm, small_share: of a smaller one, up to ``beside_mm`` off centre.
        folded_mm, folded_share: shorter than the anatomy, so that the parts outside fold over along one axis.
    """

    usual_mm: tuple[float, float] = (210.0, 300.0)
    small_mm: tuple[float, float] = (150.0, 210.0)
    small_share: float = 0.08
    beside_mm: float = 30.0
    folded_mm: tuple[float, float] = (150.0, 200.0)
    folded_share: float = 0.07


HEAD_FIELDS = FieldsOfView()
