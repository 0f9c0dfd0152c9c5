import json

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.detector import detect
from AutoVolumeCalibrationLib.core.detection.fusion import fuse
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES, swap_ras_lps
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.storage.dataset import DATASET_FORMAT, write_dataset, write_stack
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks
from calibrations import scout_stacks
from fake_models import KnowingNetwork, fake_model
from head_phantom import phantom_head
from LandmarkTrainingLib.core.reference_heads import heads as heads_module
from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, move_points, random_pose
from LandmarkTrainingLib.core.simulator.study_rendering import studies_of_labels, studies_of_volumes

GEOMETRY = ScoutGeometry(slices=3, slice_spacing_mm=15.0, thickness_mm=6.0)


@pytest.fixture(scope="module")
def constellation():
    return load_protocol("BrainAcPc").constellation


@pytest.fixture(scope="module")
def labels(tmp_path_factory, constellation):
    """A folder with one label map: an ellipsoid in a turned, shifted world, its landmarks the reference's."""
    import SimpleITK

    folder = tmp_path_factory.mktemp("labels")
    index = np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij"), axis=-1)
    points = index * 4.0 - 118.0
    array = np.where(np.linalg.norm((points - [0, -18, 5]) / [68, 86, 75], axis=-1) < 1, 3, 0).astype(np.int16)
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing([4.0] * 3)
    image.SetDirection(np.diag([-1.0, -1.0, 1.0]).ravel().tolist())
    image.SetOrigin(swap_ras_lps(np.full(3, -118.0)).tolist())
    SimpleITK.WriteImage(image, str(folder / "head_07.nii.gz"))
    rows = [
        f"{name},{x},{y},{z},1.0,by hand"
        for name, (x, y, z) in zip(constellation.names, constellation.reference_mm, strict=True)
        if not name.startswith("HIPPOCAMPUS")
    ]
    (folder / "head_07.csv").write_text("label,x,y,z,uncertainty_mm,source\n" + "\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, labels, constellation):
    folder = tmp_path_factory.mktemp("data") / "set"
    studies = list(studies_of_labels(labels, constellation, GEOMETRY, 2, seed=5))
    assert write_dataset(folder, iter(studies), constellation) == 2
    return folder, studies


def test_a_data_set_has_the_files_of_every_study(dataset):
    folder, studies = dataset
    listed = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert listed == {"format": DATASET_FORMAT, "studies": [study.name for study in studies]}
    for study in studies:
        files = {path.name for path in (folder / "studies" / study.name).iterdir()}
        assert files == {f"{plane}.nrrd" for plane in PLANES} | {"landmarks.mrk.json", "provenance.json"}
        provenance = json.loads((folder / "studies" / study.name / "provenance.json").read_text(encoding="utf-8"))
        assert provenance == study.provenance and provenance["kind"] == "simulated"


def test_rendered_scouts_are_read_back_with_their_geometry(dataset):
    folder, studies = dataset
    for study in studies:
        place = folder / "studies" / study.name
        stacks = read_scouts([place / f"{plane}.nrrd" for plane in PLANES])
        assert [stack.plane for stack in stacks] == list(PLANES)
        for read, made in zip(stacks, study.stacks, strict=True):
            assert read.positions_mm == pytest.approx(made.positions_mm, abs=1e-3)
            for one, other in zip(read.slices, made.slices, strict=True):
                corner = np.array(other.pixels.shape) - 1
                assert one.to_pixel(other.to_world(corner)) == pytest.approx(corner, abs=1e-3)
                assert one.pixels == pytest.approx(other.pixels, abs=1e-5)


def test_landmarks_are_read_back_and_are_those_of_the_study(dataset, constellation):
    folder, studies = dataset
    for study in studies:
        read = {m.name: m for m in read_landmarks(folder / "studies" / study.name / "landmarks.mrk.json")}
        for mark in study.landmarks:
            if mark.status == MISSING:
                assert mark.name not in read or read[mark.name].position_mm is None
            else:
                assert mark.status == CORRECTED
                assert read[mark.name].position_mm == pytest.approx(mark.position_mm, abs=1e-3)


def test_what_a_head_lacks_is_missing_and_the_rest_forms_a_head(dataset):
    _, studies = dataset
    protocol = load_protocol("BrainAcPc")
    for study in studies:
        lost = {mark.name for mark in study.landmarks if mark.status == MISSING}
        assert lost == {name for name in protocol.constellation.names if name.startswith("HIPPOCAMPUS")}
        frame = fit_frame(study.landmarks, protocol)
        assert frame.outliers == () and max(frame.residuals_mm.values()) < 15


def test_a_perfect_model_finds_the_head_of_a_written_study(dataset, constellation):
    """Scouts and truth in the files fit each other: what a network should answer leads back to the landmarks."""
    folder, studies = dataset
    for study in studies:
        place = folder / "studies" / study.name
        stacks = read_scouts([place / f"{plane}.nrrd" for plane in PLANES])
        truth = {m.name: m.position_mm for m in read_landmarks(place / "landmarks.mrk.json")}
        points = np.array([p if (p := truth.get(n)) is not None else [np.nan] * 3 for n in constellation.names])
        network = KnowingNetwork(stacks, points, constellation.mirror_indices)
        model = fake_model(network, constellation.names, constellation.mirror_indices)
        fusion = fuse(detect(stacks, model), model.names, model.mirror, model.threshold, model.tau_mm, 5.0)
        found = {m.name: m.position_mm for m in fusion.landmarks if m.position_mm is not None}
        error = np.linalg.norm([found[name] - truth[name] for name in found], axis=1)
        assert len(found) > 30 and np.median(error) < 1.0 and np.percentile(error, 90) < 4.0


def test_the_same_seed_renders_the_same_study(labels, constellation, dataset):
    again = next(studies_of_labels(labels, constellation, GEOMETRY, 1, seed=5))
    other = next(studies_of_labels(labels, constellation, GEOMETRY, 1, seed=6))
    first = dataset[1][0]
    assert np.array_equal(again.stacks[0].slices[0].pixels, first.stacks[0].slices[0].pixels)
    assert not np.array_equal(other.stacks[0].slices[0].pixels, first.stacks[0].slices[0].pixels)


def test_a_data_set_is_not_overwritten(dataset, constellation):
    with pytest.raises(UsageError, match="already holds a data set"):
        write_dataset(dataset[0], iter([]), constellation)


def test_an_empty_folder_of_label_maps_is_told(tmp_path, constellation):
    with pytest.raises(InputError, match="holds no head_NN"):
        next(studies_of_labels(tmp_path, constellation, GEOMETRY, 1, seed=0))


def test_volumes_are_cut_in_the_pose_that_the_seed_gives(monkeypatch, constellation):
    head = phantom_head(load_protocol("BrainAcPc"))
    monkeypatch.setattr(heads_module, "list_heads", lambda folder, split: [head])
    tiny = ScoutGeometry(slices=1, pixel_mm=4.0, matrix=64)
    studies = list(studies_of_volumes("nowhere", "train", constellation, tiny, 2, seed=3))
    assert [study.provenance["kind"] for study in studies] == ["volume"] * 2
    for number, study in enumerate(studies):
        transform = head_to_scanner(random_pose(np.random.default_rng((3, number))), head.origin_mm, head.axes)
        for mark in study.landmarks:
            assert mark.position_mm == pytest.approx(move_points(transform, head.points[mark.name]))
        straight = cut_three_planes(head.volume(), tiny, center_mm=head.origin_mm)
        assert not np.array_equal(study.stacks[0].slices[0].pixels, straight[0].slices[0].pixels)


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (12.0, -8.0, 20.0)])
@pytest.mark.parametrize("slices", [1, 3])
def test_a_stack_is_written_with_its_geometry(tmp_path, turn, slices):
    for stack in scout_stacks(slices, rotation_deg=turn):
        write_stack(tmp_path / f"{stack.plane}.nrrd", stack)
    read = read_scouts([tmp_path / f"{plane}.nrrd" for plane in PLANES])
    for one, other in zip(read, scout_stacks(slices, rotation_deg=turn), strict=True):
        assert isinstance(one, ScoutStack) and len(one.slices) == slices
        for a, b in zip(one.slices, other.slices, strict=True):
            for corner in ([0, 0], [63, 0], [0, 63]):
                assert a.to_pixel(b.to_world(np.array(corner))) == pytest.approx(corner, abs=1e-3)
            assert (b.center_mm - a.center_mm) == pytest.approx(0, abs=1e-3)
            assert a.pixels == pytest.approx(b.pixels, abs=1e-3)
