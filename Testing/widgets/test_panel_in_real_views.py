"""The panel with Slicer's own views, drawn offscreen, and a played mouse."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)


@pytest.fixture
def planned_in_views(real_views, panel):
    """Calibrated scouts on the screen; views first, as in the application."""
    panel.load()
    panel.calibrate()
    return panel


def test_a_dragged_ac_turns_the_box(planned_in_views, real_views):
    panel, view = planned_in_views, real_views.yellow
    panel.choose("AC")
    before, start = panel.calibration.box, panel.place_of("AC")
    pixel = view.pixel_of(start)
    view.drag(pixel, (pixel[0], pixel[1] + 25))
    panel.settle()
    moved = panel.place_of("AC")
    assert np.linalg.norm(moved - start) > 5
    assert np.abs(panel.calibration.box.axes - before.axes).max() > 0.005
    assert panel.row("AC").status == "set in one plane"
    matrix = slicer.util.arrayFromVTKMatrix(panel.current.study.scan_box.GetObjectToNodeMatrix())
    assert pytest.approx(panel.calibration.box.axes) == matrix[:3, :3].T
    panel.click(panel.ui.undoButton)
    assert panel.place_of("AC") == pytest.approx(start)
    assert not panel.ui.undoButton.enabled


def test_a_dragged_face_changes_the_margin(planned_in_views, real_views):
    panel, view = planned_in_views, real_views.red
    box = panel.calibration.box
    real_views.jump_to(box.center_mm)
    face = box.center_mm - box.axes[0] * box.size_mm[0] / 2  # left
    pixel = view.pixel_of(face)
    view.drag(pixel, (pixel[0] + 20, pixel[1]))  # left is on the right of the picture
    panel.settle()
    assert panel.calibration.box.size_mm[0] > box.size_mm[0] + 5
    assert panel.ui.leftMargin.value > 10
    assert panel.ui.rightMargin.value == pytest.approx(5, abs=1)
    panel.click(panel.ui.undoButton)
    assert panel.calibration.box is box


def test_a_click_in_the_table_leads_the_views_to_the_point(planned_in_views, real_views):
    panel = planned_in_views
    panel.choose("OCCIPITAL_L")
    for view, axis in ((real_views.red, 2), (real_views.yellow, 0), (real_views.green, 1)):
        through = view.ras_of((200, 200))
        assert through[axis] == pytest.approx(panel.place_of("OCCIPITAL_L")[axis], abs=1e-3)


def test_a_missing_point_is_placed_with_a_click(planned_in_views, real_views):
    from fake_detection import NOT_FOUND

    panel, view = planned_in_views, real_views.yellow
    panel.choose(NOT_FOUND)
    panel.click(panel.ui.placeButton)
    pixel = view.pixel_of(panel.calibration.frame.expected_mm[NOT_FOUND])
    view.click(pixel)
    panel.settle()
    assert panel.row(NOT_FOUND).status == "set in one plane"
    assert panel.place_of(NOT_FOUND) == pytest.approx(view.ras_of(pixel), abs=2)


def test_each_view_shows_its_scout_in_the_scout_s_own_plane(panel, real_views):
    panel.load(rotation_deg=(8.0, 0.0, 5.0))
    panel.calibrate()
    for view, plane in ((real_views.red, "axial"), (real_views.yellow, "sagittal"), (real_views.green, "coronal")):
        composite = view.logic.GetSliceCompositeNode()
        volume = panel.app.scene.GetNodeByID(composite.GetBackgroundVolumeID())
        assert volume.GetName() == f"Study 1 {plane}"
        normal = slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS())[:3, 2]
        stack = next(stack for stack in panel.calibration.stacks if stack.plane == plane)
        assert abs(normal @ stack.normal) == pytest.approx(1, abs=1e-6)
