"""Slicer's own mouse handling drags and places points in a real slice view, and the box follows."""

from __future__ import annotations

import numpy as np
import pytest

from views_support import can_render, open_views

slicer = pytest.importorskip("slicer")
pytestmark = [
    pytest.mark.skipif(not can_render(), reason="needs a display or EGL"),
    pytest.mark.skipif(hasattr(slicer, "app"), reason="the application has views of its own"),
]

from AutoVolumeCalibrationLib.mrml.box_node import box_from_node  # noqa: E402
from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine  # noqa: E402
from AutoVolumeCalibrationLib.mrml.landmark_nodes import make_ready_to_place  # noqa: E402
from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene  # noqa: E402


class Desk:
    """A person before the views of a study: every mouse move is an event-loop turn of its own."""

    def __init__(self, standalone: StandaloneScene, plan) -> None:
        self.engine = CalibrationEngine(standalone.scene)
        self.study = self.engine.add_stacks(plan.stacks)
        self.engine.show(self.study, plan)
        self.node = self.study.landmarks
        self.application_logic = standalone.application_logic
        self.views = open_views(standalone.scene, standalone.application_logic)
        self.views.show_volume(self.study.scouts[0])
        self.plans = []
        self.observer = self.engine.watch(self.study, lambda call: call(), self.plans.append, pytest.fail)

    def index(self, name):
        return self.node.GetControlPointIndexByLabel(name)

    def place(self, name):
        return np.array(self.node.GetNthControlPointPositionWorld(self.index(name)))

    def drag(self, name, by_pixels):
        """Drag a point in the sagittal view; gives where the mouse let go, world mm."""
        view = self.views.yellow
        view.jump_to(self.place(name))
        view.render()
        start = view.pixel_of(self.place(name))
        end = np.add(start, by_pixels)
        view.drag(start, tuple(end))
        return view.ras_of(tuple(end))


@pytest.fixture
def desk(tmp_path, plan):
    standalone = StandaloneScene(tmp_path)
    made = Desk(standalone, plan)
    # Other points may lie under the mouse: leave one alone on the stage.
    for index in range(made.node.GetNumberOfControlPoints()):
        made.node.SetNthControlPointVisibility(index, made.node.GetNthControlPointLabel(index) == "AC")
    made.study.scan_box.GetDisplayNode().SetVisibility(False)
    yield made
    made.observer.remove()
    made.views.close()
    standalone.close()


def test_the_box_follows_a_point_all_the_way_and_the_point_is_locked_when_let_go(desk, plan):
    before = desk.place("AC")
    end = desk.drag("AC", (30, 40))
    np.testing.assert_allclose(desk.place("AC"), end, atol=2.0)
    assert np.linalg.norm(desk.place("AC") - before) > 10
    assert len(desk.plans) > 3
    assert desk.node.GetNthControlPointLocked(desk.index("AC"))
    np.testing.assert_allclose(box_from_node(desk.study.scan_box).axes, desk.plans[-1].box.axes, atol=1e-9)
    assert not np.allclose(desk.plans[-1].box.axes, plan.box.axes, atol=1e-3)


def test_a_locked_point_stays_under_the_mouse_until_it_is_unlocked(desk):
    desk.drag("AC", (15, 20))
    held, count = desk.place("AC"), len(desk.plans)
    desk.drag("AC", (15, 20))
    np.testing.assert_array_equal(desk.place("AC"), held)
    assert len(desk.plans) == count
    desk.node.SetNthControlPointLocked(desk.index("AC"), False)
    desk.drag("AC", (-15, -20))
    assert np.linalg.norm(desk.place("AC") - held) > 5
    assert desk.node.GetNthControlPointLocked(desk.index("AC"))


def test_a_missing_point_is_placed_with_a_click(desk, plan):
    selection = desk.application_logic.GetSelectionNode()
    interaction = desk.application_logic.GetInteractionNode()
    wanted = np.asarray(plan.frame.expected_mm["GENU"])
    desk.views.yellow.jump_to(wanted)
    make_ready_to_place(desk.node, "GENU")
    selection.SetReferenceActivePlaceNodeClassName(desk.node.GetClassName())
    selection.SetActivePlaceNodeID(desk.node.GetID())
    interaction.SetPlaceModePersistence(0)
    interaction.SetCurrentInteractionMode(interaction.Place)
    desk.views.yellow.click(desk.views.yellow.pixel_of(wanted))
    np.testing.assert_allclose(desk.place("GENU"), wanted, atol=2.0)
    assert desk.node.GetNumberOfControlPoints() == len(plan.landmarks)
    assert next(mark.status for mark in desk.plans[-1].landmarks if mark.name == "GENU") == "corrected"


#: View -> axis of its normal.
VIEWS = {"yellow": 0, "green": 1, "red": 2}


def view_and_slice(desk, name, offset_mm):
    """A slice view that shows its scout at ``offset_mm`` from AC, which it still draws."""
    view = getattr(desk.views, name)
    plane = {"yellow": "sagittal", "green": "coronal", "red": "axial"}[name]
    scout = next(node for node in desk.study.scouts if node.GetName().endswith(plane))
    desk.views.show_volume(scout)
    beside = desk.place("AC")
    beside[VIEWS[name]] -= offset_mm
    view.jump_to(beside)
    view.render()
    return view


def landmark_of(plan, name="AC"):
    return next(mark for mark in plan.landmarks if mark.name == name)


@pytest.mark.parametrize("name", VIEWS)
def test_a_drag_in_a_slice_beside_the_point_keeps_its_depth(desk, plan, name):
    axis, before = VIEWS[name], desk.place("AC")
    view = view_and_slice(desk, name, 3.0)
    start = view.pixel_of(before)
    end = (start[0] + 6, start[1] + 8)
    view.drag(start, end)
    after, hand = desk.place("AC"), view.ras_of(end)
    assert abs(hand[axis] - before[axis]) == pytest.approx(3.0, abs=0.1)
    assert after[axis] == pytest.approx(before[axis], abs=1e-6)
    others = [other for other in range(3) if other != axis]
    assert after[others] == pytest.approx(hand[others], abs=2)
    assert np.linalg.norm(after - before) > 4
    corrected = landmark_of(desk.plans[-1])
    sd = np.sqrt(np.diag(corrected.covariance_mm2))
    assert sd[axis] == pytest.approx(np.sqrt(landmark_of(plan).covariance_mm2[axis, axis]))
    assert sd[others] == pytest.approx([0.02, 0.02])
    assert desk.node.GetNthControlPointLocked(desk.index("AC"))


def test_a_point_dragged_in_two_views_is_known_on_all_axes(desk):
    for name in ("yellow", "red"):
        desk.node.SetNthControlPointLocked(desk.index("AC"), False)
        view = view_and_slice(desk, name, 2.0)
        start = view.pixel_of(desk.place("AC"))
        view.drag(start, (start[0] + 5, start[1] + 5))
    assert landmark_of(desk.plans[-1]).covariance_mm2 == pytest.approx(np.eye(3) * 0.02**2)


def test_a_clicked_point_is_known_within_the_slice_and_about_as_well_as_a_slice_is_thick_along_its_normal(desk, plan):
    from AutoVolumeCalibrationLib.core.anatomy.landmark import PLACED_DEPTH_SD_MM

    test_a_missing_point_is_placed_with_a_click(desk, plan)
    placed = landmark_of(desk.plans[-1], "GENU")
    assert np.sqrt(np.diag(placed.covariance_mm2)) == pytest.approx([PLACED_DEPTH_SD_MM, 0.02, 0.02])


def test_a_script_that_moves_a_point_while_the_mouse_rests_on_a_view_corrects_all_axes(desk):
    view = view_and_slice(desk, "yellow", 3.0)
    view.move((200, 200))
    desk.node.SetNthControlPointPositionWorld(desk.index("AC"), *(desk.place("AC") + [1.0, 2.0, 3.0]))
    assert landmark_of(desk.plans[-1]).covariance_mm2 == pytest.approx(np.eye(3) * 0.02**2)


def test_a_correction_within_a_slice_is_saved_with_the_scene_and_in_its_points(desk, tmp_path):
    from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks
    from AutoVolumeCalibrationLib.mrml.scene_file import load_scene, save_scene

    view = view_and_slice(desk, "yellow", 3.0)
    start = view.pixel_of(desk.place("AC"))
    view.drag(start, (start[0] + 6, start[1] + 8))
    corrected = landmark_of(desk.plans[-1])
    save_scene(desk.plans[-1], tmp_path / "saved.mrb")
    storage = desk.node.GetScene().AddNewNodeByClass("vtkMRMLMarkupsJsonStorageNode")
    storage.SetFileName(str(tmp_path / "points.mrk.json"))
    assert storage.WriteData(desk.node)
    (point,) = [p for p in read_landmarks(tmp_path / "points.mrk.json") if p.name == "AC"]
    assert point.covariance_mm2 == pytest.approx(corrected.covariance_mm2, abs=1e-3)
    (tmp_path / "other").mkdir()
    with StandaloneScene(tmp_path / "other") as scene:
        load_scene(scene, tmp_path / "saved.mrb")
        engine = CalibrationEngine(scene)
        (study,) = engine.studies()
        for loaded in (engine.calibration(study), engine.refit(study)):
            again = landmark_of(loaded)
            assert again.position_mm == pytest.approx(corrected.position_mm)
            assert again.covariance_mm2 == pytest.approx(corrected.covariance_mm2)
        assert engine.refit(study).box.axes == pytest.approx(desk.plans[-1].box.axes, abs=1e-9)
