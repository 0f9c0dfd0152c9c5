"""``autovolume dataset``: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.storage.dataset import study_names, write_scouts
from AutoVolumeCalibrationLib.core.storage.results import box_to_dict
from calibrations import calibration
from command_line import assert_refused, write_points
from data_sets import brain_study, noisy, swapped, write_set
from scout_files import tiny_stacks

POINTS = {"AC": (1.0, 2.0, 3.0), "PC": (1.0, -25.0, 4.0)}


@pytest.fixture
def scouts(tmp_path):
    folder = tmp_path / "scouts" / "one"
    folder.mkdir(parents=True)
    write_scouts(folder, noisy(tiny_stacks(), 0))
    write_points(folder / "points.mrk.json", POINTS)
    return folder.parent


def test_build_adds_studies_and_says_which_file_became_which(autovolume, scouts, tmp_path):
    (scouts / "two").mkdir()
    write_points(scouts / "two" / "points.mrk.json", POINTS)
    ran = autovolume("dataset", "build", "--output", tmp_path / "set", "--scouts", scouts)
    assert ran.code == 0 and ran.err == ""
    first, second, last = ran.out.splitlines()
    assert first.startswith("case_0001") and "one" in first
    assert second.startswith("left out") and "two" in second
    assert last.endswith("studies added: 1, left out: 1, in all: 1")
    assert study_names(tmp_path / "set") == ["case_0001"]


def test_a_build_that_makes_nothing_fails_with_the_first_reason(autovolume, tmp_path):
    folder = tmp_path / "scouts" / "one"
    folder.mkdir(parents=True)
    write_points(folder / "points.mrk.json", POINTS)
    ran = autovolume("dataset", "build", "--output", tmp_path / "set", "--scouts", tmp_path / "scouts")
    assert ran.code == 3 and "no study was added; 1 left out. The first: " in ran.err and "one" in ran.err
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("source", ["--scouts", "--volumes", "--archive"])
def test_a_source_that_is_not_there_is_refused(autovolume, tmp_path, source):
    ran = autovolume("dataset", "build", "--output", tmp_path / "set", source, tmp_path / "nowhere")
    assert_refused(ran, 3, "nowhere")


def test_a_build_needs_one_source_and_whole_numbers(autovolume, scouts, tmp_path):
    build = ("dataset", "build", "--output", tmp_path / "set")
    assert_refused(autovolume(*build), 2)
    assert_refused(autovolume(*build, "--volumes", scouts, "--poses", "0"), 2, "--poses")


def test_a_sound_set_passes_the_check(autovolume, tmp_path):
    write_set(tmp_path / "set", [brain_study(f"s{n}", n) for n in range(3)])
    ran = autovolume("dataset", "check", tmp_path / "set", "--folds", "3")
    assert (ran.code, ran.out, ran.err) == (0, "Studies: 3, errors: 0, warnings: 0.\n", "")


def test_an_error_is_reported_with_its_remedy_and_exit_code_3(autovolume, tmp_path):
    write_set(tmp_path / "set", [swapped(brain_study("one"), ("LATERAL_L", "LATERAL_R"))])
    ran = autovolume("dataset", "check", tmp_path / "set")
    assert ran.code == 3 and ran.err == ""
    assert "**one**: LATERAL_L and LATERAL_R are swapped" in ran.out and "Swap their names" in ran.out


def test_too_many_folds_are_refused(autovolume, tmp_path):
    write_set(tmp_path / "set", [brain_study("one")])
    assert_refused(autovolume("dataset", "check", tmp_path / "set", "--folds", "5"), 2, "5 folds")


def test_another_protocol_knows_other_names(autovolume, tmp_path):
    write_set(tmp_path / "set", [brain_study("one")])
    assert_refused(autovolume("dataset", "check", tmp_path / "set", "--protocol", "Elbow"), 4, "Elbow")


def test_a_protocol_is_learnt_from_the_reference_boxes(autovolume, tmp_path):
    box = box_to_dict(calibration().box)
    write_set(tmp_path / "set", [brain_study(f"s{n}", n, reference_box=box) for n in range(3)])
    ran = autovolume("dataset", "protocol", tmp_path / "set", "--name", "Ours", "--output", tmp_path / "Ours.json")
    assert ran.code == 0 and ran.out.endswith("learnt from: 3\n") and "Margins beyond the landmarks" in ran.out
    assert load_protocol(tmp_path / "Ours.json").name == "Ours"
    assert json.loads((tmp_path / "Ours.json").read_text(encoding="utf-8"))["anatomy"] == "brain"


@pytest.mark.parametrize("name", ["there.json", "Ours.txt"])
def test_a_protocol_replaces_no_file_and_needs_its_suffix(autovolume, tmp_path, name):
    write_set(tmp_path / "set", [brain_study("one")])
    (tmp_path / "there.json").write_text("mine", encoding="utf-8")
    ran = autovolume("dataset", "protocol", tmp_path / "set", "--name", "Ours", "--output", tmp_path / name)
    assert_refused(ran, 2, name)
    assert (tmp_path / "there.json").read_text(encoding="utf-8") == "mine"


def test_a_damaged_study_does_not_keep_a_protocol_from_being_learnt(autovolume, tmp_path):
    box = box_to_dict(calibration().box)
    write_set(tmp_path / "set", [brain_study(f"s{n}", n, reference_box=box) for n in range(4)])
    (tmp_path / "set" / "studies" / "s0" / "axial.nrrd").write_bytes(b"no image")
    ran = autovolume("dataset", "protocol", tmp_path / "set", "--name", "Ours", "--output", tmp_path / "Ours.json")
    assert ran.code == 0 and "left out  s0" in ran.out and ran.out.endswith("learnt from: 3\n")
