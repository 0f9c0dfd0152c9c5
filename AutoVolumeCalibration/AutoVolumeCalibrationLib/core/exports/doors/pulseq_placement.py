"""Pulseq sequences moved to the planned volume: gradients mixed by its rotation, RF and receiver by its shift.

A sequence is written for a volume at the isocentre: x reads, y encodes the phase, z the slice. The gradients of the
scanner are then mixtures of these. The shift needs no gradient: seen by spins in the middle of the volume, the field
changes with the logical gradient G at that place, c. RF pulses and receiver follow their phase, 2 pi c . (integral of
G from the start of the sequence), and their frequency, c . G. This holds for any sequence, without knowledge of its
excitations and echoes. MATLAB Pulseq's ``mr.TransformFOV`` moves sequences in the same way, with the same signs.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, UsageError
from ..extras import needing
from ..scan_geometry import ScanGeometry
from .gradient_moment import GradientCourse
from .patient_position import HEAD_FIRST_SUPINE, device_from_lps

#: Weights of a mixture below this are rounding.
_TINY_WEIGHT = 1e-9
#: Shares of a mixture that sum to less than this, Hz/m, are rounding.
_TINY_GRADIENT = 1e-3

#: Labels with which a sequence keeps blocks where they are.
_EXEMPTIONS = ("NOROT", "NOPOS", "NOSCL")

#: Definitions that state the plan in a file: (9,) rotation in rows, device axes out of read, phase, slice; (3,) centre
#: in m on the device axes; the rest as in ``ScanGeometry``. Pulseq itself defines only FOV (m).
_ROTATION, _CENTER, _SLAB, _POSITION = "PlanRotation", "PlanCenter", "PlanSlab", "PlanPatientPosition"


def place_sequence(sequence: Any, geometry: ScanGeometry, patient_position: str = HEAD_FIRST_SUPINE) -> Any:
    """A sequence of the user's own, moved to the planned volume.

    Args:
        sequence: a ``pypulseq.Sequence`` for a volume at the isocentre, with x, y, z as read, phase, slice. It should
            be designed for 1/sqrt(3) of the gradient system's limits: a mixture may put the sum of three on one axis.
        geometry: of the plan.
        patient_position: DICOM PatientPosition; the device axes are those of ``device_from_lps``.

    Returns:
        A new ``pypulseq.Sequence`` with the definitions of the old one, FOV replaced by the plan's.

    Raises:
        UsageError: a mixture exceeds the limits of ``sequence.system``; a gradient changes during an RF pulse or while
            the receiver is on; the sequence rotates blocks itself or exempts them from positioning.
    """
    with needing("pypulseq"):
        import pypulseq as pp

    rotation = device_from_lps(patient_position) @ geometry.directions.T
    center_m = geometry.directions @ geometry.center_mm / 1000
    placed = pp.Sequence(sequence.system)
    moment = np.zeros(3)
    for number in sequence.block_events:
        block = sequence.get_block(number)
        gradients = [event for event in (block.gx, block.gy, block.gz) if event is not None]
        course = GradientCourse(gradients)
        events = _mixed(pp, gradients, rotation, sequence.system, number)
        for event, length in _rf_and_adc(block):
            events.append(_shifted(event, length, course, moment, center_m, number))
        placed.add_block(*events, *_others(block), pp.make_delay(block.block_duration))
        moment = moment + course.moment(block.block_duration)
    for key, value in sequence.definitions.items():
        placed.set_definition(key, value)
    _define(placed, geometry, rotation, patient_position)
    return placed


def write_sequence(sequence: Any, path: Path) -> None:
    """Write a sequence; UsageError where its timing does not suit the system that it was made for."""
    is_ok, errors = sequence.check_timing()
    if not is_ok:
        raise UsageError(f"the timing of the sequence is not valid ({errors[0]})", remedy="Correct the sequence.")
    sequence.write(str(path), check_timing=False)


def read_sequence_geometry(path: Path) -> ScanGeometry:
    """Where a file that ``place_sequence`` made lies, from its definitions; InputError where it has none."""
    with needing("pypulseq"):
        import pypulseq as pp

    remedy = "Give a .seq file that this program exported."
    sequence = pp.Sequence()
    try:
        sequence.read(str(path))
    except (OSError, ValueError, IndexError, RuntimeError) as error:
        raise InputError("cannot be read as a Pulseq file", source=str(path), remedy=remedy) from error
    keys = ("FOV", _ROTATION, _CENTER, _SLAB, _POSITION)
    stated = [sequence.get_definition(key) for key in keys]
    if any(isinstance(value, str) and not value for value in stated):
        raise InputError("does not state a planned volume", source=str(path), remedy=remedy)
    fov, rotation, center, slab, position = stated
    lps = device_from_lps(str(position)).T
    slices, thickness, gap = (float(value) for value in slab)
    return ScanGeometry(
        lps @ np.asarray(center, dtype=float) * 1000,
        (lps @ np.reshape(np.asarray(rotation, dtype=float), (3, 3))).T,
        np.asarray(fov, dtype=float) * 1000,
        int(slices),
        thickness * 1000,
        gap * 1000,
    )


def _define(sequence: Any, geometry: ScanGeometry, rotation: np.ndarray, patient_position: str) -> None:
    sequence.set_definition("FOV", (geometry.fov_mm / 1000).tolist())
    sequence.set_definition(_ROTATION, rotation.ravel().tolist())
    center_m = device_from_lps(patient_position) @ geometry.center_mm / 1000
    sequence.set_definition(_CENTER, center_m.tolist())
    slab = [float(geometry.slices), geometry.thickness_mm / 1000, geometry.gap_mm / 1000]
    sequence.set_definition(_SLAB, slab)
    sequence.set_definition(_POSITION, patient_position)


def _mixed(pp: Any, gradients: list[Any], rotation: np.ndarray, system: Any, block: int) -> list[Any]:
    """The gradients of the device: for each of its axes the sum of the logical ones, weighted by the rotation."""
    mixed = []
    for axis, channel in enumerate("xyz"):
        parts = []
        for event in gradients:
            weight = float(rotation[axis, "xyz".index(event.channel)])
            if abs(weight) > _TINY_WEIGHT:
                part = pp.scale_grad(event, weight)
                part.channel = channel
                parts.append(part)
        if not parts:
            continue
        try:
            total = pp.add_gradients(parts, system=system) if len(parts) > 1 else _within(pp, parts[0], system)
        except ValueError as error:
            raise UsageError(
                f"block {block} of the sequence exceeds the gradient limits where it is turned to the plan ({error})",
                remedy="Design it for 1/sqrt(3) of the system's largest gradient and slew rate.",
            ) from error
        if np.abs(_values(total)).max() > _TINY_GRADIENT:
            mixed.append(total)
    return mixed


def _within(pp: Any, event: Any, system: Any) -> Any:
    """The event, checked against the limits: ValueError beyond them."""
    return pp.scale_grad(event, 1.0, system)


def _values(event: Any) -> np.ndarray:
    return np.atleast_1d(event.amplitude if event.type == "trap" else event.waveform)


def _rf_and_adc(block: Any) -> list[tuple[Any, float]]:
    """RF and receiver events of a block with their lengths in s."""
    events = []
    if block.rf is not None:
        events.append((block.rf, float(block.rf.shape_dur)))
    if block.adc is not None:
        events.append((block.adc, float(block.adc.num_samples * block.adc.dwell)))
    return events


def _shifted(
    event: Any, length_s: float, course: GradientCourse, moment: np.ndarray, center_m: np.ndarray, block: int
) -> Any:
    """RF pulse or receiver with the phase and frequency of spins at ``center_m`` (3,), logical axes."""
    start = float(event.delay)
    if not course.is_constant(start, start + length_s):
        raise UsageError(
            f"a gradient changes during the RF pulse or the readout of block {block}",
            remedy="Use sequences whose gradients are constant then (no ramp sampling, no spirals).",
        )
    frequency = float(center_m @ course.value(start + length_s / 2))
    phase = 2 * np.pi * float(center_m @ (moment + course.moment(start)))
    shifted = copy.copy(event)
    shifted.freq_offset = event.freq_offset + frequency
    shifted.phase_offset = float(np.mod(event.phase_offset + phase, 2 * np.pi))
    return shifted


def _others(block: Any) -> list[Any]:
    """Labels, triggers and soft delays of a block."""
    if getattr(block, "rotation", None) is not None:
        raise UsageError("the sequence rotates its blocks itself", remedy="Give one without rotation extensions.")
    others: list[Any] = []
    for name in ("label", "trigger"):
        others += (getattr(block, name, None) or {}).values()
    exempt = [event.label for event in others if getattr(event, "label", None) in _EXEMPTIONS and event.value]
    if exempt:
        raise UsageError(
            f"the sequence exempts blocks from positioning (label {exempt[0]})", remedy="Give one without that label."
        )
    if getattr(block, "soft_delay", None) is not None:
        others.append(block.soft_delay)
    return others
