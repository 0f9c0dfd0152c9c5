"""The report before training: every fault is named with its study and its remedy, and a sound set has none."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.storage.dataset import study_folder
from command_line import at, edit_points
from data_sets import PROTOCOL, brain_study, swapped, with_points, write_set
from LandmarkTrainingLib.core.datasets.anatomy_fit import require_fit
from LandmarkTrainingLib.core.datasets.check import check_dataset, deal_folds
from LandmarkTrainingLib.core.datasets.findings import Finding, has_errors, report
from LandmarkTrainingLib.core.datasets.reading import read_study

PAIRS = [
    (mark.name, mark.mirror)
    for mark in PROTOCOL.constellation.landmarks
    if mark.mirror and mark.reference_mm[0] < 0 and abs(mark.reference_mm[0]) > 15
]


def check(folder, *studies, folds=None):
    return check_dataset(write_set(folder, studies), PROTOCOL, folds)


def told(findings, study, *words):
    """The only finding about a study that holds all the words."""
    (found,) = [f for f in findings if f.study == study and all(word in f.message for word in words)]
    assert found.remedy.endswith(".")
    return found


def test_sound_studies_have_no_findings(tmp_path):
    assert check(tmp_path, *(brain_study(f"study{seed}", seed) for seed in range(4))) == []


def test_an_empty_set_is_an_error(tmp_path):
    (found,) = check_dataset(tmp_path, PROTOCOL)
    assert found.level == "error" and "no studies" in found.message


@pytest.mark.parametrize(
    ("wrong", "meant"), [("ac", "AC"), ("LATERAL_LEFT", "LATERAL_L"), ("GENUE", "GENU"), ("Vertex", "VERTEX")]
)
def test_a_misspelt_name_is_an_error_that_names_the_one_meant(tmp_path, wrong, meant):
    study = with_points(brain_study("one"), **{meant: None, wrong: [10, 20, 30]})
    found = told(check(tmp_path, study), "one", f"{wrong} is not a landmark")
    assert found.level == "error" and meant in found.remedy


def test_a_name_of_another_anatomy_is_a_warning_that_lists_the_known_ones(tmp_path):
    found = told(check(tmp_path, with_points(brain_study("one"), PATELLA=[30, 10, 20])), "one", "PATELLA")
    assert found.level == "warning" and "GENU" in found.remedy


def test_a_name_that_comes_twice_is_an_error(tmp_path):
    write_set(tmp_path, [brain_study("one")])
    edit_points(study_folder(tmp_path, "one") / "landmarks.mrk.json", {"PC": {"label": "AC"}})
    assert told(check_dataset(tmp_path, PROTOCOL), "one", "more than one point named AC").level == "error"


def test_two_points_at_one_place_are_to_be_looked_at(tmp_path):
    study = brain_study("one")
    place = next(mark.position_mm for mark in study.landmarks if mark.name == "AC")
    assert told(check(tmp_path, with_points(study, PC=place + 0.1)), "one", "AC and PC").level == "warning"


@pytest.mark.parametrize("place", [[0, 0, 400], [-200, 0, 0], [150, 150, 150]])
def test_a_point_outside_of_all_images_is_an_error(tmp_path, place):
    found = told(check(tmp_path, with_points(brain_study("one"), AC=place)), "one", "outside of every image: AC")
    assert found.level == "error"


def test_a_point_between_no_slices_is_a_warning(tmp_path):
    study = brain_study("one")
    middle = [replace(stack, slices=stack.slices[3:4]) for stack in study.stacks]
    places = dict.fromkeys((mark.name for mark in study.landmarks), None)
    places |= {"AC": [0, 30, 30], "LATERAL_L": [-40, 30, 30], "PC": [-40, 30, 5]}
    found = told(check(tmp_path, with_points(replace(study, stacks=tuple(middle)), **places)), "one", "every slice")
    assert found.level == "warning" and found.message.endswith(": LATERAL_L")


@pytest.mark.parametrize("pair", PAIRS[::4])
def test_one_swapped_pair_is_found_and_named_once(tmp_path, pair):
    findings = check(tmp_path, swapped(brain_study("one"), pair))
    assert told(findings, "one", f"{pair[0]} and {pair[1]} are swapped").level == "error"
    assert not [f for f in findings if "swapped" not in f.message and any(name in f.message for name in pair)]


def test_all_pairs_swapped_are_all_found(tmp_path):
    findings = check(tmp_path, swapped(brain_study("one"), *PAIRS))
    for pair in PAIRS:
        assert told(findings, "one", f"{pair[0]} and {pair[1]} are swapped").level == "error"


@pytest.mark.parametrize("name", ["AC", "GENU", "VERTEX", "FRONTAL_L"])
def test_a_point_far_from_the_constellation_is_named(tmp_path, name):
    study = brain_study("one")
    place = next(mark.position_mm for mark in study.landmarks if mark.name == name)
    findings = check(tmp_path, with_points(study, **{name: place + [0, -45, 0]}))
    assert told(findings, "one", f"predict them: {name} (").level == "warning"


@pytest.mark.parametrize(("factor", "kind"), [(0.1, "cm for mm"), (8.0, "an absurd pixel")])
def test_a_spacing_that_no_scout_has_is_an_error(tmp_path, factor, kind):
    study = brain_study("one")
    stacks = tuple(
        replace(
            stack,
            slices=tuple(
                replace(s, spacing_mm=tuple(v * factor for v in s.spacing_mm), origin_mm=s.origin_mm * factor)
                for s in stack.slices
            ),
        )
        for stack in study.stacks
    )
    findings = check(tmp_path, replace(study, stacks=stacks))
    assert {f.level for f in findings if "field of view" in f.message} == {"error"}, kind


def test_a_study_of_one_plane_is_an_error(tmp_path):
    study = brain_study("one")
    found = told(check(tmp_path, replace(study, stacks=study.stacks[:1])), "one", "only sagittal slices")
    assert found.level == "error"


def test_points_that_are_no_numbers_are_an_error_and_the_scouts_are_still_looked_at(tmp_path):
    study = brain_study("one")
    write_set(tmp_path, [replace(study, stacks=study.stacks[:1])])
    edit_points(study_folder(tmp_path, "one") / "landmarks.mrk.json", {"AC": at([0, 0, 0]) | {"position": ["x", 0, 0]}})
    findings = check_dataset(tmp_path, PROTOCOL)
    assert told(findings, "one", "position of AC").level == "error"
    assert told(findings, "one", "only sagittal slices").level == "error"


def test_a_damaged_study_does_not_hide_the_others(tmp_path):
    bad = with_points(brain_study("three", 3), AC=[0, 0, 400])
    write_set(tmp_path, [brain_study("one", 1), brain_study("two", 2), bad])
    (study_folder(tmp_path, "one") / "axial.nrrd").write_bytes(b"no image")
    for file in study_folder(tmp_path, "two").iterdir():
        file.unlink()
    findings = check_dataset(tmp_path, PROTOCOL)
    assert told(findings, "one", "axial.nrrd").level == "error"
    assert {f.level for f in findings if f.study == "two"} == {"error"}
    told(findings, "three", "outside of every image: AC")


def test_a_study_whose_folder_is_gone_is_one_finding(tmp_path):
    write_set(tmp_path, [brain_study("one", 1), brain_study("two", 2)])
    shutil.rmtree(study_folder(tmp_path, "two"))
    (found,) = [one for one in check_dataset(tmp_path, PROTOCOL) if one.study == "two"]
    assert found.message == "is listed in dataset.json, but its folder is missing"
    with pytest.raises(InputError, match="two: is missing, but dataset.json lists it. Restore the folder, or take"):
        read_study(tmp_path, "two")


def test_a_folder_that_the_list_does_not_name_is_told(tmp_path):
    write_set(tmp_path, [brain_study("one")])
    (tmp_path / "studies" / "left_over").mkdir()
    assert told(check_dataset(tmp_path, PROTOCOL), "left_over", "not listed").level == "warning"


def test_what_most_studies_have_is_missed_and_what_no_study_has_is_told_once(tmp_path):
    studies = [with_points(brain_study(f"s{seed}", seed), VERTEX=None) for seed in range(4)]
    studies[2] = with_points(studies[2], GENU=None)
    findings = check(tmp_path, *studies)
    assert told(findings, "s2", "lacks GENU").level == "warning"
    assert told(findings, "", "no study has VERTEX").level == "warning"
    assert len(findings) == 2


def test_a_landmark_that_a_person_took_away_is_not_missed(tmp_path):
    studies = [brain_study(f"s{seed}", seed) for seed in range(4)]
    gone = with_points(studies[2], GENU=None)
    studies[2] = replace(gone, provenance={**gone.provenance, "removed": ["GENU"]})
    assert check(tmp_path, *studies) == []


def test_a_study_without_placed_points_is_a_warning(tmp_path):
    found = told(check(tmp_path, replace(brain_study("one"), landmarks=())), "one", "no point that the user placed")
    assert found.level == "warning"


def test_copies_as_two_persons_are_an_error_and_as_one_a_warning(tmp_path):
    one, other = brain_study("one", subject="jane"), brain_study("two", subject="john")
    assert told(check(tmp_path / "a", one, other), "two", "same pixels as one").level == "error"
    same = replace(other, provenance=one.provenance)
    assert told(check(tmp_path / "b", one, same), "two", "same pixels as one").level == "warning"


def test_one_shared_stack_among_others_is_a_copy_too(tmp_path):
    one, other = brain_study("one", 1), brain_study("two", 2)
    mixed = replace(other, stacks=(one.stacks[0], *other.stacks[1:]))
    assert "same pixels" in told(check(tmp_path, one, mixed), "two").message


def test_empty_slices_are_no_copies(tmp_path):
    studies = []
    for number in (1, 2):
        study = brain_study(f"s{number}", number)
        first, *rest = study.stacks
        empty = replace(first.slices[0], pixels=np.zeros_like(first.slices[0].pixels))
        studies.append(replace(study, stacks=(replace(first, slices=(empty, *first.slices[1:])), *rest)))
    assert check(tmp_path, *studies) == []


def test_a_person_in_two_folds_is_an_error(tmp_path):
    studies = [brain_study(f"s{n}", n, subject="jane" if n < 2 else f"p{n}") for n in range(4)]
    apart = {"s0": 0, "s1": 1, "s2": 0, "s3": 1}
    assert told(check(tmp_path / "a", *studies, folds=apart), "", "subject jane is in folds 0, 1").level == "error"
    assert check(tmp_path / "b", *studies, folds={**apart, "s1": 0}) == []


def test_dealt_folds_keep_a_person_together(tmp_path):
    write_set(tmp_path, [brain_study(f"s{n}", n, subject=f"p{n // 2}") for n in range(8)])
    folds = deal_folds(tmp_path, 3, seed=1)
    assert set(folds) == {f"s{n}" for n in range(8)} and set(folds.values()) == {0, 1, 2}
    assert all(folds[f"s{n}"] == folds[f"s{n + 1}"] for n in range(0, 8, 2))
    assert check_dataset(tmp_path, PROTOCOL, folds) == []


def test_the_report_puts_errors_first_and_tells_shared_findings_once():
    findings = [Finding("warning", f"s{n}", "lacks AC", "Place it.") for n in range(8)]
    findings.append(Finding("error", "s3", "is damaged", "Restore it."))
    text = report(findings, 9)
    assert text.startswith("Studies: 9, errors: 1, warnings: 8.")
    assert text.index("is damaged") < text.index("lacks AC")
    assert text.count("lacks AC") == 1 and "**s0, s1, s2, s3, s4 and 3 more**: lacks AC. Place it." in text
    assert has_errors(findings) and not has_errors(findings[:8])
    assert report([], 2) == "Studies: 2, errors: 0, warnings: 0.\n"


def test_points_of_other_scouts_are_told_together_with_the_usual_cause(tmp_path):
    study = brain_study("one")
    far = {mark.name: mark.position_mm + [0, 400, 0] for mark in study.landmarks}
    found = told(check(tmp_path, with_points(study, **far)), "one", "outside of every image")
    assert f"and {len(far) - 5} more" in found.message and "LPS" in found.remedy


def test_a_set_of_another_anatomy_is_refused(tmp_path):
    knee = {"AC": (0, 0, 0), "COND_POST_R": (24, -24, 16), "EMINENCE": (0, -2, 0), "PATELLA_TOP": (0, 42, 44)}
    found = check(tmp_path, with_points(brain_study("one"), **{**dict.fromkeys(PROTOCOL.constellation.names), **knee}))
    assert has_errors(found)
    (error,) = [finding for finding in found if "another anatomy" in finding.message]
    assert "3 of its 4 points are not landmarks of BrainAcPc" in error.message and "COND_POST_R" in error.message


def test_a_set_that_states_another_anatomy_is_refused(tmp_path):
    study = brain_study("one", anatomy="knee")
    (error,) = [finding for finding in check(tmp_path, study) if finding.level == "error"]
    assert error.message == "is of the anatomy knee, BrainAcPc of brain"


def test_a_network_is_not_trained_on_another_anatomy(tmp_path):
    folder = write_set(tmp_path / "set", [brain_study("one", anatomy="knee")])
    with pytest.raises(InputError, match="is of the anatomy knee"):
        require_fit(folder, PROTOCOL)
