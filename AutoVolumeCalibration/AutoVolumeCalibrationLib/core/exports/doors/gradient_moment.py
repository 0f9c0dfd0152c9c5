"""Gradient events of one Pulseq block as piecewise linear functions of time, and their moment."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Gradients that vary by less than this share of their largest value count as constant.
_CONSTANT = 1e-6


class GradientCourse:
    """The logical gradient (3,) of a block over time, Hz/m.

    Args:
        events: gradient events of the block, as pypulseq's ``get_block`` gives them.
    """

    def __init__(self, events: list[Any]) -> None:
        self._axes = [("xyz".index(event.channel), *_points(event)) for event in events]

    def value(self, time_s: float) -> np.ndarray:
        """(3,) Hz/m; zero outside the events."""
        result = np.zeros(3)
        for axis, times, values in self._axes:
            result[axis] += np.interp(time_s, times, values, left=0.0, right=0.0)
        return result

    def moment(self, time_s: float) -> np.ndarray:
        """(3,) 1/m: the integral from the start of the block."""
        result = np.zeros(3)
        for axis, times, values in self._axes:
            inside = times < time_s
            t = np.append(times[inside], min(time_s, times[-1]))
            v = np.append(values[inside], np.interp(t[-1], times, values))
            result[axis] += float(((v[1:] + v[:-1]) / 2) @ np.diff(t))
        return result

    def is_constant(self, start_s: float, end_s: float) -> bool:
        """Whether the gradient keeps its value from ``start_s`` to ``end_s``."""
        inside = {t for _, times, _ in self._axes for t in times if start_s < t < end_s}
        # Just inside the ends: a ramp may begin or end exactly there.
        width = (end_s - start_s) * 1e-9
        values = np.array([self.value(t) for t in (start_s + width, *sorted(inside), end_s - width)])
        largest = max((float(np.abs(values).max()), 1.0))
        return bool(np.ptp(values, axis=0).max() <= _CONSTANT * largest)


def _points(event: Any) -> tuple[np.ndarray, np.ndarray]:
    """Times (s) and values (Hz/m) of the corners of a trapezoid or of an arbitrary shape."""
    if event.type == "trap":
        times = event.delay + np.cumsum([0.0, event.rise_time, event.flat_time, event.fall_time])
        return times, np.array([0.0, event.amplitude, event.amplitude, 0.0])
    times, values = event.delay + np.asarray(event.tt, dtype=float), np.asarray(event.waveform, dtype=float)
    # Shapes on the raster hold the middles of its steps; their ends are stated apart.
    if event.tt[0] > 0:
        times, values = np.append(event.delay, times), np.append(event.first, values)
    end = event.delay + event.shape_dur
    if end > times[-1]:
        times, values = np.append(times, end), np.append(values, event.last)
    return times, values
