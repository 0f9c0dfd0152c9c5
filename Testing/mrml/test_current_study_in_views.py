"""A drag in a real view, turn by turn of the event loop: what became of the plan, and what one undo reverts."""

from __future__ import annotations

import numpy as np
import pytest

from views_support import can_render, open_views

slicer = pytest.importorskip("slicer")
pytestmark = [
    pytest.mark.skipif(not can_render(), reason="needs a display or EGL"),
    pytest.mark.skipif(hasattr(slicer, "app"), reason="the application has views of its own"),
]

from AutoVolumeCalibrationLib.mrml.editing.current_study import CurrentStudy  # noqa: E402
from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine  # noqa: E402
from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene  # noqa: E402


class Desk:
    """The study in the views; the event loop turns after each move of the mouse, as it does under a user's hand."""

    def __init__(self, standalone: StandaloneScene, plan, folder) -> None:
        engine = CalibrationEngine(standalone.scene)
        self.views = open_views(standalone.scene, standalone.application_logic)
        study = engine.add_stacks(plan.stacks)
        engine.show(study, plan)
        self._waiting = []
        self.current = CurrentStudy(engine, self._waiting.append, pytest.fail, folder)
        self.current.select(study)
        self.views.show_volume(study.scouts[0])

    def turn(self) -> None:
        """Let everything happen that waits, and what follows from it."""
        while self._waiting:
            self._waiting.pop(0)()

    def drag(self, start, by) -> None:
        view = self.views.yellow
        view.approach(start)
        view.interactor.InvokeEvent("LeftButtonPressEvent")
        self.turn()
        for fraction in np.linspace(0, 1, 9)[1:]:
            view.move(np.asarray(start) + fraction * np.asarray(by))
            self.turn()
        view.interactor.InvokeEvent("LeftButtonReleaseEvent")
        self.turn()

    def place(self, name) -> np.ndarray:
        node = self.current.require_landmarks()
        return np.array(node.GetNthControlPointPositionWorld(node.GetControlPointIndexByLabel(name)))


@pytest.fixture
def desk(tmp_path, plan):
    standalone = StandaloneScene(tmp_path)
    made = Desk(standalone, plan, tmp_path / "protocols")
    yield made
    made.current.close()
    made.views.close()
    standalone.close()


def only_ac(desk) -> None:
    """Hide what else may lie under the mouse."""
    node = desk.current.require_landmarks()
    for index in range(node.GetNumberOfControlPoints()):
        node.SetNthControlPointVisibility(index, node.GetNthControlPointLabel(index) == "AC")
    desk.current.study.scan_box.GetDisplayNode().SetHandlesInteractive(False)


def test_a_dragged_landmark_leaves_the_protocol_alone(desk, plan):
    only_ac(desk)
    desk.views.yellow.jump_to(desk.place("AC"))
    desk.views.yellow.render()
    before = desk.place("AC")
    desk.drag(desk.views.yellow.pixel_of(before), (15, 20))
    assert np.linalg.norm(desk.place("AC") - before) > 5
    assert desk.current.calibration.protocol is plan.protocol
    assert not np.allclose(desk.current.calibration.box.axes, plan.box.axes, atol=1e-3)
    desk.current.undo()
    desk.turn()
    assert desk.current.calibration is plan
    assert desk.place("AC") == pytest.approx(before)
    assert not desk.current.can_undo


def test_a_dragged_box_becomes_the_rule_of_an_adjusted_protocol(desk, plan):
    view = desk.views.yellow
    desk.current.require_landmarks().GetDisplayNode().SetVisibility(False)
    view.jump_to(plan.box.center_mm)
    view.render()
    desk.drag(view.pixel_of(plan.box.center_mm), (15, 20))
    moved = desk.current.calibration
    assert np.linalg.norm(moved.box.center_mm - plan.box.center_mm) > 5
    assert moved.protocol is not plan.protocol
    desk.current.undo()
    desk.turn()
    assert desk.current.calibration is plan
    assert not desk.current.can_undo
