"""A person drags points: the box follows once per turn, and nothing grows."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError

slicer = pytest.importorskip("slicer")

from AutoVolumeCalibrationLib.mrml.box_node import box_from_node  # noqa: E402
from AutoVolumeCalibrationLib.mrml.correction_observer import CorrectionObserver  # noqa: E402


class Turns:
    """Stands for the event loop: what is scheduled runs when the test takes a turn."""

    def __init__(self) -> None:
        self.queue = []

    def __call__(self, call) -> None:
        self.queue.append(call)

    def take(self) -> int:
        due, self.queue = self.queue, []
        for call in due:
            call()
        return len(due)


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def watched(engine, study, turns):
    """(study, list of plans, list of errors, observer)"""
    plans, errors = [], []
    return study, plans, errors, engine.watch(study, turns, plans.append, errors.append)


def index_of(study, name):
    return study.landmarks.GetControlPointIndexByLabel(name)


def put(study, name, place):
    study.landmarks.SetNthControlPointPositionWorld(index_of(study, name), *place)


def place_of(study, name):
    return np.array(study.landmarks.GetNthControlPointPositionWorld(index_of(study, name)))


def observers_of(*objects) -> int:
    """Number of observers of our events on these objects; the others come and go with display nodes."""
    events = [
        getattr(slicer.vtkMRMLMarkupsNode, name) for name in dir(slicer.vtkMRMLMarkupsNode) if name[:5] == "Point"
    ]
    events = [event for event in events if isinstance(event, int)]
    events += [slicer.vtkMRMLScene.NodeRemovedEvent, slicer.vtkMRMLScene.EndCloseEvent]
    return sum(bool(item.HasObserver(event)) for item in objects for event in events)


def test_a_moved_point_refits_in_the_next_turn_and_not_before(watched, turns, plan):
    study, plans, _, _ = watched
    put(study, "PC", place_of(study, "PC") + [0, 0, 6])
    assert plans == []
    assert turns.take() == 1
    assert len(plans) == 1
    assert not np.allclose(box_from_node(study.scan_box).axes, plan.box.axes)
    assert turns.queue == []


def test_many_moves_in_one_turn_are_one_refit(watched, turns):
    study, plans, _, _ = watched
    for step in range(50):
        put(study, "AC", place_of(study, "AC") + [0.1, 0, 0])
        put(study, "PC", place_of(study, "PC") + [0, 0.1, 0])
        assert len(turns.queue) == 1, step
    turns.take()
    assert len(plans) == 1
    assert {mark.name for mark in plans[0].landmarks if mark.status == "corrected"} == {"AC", "PC"}


def test_hiding_selecting_renaming_and_locking_do_not_refit(watched, turns):
    study, _, _, _ = watched
    node, index = study.landmarks, index_of(study, "AC")
    node.SetNthControlPointVisibility(index, False)
    node.SetNthControlPointSelected(index, False)
    node.SetNthControlPointLocked(index, True)
    node.SetNthControlPointLabel(index, "other")
    node.GetDisplayNode().SetVisibility(False)
    assert turns.queue == []


def test_a_point_that_goes_back_before_the_turn_is_its_prediction_again(watched, turns):
    study, plans, _, _ = watched
    start = place_of(study, "AC")
    put(study, "AC", start + [5, 0, 0])
    put(study, "AC", start)
    turns.take()
    assert all(mark.status != "corrected" for made in plans for mark in made.landmarks)


def test_placing_a_missing_point_and_clearing_one_refit(watched, turns, plan):
    study, plans, _, _ = watched
    put(study, "GENU", plan.frame.expected_mm["GENU"])
    turns.take()
    study.landmarks.SetNthControlPointPositionMissing(index_of(study, "CUL"))
    turns.take()
    found = {mark.name: mark.status for mark in plans[-1].landmarks}
    assert len(plans) == 2
    assert (found["GENU"], found["CUL"]) == ("corrected", "missing")


def test_a_dragged_point_is_locked_when_it_is_let_go(watched, turns):
    study, plans, _, _ = watched
    node, index = study.landmarks, index_of(study, "AC")
    node.InvokeEvent(node.PointStartInteractionEvent)
    for _ in range(3):
        put(study, "AC", place_of(study, "AC") + [1, 0, 0])
        turns.take()
        assert not node.GetNthControlPointLocked(index)
    node.InvokeEvent(node.PointEndInteractionEvent)
    turns.take()
    assert node.GetNthControlPointLocked(index)
    assert len(plans) == 4


def test_a_click_on_a_point_that_does_not_move_it_leaves_a_dragged_box_alone(watched, turns):
    study, plans, _, _ = watched
    study.scan_box.SetSize(100.0, 100.0, 100.0)
    study.landmarks.InvokeEvent(study.landmarks.PointStartInteractionEvent)
    study.landmarks.InvokeEvent(study.landmarks.PointEndInteractionEvent)
    turns.take()
    assert plans == []
    assert study.scan_box.GetSize() == (100.0, 100.0, 100.0)


def test_restoring_while_watched_plans_once_and_asks_for_no_further_turn(watched, turns, engine, plan):
    study, _, _, _ = watched
    put(study, "PC", place_of(study, "PC") + [0, 0, 6])
    turns.take()
    engine.restore(study)
    turns.take()
    assert turns.queue == []
    np.testing.assert_allclose(box_from_node(study.scan_box).axes, plan.box.axes, atol=1e-9)


def test_slicers_own_undo_takes_a_correction_back(watched, turns, scene, plan):
    study, plans, _, _ = watched
    scene.SetUndoOn()
    study.landmarks.SetUndoEnabled(True)
    scene.SaveStateForUndo(study.landmarks)
    put(study, "PC", place_of(study, "PC") + [0, 0, 6])
    turns.take()
    assert plans[-1].box.axes[1] != pytest.approx(plan.box.axes[1])
    scene.Undo()
    turns.take()
    np.testing.assert_allclose(box_from_node(study.scan_box).axes, plan.box.axes, atol=1e-9)


def test_too_few_points_are_told_and_the_next_move_tries_again(watched, turns):
    study, plans, errors, _ = watched
    node = study.landmarks
    places = [node.GetNthControlPointPositionWorld(i) for i in range(node.GetNumberOfControlPoints())]
    for index in range(2, len(places)):
        node.UnsetNthControlPointPosition(index)
    turns.take()
    assert isinstance(errors[0], InputError)
    assert plans == []
    for index in range(2, 20):
        node.SetNthControlPointPositionWorld(index, *places[index])
    turns.take()
    assert len(plans) == 1


def test_an_unexpected_failure_goes_through_and_does_not_stop_the_watch(study, turns):
    calls = []

    def fail(_dragging, _plane):
        calls.append(1)
        raise ZeroDivisionError

    CorrectionObserver(study.landmarks, lambda: True, fail, turns)
    for _ in range(2):
        put(study, "AC", place_of(study, "AC") + [1, 0, 0])
        with pytest.raises(ZeroDivisionError):
            turns.take()
    assert len(calls) == 2


def test_an_event_loop_that_runs_at_once_does_not_recurse(engine, study):
    plans = []
    engine.watch(study, lambda call: call(), plans.append, pytest.fail)
    for _ in range(3):
        put(study, "AC", place_of(study, "AC") + [1, 0, 0])
    assert len(plans) == 3


def test_a_thousand_moves_leave_no_more_nodes_and_no_more_observers(watched, turns, scene, nodes_in, plan):
    study, plans, errors, _ = watched
    node, rng = study.landmarks, np.random.default_rng(3)
    names = [mark.name for mark in plan.landmarks]
    expected = plan.frame.expected_mm
    nodes, observers = nodes_in(), observers_of(node, scene)
    ids = [node.GetNthControlPointID(i) for i in range(len(names))]
    for turn in range(100):
        for name in rng.choice(names, 10):
            put(study, name, expected[name] + rng.normal(0, 2, 3))
        assert turns.take() == 1, turn
    assert (len(plans), errors) == (100, [])
    assert (nodes_in(), observers_of(node, scene)) == (nodes, observers)
    assert [node.GetNthControlPointID(i) for i in range(len(names))] == ids


def test_removing_the_observer_ends_it_and_what_it_scheduled(watched, turns, scene):
    study, plans, _, observer = watched
    put(study, "AC", place_of(study, "AC") + [1, 0, 0])
    observer.remove()
    observer.remove()
    turns.take()
    put(study, "AC", place_of(study, "AC") + [1, 0, 0])
    assert turns.queue == []
    assert plans == []
    assert not study.landmarks.HasObserver(slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent)


def test_watching_and_removing_leaves_no_observer_behind(engine, study, turns, scene):
    before = observers_of(study.landmarks, scene)
    for _ in range(20):
        engine.watch(study, turns, lambda plan: None, pytest.fail).remove()
    assert observers_of(study.landmarks, scene) == before


def test_closing_the_scene_ends_the_watch(watched, turns, scene):
    study, plans, _, observer = watched
    put(study, "AC", place_of(study, "AC") + [1, 0, 0])
    scene.Clear(False)
    assert not observer.active
    turns.take()
    assert plans == []


def test_deleting_the_node_ends_the_watch_and_deleting_another_does_not(watched, turns, scene):
    study, _, _, observer = watched
    scene.RemoveNode(study.checks)
    assert observer.active
    scene.RemoveNode(study.landmarks)
    assert not observer.active


def test_a_forgotten_observer_does_not_keep_a_node_alive_after_its_scene(engine, plan, turns):
    other = slicer.vtkMRMLScene()
    study = type(engine)(other).add_stacks(plan.stacks)
    type(engine)(other).show(study, plan)
    died = []
    study.landmarks.AddObserver("DeleteEvent", lambda *_: died.append(1))
    observer = CorrectionObserver(study.landmarks, lambda: True, lambda _dragging, _plane: None, turns)
    other.Clear(True)
    del study, other
    gc.collect()
    assert died
    assert not observer.active
