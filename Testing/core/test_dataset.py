"""Data sets grow by corrected studies: nothing is replaced, nobody is named, and the readers read it all back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING, Landmark
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.stack import is_even
from AutoVolumeCalibrationLib.core.storage import dataset
from AutoVolumeCalibrationLib.core.storage.dataset import DATASET_FORMAT, add_study, study_names, write_scouts
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks
from calibrations import calibration, scout_stacks
from scout_files import tiny_stacks, write_image

SECRET = "DOE^JANE"


def uneven(stack):
    """The stack without its second slice of five: gaps of 40, 20, 20 mm."""
    return replace(stack, slices=stack.slices[:1] + stack.slices[2:])


def assert_same_slices(read, written):
    assert [stack.plane for stack in read] == [stack.plane for stack in written]
    for one, other in zip(read, written, strict=True):
        assert one.positions_mm == pytest.approx(other.positions_mm, abs=1e-3)
        for a, b in zip(one.slices, other.slices, strict=True):
            assert a.pixels == pytest.approx(b.pixels, abs=1e-3)
            for corner in ([0, 0], [63, 0], [0, 63]):
                assert a.to_pixel(b.to_world(np.array(corner))) == pytest.approx(corner, abs=1e-3)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_first_study_makes_the_set_and_a_second_one_is_appended(tmp_path):
    folder = tmp_path / "new" / "set"
    first = add_study(folder, calibration())
    before = contents(folder / "studies")
    second = add_study(folder, calibration(), name="site-A_07")
    listed = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert listed == {"format": DATASET_FORMAT, "studies": [first.name, "site-A_07"]}
    assert study_names(folder) == [first.name, "site-A_07"]
    assert second == folder / "studies" / "site-A_07"
    assert before.items() <= contents(folder / "studies").items()
    files = {path.name for path in first.iterdir()}
    assert files == {f"{plane}.nrrd" for plane in PLANES} | {"landmarks.mrk.json", "provenance.json"}


def test_the_study_is_read_back_with_what_a_person_set_and_what_was_predicted(tmp_path):
    plan = calibration()
    place = add_study(tmp_path, plan)
    assert_same_slices(read_scouts([place]), sorted(plan.stacks, key=lambda s: sorted(PLANES).index(s.plane)))
    points = {point.name: point for point in read_landmarks(place / "landmarks.mrk.json")}
    for mark in plan.landmarks:
        assert points[mark.name].locked is (mark.status == CORRECTED)
        assert mark.status in points[mark.name].description
        if mark.status == MISSING:
            assert points[mark.name].position_mm is None
        else:
            assert points[mark.name].position_mm == pytest.approx(mark.position_mm)


def test_the_provenance_tells_software_model_protocol_corrections_and_box(tmp_path):
    plan = calibration()
    taken_away = [Landmark(m.name) if m.name == "LEFT" else m for m in plan.landmarks]
    place = add_study(tmp_path, replace(plan, landmarks=tuple(taken_away)))
    provenance = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    box = provenance.pop("box")
    assert provenance == {
        "kind": "corrected",
        "software": {"name": "AutoVolumeCalibration", "version": __version__},
        "model": {"name": "TestModel", "sha256": "0" * 64},
        "protocol": "Test",
        "anatomy": plan.protocol.anatomy,
        "corrected": ["PC"],
        "removed": ["LEFT"],
        "coordinate_system": "RAS",
    }
    assert box["center_mm"] == pytest.approx(plan.box.center_mm)
    assert box["axes"] == [pytest.approx(row) for row in plan.box.axes]
    assert box["size_mm"] == pytest.approx(plan.box.size_mm)


def test_no_name_of_a_patient_or_a_file_gets_into_the_set(tmp_path):
    plan = calibration()
    stacks = [
        replace(s, name=SECRET, frame_of_reference=SECRET, slices=tuple(replace(x, source=SECRET) for x in s.slices))
        for s in plan.stacks
    ]
    protocol = replace(plan.protocol, source=tmp_path / SECRET / "protocol.json")
    add_study(tmp_path, replace(plan, stacks=tuple(stacks), protocol=protocol))
    for path, content in contents(tmp_path).items():
        assert SECRET not in str(path)
        assert SECRET.encode() not in content
        assert str(tmp_path).encode() not in content


def test_a_study_that_nobody_corrected_is_refused_and_leaves_nothing(tmp_path):
    plan = calibration()
    with pytest.raises(InputError, match="no landmark is corrected"):
        add_study(tmp_path / "set", replace(plan, landmarks=plan.predicted))
    assert not (tmp_path / "set").exists()


def test_a_taken_name_is_refused_and_the_study_stays(tmp_path):
    add_study(tmp_path, calibration(), name="one")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="already exists"):
        add_study(tmp_path, calibration((), (0, 0, 0)), name="one")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["../one", "a/b", ".hidden", "a b", "C:x", "x" * 65])
def test_a_name_that_is_no_plain_folder_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="is not a valid study name"):
        add_study(tmp_path / "set", calibration(), name=name)
    assert not (tmp_path / "set").exists()


def test_a_subject_is_kept_as_a_pseudonym_and_refused_where_it_is_no_plain_word(tmp_path):
    place = add_study(tmp_path, calibration(), subject="person-7")
    assert json.loads((place / "provenance.json").read_text(encoding="utf-8"))["subject"] == "person-7"
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="is not a valid subject name"):
        add_study(tmp_path, calibration(), subject=SECRET)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other", "studies": []}', f'{{"format": "{DATASET_FORMAT}"}}'])
def test_a_damaged_list_is_an_error_and_stays(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"dataset\.json"):
        add_study(tmp_path, calibration())
    assert contents(tmp_path) == {(tmp_path / "dataset.json").relative_to(tmp_path): text.encode()}


@pytest.mark.parametrize("step", ["write_landmarks", "_write_list"])
def test_a_failure_in_the_middle_leaves_the_set_as_it_was(tmp_path, monkeypatch, step):
    add_study(tmp_path, calibration())
    before = contents(tmp_path)

    def disk_full(*_arguments):
        raise UsageError("cannot be written (No space left on device)")

    monkeypatch.setattr(dataset, step, disk_full)
    with pytest.raises(UsageError, match="No space left"):
        add_study(tmp_path, calibration())
    assert contents(tmp_path) == before
    assert len(list((tmp_path / "studies").iterdir())) == 1


def test_the_list_is_written_after_the_study(tmp_path, monkeypatch):
    present = []
    write_list = dataset._write_list
    monkeypatch.setattr(
        dataset,
        "_write_list",
        lambda folder, names: (present.extend(contents(folder / "studies" / names[-1])), write_list(folder, names)),
    )
    add_study(tmp_path, calibration())
    assert len(present) == 5


def test_a_folder_that_is_a_file_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be created"):
        add_study(tmp_path / "file", calibration())


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (12.0, -8.0, 20.0)])
def test_unevenly_spaced_slices_are_read_back_as_the_stack_they_were(tmp_path, turn):
    even = scout_stacks(5, rotation_deg=turn)
    stacks = [uneven(even[0]), even[1], uneven(even[2])]
    files = write_scouts(tmp_path, stacks)
    assert [path.name for path in files] == [
        *[f"sagittal_slice_{number:02d}.nrrd" for number in range(1, 5)],
        "coronal.nrrd",
        *[f"axial_slice_{number:02d}.nrrd" for number in range(1, 5)],
    ]
    assert_same_slices(read_scouts(files), stacks)


def test_slices_of_different_size_are_read_back(tmp_path):
    first, *others = scout_stacks(3)
    smaller = replace(first.slices[2], pixels=first.slices[2].pixels[:40])
    stacks = [replace(first, slices=(*first.slices[:2], smaller)), *others]
    read = read_scouts(write_scouts(tmp_path, stacks))
    assert [s.pixels.shape for s in read[0].slices] == [(64, 64), (64, 64), (40, 64)]


def test_several_stacks_of_a_plane_are_all_kept(tmp_path):
    stacks = (*scout_stacks(3), *scout_stacks(3, rotation_deg=(9.0, 0.0, 0.0)))
    files = write_scouts(tmp_path, stacks)
    assert [path.stem for path in files] == [*PLANES, *(f"{plane}_2" for plane in PLANES)]
    assert_same_slices(read_scouts(files), stacks)


def test_even_means_even_within_a_thousandth_of_a_millimetre():
    (stack, *_others) = scout_stacks(5)
    moved = replace(stack.slices[2], origin_mm=stack.slices[2].origin_mm + 0.002 * stack.normal)
    assert is_even(stack)
    assert not is_even(uneven(stack))
    assert not is_even(replace(stack, slices=(*stack.slices[:2], moved, *stack.slices[3:])))


def test_repeated_single_slices_in_image_files_are_not_joined_and_none_is_lost(tmp_path):
    stacks = tiny_stacks(slices=1)
    files = [write_image(stack, tmp_path / f"{stack.plane}_{n}.nrrd") for stack in stacks for n in range(2)]
    assert len(read_scouts(files)) == 6
