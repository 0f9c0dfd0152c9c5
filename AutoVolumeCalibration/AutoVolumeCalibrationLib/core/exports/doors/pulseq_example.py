"""An example sequence in logical axes: a spoiled 3D gradient echo, which ``place_sequence`` moves to the plan."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..extras import needing
from ..scan_geometry import ScanGeometry

#: Gradient system: modest, and designed for 1/sqrt(3) of it, so that every orientation stays within.
MAX_GRADIENT_MT_M, MAX_SLEW_T_M_S = 40.0, 120.0
#: Pixels in the plane, mm.
PIXEL_MM = 3.0
FLIP_DEG, READOUT_S, RISE_S, BLOCK_S = 8.0, 1.6e-3, 3e-4, 1e-3
#: RF spoiling, deg.
_INCREMENT_DEG = 117.0
#: The slab profile: this part of the slab is excited evenly.
_TIME_BANDWIDTH = 8.0


def matrix_of(geometry: ScanGeometry, pixel_mm: float = PIXEL_MM) -> tuple[int, int, int]:
    """Samples along read, phase (both even) and slice: pixels of about that size, and one partition per slice."""
    read, phase = (2 * max(1, round(float(fov) / pixel_mm / 2)) for fov in geometry.fov_mm[:2])
    return read, phase, geometry.slices


def gradient_echo_3d(geometry: ScanGeometry, pixel_mm: float = PIXEL_MM, slab_selective: bool = True) -> Any:
    """A spoiled 3D gradient echo for the field of view of a plan, at the isocentre, x, y, z as read, phase, slice.

    Lines run from the lowest to the highest k; the partitions are the outer loop.

    Args:
        slab_selective: excite the slab; else a short pulse without gradient excites everything.

    Returns:
        A ``pypulseq.Sequence``.
    """
    with needing("pypulseq"):
        import pypulseq as pp

    counts = np.array(matrix_of(geometry, pixel_mm))
    step = 1000 / geometry.fov_mm  # 1/m
    full = _system(pp, 1.0)
    design = _system(pp, 1 / np.sqrt(3))
    sequence = pp.Sequence(full)
    pulse, select, refocus_area = _excitation(pp, design, float(geometry.fov_mm[2]) / 1000, slab_selective)
    dwell_s = np.round(READOUT_S / counts[0] / full.adc_raster_time) * full.adc_raster_time
    flat_s = np.ceil(counts[0] * dwell_s / full.grad_raster_time - 1e-6) * full.grad_raster_time
    strength = step[0] / dwell_s
    readout = pp.make_trapezoid("x", amplitude=strength, flat_time=flat_s, rise_time=RISE_S, system=design)
    receiver = pp.make_adc(int(counts[0]), dwell=dwell_s, delay=RISE_S, system=full)
    # The sample of index n / 2 is the centre of k-space; a sample is taken in the middle of its dwell time.
    before = -(strength * RISE_S / 2 + (counts[0] / 2 + 0.5) * step[0])
    after = counts[0] * step[0]

    def encode(line: int, partition: int, read_area: float, sign: int, slice_area: float) -> list[Any]:
        areas = [
            read_area,
            sign * (line - counts[1] // 2) * step[1],
            sign * (partition - counts[2] // 2) * step[2] + slice_area,
        ]
        return [
            pp.make_trapezoid(axis, area=float(area), duration=BLOCK_S, rise_time=RISE_S, system=design)
            for axis, area in zip("xyz", areas, strict=True)
            if abs(area) > 1e-9
        ]

    phase_deg, increment_deg = 0.0, 0.0
    for partition in range(counts[2]):
        for line in range(counts[1]):
            pulse.phase_offset = receiver.phase_offset = np.deg2rad(phase_deg)
            sequence.add_block(*[event for event in (pulse, select) if event is not None])
            sequence.add_block(*encode(line, partition, before, 1, refocus_area))
            sequence.add_block(readout, receiver)
            sequence.add_block(*encode(line, partition, after, -1, 0.0))
            increment_deg = (increment_deg + _INCREMENT_DEG) % 360
            phase_deg = (phase_deg + increment_deg) % 360
    sequence.set_definition("Name", "planned_gre3d")
    sequence.set_definition("Matrix", counts.tolist())
    sequence.set_definition("FOV", (geometry.fov_mm / 1000).tolist())
    return sequence


def _system(pp: Any, share: float) -> Any:
    return pp.Opts(
        max_grad=MAX_GRADIENT_MT_M * share,
        grad_unit="mT/m",
        max_slew=MAX_SLEW_T_M_S * share,
        slew_unit="T/m/s",
        rf_ringdown_time=20e-6,
        rf_dead_time=100e-6,
        adc_dead_time=10e-6,
    )


def _excitation(pp: Any, system: Any, slab_m: float, selective: bool) -> tuple[Any, Any, float]:
    """The pulse, its gradient (None for a pulse that selects nothing), and the area that refocuses it, 1/m."""
    flip = np.deg2rad(FLIP_DEG)
    if not selective:
        pulse = pp.make_block_pulse(flip, duration=2e-4, delay=system.rf_dead_time, system=system, use="excitation")
        return pulse, None, 0.0
    pulse, select, refocus = pp.make_sinc_pulse(
        flip,
        duration=2e-3,
        delay=system.rf_dead_time,
        slice_thickness=slab_m,
        apodization=0.5,
        time_bw_product=_TIME_BANDWIDTH,
        system=system,
        return_gz=True,
        use="excitation",
    )
    return pulse, select, float(refocus.area)
