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
