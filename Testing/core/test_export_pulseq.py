"""Pulseq: the example and a user's own sequence image the planned volume, by the physics of the file itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.exports.doors.patient_position import POSITIONS, device_from_lps
from AutoVolumeCalibrationLib.core.exports.scan_geometry import box_of_slab, scan_geometry
from command_line import MIDDLE_SLICES, ROOT
from exported_plans import SLABS, assert_same_box, oblique_plan

pp = pytest.importorskip("pypulseq")

from AutoVolumeCalibrationLib.core.exports.doors.pulseq_example import gradient_echo_3d, matrix_of  # noqa: E402
from AutoVolumeCalibrationLib.core.exports.doors.pulseq_placement import (  # noqa: E402
    place_sequence,
    read_sequence_geometry,
    write_sequence,
)

#: Coarse, for the tests: 12 x 8 samples in the plane.
PIXEL_MM = 18.0

SYSTEM = pp.Opts(max_grad=30, grad_unit="mT/m", max_slew=80, slew_unit="T/m/s", rf_dead_time=1e-4, adc_dead_time=1e-5)
DESIGN = pp.Opts(max_grad=15, grad_unit="mT/m", max_slew=40, slew_unit="T/m/s", rf_dead_time=1e-4, adc_dead_time=1e-5)


def signal(sequence: Any, point_m: np.ndarray) -> np.ndarray:
    """(samples,) complex signal of one spin at ``point_m`` (3,), device axes, in the frame of the receiver.

    Rotating frame of the Larmor frequency at the isocentre; pulses act in their middle; no relaxation. After an
    excitation the magnetisation points along the pulse, a refocusing pulse mirrors it on the pulse.
    """
    samples: list[np.ndarray] = []
    phase = None
    for number in sequence.block_events:
        block = sequence.get_block(number)
        moments = _moments(block, point_m)
        begin = 0.0
        if block.rf is not None:
            rf = block.rf
            middle = rf.delay + pp.calc_rf_center(rf)[0]
            pulse = rf.phase_offset + 2 * np.pi * rf.freq_offset * pp.calc_rf_center(rf)[0]
            mirrored = rf.use == "refocusing"
            phase = 2 * pulse - (phase + 2 * np.pi * moments(0.0, middle)) if mirrored else pulse
            begin = middle
        if block.adc is not None:
            adc = block.adc
            times = (np.arange(adc.num_samples) + 0.5) * adc.dwell
            spin = phase + 2 * np.pi * np.array([moments(begin, adc.delay + t) for t in times])
            receiver = adc.phase_offset + 2 * np.pi * adc.freq_offset * times
            samples.append(np.exp(1j * (spin - receiver)))
        if phase is not None:
            phase = phase + 2 * np.pi * moments(begin, block.block_duration)
    return np.concatenate(samples)


def _moments(block: Any, point_m: np.ndarray) -> Any:
    """The integral over time of gradient times position, in turns, by brute force on a fine raster."""
    raster = 1e-6
    times = np.arange(0, block.block_duration + raster / 2, raster)
    field = np.zeros_like(times)
    for axis, event in enumerate((block.gx, block.gy, block.gz)):
        if event is None:
            continue
        if event.type == "trap":
            corners = event.delay + np.cumsum([0, event.rise_time, event.flat_time, event.fall_time])
            values = [0, event.amplitude, event.amplitude, 0]
        else:
            corners, values = event.delay + event.tt, event.waveform
        field += point_m[axis] * np.interp(times, corners, values, left=0, right=0)
    turns = np.concatenate([[0], np.cumsum((field[1:] + field[:-1]) / 2 * raster)])
    return lambda start, end: float(np.interp(end, times, turns) - np.interp(start, times, turns))


def spin_echo() -> Any:
    """A user's own sequence in logical axes: slice-selective spin echo, eight lines, labels and a trigger."""
    sequence = pp.Sequence(SYSTEM)
    excite, select, back = pp.make_sinc_pulse(
        np.pi / 2, duration=2e-3, slice_thickness=5e-3, delay=1e-4, system=DESIGN, return_gz=True, use="excitation"
    )
    refocus, select_again, _ = pp.make_sinc_pulse(
        np.pi, duration=2e-3, slice_thickness=8e-3, delay=1e-4, system=DESIGN, return_gz=True, use="refocusing"
    )
    readout = pp.make_trapezoid("x", flat_area=16 / 0.2, flat_time=1.6e-3, system=DESIGN)
    receiver = pp.make_adc(16, duration=1.6e-3, delay=readout.rise_time, system=SYSTEM)
    for line in range(-4, 4):
        sequence.add_block(excite, select, pp.make_trigger("physio1", duration=1e-4))
        line_gradient = pp.make_trapezoid("y", area=line / 0.2 or 1e-6, duration=1e-3, system=DESIGN)
        read_gradient = pp.make_trapezoid("x", area=readout.area / 2, duration=1e-3, system=DESIGN)
        sequence.add_block(back, line_gradient, read_gradient)
        sequence.add_block(refocus, select_again)
        sequence.add_block(pp.make_delay(3e-3))
        sequence.add_block(readout, receiver, pp.make_label("LIN", "SET", line + 4))
    sequence.set_definition("Name", "my_spin_echo")
    return sequence


@pytest.mark.parametrize("make", [lambda g: gradient_echo_3d(g, PIXEL_MM, True), lambda g: spin_echo()])
@pytest.mark.parametrize(("slice_axis", "phase_axis"), [("superior", "right"), ("right", "superior")])
def test_a_spin_in_the_plan_gives_the_signal_of_the_same_spin_at_the_isocentre(
    make: Any, slice_axis: str, phase_axis: str
) -> None:
    geometry = scan_geometry(oblique_plan(slice_axis, phase_axis)[1])
    logical = make(geometry)
    placed = place_sequence(logical, geometry, "FFDR")
    for inside_m in (np.zeros(3), np.array([0.03, -0.02, 0.004])):  # along read, phase and slice
        lps = geometry.center_mm / 1000 + inside_m @ geometry.directions
        found = signal(placed, device_from_lps("FFDR") @ lps)
        np.testing.assert_allclose(found, signal(logical, inside_m), atol=2e-3)


def test_the_pulse_excites_the_middle_of_the_plan() -> None:
    """Its frequency is that of spins in the middle of the slab while the slab's gradient is on."""
    geometry = scan_geometry(oblique_plan()[1])
    placed = place_sequence(gradient_echo_3d(geometry, PIXEL_MM), geometry)
    block = placed.get_block(1)
    gradient = np.array([block.gx.amplitude, block.gy.amplitude, block.gz.amplitude])
    assert block.rf.freq_offset == pytest.approx(gradient @ geometry.center_mm / 1000)
    np.testing.assert_allclose(gradient / np.linalg.norm(gradient), geometry.directions[2], atol=1e-6)


def test_k_space_steps_are_those_of_the_field_of_view() -> None:
    geometry = scan_geometry(oblique_plan()[1])
    placed = place_sequence(gradient_echo_3d(geometry, PIXEL_MM), geometry)
    k_device = placed.calculate_kspace()[0]
    read, phase, partitions = matrix_of(geometry, PIXEL_MM)
    k = (geometry.directions @ k_device).reshape(3, partitions, phase, read)
    expected = 1000 / geometry.fov_mm
    np.testing.assert_allclose(np.diff(k[0], axis=2), expected[0], rtol=1e-4)
    np.testing.assert_allclose(np.diff(k[1], axis=1), expected[1], rtol=1e-4)
    np.testing.assert_allclose(np.diff(k[2], axis=0), expected[2], rtol=1e-4)
    np.testing.assert_allclose(k[:, partitions // 2, phase // 2, read // 2], 0, atol=1e-3)


@pytest.mark.parametrize(("slice_axis", "phase_axis"), SLABS)
def test_a_file_states_its_plan(tmp_path: Path, slice_axis: str, phase_axis: str) -> None:
    box, prescription = oblique_plan(slice_axis, phase_axis)
    geometry = scan_geometry(prescription)
    position = POSITIONS[SLABS.index((slice_axis, phase_axis))]
    write_sequence(place_sequence(gradient_echo_3d(geometry, 60.0), geometry, position), tmp_path / "plan.seq")
    assert_same_box(box_of_slab(read_sequence_geometry(tmp_path / "plan.seq"), box.name, slice_axis), box)


def test_a_file_keeps_the_physics(tmp_path: Path) -> None:
    geometry = scan_geometry(oblique_plan()[1])
    logical = gradient_echo_3d(geometry, 60.0)
    write_sequence(place_sequence(logical, geometry), tmp_path / "plan.seq")
    again = pp.Sequence()
    again.read(str(tmp_path / "plan.seq"))
    np.testing.assert_allclose(
        signal(again, geometry.center_mm / 1000), signal(logical, np.zeros(3)), atol=2e-2
    )  # the format keeps six digits


def test_a_users_sequence_keeps_its_times_labels_triggers_and_name() -> None:
    logical, geometry = spin_echo(), scan_geometry(oblique_plan()[1])
    placed = place_sequence(logical, geometry)
    assert placed.definitions["Name"] == "my_spin_echo"
    assert list(placed.block_durations.values()) == pytest.approx(list(logical.block_durations.values()))
    blocks = [placed.get_block(number) for number in placed.block_events]
    assert [block.label[0].value for block in blocks if block.label] == list(range(8))
    assert sum(1 for block in blocks if getattr(block, "trigger", None)) == 8


def test_a_plan_at_the_isocentre_changes_nothing() -> None:
    """Axial, unrotated, centred: only the axes are named otherwise."""
    geometry = scan_geometry(oblique_plan()[1])
    plain = type(geometry)(
        np.zeros(3), np.eye(3), geometry.fov_mm, geometry.slices, geometry.thickness_mm, geometry.gap_mm
    )
    logical = spin_echo()
    placed = place_sequence(logical, plain)
    for number in logical.block_events:
        before, after = logical.get_block(number), placed.get_block(number)
        for channel in ("gx", "gy", "gz"):
            a, b = getattr(before, channel), getattr(after, channel)
            assert (a is None) == (b is None)
            assert a is None or a.area == pytest.approx(b.area)
        assert before.rf is None or after.rf.freq_offset == before.rf.freq_offset


def test_ramp_sampling_is_refused() -> None:
    sequence = pp.Sequence(SYSTEM)
    readout = pp.make_trapezoid("x", area=50, duration=2e-3, system=DESIGN)
    sequence.add_block(readout, pp.make_adc(16, duration=1.6e-3, delay=5e-5, system=SYSTEM))
    with pytest.raises(UsageError, match="gradient changes during .* block 1"):
        place_sequence(sequence, scan_geometry(oblique_plan()[1]))


def test_blocks_that_shall_stay_are_refused() -> None:
    sequence = pp.Sequence(SYSTEM)
    sequence.add_block(pp.make_delay(1e-3), pp.make_label("NOPOS", "SET", 1))
    with pytest.raises(UsageError, match="label NOPOS"):
        place_sequence(sequence, scan_geometry(oblique_plan()[1]))


def test_a_mixture_beyond_the_limits_is_refused() -> None:
    sequence = pp.Sequence(SYSTEM)
    strong = [pp.make_trapezoid(axis, amplitude=SYSTEM.max_grad, flat_time=1e-3, system=SYSTEM) for axis in "xyz"]
    sequence.add_block(*strong)
    with pytest.raises(UsageError, match=r"block 1 .* exceeds the gradient limits"):
        place_sequence(sequence, scan_geometry(oblique_plan()[1]))


def test_the_example_of_the_guide_places_a_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    plan = calibrate(read_scouts(MIDDLE_SLICES), load_protocol("BrainAcPc"), load_model(device="cpu"))
    plan.save(tmp_path / "DIR", sources=MIDDLE_SLICES)
    spin_echo().write(str(tmp_path / "mine.seq"))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    found = read_sequence_geometry(tmp_path / "placed.seq")
    np.testing.assert_allclose(found.center_mm, plan.prescription.center_mm, atol=1e-3)


def test_a_file_without_a_plan_is_named(tmp_path: Path) -> None:
    spin_echo().write(str(tmp_path / "own.seq"))
    with pytest.raises(InputError, match="does not state a planned volume"):
        read_sequence_geometry(tmp_path / "own.seq")
