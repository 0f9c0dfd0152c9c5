"""Data sets from a site's own files: what belongs together is found, the rest is reported, nobody is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from AutoVolumeCalibrationLib.core.storage.dataset import study_folder, study_names, write_scouts
from command_line import write_points
from data_sets import PROTOCOL, noisy
from dicom_localizers import write_localizer
from LandmarkTrainingLib.core.datasets.building import Built, Skipped, build_dataset
from LandmarkTrainingLib.core.datasets.file_pairs import FilePair, find_pairs, read_point_file
from LandmarkTrainingLib.core.datasets.from_files import scout_candidates, volume_candidates
from LandmarkTrainingLib.core.datasets.reading import read_dataset, subject_of
from scout_files import tiny_stacks

POINTS = {"AC": (1.0, 2.0, 3.0), "PC": (1.0, -25.0, 4.0), "LATERAL_L": (-60.0, -20.0, 10.0)}
TINY = ScoutGeometry(slices=7, slice_spacing_mm=8.0, thickness_mm=4.0, pixel_mm=4.0, matrix=48)


def make_case(folder: Path, seed: int = 0, points: str = "landmarks.mrk.json") -> Path:
    """Three scout files and a point file."""
    folder.mkdir(parents=True)
    write_scouts(folder, noisy(tiny_stacks(), seed))
    write_points(folder / points, POINTS)
    return folder


def write_fcsv(path: Path) -> Path:
    rows = [f"{i},{x},{y},{z},0,0,0,1,1,1,0,{name},," for i, (name, (x, y, z)) in enumerate(POINTS.items())]
    path.write_text(
        "# Markups fiducial file version = 4.6\n# CoordinateSystem = 0\n" + "\n".join(rows), encoding="utf-8"
    )
    return path


def write_csv(path: Path) -> Path:
    rows = [f"{name},{x},{y},{z},1.0,hand" for name, (x, y, z) in POINTS.items()]
    path.write_text("label,x,y,z,uncertainty_mm,source\n" + "\n".join(rows), encoding="utf-8")
    return path


def write_ball(path: Path, center=(5.0, -10.0, 8.0)) -> Path:
    """A volume of 4 mm voxels with a small bright ball."""
    import SimpleITK

    index = np.stack(np.meshgrid(*[np.arange(48)] * 3, indexing="ij"), axis=-1)
    places = index * 4.0 - 94.0
    head = (100.0 + 0.1 * places.sum(axis=-1)) * (np.linalg.norm(places, axis=-1) < 70)
    head[np.linalg.norm(places - center, axis=-1) < 10] = 1000.0
    image = SimpleITK.GetImageFromArray(head.astype(np.float32).transpose(2, 1, 0))
    image.SetSpacing([4.0] * 3)
    image.SetDirection(np.diag([-1.0, -1.0, 1.0]).ravel().tolist())
    image.SetOrigin(swap_ras_lps(np.full(3, -94.0)).tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def build(folder: Path, candidates) -> Built:
    return build_dataset(folder, candidates, PROTOCOL.constellation)


def places_of(study):
    return {mark.name: mark.position_mm.round(6).tolist() for mark in study.landmarks}


@pytest.mark.parametrize("points", ["landmarks.mrk.json", "points.fcsv", "points.csv"])
def test_a_folder_of_scouts_and_points_is_a_study(tmp_path, points):
    case = make_case(tmp_path / "in" / "Doe_Jane")
    if points != "landmarks.mrk.json":
        (case / "landmarks.mrk.json").unlink()
        {"points.fcsv": write_fcsv, "points.csv": write_csv}[points](case / points)
    built = build(tmp_path / "set", scout_candidates(tmp_path / "in"))
    assert built.skipped == () and [name for name, _ in built.added] == ["case_0001"]
    (study,) = read_dataset(tmp_path / "set")
    assert places_of(study) == {name: list(place) for name, place in POINTS.items()}
    assert {stack.plane for stack in study.stacks} == {"sagittal", "coronal", "axial"}


def test_neither_names_of_files_nor_of_folders_get_into_the_set(tmp_path):
    make_case(tmp_path / "in" / "Doe_Jane" / "visit1")
    build(tmp_path / "set", scout_candidates(tmp_path / "in"))
    for path in (tmp_path / "set").rglob("*"):
        assert "Doe" not in str(path.relative_to(tmp_path))
        assert path.is_dir() or b"Doe" not in path.read_bytes()


def test_a_dicom_folder_below_its_point_file_is_found(tmp_path):
    case = tmp_path / "in" / "one"
    write_localizer(tiny_stacks(), case / "dicom")
    write_points(case / "landmarks.mrk.json", POINTS)
    assert len(build(tmp_path / "set", scout_candidates(tmp_path / "in")).added) == 1


def test_files_that_begin_alike_are_a_study_each_and_the_longer_name_wins(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for stem, seed in (("case1", 1), ("case1_b", 2)):
        for path in write_scouts(tmp_path, noisy(tiny_stacks(), seed)):
            path.rename(source / f"{stem}_{path.name}")
        write_points(source / f"{stem}.mrk.json", POINTS)
    pairs = {pair.points.name: [path.name for path in pair.images] for pair in find_pairs(source)}
    planes = ("axial", "coronal", "sagittal")
    assert pairs == {
        "case1.mrk.json": [f"case1_{plane}.nrrd" for plane in planes],
        "case1_b.mrk.json": [f"case1_b_{plane}.nrrd" for plane in planes],
    }
    assert len(build(tmp_path / "set", scout_candidates(source)).added) == 2


def test_the_visits_of_one_person_share_a_subject_that_does_not_name_the_person(tmp_path):
    for place in ("jane/first", "jane/second", "john/only", "single"):
        make_case(tmp_path / "in" / place, seed=len(place))
    build(tmp_path / "set", scout_candidates(tmp_path / "in"))
    subjects = [subject_of(study) for study in read_dataset(tmp_path / "set")]
    assert len(set(subjects)) == 3 and subjects[0] == subjects[1]
    assert all(subject.startswith("case_") for subject in subjects)


def test_one_damaged_study_is_reported_and_the_others_are_made(tmp_path):
    make_case(tmp_path / "in" / "a", 1)
    (make_case(tmp_path / "in" / "b", 2) / "axial.nrrd").write_bytes(b"NRRD0004\nbroken")
    make_case(tmp_path / "in" / "c", 3)
    built = build(tmp_path / "set", scout_candidates(tmp_path / "in"))
    assert [Path(source).parent.name for _, source in built.added] == ["a", "c"]
    (skipped,) = built.skipped
    assert "b" in Path(skipped.source).parent.name and "axial.nrrd" in skipped.reason
    assert study_names(tmp_path / "set") == ["case_0001", "case_0002"]


def test_images_without_points_and_points_without_images_are_reported(tmp_path):
    source = tmp_path / "in"
    make_case(source / "whole")
    (make_case(source / "unlabelled") / "landmarks.mrk.json").unlink()
    (source / "mixed").mkdir()
    write_points(source / "mixed" / "a.mrk.json", POINTS)
    write_points(source / "mixed" / "b.mrk.json", POINTS)
    write_ball(source / "mixed" / "c.nrrd")
    reported = {Path(found.source).name for found in find_pairs(source) if isinstance(found, Skipped)}
    assert reported == {"unlabelled", "a.mrk.json", "b.mrk.json", "c.nrrd"}


def test_a_result_folder_can_be_added_its_box_is_no_point_file(tmp_path):
    case = make_case(tmp_path / "in" / "one")
    (case / "scanbox.mrk.json").write_text("{}", encoding="utf-8")
    assert len(build(tmp_path / "set", scout_candidates(tmp_path / "in")).added) == 1


def test_unlocked_predictions_alone_make_no_study(tmp_path):
    case = make_case(tmp_path / "in" / "one")
    text = json.loads((case / "landmarks.mrk.json").read_text(encoding="utf-8"))
    for point in text["markups"][0]["controlPoints"]:
        point["description"] = "[predicted, confidence 0.90, sd 1.0 mm]"
    (case / "landmarks.mrk.json").write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(InputError, match="no point that the user placed"):
        read_point_file(case / "landmarks.mrk.json")


def test_a_second_build_adds_what_the_set_does_not_hold_yet(tmp_path):
    make_case(tmp_path / "in" / "a")
    build(tmp_path / "set", scout_candidates(tmp_path / "in"))
    make_case(tmp_path / "in" / "b", seed=1)
    again = build(tmp_path / "set", scout_candidates(tmp_path / "in"))
    assert study_names(tmp_path / "set") == ["case_0001", "case_0002"]
    assert [Path(source).parent.name for _, source in again.added] == ["b"]
    assert [skipped.reason for skipped in again.skipped] == ["is in the set already, as case_0001"]


def test_a_set_that_cannot_be_written_is_an_error_and_no_skipped_study(tmp_path):
    make_case(tmp_path / "in" / "a")
    (tmp_path / "set").write_text("", encoding="utf-8")
    with pytest.raises(UsageError):
        build(tmp_path / "set" / "below", scout_candidates(tmp_path / "in"))


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_point_files_is_an_error_that_says_what_to_save(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        list(find_pairs(tmp_path / name))


def test_volumes_are_cut_at_random_poses_and_the_points_move_with_the_image(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    center = (5.0, -10.0, 8.0)
    write_ball(source / "head.nii.gz", center)
    write_points(source / "head.mrk.json", {"AC": center})
    built = build(tmp_path / "set", volume_candidates(source, TINY, 4, seed=3))
    studies = read_dataset(tmp_path / "set")
    assert len(built.added) == len(studies) == 4
    assert len({subject_of(study) for study in studies}) == 1
    places = np.array([study.landmarks[0].position_mm for study in studies])
    assert np.linalg.norm(places - places[0], axis=1)[1:].min() > 2
    for study, place in zip(studies, places, strict=True):
        slices = [one for stack in study.stacks for one in stack.slices]
        through = [one for one in slices if abs((place - one.origin_mm) @ one.normal) < 4]
        assert through
        for one in through:
            brightest = np.argwhere(one.pixels > 0.5 * one.pixels.max()).mean(axis=0)
            assert one.to_pixel(place) == pytest.approx(brightest, abs=1)


def test_the_same_seed_gives_the_same_scouts(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write_ball(source / "head.nrrd")
    write_csv(source / "head.csv")
    for name in ("one", "two"):
        build(tmp_path / name, volume_candidates(source, TINY, 1, seed=3))
    build(tmp_path / "three", volume_candidates(source, TINY, 1, seed=4))
    one, two, three = (
        (study_folder(tmp_path / n, "case_0001") / "axial.nrrd").read_bytes() for n in ("one", "two", "three")
    )
    assert one == two != three


def test_a_volume_needs_one_image(tmp_path):
    make_case(tmp_path / "in" / "scouts")
    (skipped,) = build(tmp_path / "set", volume_candidates(tmp_path / "in", TINY, 1, seed=0)).skipped
    assert "3 images lie beside it" in skipped.reason


def test_pairs_tell_the_folder_below_the_root(tmp_path):
    make_case(tmp_path / "subject" / "visit")
    (pair,) = find_pairs(tmp_path)
    assert isinstance(pair, FilePair) and pair.folder == Path("subject/visit")
