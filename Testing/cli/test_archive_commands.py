"""An archive from end to end by the command line: exams of the sample head become a data set, and that a protocol."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate
from command_line import NRRD_SCOUTS, ROOT, assert_refused, files_in
from made_up_archive import BIRTH, DATE, FORMS, PATIENT, Technologist, write_exam
from posed_landmarks import random_placement

PROTOCOL = load_protocol("BrainAcPc")
EXAMS = 5


def moved(stacks, rotation, shift_mm):
    """The scouts of the same head, which lay otherwise in the scanner."""

    def slice_of(s):
        return replace(
            s,
            origin_mm=rotation @ s.origin_mm + shift_mm,
            column_axis=rotation @ s.column_axis,
            row_axis=rotation @ s.row_axis,
        )

    return [replace(stack, slices=tuple(map(slice_of, stack.slices))) for stack in stacks]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Exams of the sample head in several poses, in the forms of all vendors; one is planned otherwise."""
    folder, rng = tmp_path_factory.mktemp("archive"), np.random.default_rng(0)
    stacks = read_scouts(NRRD_SCOUTS)
    model = load_model("brain-scout", "cpu")
    frame = calibrate(stacks, PROTOCOL, model).frame
    technologist = Technologist(sd_deg=0.5, sd_mm=0.5)
    for number in range(EXAMS):
        place = random_placement(number, angle_deg=4)
        odd = "phase" if number == EXAMS - 1 else ""
        drawn = technologist.box(frame, PROTOCOL, rng, odd)
        box = replace(
            drawn,
            center_mm=place.turn @ drawn.center_mm + place.shift / 20,
            axes=drawn.axes @ place.turn.T,
        )
        scouts = moved(stacks, place.turn, place.shift / 20)
        write_exam(folder / f"exam{number}", number, scouts, box, technologist, otherwise=odd)
    return folder


def test_the_habit_of_an_archive_is_learnt_and_said_without_any_name(autovolume, archive, tmp_path):
    assert len(FORMS) < EXAMS
    built = autovolume("dataset", "build", "--archive", archive, "--output", tmp_path / "set")
    assert built.code == 0 and f"studies added: {EXAMS}, left out: 0" in built.out
    learn = ("dataset", "protocol", tmp_path / "set", "--name", "Ours", "--device", "cpu")
    ran = autovolume(*learn, "--output", tmp_path / "Ours.json")
    assert ran.code == 0 and ran.err == ""
    assert "Tilt against BrainAcPc: front up " in ran.out and "thickness 4 mm, gap 0.4 mm" in ran.out
    assert "right-left 200 mm, kept; front-back 230 mm, kept" in ran.out
    (odd,) = (line for line in ran.out.splitlines() if line.startswith("planned otherwise"))
    assert "case_0005" in odd and "phase encoding front-back (usually right-left)" in odd
    assert f"rests on {EXAMS - 1} of {EXAMS} exams" in ran.out
    rule = load_protocol(tmp_path / "Ours.json").boxes[0]
    assert rule.tilt_deg[0] == pytest.approx(9.0, abs=2.0)
    written = b"".join(files_in(tmp_path / "set").values()) + (tmp_path / "Ours.json").read_bytes()
    for secret in (PATIENT, "Quillfeather", "QF0000", BIRTH, DATE, "1.2.826"):
        assert secret.encode() not in written and secret not in built.out + ran.out


def test_exams_of_another_anatomy_give_no_habit_and_say_why(autovolume, tmp_path):
    knee = read_scouts([ROOT / "Resources" / "SampleData" / "KneeScouts" / f"{p}.nrrd" for p in ("sagittal", "axial")])
    box = OrientedBox("any", np.zeros(3), np.eye(3), np.array([200.0, 230.0, 131.6]))
    for number in range(3):
        write_exam(tmp_path / "in" / f"e{number}", number, knee, box, Technologist())
    assert autovolume("dataset", "build", "--archive", tmp_path / "in", "--output", tmp_path / "set").code == 0
    ran = autovolume(
        *("dataset", "protocol", tmp_path / "set", "--name", "Ours", "--device", "cpu"),
        *("--output", tmp_path / "Ours.json"),
    )
    assert_refused(ran, 3, "no study has both landmarks and a reference box")
    assert "Add exams of this anatomy" in ran.err and not (tmp_path / "Ours.json").exists()


def test_an_archive_without_localizers_is_refused_with_a_remedy(autovolume, archive, tmp_path):
    shutil.copytree(archive, tmp_path / "in", ignore=shutil.ignore_patterns("localizer"))
    ran = autovolume("dataset", "build", "--archive", tmp_path / "in", "--output", tmp_path / "set")
    assert_refused(ran, 3, "no localizer before its diagnostic series")
    assert "Export the whole examination" in ran.err


def test_one_exam_is_no_habit(autovolume, archive, tmp_path):
    build = ("dataset", "build", "--archive", archive / "exam0", "--output", tmp_path / "set")
    assert autovolume(*build).code == 0
    ran = autovolume(
        *("dataset", "protocol", tmp_path / "set", "--name", "Ours", "--device", "cpu"),
        *("--output", tmp_path / "Ours.json"),
    )
    assert_refused(ran, 3, "only 1 study has")
    assert "Add exams" in ran.err


def test_an_empty_archive_is_refused_with_a_remedy(autovolume, tmp_path):
    (tmp_path / "in").mkdir()
    ran = autovolume("dataset", "build", "--archive", tmp_path / "in", "--output", tmp_path / "set")
    assert_refused(ran, 3, "holds no MR images")
