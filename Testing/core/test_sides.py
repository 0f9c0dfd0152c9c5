"""The side of a limb: from the images, from DICOM Laterality, and wherever a plan is shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from AutoVolumeCalibrationLib.core.anatomy.joint import LEFT, RIGHT
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING
from AutoVolumeCalibrationLib.core.planning.console.cards import console_cards
from AutoVolumeCalibrationLib.core.planning.side_in_words import side_in_words
from AutoVolumeCalibrationLib.core.report.content import side_text
from AutoVolumeCalibrationLib.core.report.page import page_html
from AutoVolumeCalibrationLib.core.scouts.dicom import read_dicom_headers, stacks_from_frames
from AutoVolumeCalibrationLib.core.scouts.stack import header_side, unanimous
from AutoVolumeCalibrationLib.core.storage.results import calibration_to_dict
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks, refit
from dicom_localizers import write_localizer
from fake_models import blank_stacks
from joint_landmarks import joint_landmarks
from posed_landmarks import landmarks_at
from scout_files import tiny_stacks

KNEE = load_protocol("KneeSagittal")


def stated(laterality: str = "", body_part: str = ""):
    return [replace(s, laterality=laterality, body_part=body_part) for s in blank_stacks([-15.0, 0.0, 15.0])]


def planned(shown, stacks, *, protocol=KNEE, box=None):
    return plan_from_landmarks(stacks, protocol, (), predicted=joint_landmarks(KNEE, shown, 6.0), box=box)


def finding(plan, name):
    return next(((check.level, check.message) for check in plan.checks if check.name == name), None)


@pytest.fixture
def read_back(tmp_path):
    """Gives the stacks of a localizer whose headers have these attributes."""

    def read(**values):
        def edit(dataset, _index):
            for keyword, value in values.items():
                setattr(dataset, keyword, value)

        paths = write_localizer(tiny_stacks(), tmp_path / str(len(values)), edit=edit)
        return stacks_from_frames([frame for path in paths for frame in read_dicom_headers(path)], "here")

    return read


@pytest.mark.parametrize(
    ("values", "side"),
    [
        ({"Laterality": "R"}, RIGHT),
        ({"ImageLaterality": "L"}, LEFT),
        ({"Laterality": "R", "ImageLaterality": "L"}, LEFT),  # that of the image is nearer to it
        ({"ImageLaterality": "B"}, ""),
        ({"Laterality": ""}, ""),
        ({"BodyPartExamined": "KNEE"}, ""),
    ],
)
def test_the_header_states_a_side(read_back, values, side):
    stacks = read_back(**values)
    assert {stack.laterality for stack in stacks} == {side} and header_side(stacks) == side
    assert {stack.body_part for stack in stacks} == {values.get("BodyPartExamined", "")}


def test_an_enhanced_header_states_it_with_its_frames(tmp_path):
    from pydicom import Dataset

    def edit(dataset, _index):
        anatomy = Dataset()
        anatomy.FrameLaterality = "L"
        for groups in dataset.PerFrameFunctionalGroupsSequence:
            groups.FrameAnatomySequence = [anatomy]

    paths = write_localizer(tiny_stacks(), tmp_path, edit=edit, multiframe=True)
    stacks = stacks_from_frames([frame for path in paths for frame in read_dicom_headers(path)], "here")
    assert header_side(stacks) == LEFT


def test_headers_that_disagree_state_no_side():
    assert unanimous(["right", "", "right"]) == RIGHT and unanimous(["right", "left"]) == unanimous([]) == ""


def test_without_a_header_the_side_is_found():
    plan = planned(LEFT, stated())
    assert plan.frame.side == LEFT and plan.frame.side_source == "found" and finding(plan, "side") is None
    assert side_text(plan) == "left knee (found in the images, probability over 99%)"


def test_a_header_that_agrees_is_named_as_the_source():
    plan = planned(LEFT, stated(LEFT))
    assert (plan.frame.side, plan.frame.side_source) == (LEFT, "header") and finding(plan, "side") is None
    assert "stated by the scouts' header" in side_text(plan)


@pytest.mark.parametrize(("box", "level"), [("Sagittal", WARNING), ("SagittalACL", ERROR)])
def test_a_header_that_disagrees_is_a_finding(box, level):
    """The plan follows the header; where the box depends on the side, it must not be used unchanged."""
    plan = planned(LEFT, stated(RIGHT), box=box)
    assert plan.frame.side == RIGHT
    assert finding(plan, "side") == (
        level,
        "The header says right knee, this looks like the other one: check the side.",
    )
    again = refit(plan, [plan.landmarks[0].corrected(plan.landmarks[0].position_mm)])
    assert finding(again, "side")[0] == level


def test_headers_of_both_sides_are_a_finding():
    first, *others = stated(RIGHT)
    plan = planned(LEFT, [first, *(replace(stack, laterality=LEFT) for stack in others)])
    assert plan.frame.side == LEFT and plan.frame.side_source == "found"
    assert "headers state both sides" in finding(plan, "side")[1]


def test_a_protocol_for_the_other_side_than_the_header_is_an_error():
    plan = planned(LEFT, stated(LEFT), protocol=replace(KNEE, side=RIGHT))
    assert finding(plan, "side") == (
        ERROR,
        "The protocol is for a right knee, the scouts' header says left: check the patient and the protocol.",
    )


def test_the_header_settles_what_the_images_leave_open():
    from joint_landmarks import joint_points

    middle = joint_points(KNEE, RIGHT, 0.0)
    symmetric = landmarks_at(KNEE, (middle + (middle * [-1, 1, 1])[KNEE.constellation.mirror_indices]) / 2)
    for stacks, found in ((stated(), True), (stated(RIGHT), False), (stated(LEFT), False)):
        plan = plan_from_landmarks(stacks, KNEE, (), predicted=symmetric, box="SagittalACL")
        # A side at even odds may come out just below one half; the header then still decides, with a finding or not.
        assert plan.frame.side_probability == pytest.approx(0.5, abs=0.2)
        if found:
            assert finding(plan, "side")[0] == WARNING
        else:
            assert plan.frame.side == header_side(stacks)


@pytest.mark.parametrize(
    ("part", "found"), [("KNEE", False), ("HEAD", True), ("BRAIN", True), ("LEG", False), ("", False)]
)
def test_a_body_part_of_another_anatomy_is_a_finding(part, found):
    plan = planned(LEFT, stated(body_part=part))
    assert (finding(plan, "body part") is not None) == found
    if found:
        assert (
            plan.level == WARNING and f"the body part {part}, this plan is of a knee" in finding(plan, "body part")[1]
        )


def test_a_knee_planned_as_a_brain_is_found_by_its_header():
    brain = load_protocol("BrainAcPc")
    plan = plan_from_landmarks(stated(body_part="KNEE"), brain, (), predicted=landmarks_at(brain))
    assert plan.level == WARNING and finding(plan, "body part")


def test_the_side_is_shown_with_the_plan():
    plan = planned(LEFT, stated())
    assert all(card.title.endswith(", left knee") for card in console_cards(plan))
    assert "Left knee (found in the images" in page_html(plan) and "left knee" in plan._repr_html_()
    saved = json.loads(json.dumps(calibration_to_dict(plan)))
    assert saved["anatomy"] == "knee"
    assert (saved["frame"]["side"], saved["frame"]["side_source"]) == (LEFT, "found")
    from AutoVolumeCalibrationLib.cli.console import plan_text

    assert "\nSide            left knee (found in the images" in plan_text(plan)


def test_an_anatomy_without_sides_says_nothing_of_them():
    brain = load_protocol("BrainAcPc")
    plan = plan_from_landmarks(stated(LEFT), brain, (), predicted=landmarks_at(brain))
    assert side_in_words(plan.frame, "brain") == "" and finding(plan, "side") is None
    assert not any("left" in card.title for card in console_cards(plan))
    assert "side" not in calibration_to_dict(plan)["frame"]


def test_the_report_codes_the_laterality(tmp_path):
    sr = pytest.importorskip("highdicom.sr")
    from AutoVolumeCalibrationLib.core.exports.dicom.structured_report import structured_report

    paths = write_localizer(blank_stacks([-15.0, 0.0, 15.0]), tmp_path)
    import pydicom

    headers = [pydicom.dcmread(path) for path in paths]
    plan = planned(LEFT, stated())
    report = structured_report(calibration_to_dict(plan), headers, {})
    (prescription,) = sr.MeasurementReport.from_sequence([report]).get_image_measurement_groups()
    (site,) = prescription.finding_sites
    (region,), (laterality,) = site.ConceptCodeSequence, site.ContentSequence[0].ConceptCodeSequence
    assert (region.CodeValue, region.CodingSchemeDesignator) == ("72696002", "SCT")
    assert (laterality.CodeValue, laterality.CodeMeaning) == ("7771000", "Left")
