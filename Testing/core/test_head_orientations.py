"""Heads that lie in ways no network was trained for: the box turns with them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.detector import detect
from AutoVolumeCalibrationLib.core.detection.reorientation import (
    back_from_head_space,
    in_head_space,
    points_in_head_space,
)
from AutoVolumeCalibrationLib.core.errors import Cancelled
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, repredict
from fake_models import BrightestPlace, fake_model, spot_stack

PROTOCOL = load_protocol("BrainAcPc")
TURNS = {
    "on its side": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
    "face down": Rotation.from_euler("z", 180, degrees=True).as_matrix(),
    "far back": Rotation.from_euler("x", 75, degrees=True).as_matrix(),
    "askew": Rotation.from_euler("zyx", [50, 40, -60], degrees=True).as_matrix(),
}


@pytest.fixture(scope="module")
def scouts():
    return read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])


@pytest.fixture(scope="module")
def model():
    return load_model("brain-scout", "cpu")


@pytest.fixture(scope="module")
def upright(scouts, model):
    return calibrate(scouts, PROTOCOL, model)


def turned_by(scouts, rotation):
    """The same patient and the same slices in a world that is turned."""
    return in_head_space(scouts, np.asarray(rotation, dtype=float))


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_the_box_turns_with_the_head(scouts, model, upright, turn):
    rotation = np.asarray(turn, dtype=float)
    found = calibrate(turned_by(scouts, rotation), PROTOCOL, model)
    apart = Rotation.from_matrix(found.frame.axes @ rotation @ upright.frame.axes.T).magnitude()
    assert np.degrees(apart) < 4
    assert np.linalg.norm(found.box.center_mm - rotation @ upright.box.center_mm) < 3


def test_a_head_that_is_seen_clearly_is_not_looked_at_from_all_sides(scouts, model, monkeypatch):
    from AutoVolumeCalibrationLib.core.workflow import localization

    monkeypatch.setattr(
        localization.StudyLocalizer, "search_orientations", lambda self: pytest.fail("looked from all sides")
    )
    calibrate(scouts, PROTOCOL, model)


@pytest.mark.parametrize("axis", "xyz")
def test_a_head_seen_clearly_the_wrong_way_round_is_found_out(scouts, model, upright, monkeypatch, axis):
    """Prone heads show peaks nearly as high as usual: no doubt arises from their height alone."""
    from AutoVolumeCalibrationLib.core.workflow import localization

    monkeypatch.setattr(localization.StudyLocalizer, "has_low_peaks", lambda self, located: False)
    rotation = Rotation.from_euler(axis, 180, degrees=True).as_matrix()
    found = calibrate(turned_by(scouts, rotation), PROTOCOL, model)
    apart = Rotation.from_matrix(found.frame.axes @ rotation @ upright.frame.axes.T).magnitude()
    assert np.degrees(apart) < 4


def test_looking_from_all_sides_can_be_cancelled(scouts, model):
    asked = iter([False] * 8 + [True] * 1000)
    with pytest.raises(Cancelled):
        calibrate(turned_by(scouts, TURNS["on its side"]), PROTOCOL, model, cancelled=lambda: next(asked))


def test_a_few_given_points_tell_how_the_head_lies(scouts, model, upright, monkeypatch):
    """Even where looking from all sides does not help: here it is switched off."""
    from AutoVolumeCalibrationLib.core.workflow import localization

    monkeypatch.setattr(localization.StudyLocalizer, "search_orientations", lambda self: None)
    rotation = np.asarray(TURNS["on its side"], dtype=float)
    stacks = turned_by(scouts, rotation)
    wrong = calibrate(stacks, PROTOCOL, model)
    places = {mark.name: rotation @ mark.position_mm for mark in upright.landmarks if mark.position_mm is not None}
    given = [Landmark(name).corrected(places[name]) for name in ("AC", "PC", "VERTEX", "LLVAC", "RLVAC")]
    found = repredict(wrong, given, model)

    def error(calibration):
        told = {mark.name for mark in given}
        others = [m for m in calibration.landmarks if m.position_mm is not None and m.name not in told]
        return np.median([np.linalg.norm(m.position_mm - places[m.name]) for m in others if m.name in places])

    assert error(wrong) > 15 and error(found) < 2


def test_what_is_detected_in_head_space_is_told_in_the_world():
    """A bright spot stays the same point, whichever axes it is told in."""
    spot, model = np.array([13.3, -21.7, 31.9]), fake_model(BrightestPlace())
    stacks = [spot_stack(plane, spot) for plane in PLANES]
    for turn in TURNS.values():
        rotation = np.asarray(turn, dtype=float)
        for seen in back_from_head_space(detect(in_head_space(stacks, rotation), model), rotation):
            place = seen.points_mm[0, 0] @ seen.axes[:2]
            assert np.linalg.norm(place - spot + (spot @ seen.axes[2]) * seen.axes[2]) < 0.5


def test_going_there_and_back_changes_nothing(scouts):
    rotation = np.asarray(TURNS["askew"], dtype=float)
    back = in_head_space(in_head_space(scouts, rotation), rotation.T)
    assert [stack.plane for stack in back] == [stack.plane for stack in scouts]
    for one, other in zip(scouts, back, strict=True):
        assert np.allclose(one.slices[0].origin_mm, other.slices[0].origin_mm)
    (point,) = points_in_head_space([Landmark("AC").corrected([1.0, 2.0, 3.0]), Landmark("PC")], rotation)
    assert np.allclose(point.position_mm, rotation @ [1.0, 2.0, 3.0])
