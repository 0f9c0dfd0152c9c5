"""The habit of a site: what its exams have in common, which were planned otherwise, and the protocol of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol import FaceRule, FixedSlab
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError, UsageError
from AutoVolumeCalibrationLib.core.follow_up.follow_up import between_boxes
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.storage.results import box_to_dict
from data_sets import PROTOCOL
from joint_landmarks import joint_landmarks
from LandmarkTrainingLib.core.datasets.building import Skipped
from LandmarkTrainingLib.core.datasets.habit.exams import PlannedExam, planned_exam
from LandmarkTrainingLib.core.datasets.habit.outliers import deviations, outlier_limit, robust_sd
from LandmarkTrainingLib.core.datasets.habit.site_protocol import site_protocol
from LandmarkTrainingLib.core.datasets.habit.words import habit_in_words, outliers_in_words
from LandmarkTrainingLib.core.datasets.planned_series import PlannedSeries
from LandmarkTrainingLib.core.reference_heads.truth import true_frame
from made_up_archive import Technologist
from posed_landmarks import landmarks_at, random_placement, random_shape

KNEE = load_protocol("KneeSagittal")
MARGINS = dict(zip(FACES, (9.0, 11.0, 14.0, 6.0, 3.0, 12.0), strict=True))


def frame_of(number, protocol=PROTOCOL, **shape):
    """The frame of one head of many, in a pose of its own."""
    marks = random_shape(protocol, np.random.default_rng(number)) if shape else None
    return true_frame(landmarks_at(protocol, marks, placement=random_placement(number, angle_deg=15)), protocol)


def site_exams(count=7, spoil=0, series=None):
    """Heads, each with the box of a site that tilts by 8 deg and leaves other margins; some boxes are spoilt."""
    rule = PROTOCOL.boxes[0]
    faces = {face: FaceRule(rule.faces[face].landmarks, MARGINS[face]) for face in FACES}
    site = replace(rule, faces=faces, tilt_deg=(8.0, 0.0, 0.0), round_up_to_slices=False)
    exams = []
    for number in range(count):
        frame = frame_of(number)
        box = plan_box(frame, PROTOCOL, site)
        if number < spoil:
            box = replace(box, center_mm=box.center_mm + 60.0, size_mm=box.size_mm * 0.6)
        exams.append(PlannedExam(f"s{number}", frame, box, series))
    return exams


def technologists_exams(count, technologist, seed=0, odd=()):
    """Exams of heads of different shapes; ``odd`` maps numbers to another way of planning."""
    rng, odd = np.random.default_rng(seed), dict(odd)
    exams = []
    for number in range(count):
        frame, otherwise = frame_of(number, shape=True), odd.get(number, "")
        box = technologist.box(frame, PROTOCOL, rng, otherwise)
        pitch = technologist.thickness_mm + technologist.gap_mm
        slices = round((box.size_mm[2] + technologist.gap_mm) / pitch)
        phase = technologist.phase_of(otherwise)
        series = PlannedSeries(slices, technologist.thickness_mm, technologist.gap_mm, "superior", phase)
        exams.append(PlannedExam(f"s{number}", frame, box, series))
    return exams


def learnt(exams, tmp_path, protocol=PROTOCOL, **options):
    site = site_protocol(exams, protocol, **{"name": "Site", "title": "Site", **options})
    path = tmp_path / "Site.json"
    path.write_text(site.text, encoding="utf-8")
    return site, load_protocol(path)


@pytest.mark.parametrize("spoil", [0, 2])
def test_the_sites_rule_comes_back_from_its_boxes_even_with_a_few_odd_ones(tmp_path, spoil):
    site, protocol = learnt(site_exams(spoil=spoil), tmp_path)
    (rule,) = protocol.boxes
    assert {face: rule.faces[face].margin_mm for face in FACES} == pytest.approx(MARGINS, abs=0.05)
    assert rule.tilt_deg == pytest.approx((8.0, 0.0, 0.0), abs=0.05)
    assert max(site.habit.margin_sd_mm.values()) < 0.1 and max(site.habit.tilt_sd_deg) < 0.1
    assert [each.name for each in site.habit.outliers] == [f"s{number}" for number in range(spoil)]
    assert len(site.habit.exams) == 7 - spoil and site.skipped == ()
    assert protocol.definition.startswith(f"Median of {7 - spoil} volumes")


def test_the_learnt_protocol_plans_another_head_as_the_technologist_intends(tmp_path):
    technologist = Technologist(sd_deg=0.3, sd_mm=0.3)
    site, protocol = learnt(technologists_exams(9, technologist), tmp_path)
    frame = frame_of(50, shape=True)
    wanted, box = technologist.box(frame, PROTOCOL), plan_box(frame, protocol, protocol.boxes[0])
    rotation_deg, shift_mm = between_boxes(wanted, box)
    assert np.linalg.norm(rotation_deg) < 1.0 and np.linalg.norm(shift_mm) < 3.0
    assert box.size_mm[:2] == pytest.approx(technologist.fov_mm, abs=0.1)
    rule = protocol.boxes[0]
    assert (rule.slice_thickness_mm, rule.gap_mm, rule.phase_axis, rule.round_up_to_slices) == (4.0, 0.4, "right", True)
    assert rule.slab is None and site.habit.kept == {"right", "anterior"}


def test_slices_and_field_of_view_that_are_always_the_same_become_a_fixed_slab(tmp_path):
    series = PlannedSeries(20, 5.0, 1.0, "superior", "anterior")
    exams = [
        replace(exam, box=replace(exam.box, size_mm=np.array([190.0, 230.0, 119.0])), series=series)
        for exam in site_exams()
    ]
    site, protocol = learnt(exams, tmp_path)
    assert protocol.boxes[0].slab == FixedSlab(20, 5.0, 1.0, 190.0, 230.0)
    lines = " ".join(habit_in_words(site.habit, "BrainAcPc"))
    assert "always 20" in lines and "phase encoding front-back" in lines


ODD = {2: "tilt", 5: "region", 8: "phase"}


def test_exams_that_were_planned_otherwise_are_named_with_what_differs(tmp_path):
    site, _ = learnt(technologists_exams(15, Technologist(), odd=ODD), tmp_path)
    named = {each.name: "; ".join(each.reasons) for each in site.habit.outliers}
    assert set(named) == {"s2", "s5", "s8"}
    assert "tilt about right" in named["s2"] and "inferior margin" in named["s5"]
    assert "phase encoding front-back (usually right-left)" in named["s8"]
    *lines, last = outliers_in_words(site.habit)
    assert all(line.startswith("planned otherwise  s") for line in lines)
    assert len(lines) == 3 and "rests on 12 of 15 exams" in last and "robust standard deviations" in last


@pytest.mark.parametrize(("slices", "odd"), [(21, False), (19, False), (23, True)])
def test_one_slice_more_or_less_is_not_another_habit(slices, odd, tmp_path):
    exams = []
    for number, exam in enumerate(site_exams(12)):
        count = slices if number == 4 else 20
        size = np.array([190.0, 230.0, count * 6.0 - 1.0])
        series = PlannedSeries(count, 5.0, 1.0, "superior", "anterior")
        exams.append(replace(exam, box=replace(exam.box, size_mm=size), series=series))
    site, _ = learnt(exams, tmp_path)
    reasons = [reason for each in site.habit.outliers for reason in each.reasons if "size" in reason]
    assert reasons == (["head-foot size 137 mm (usually 119)"] if odd else [])


def test_of_few_exams_it_is_said_that_only_gross_differences_show(tmp_path):
    site, _ = learnt(site_exams(4), tmp_path)
    assert "fewer than 10 exams" in outliers_in_words(site.habit)[0]


def test_the_habit_is_said_in_words(tmp_path):
    site, _ = learnt(technologists_exams(15, Technologist(), odd=ODD), tmp_path)
    tilt, margins, slices, view = habit_in_words(site.habit, "BrainAcPc")
    assert tilt.startswith("Tilt against BrainAcPc: front up ")
    assert "superior " in margins and "(sd " in margins
    assert "axial" in slices and "thickness 4 mm, gap 0.4 mm, phase encoding right-left" in slices
    assert view == "Field of view: right-left 200 mm, kept; front-back 230 mm, kept."


@pytest.mark.parametrize(
    ("tilt", "words", "edge", "towards"),
    [
        ((10.0, 0.0, 0.0), "front up 10.0", 1, (0, 0, 1)),
        ((-10.0, 0.0, 0.0), "front down 10.0", 1, (0, 0, -1)),
        ((0.0, 10.0, 0.0), "right side down 10.0", 0, (0, 0, -1)),
        ((0.0, -10.0, 0.0), "right side up 10.0", 0, (0, 0, 1)),
        ((0.0, 0.0, 10.0), "right side forward 10.0", 0, (0, 1, 0)),
        ((0.0, 0.0, -10.0), "right side back 10.0", 0, (0, -1, 0)),
    ],
)
def test_the_words_say_which_way_the_edges_of_the_box_are_turned(tilt, words, edge, towards, tmp_path):
    exams = technologists_exams(3, Technologist(tilt_deg=tilt, sd_deg=0.0))
    site, _ = learnt(exams, tmp_path)
    assert words in habit_in_words(site.habit, "BrainAcPc")[0]
    assert exams[0].box.axes[edge] @ (np.array(towards) @ exams[0].frame.axes) == pytest.approx(np.sin(np.deg2rad(10)))


@pytest.mark.parametrize("exams", [5, 15, 60])
def test_few_ordinary_exams_exceed_the_limit_by_chance(exams):
    rng, flagged, rounds = np.random.default_rng(0), 0, 200
    for _ in range(rounds):
        table = {f"value {k}": rng.normal(0, 2.0, exams) for k in range(9)}
        flagged += len(deviations(table))
    assert flagged / rounds / exams < 0.03


def test_the_limit_falls_with_the_number_of_exams_and_scatter_is_measured_robustly():
    assert outlier_limit(5, 9) > outlier_limit(15, 9) > outlier_limit(100, 9) > 3.0
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(3, 2, 400), np.full(40, 90.0)])
    assert robust_sd(values) == pytest.approx(2.0, rel=0.15)


def test_studies_without_landmarks_or_box_are_left_out_with_the_reason(tmp_path):
    frame, box = frame_of(0), box_to_dict(site_exams(1)[0].box)
    study = LabelledStudy("a", (), (), {})
    with pytest.raises(InputError, match="no reference box"):
        planned_exam(study, frame)
    for damaged in ({"reference_box": {"center_mm": [0, 0, 0]}}, {"reference_box": box, "reference_series": {"x": 1}}):
        with pytest.raises(InputError, match="damaged"):
            planned_exam(replace(study, provenance=damaged), frame)
    assert planned_exam(replace(study, provenance={"reference_box": box}), frame).series is None
    site, _ = learnt([*site_exams(3), Skipped("b", "has no reference box")], tmp_path)
    assert [one.source for one in site.skipped] == ["b"]
    assert "earlier version" in " ".join(habit_in_words(site.habit, "BrainAcPc"))


@pytest.mark.parametrize(("count", "words"), [(0, "no study has"), (1, "only 1 study has"), (2, "only 2 have")])
def test_too_few_exams_show_no_habit(count, words):
    exams = [*site_exams(count), Skipped("x", "no brain recognised in the scouts, 0 of 45 landmarks found")]
    with pytest.raises(InputError, match=f"{words}.*at least 3.*no brain recognised.*Add exams"):
        site_protocol(exams, PROTOCOL, name="Site", title="Site")


@pytest.mark.parametrize(("options", "error"), [({"name": "a b"}, UsageError), ({"box": "None"}, ProtocolError)])
def test_a_name_or_box_that_cannot_be_is_an_error(options, error):
    with pytest.raises(error):
        site_protocol(site_exams(3), PROTOCOL, **{"name": "Site", "title": "Site", **options})


@pytest.mark.parametrize("first", ["left", "right"])
def test_left_and_right_limbs_show_one_habit(first, tmp_path):
    (rule,) = (each for each in KNEE.boxes if each.side)
    margins = {"left": 4.0, "right": 16.0}
    faces = {face: replace(each, margin_mm=margins.get(face, 8.0), cover=False) for face, each in rule.faces.items()}
    site_rule = replace(rule, faces=faces, tilt_deg=(0.0, 6.0, 3.0), round_up_to_slices=False)
    sides = [first, *("left", "right") * 3]
    frames = [knee_frame(side, number) for number, side in enumerate(sides)]
    assert [frame.side for frame in frames] == sides
    exams = [PlannedExam(f"k{n}", frame, plan_box(frame, KNEE, site_rule)) for n, frame in enumerate(frames)]
    site, protocol = learnt(exams, tmp_path, KNEE, box=rule.name)
    assert site.habit.outliers == ()
    for side in ("left", "right"):
        frame = knee_frame(side, 50)
        wanted, box = plan_box(frame, KNEE, site_rule), plan_box(frame, protocol, protocol.boxes[0])
        assert box.axes == pytest.approx(wanted.axes, abs=1e-3)
        assert box.center_mm == pytest.approx(wanted.center_mm, abs=0.5)


def knee_frame(side, seed):
    place = random_placement(seed, angle_deg=10)
    return true_frame(joint_landmarks(KNEE, side, 10.0, place, rng=np.random.default_rng(seed)), KNEE)
