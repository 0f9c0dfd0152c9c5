"""Landmarks and boxes in Slicer's own views, moved with a played mouse. Compares the scene, not pixels."""

from __future__ import annotations

import ctypes.util

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from views_support import can_render, open_views  # noqa: E402 - without slicer there is nothing to open
from views_support.views import SIZE  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not can_render(), reason="nothing can be drawn here: no display, no libEGL"),
    pytest.mark.skipif(hasattr(slicer, "app"), reason="the application has views of its own"),
]

AC = np.array([10.0, 20.0, 30.0])
BOX_CENTER = np.array([0.0, 5.0, 10.0])
BOX_SIZE = np.array([100.0, 120.0, 80.0])


@pytest.fixture
def views(tmp_path):
    """The four views of a scene with a round head in it, 240 mm wide."""
    from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene

    standalone = StandaloneScene(tmp_path)
    views = open_views(standalone.scene, standalone.application_logic)
    views.show_volume(head(standalone.scene))
    yield views
    views.close()
    standalone.close()


@pytest.fixture
def scene(views):
    return views.red.node.GetScene()


def head(scene):
    """A ball that grows brighter to the left, as a volume of 60 voxels of 4 mm each way."""
    k, j, i = np.mgrid[:60, :60, :60] - 29.5
    ball = np.where(i**2 + j**2 + k**2 < 22**2, 600 - 10 * i, 0).astype(np.int16)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Head")
    slicer.util.updateVolumeFromArray(volume, ball)
    volume.SetSpacing(4, 4, 4)
    volume.SetOrigin(-118, -118, -118)
    volume.CreateDefaultDisplayNodes()
    return volume


@pytest.fixture
def landmarks(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Landmarks")
    node.CreateDefaultDisplayNodes()
    node.AddControlPoint(*AC, "AC")
    return node


@pytest.fixture
def box(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "ScanBox")
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetHandlesInteractive(True)
    node.SetCenter(*BOX_CENTER)
    node.SetSize(*BOX_SIZE)
    return node


def millimetres_per_pixel(view) -> float:
    return float(np.linalg.norm(view.ras_of((1, 0)) - view.ras_of((0, 0))))


@pytest.mark.parametrize("plane", ["red", "yellow", "green"])
def test_a_point_and_its_pixel_belong_together(views, plane):
    view = getattr(views, plane)
    views.jump_to(AC)
    pixel = view.pixel_of(AC)
    assert all(0 < at < size for at, size in zip(pixel, SIZE, strict=True))
    assert view.ras_of(pixel) == pytest.approx(AC, abs=0.01)


@pytest.mark.parametrize(("plane", "normal"), [("red", 2), ("yellow", 0), ("green", 1)])
def test_dragging_a_landmark_moves_it_within_the_slice(views, landmarks, plane, normal):
    view = getattr(views, plane)
    events = []
    for event in ("PointStartInteractionEvent", "PointEndInteractionEvent"):
        landmarks.AddObserver(getattr(landmarks, event), lambda *_, event=event: events.append(event))
    views.jump_to(AC)
    start = view.pixel_of(AC)
    end = (start[0] + 30, start[1] - 20)
    view.drag(start, end)
    moved = np.array(landmarks.GetNthControlPointPositionWorld(0))
    assert moved == pytest.approx(view.ras_of(end), abs=millimetres_per_pixel(view))
    assert np.linalg.norm(moved - AC) > 10
    assert moved[normal] == pytest.approx(AC[normal])
    assert events == ["PointStartInteractionEvent", "PointEndInteractionEvent"]


def test_dragging_beside_a_landmark_or_a_locked_one_moves_nothing(views, landmarks):
    views.jump_to(AC)
    x, y = views.yellow.pixel_of(AC)
    views.yellow.drag((x + 60, y + 60), (x + 90, y + 60))
    landmarks.SetNthControlPointLocked(0, True)
    views.yellow.drag((x, y), (x + 30, y))
    assert landmarks.GetNthControlPointPositionWorld(0) == pytest.approx(AC)


def test_a_missing_landmark_is_placed_with_a_click(views, landmarks, scene):
    landmarks.SetNthControlPointPositionMissing(0)
    landmarks.AddControlPoint(0, 0, 0, "PC")
    landmarks.UnsetNthControlPointPosition(1)
    landmarks.SetControlPointPlacementStartIndex(1)
    selection = scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(landmarks.GetID())
    scene.GetFirstNodeByClass("vtkMRMLInteractionNode").SwitchToSinglePlaceMode()
    pixel = views.yellow.pixel_of([0, -20, 30])
    views.yellow.click(pixel)
    assert landmarks.GetNumberOfControlPoints() == 2
    assert landmarks.GetNthControlPointPositionStatus(1) == landmarks.PositionDefined
    placed = landmarks.GetNthControlPointPositionWorld(1)
    assert placed == pytest.approx(views.yellow.ras_of(pixel), abs=millimetres_per_pixel(views.yellow))


@pytest.mark.parametrize("side", [-1, 1])
def test_dragging_a_face_of_the_box_changes_its_size_and_keeps_the_other_face(views, box, side):
    views.jump_to(BOX_CENTER)
    face = BOX_CENTER + [side * BOX_SIZE[0] / 2, 0, 0]
    start = views.red.pixel_of(face)
    end = (start[0] - side * 25, start[1])  # right is on the left of the picture: outwards
    views.red.drag(start, end)
    reached = views.red.ras_of(end)[0]
    tolerance = 2 * millimetres_per_pixel(views.red)
    assert box.GetSize()[0] == pytest.approx(BOX_SIZE[0] + abs(reached - face[0]), abs=tolerance)
    assert box.GetSize()[0] > BOX_SIZE[0] + 10
    assert box.GetSize()[1:] == pytest.approx(BOX_SIZE[1:])
    other_face = box.GetCenter()[0] - side * box.GetSize()[0] / 2
    assert other_face == pytest.approx(BOX_CENTER[0] - side * BOX_SIZE[0] / 2)


def test_dragging_a_landmark_in_the_3d_view_moves_it(views, landmarks):
    views.three_d.fit()
    views.three_d.render()
    x, y = views.three_d.pixel_of(AC)
    views.three_d.drag((x, y), (x + 20, y))
    moved = np.array(landmarks.GetNthControlPointPositionWorld(0))
    assert np.linalg.norm(moved - AC) > 1
    assert views.three_d.pixel_of(moved) == pytest.approx((x + 20, y), abs=2)


def test_the_picture_shows_all_four_views(views, landmarks, box, tmp_path):
    views.jump_to(AC)
    views.three_d.fit()
    image = views.image()
    assert image.shape == (2 * SIZE[1], 2 * SIZE[0], 3)
    quarters = [image[y : y + SIZE[1], x : x + SIZE[0]] for y in (0, SIZE[1]) for x in (0, SIZE[0])]
    assert all(quarter.std() > 10 for quarter in quarters)
    views.save(tmp_path / "views.png")
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_display_and_egl_a_view_is_refused_before_vtk_ends_the_process(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    assert not can_render()
    with pytest.raises(RuntimeError, match="no display and no libEGL"):
        open_views(None, None)
