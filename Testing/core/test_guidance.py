"""What a sequential model is shown of landmarks that a person placed, slice by slice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.detector import BATCH, detect
from AutoVolumeCalibrationLib.core.detection.heatmaps import amplitude
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.workflow import localization as localisation
from AutoVolumeCalibrationLib.core.workflow.localization import locate
from fake_models import PIXEL_MM, STEM, TAU_MM, BrightestPlace, fake_model, spot_stack
from guided_networks import Believer, FollowingNetwork
from posed_landmarks import random_placement

NAMES, MIRROR = ("MIDDLE", "LEFT", "RIGHT"), (0, 2, 1)
BRIGHT = np.zeros(3)


def believer(**changes):
    return fake_model(Believer(len(NAMES)), NAMES, MIRROR, guided=True, **changes)


def placed(**places_mm):
    return [Landmark(name).corrected(np.array(place, dtype=float)) for name, place in places_mm.items()]


def three_planes(turn=None, **options):
    return [
        spot_stack(plane, BRIGHT, (-16.0, -3.0, 9.0), axes=turn, shift_mm=(6.0, -5.0), **options) for plane in PLANES
    ]


@pytest.mark.parametrize("seed", range(6))
def test_the_peak_lies_at_the_landmark_s_pixel_and_tells_its_distance(seed):
    rng = np.random.default_rng(seed)
    stacks = three_planes(
        random_placement(seed, angle_deg=20.0).turn,
        shape=tuple(int(n) for n in rng.integers(180, 300, 2)),
        spacing_mm=tuple(rng.uniform(0.8, 1.2, 2)),
        orientation=tuple(rng.random(3) < 0.5),
    )
    upright = random_placement(seed + 50, angle_deg=rng.uniform(0, 25)).turn if seed % 2 else None
    places = {name: rng.uniform(-40, 40, 3) for name in NAMES}
    found = detect(stacks, believer(), guidance=placed(**places), head_axes=upright)
    middle = (places["LEFT"] + places["RIGHT"]) / 2
    for stack in found:
        single = [places["MIDDLE"], *(middle, middle)] if stack.sagittal else list(places.values())
        for number, position in enumerate(stack.positions_mm):
            for k, place in enumerate(single):
                assert stack.points_mm[number, k] == pytest.approx(stack.axes[:2] @ place, abs=0.05)
                expected = amplitude(stack.axes[2] @ place - position, TAU_MM)
                # A peak between pixels is cut by at most half a pixel's fall along both axes.
                assert 0.9 * expected <= stack.peak_values[number, k] <= expected + 1e-6


def test_slices_of_several_batches_each_get_their_own_maps():
    stack = spot_stack("axial", BRIGHT, np.arange(2 * BATCH + 3) * 2.0, shape=(96, 96))
    (found,) = detect([stack], believer(), guidance=placed(MIDDLE=(0, 0, 20)))
    assert found.positions_mm[np.argmax(found.peak_values[:, 0])] == pytest.approx(20)


def test_nothing_is_told_of_what_has_no_place_or_another_name():
    model = believer()
    detect(three_planes(), model, guidance=[Landmark("MIDDLE"), *placed(NOSE=(0, 0, 0))])
    assert not torch.cat(model.network.told).any()


def test_nothing_is_told_where_the_projection_lies_outside_the_image():
    (found,) = detect([spot_stack("axial", BRIGHT, shape=(100, 100))], believer(), guidance=placed(MIDDLE=(51, 0, 0)))
    assert found.peak_values[0, 0] == 0
    (found,) = detect([spot_stack("axial", BRIGHT, shape=(100, 100))], believer(), guidance=placed(MIDDLE=(49, 0, 0)))
    assert found.peak_values[0, 0] > 0.9


def test_nothing_is_told_where_only_the_turned_image_reaches():
    corner, stack = placed(MIDDLE=(56, 0, 0)), spot_stack("axial", BRIGHT, shape=(100, 100))
    diagonal = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
    (turned,) = detect([stack], believer(), guidance=corner, head_axes=diagonal)
    assert turned.peak_values[0, 0] == 0
    (turned,) = detect([stack], believer(), guidance=placed(MIDDLE=(45, 0, 0)), head_axes=diagonal)
    assert turned.peak_values[0, 0] > 0.9 and turned.points_mm[0, 0] @ turned.axes[:2] == pytest.approx(
        [45, 0, 0], abs=0.05
    )


def test_half_a_pair_is_told_but_in_sagittal_slices():
    found = detect(three_planes(), believer(), guidance=placed(LEFT=(-30, 5, 5)))
    assert [stack.peak_values[:, 1].max() > 0.3 for stack in found] == [False, True, True]
    assert not any(stack.peak_values[:, 2].any() for stack in found)


def test_without_given_landmarks_the_network_is_asked_as_any_other():
    model = believer()
    detect(three_planes(), model)
    assert set(model.network.told) == {None}
    detect([spot_stack("axial", BRIGHT)], fake_model(BrightestPlace()))


def test_both_passes_are_told_and_the_others_follow(monkeypatch):
    # The network answers slice after slice: it is not asked how the head looks the other way round.
    monkeypatch.setattr(localisation.StudyLocalizer, "resolve_half_turn", lambda self, located, frame: None)
    protocol = load_protocol("BrainAcPc")
    constellation = protocol.constellation
    # Turned so far in all planes that all slices get a second look.
    turn = Rotation.from_euler("xyz", [18.0, 18.0, 18.0], degrees=True).as_matrix()
    points = constellation.reference_mm @ turn.T - turn @ [0.0, -18.0, 5.0]
    offsets = [-36.0, -18.0, 0.0, 18.0, 36.0]
    stacks = [
        spot_stack(plane, BRIGHT, offsets, shape=(128, 128), spacing_mm=(PIXEL_MM, PIXEL_MM), spot_mm=50.0)
        for plane in PLANES
    ]
    network = FollowingNetwork(stacks, points, constellation.mirror_indices, head_axes=turn.T)
    model = fake_model(network, constellation.names, constellation.mirror_indices, guided=True)
    given = [Landmark("AC").corrected(points[constellation.names.index("AC")])]
    errors = {}
    for told in ((), given):
        found = locate(stacks, protocol, model, guidance=told).landmarks
        errors[len(told)] = [np.linalg.norm(m.position_mm - p) for m, p in zip(found, points, strict=True)]
    assert np.median(errors[0]) > STEM * PIXEL_MM
    assert np.median(errors[1]) < 1.0
