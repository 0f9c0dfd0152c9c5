import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, LandmarkDefinition
from AutoVolumeCalibrationLib.core.detection.detector import detect
from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets, to_heatmap_pixels
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import SAGITTAL_PAIRS
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from fake_models import PIXEL_MM, SIGMA_MM, STEM, TAU_MM, fake_model, spot_stack
from labelled_studies import MIRROR, NAMES, PLACES, spot_study
from LandmarkTrainingLib.core.datasets.reading import read_dataset
from LandmarkTrainingLib.core.simulator.render import project_landmarks, simulate_study
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.simulator.study_rendering import simulated_study
from LandmarkTrainingLib.core.slices.augmentation import Augmentation
from LandmarkTrainingLib.core.slices.study_source import StudySource
from LandmarkTrainingLib.core.slices.targets import TargetSettings, make_targets
from toy_heads import MIRROR as TOY_MIRROR
from toy_heads import NAMES as TOY_NAMES
from toy_heads import toy_heads

SPOT = np.array(PLACES["SPOT"])
OBLIQUE = Rotation.from_euler("XYZ", [17, -12, 23], degrees=True).as_matrix()
TARGETS = TargetSettings(SIGMA_MM, TAU_MM, STEM, PIXEL_MM)


def source_of(*studies, settings=SliceSettings(), augmentation=Augmentation.none()):  # noqa: B008 (both are frozen)
    return StudySource(studies, NAMES, MIRROR, settings, augmentation)


def stacks_of_all_kinds():
    """Stored eight ways, oblique, anisotropic, off centre; none wider than the network's grid."""
    return [
        spot_stack("sagittal", SPOT, (4.0, 12.0), shape=(230, 256), orientation=(True, False, True)),
        spot_stack("coronal", SPOT, (-20.0,), shape=(201, 187), spacing_mm=(1.17, 0.71), shift_mm=(9.0, 17.0)),
        spot_stack("axial", SPOT, (20.0, 30.0, 45.0), axes=OBLIQUE, orientation=(False, True, False)),
    ]


class Recorder(torch.nn.Module):
    """Keeps what it is given and answers with prepared heatmaps, zeros without."""

    def __init__(self, answers=None):
        super().__init__()
        self.answers, self.seen = answers, []

    def forward(self, batch):
        done = sum(map(len, self.seen))
        self.seen.append(batch.clone())
        if self.answers is not None:
            return self.answers[done : done + len(batch)]
        return torch.zeros(len(batch), len(NAMES), *(n // STEM for n in batch.shape[-2:]))


def test_slices_are_what_a_model_is_given_when_it_looks_for_landmarks():
    study, recorder = spot_study(stacks=stacks_of_all_kinds()), Recorder()
    detect(study.stacks, fake_model(recorder, NAMES, MIRROR))
    given = torch.cat(recorder.seen)
    slices = source_of(study).all_slices()
    assert given.shape[-2:] == slices.images.shape[-2:] == (128, 128)
    torch.testing.assert_close(slices.images, (given[:, 0] + 1) / 2, atol=1e-6, rtol=0)
    assert torch.equal(torch.nn.functional.one_hot(slices.planes, 3).float(), given[:, 1:, 0, 0])


def test_a_slice_wider_than_the_grid_is_its_middle():
    study, recorder = spot_study(stacks=[spot_stack("axial", SPOT, shape=(301, 290))]), Recorder()
    detect(study.stacks, fake_model(recorder, NAMES, MIRROR))
    (given,) = recorder.seen
    assert given.shape[-2:] == (160, 160)
    images = source_of(study).all_slices().images
    torch.testing.assert_close(images[0], (given[0, 0, 16:-16, 16:-16] + 1) / 2, atol=1e-6, rtol=0)


def test_answering_with_the_targets_leads_a_model_back_to_the_landmarks():
    study = spot_study(stacks=stacks_of_all_kinds())
    slices = source_of(study).all_slices()
    heatmaps = render_targets(
        to_heatmap_pixels(slices.points, STEM), torch.ones(slices.points.shape[:2]), (64, 64), TARGETS.sigma_pixels
    )
    found = detect(study.stacks, fake_model(Recorder(heatmaps), NAMES, MIRROR))
    places = np.array(list(PLACES.values()))
    start = 0
    for stack in found:
        expected = (places + places[MIRROR]) / 2 if stack.sagittal else places
        for i, position in enumerate(stack.positions_mm):
            visible = slices.visible[start + i].numpy()
            assert visible.sum() >= 2
            assert stack.points_mm[i][visible] == pytest.approx((expected @ stack.axes[:2].T)[visible], abs=0.05)
            assert slices.depths_mm[start + i].numpy() == pytest.approx(expected @ stack.axes[2] - position, abs=1e-3)
        start += len(stack.positions_mm)


def test_the_spot_is_seen_at_its_pixel():
    slices = source_of(spot_study(stacks=stacks_of_all_kinds())).all_slices()
    for image, (row, column) in zip(slices.images, slices.points[:, 0], strict=True):
        bright = (image - 0.5).clamp_min(0)
        steps = torch.arange(128.0)
        assert float(bright.sum(1) @ steps / bright.sum()) == pytest.approx(float(row), abs=0.15)
        assert float(bright.sum(0) @ steps / bright.sum()) == pytest.approx(float(column), abs=0.15)


@pytest.mark.parametrize("pairs", SAGITTAL_PAIRS)
def test_simulated_studies_give_the_slices_that_the_simulator_would(pairs):
    marks = [(name, TOY_NAMES[partner]) for name, partner in zip(TOY_NAMES, TOY_MIRROR, strict=True)]
    definitions = [
        LandmarkDefinition(name, name, "", np.zeros(3), np.ones(3), PLANES, None if partner == name else partner)
        for name, partner in marks
    ]
    constellation = Constellation(tuple(definitions), np.zeros((0, 3 * len(marks))))
    heads, geometry = toy_heads(4.0), ScoutGeometry(slices=3, slice_spacing_mm=20.0)
    settings = SliceSettings(matrix=64, pixel_mm=4.0, profile_samples=1, sagittal_pairs=pairs)
    made = simulate_study(heads, TOY_MIRROR, geometry, (5, 1), settings)
    everywhere = torch.ones_like(made.images, dtype=torch.bool)
    landmarks = made.landmarks_mm.expand(len(made.images), -1, -1)
    wanted = project_landmarks(made.images, everywhere, made.planes, landmarks, TOY_MIRROR, settings)
    study = simulated_study(heads, constellation, geometry, (5, 1), settings)
    slices = StudySource([study], TOY_NAMES, TOY_MIRROR, settings, Augmentation.none()).all_slices()
    for name in ("planes", "points", "depths_mm", "visible"):
        got, expected = getattr(slices, name), getattr(wanted, name)
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=0, equal_nan=True, check_dtype=False)
    for got, expected in zip(slices.images, wanted.images, strict=True):
        assert np.corrcoef(got.flatten(), expected.flatten())[0, 1] > 0.99


def test_half_a_pair_is_unknown_in_sagittal_slices_and_known_in_the_others():
    slices = source_of(spot_study(places={**PLACES, "LEFT": None})).all_slices()
    assert slices.known.tolist() == [[True, False, False], [True, False, True], [True, False, True]]
    assert torch.isnan(slices.points[~slices.known]).all() and not slices.visible[~slices.known].any()


def test_what_a_person_took_away_is_known_to_be_nowhere():
    places = {"SPOT": PLACES["SPOT"], "LEFT": None}
    slices = source_of(spot_study(places=places, removed=["LEFT"])).all_slices()
    left = NAMES.index("LEFT")
    # Of the pair's other point nothing is known, so neither of their middle in the sagittal slice.
    assert slices.known[:, left].tolist() == [False, True, True]
    assert not slices.visible[:, left].any()
    targets = make_targets(slices, TARGETS)
    assert (
        targets.known[1:, left].all() and not targets.heatmaps[:, left].any() and not targets.peak_values[:, left].any()
    )
    both = source_of(spot_study(places=places, removed=["LEFT", "RIGHT"])).all_slices()
    assert both.known.all() and torch.isfinite(make_targets(both, TARGETS).heatmaps).all()


def test_a_point_placed_after_it_was_taken_away_counts():
    slices = source_of(spot_study(removed=list(NAMES))).all_slices()
    assert torch.isfinite(slices.depths_mm).all()


def test_what_lies_outside_the_slice_or_the_grid_is_known_but_not_visible():
    small = spot_stack("coronal", SPOT, shape=(100, 60))
    wide = spot_stack("coronal", SPOT, shape=(380, 380))
    for places, visible in (
        ({"SPOT": (0.0, 0.0, 150.0), "LEFT": (-31.5, 0.0, 20.0), "RIGHT": (31.5, 0.0, 20.0)}, [0, 0, 0, 0, 1, 1]),
        ({"SPOT": (0.0, 0.0, 51.5), "LEFT": (-28.5, 0.0, 20.0), "RIGHT": (28.5, 0.0, -49.0)}, [0, 1, 1, 1, 1, 1]),
    ):
        slices = source_of(spot_study(stacks=[small, wide], places=places)).all_slices()
        assert slices.known.all() and slices.visible.flatten().tolist() == visible
    assert not slices.images[0, :, :40].any() and not slices.images[0, :30].any()


def test_one_study_of_three_slices_is_enough():
    source = source_of(spot_study(), augmentation=Augmentation())
    assert len(source) == 3
    batch = source.batch(7, (0, 1))
    assert batch.images.shape == (7, 128, 128) and batch.points.shape == (7, 3, 2)
    assert make_targets(batch, TARGETS).heatmaps.shape == (7, 3, 64, 64)


def test_batches_depend_on_the_seed_alone():
    def made(seed):
        batch = source_of(spot_study(), augmentation=Augmentation()).batch(6, seed)
        return torch.cat([tensor.flatten().nan_to_num(-1.0).float() for tensor in vars(batch).values()])

    assert torch.equal(made((3, 4)), made((3, 4)))
    assert not torch.equal(made((3, 4)), made((3, 5)))


def test_every_slice_is_drawn_and_without_augmentation_is_as_it_is():
    source = source_of(spot_study(stacks=stacks_of_all_kinds()))
    plain, drawn = source.all_slices(), source.batch(40, (1,))
    match = torch.cdist(drawn.depths_mm, plain.depths_mm).argmin(dim=1)
    assert set(match.tolist()) == set(range(len(source)))
    torch.testing.assert_close(drawn.images, plain.images[match], atol=1e-6, rtol=0)
    torch.testing.assert_close(drawn.points, plain.points[match], atol=1e-4, rtol=0)
    assert torch.equal(drawn.visible, plain.visible[match])


def test_changing_what_was_given_leaves_the_source_as_it_was():
    source = source_of(spot_study())
    source.all_slices().images.zero_()
    source.batch(5, (0,)).images.zero_()
    assert (source.all_slices().images.amax(dim=(1, 2)) > 0.9).all()


def test_slices_know_their_study_and_person():
    one, other = spot_study("a"), spot_study("b", stacks_of_all_kinds(), subject="someone")
    source = source_of(one, other)
    assert source.study_of_slice.tolist() == [0] * 3 + [1] * 6
    assert source.subject_of_slice.tolist() == ["a"] * 3 + ["someone"] * 6


def test_studies_read_from_a_folder_give_the_same_slices(tmp_path):
    definitions = [LandmarkDefinition(name, name, "", np.zeros(3), np.ones(3), PLANES) for name in NAMES]
    study = spot_study(stacks=stacks_of_all_kinds(), removed=["RIGHT"], places={**PLACES, "RIGHT": None})
    write_dataset(tmp_path, [study], Constellation(tuple(definitions), np.zeros((0, 9))))
    made, read = (source_of(*studies).all_slices() for studies in ([study], read_dataset(tmp_path)))
    order = torch.argsort(read.planes, stable=True)  # the files are read in the order of their names
    for name, tensor in vars(made).items():
        torch.testing.assert_close(getattr(read, name)[order], tensor, atol=1e-3, rtol=0, equal_nan=True)


def test_no_study_and_no_known_landmark_are_told():
    with pytest.raises(InputError, match="no stud"):
        source_of()
    with pytest.raises(InputError, match="nobody: has none of the landmarks.*SPOT"):
        source_of(spot_study("nobody", places={"CHIN": (0.0, 0.0, 0.0)}))
