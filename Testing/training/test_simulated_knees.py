"""Random knees: the landmarks move exactly with the deformed atlas, and the hinge bends what it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from LandmarkTrainingLib.core.simulator.knees import deformation
from LandmarkTrainingLib.core.simulator.knees.atlas import KneeAtlas, ShaftEnd
from LandmarkTrainingLib.core.simulator.knees.deformation import Build, deform, spline
from LandmarkTrainingLib.core.simulator.knees.shapes import random_turn, read_shapes
from LandmarkTrainingLib.core.simulator.knees.soft_tissue import cover
from LandmarkTrainingLib.core.simulator.knees.tissues import (
    CORTEX,
    FAT,
    HALF_MM,
    MARROW,
    MUSCLE,
    SKIN,
    VOXEL_MM,
)

BUILD = Build(1.2, 0.0, 1.0, 0.0, 0.12, 0.003, 0.5, 0.001)


@pytest.fixture(scope="module")
def shapes():
    return read_shapes(resource_path("Anatomies", "knee.json"))


@pytest.fixture(scope="module")
def atlas(shapes):
    """A leg, muscle round a straight bone, in whose muscle a small bone lies at each landmark of the mean knee."""
    spacing, origin = np.array([1.0, 1.0, 1.0]), np.array([-60.0, -60.0, -50.0])
    x, y, z = (n + o for n, o in zip(np.ogrid[:120, :140, :125], origin, strict=True))
    depth = 8.0 - np.hypot(x, y) + 0 * z
    for place in shapes.mean_mm:
        depth = np.maximum(depth, 4.0 - np.sqrt(sum((a - b) ** 2 for a, b in zip((x, y, z), place, strict=True))))
    tissues = np.where(np.hypot(x, y) + 0 * z < 58, MUSCLE, 0).astype(np.uint8)
    tissues[depth > 0] = MARROW
    still = np.zeros(2)
    return KneeAtlas(
        tissues,
        depth.astype(np.float32),
        np.full(depth.shape, 1.5, np.float32),
        np.zeros(depth.shape, np.float32),
        origin,
        spacing,
        dict(zip(shapes.names, shapes.mean_mm, strict=True)),
        0.0,
        ShaftEnd(74.0, still, still, still),
        ShaftEnd(-50.0, still, still, still),
    )


@pytest.fixture
def coarse_voxels(monkeypatch):
    """Larger voxels, so that a knee takes a second."""
    monkeypatch.setattr(deformation, "VOXEL_MM", 2.8)
    return 2.8


def test_a_spline_without_smoothing_passes_through_its_points():
    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 40, (2, 12, 3))
    assert spline(source, target, smoothing=0.0)(source) == pytest.approx(target, abs=1e-6)


def test_a_spline_of_a_rotation_is_that_rotation_everywhere():
    rng = np.random.default_rng(1)
    turn = Rotation.from_euler("XYZ", [10, -7, 12], degrees=True)
    source, others = rng.normal(0, 40, (2, 12, 3))
    assert spline(source, turn.apply(source) + [3, 4, 5])(others) == pytest.approx(
        turn.apply(others) + [3, 4, 5], abs=1e-6
    )


def test_the_map_at_a_point_is_the_map_of_its_voxel():
    rng = np.random.default_rng(2)
    count = deformation.grid_shape() // deformation.COARSE + 2
    coarse = rng.normal(0, 5, (*count, 3))
    fine = deformation._fine(coarse)
    voxels = rng.integers(0, deformation.grid_shape(), (50, 3))
    points = voxels * VOXEL_MM - HALF_MM
    assert deformation._interpolated(coarse, points) == pytest.approx(fine[tuple(voxels.T)], abs=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_landmark_lies_in_the_bone_that_marks_it(atlas, shapes, coarse_voxels, seed):
    """The small bone of a landmark that no other bone touches is centred on where the landmark is said to be."""
    rng = np.random.default_rng(seed)
    asked = shapes.random(rng)
    tissues, placed = deform(atlas, shapes, asked, BUILD, rng)
    assert np.linalg.norm(placed - asked, axis=1).max() < 4.0
    checked = 0
    grid = np.stack(np.meshgrid(*map(np.arange, tissues.shape), indexing="ij"), axis=-1) * coarse_voxels - HALF_MM
    bone = np.isin(tissues, (MARROW, CORTEX))
    for name, place in zip(shapes.names, placed, strict=True):
        others = np.linalg.norm(shapes.mean_mm - shapes.mean_mm[shapes.names.index(name)], axis=1)
        if np.hypot(*shapes.mean_mm[shapes.names.index(name)][:2]) < 20 or np.sort(others)[1] < 14:
            continue
        near = bone & (np.linalg.norm(grid - place, axis=-1) < 7)
        assert np.linalg.norm(grid[near].mean(axis=0) - place) < 1.2, name
        checked += 1
    assert checked >= 4


def test_the_shafts_reach_both_ends_of_the_volume(atlas, shapes, coarse_voxels):
    tissues, _ = deform(atlas, shapes, shapes.mean_mm, BUILD, np.random.default_rng(0))
    for slab in (tissues[:, :, 1], tissues[:, :, -2]):
        assert (slab == MARROW).any() and (slab == CORTEX).any() and (slab == MUSCLE).any()


def test_bending_turns_the_tibia_about_its_hinge_and_nothing_else(shapes):
    flexed = shapes.bent(shapes.mean_mm, np.array([-10.0, 0, 0]))
    femur, tibia = shapes.parts["femur"], shapes.parts["tibia"]
    assert np.array_equal(flexed[femur], shapes.mean_mm[femur])
    hinge = shapes.hinges[0].center_mm
    turn = Rotation.align_vectors(flexed[tibia] - hinge, shapes.mean_mm[tibia] - hinge)[0]
    assert np.rad2deg(turn.as_rotvec()) == pytest.approx([-10, 0, 0], abs=1e-6)
    # A bent knee's shin points backwards.
    shaft = shapes.names.index("TIBIA_SHAFT")
    assert flexed[shaft, 1] < shapes.mean_mm[shaft, 1] - 5


def test_random_knees_vary_about_the_mean_and_bend_by_up_to_15_deg(shapes):
    rng = np.random.default_rng(3)
    knees = np.array([shapes.random(rng) for _ in range(300)])
    femur = shapes.parts["femur"]
    assert np.abs(knees[:, femur].mean(axis=0) - shapes.mean_mm[femur]).max() < 0.6
    turns = np.array([random_turn(rng, shapes.hinges[0].flexion_sd_deg) for _ in range(300)])
    assert np.percentile(np.abs(turns[:, 0]), 95) == pytest.approx(15, abs=3)


def test_fat_and_skin_surround_the_leg():
    size = np.ceil(2 * HALF_MM / VOXEL_MM).astype(int)
    x, y = (n * VOXEL_MM - h for n, h in zip(np.ogrid[: size[0], : size[1]], HALF_MM, strict=False))
    leg = np.broadcast_to((np.hypot(x, y) < 45)[..., None], tuple(size)).astype(np.uint8)
    cover(leg, np.random.default_rng(0))
    row = leg[:, size[1] // 2, size[2] // 2]
    first = row[np.flatnonzero(row)[:3]]
    assert first[0] == SKIN and FAT in row and (row[row > 0][[0, -1]] == SKIN).all()
    assert not ((leg == 0) & (np.hypot(x, y) < 45)[..., None]).any()


def test_an_anatomy_of_one_body_describes_no_shapes():
    with pytest.raises(ProtocolError, match="does not describe a joint"):
        read_shapes(resource_path("Anatomies", "brain.json"))
