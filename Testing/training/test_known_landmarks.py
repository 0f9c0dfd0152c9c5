"""A model is told of landmarks in the very maps that it was taught with."""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, LandmarkDefinition
from AutoVolumeCalibrationLib.core.detection.detector import detect
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from fake_models import PIXEL_MM, SIGMA_MM, STEM, TAU_MM, fake_model, spot_stack
from guided_networks import Believer
from labelled_studies import MIRROR, NAMES, PLACES, spot_study
from LandmarkTrainingLib.core.simulator.render import project_landmarks, simulate_study
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.simulator.study_rendering import simulated_study
from LandmarkTrainingLib.core.slices.augmentation import Augmentation
from LandmarkTrainingLib.core.slices.study_source import StudySource
from LandmarkTrainingLib.core.slices.targets import TargetSettings, make_targets
from toy_heads import MIRROR as TOY_MIRROR
from toy_heads import NAMES as TOY_NAMES
from toy_heads import toy_heads

TARGETS = TargetSettings(SIGMA_MM, TAU_MM, STEM, PIXEL_MM)


def told_to(study, names, mirror, **changes):
    """The maps that a model with these landmarks is shown of the study's."""
    network = Believer(len(names))
    detect(study.stacks, fake_model(network, names, mirror, guided=True, **changes), guidance=study.landmarks)
    return torch.cat(network.told)


def taught_on(study):
    slices = StudySource([study], NAMES, MIRROR, SliceSettings(), Augmentation.none()).all_slices()
    return make_targets(slices, TARGETS).heatmaps


def test_the_maps_are_the_targets_of_a_study_of_the_same_scouts():
    spot, oblique = np.array(PLACES["SPOT"]), np.linalg.qr(np.eye(3) + 0.2 * np.arange(9).reshape(3, 3) / 9)[0]
    stacks = [
        spot_stack("sagittal", spot, (4.0, 12.0), shape=(230, 256), orientation=(True, False, True)),
        spot_stack("coronal", spot, (-20.0,), shape=(201, 187), spacing_mm=(1.17, 0.71), shift_mm=(9.0, 17.0)),
        spot_stack("axial", spot, (20.0, 30.0, 45.0), axes=oblique * np.sign(np.diagonal(oblique))[:, None]),
    ]
    study = spot_study(stacks=stacks)
    taught = taught_on(study)
    assert float(taught.amax()) > 0.9
    torch.testing.assert_close(told_to(study, NAMES, MIRROR), taught, atol=1e-4, rtol=0)


def test_they_are_those_of_a_study_without_a_pair_s_other_point_and_with_points_out_of_the_image():
    study = spot_study(places={"SPOT": (13.3, 140.0, 31.9), "LEFT": PLACES["LEFT"], "RIGHT": None})
    taught = taught_on(study)
    shown = taught.flatten(2).amax(2) > 0
    assert shown.tolist() == [[False, False, False], [True, True, False], [False, True, False]]
    torch.testing.assert_close(told_to(study, NAMES, MIRROR), taught, atol=1e-4, rtol=0)


def test_they_are_those_that_the_simulator_teaches_with():
    marks = [(name, TOY_NAMES[partner]) for name, partner in zip(TOY_NAMES, TOY_MIRROR, strict=True)]
    definitions = [
        LandmarkDefinition(name, name, "", np.zeros(3), np.ones(3), PLANES, None if partner == name else partner)
        for name, partner in marks
    ]
    constellation = Constellation(tuple(definitions), np.zeros((0, 3 * len(marks))))
    heads, geometry = toy_heads(4.0), ScoutGeometry(slices=3, slice_spacing_mm=20.0)
    settings = SliceSettings(matrix=64, pixel_mm=4.0, profile_samples=1)
    made = simulate_study(heads, TOY_MIRROR, geometry, (5, 1), settings)
    everywhere = torch.ones_like(made.images, dtype=torch.bool)
    landmarks = made.landmarks_mm.expand(len(made.images), -1, -1)
    slices = project_landmarks(made.images, everywhere, made.planes, landmarks, TOY_MIRROR, settings)
    taught = make_targets(slices, TargetSettings(SIGMA_MM, TAU_MM, STEM, settings.pixel_mm)).heatmaps
    study = simulated_study(heads, constellation, geometry, (5, 1), settings)
    told = told_to(study, TOY_NAMES, TOY_MIRROR, pixel_mm=settings.pixel_mm)
    assert float(taught.amax()) > 0.5
    torch.testing.assert_close(told, taught, atol=1e-3, rtol=0)
