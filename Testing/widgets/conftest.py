"""Fixtures of the panel tests."""

from standin.fixtures import real_views, stand_in

__all__ = ["real_views", "stand_in"]
