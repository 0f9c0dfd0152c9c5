"""Scenes in files: everything comes back, corrections included."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.storage.results import SCENE_FILE, write_results
from AutoVolumeCalibrationLib.core.workflow.pipeline import refit
from calibrations import scout_stacks

slicer = pytest.importorskip("slicer")

from AutoVolumeCalibrationLib.mrml.box_node import box_from_node  # noqa: E402
from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine  # noqa: E402
from AutoVolumeCalibrationLib.mrml.report_nodes import rows_of  # noqa: E402
from AutoVolumeCalibrationLib.mrml.scene_file import (  # noqa: E402
    load_scene,  # noqa: E402
    save_scene,  # noqa: E402
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def corrected(plan):
    """The plan with AC moved, PC cleared and the missing GENU placed."""
    marks = {mark.name: mark for mark in plan.landmarks}
    corrections = [
        marks["AC"].corrected(marks["AC"].position_mm + [1.5, 0, 0]),
        marks["GENU"].corrected(plan.frame.expected_mm["GENU"]),
        type(marks["PC"])("PC"),
    ]
    return refit(plan, corrections)


def reopened(scene):
    engine = CalibrationEngine(scene)
    (study,) = engine.studies()
    return engine, study


def test_a_saved_scene_brings_the_calibration_back(scene, corrected, tmp_path):
    save_scene(corrected, tmp_path / "scene.mrb", study="Visit")
    load_scene(scene, tmp_path / "scene.mrb")
    engine, study = reopened(scene)
    assert study.name == "Visit"
    recalled = engine.calibration(study)
    for found, expected in ((recalled.landmarks, corrected.landmarks), (recalled.predicted, corrected.predicted)):
        assert [(m.name, m.status, m.planes, m.confidence) for m in found] == [
            (m.name, m.status, m.planes, m.confidence) for m in expected
        ]
        for a, b in zip(found, expected, strict=True):
            assert (a.position_mm is None) == (b.position_mm is None)
            if a.position_mm is not None:
                np.testing.assert_array_equal(a.position_mm, b.position_mm)
    assert recalled.prescription == corrected.prescription
    assert recalled.checks == corrected.checks
    assert recalled.model.sha256 == corrected.model.sha256
    assert rows_of(study.checks) == [(c.name, c.level, c.message) for c in corrected.checks]
    assert study.prescription.GetText() == corrected.prescription.to_text()
    np.testing.assert_allclose(box_from_node(study.scan_box).axes, corrected.box.axes, atol=1e-9)


def test_the_scouts_come_back_pixel_by_pixel(scene, plan, tmp_path):
    save_scene(plan, tmp_path / "scene.mrb")
    load_scene(scene, tmp_path / "scene.mrb")
    engine, study = reopened(scene)
    for found, expected in zip(engine.calibration(study).stacks, plan.stacks, strict=True):
        assert found.plane == expected.plane
        for a, b in zip(found.slices, expected.slices, strict=True):
            np.testing.assert_array_equal(a.pixels, b.pixels)
            np.testing.assert_allclose(a.origin_mm, b.origin_mm, atol=1e-5)
            assert a.thickness_mm == b.thickness_mm


def test_after_loading_no_point_counts_as_moved_and_the_next_move_refits(scene, corrected, tmp_path):
    save_scene(corrected, tmp_path / "scene.mrb")
    load_scene(scene, tmp_path / "scene.mrb")
    engine, study = reopened(scene)
    again = engine.refit(study)
    np.testing.assert_allclose(again.box.center_mm, corrected.box.center_mm, atol=1e-6)
    assert [m.status for m in again.landmarks] == [m.status for m in corrected.landmarks]
    restored = engine.restore(study)
    assert all(mark.status != "corrected" for mark in restored.landmarks)


def test_points_keep_locks_ids_and_missing_places(scene, corrected, tmp_path):
    save_scene(corrected, tmp_path / "scene.mrb")
    load_scene(scene, tmp_path / "scene.mrb")
    node = reopened(scene)[1].landmarks
    locked = {node.GetNthControlPointLabel(i) for i in range(45) if node.GetNthControlPointLocked(i)}
    assert locked == {"AC", "GENU"}
    assert node.GetNthControlPointPositionStatus(node.GetControlPointIndexByLabel("PC")) == node.PositionMissing
    assert node.GetFixedNumberOfControlPoints()


def test_a_study_joins_a_scene_that_has_one_of_the_same_ids(engine, study, plan, corrected, scene, tmp_path):
    save_scene(corrected, tmp_path / "scene.mrb", study="Loaded")
    load_scene(scene, tmp_path / "scene.mrb")
    first, second = engine.studies()
    assert [first.name, second.name] == ["Study 1", "Loaded"]
    assert second.landmarks is not first.landmarks
    assert {node.GetID() for node in second.scouts}.isdisjoint(node.GetID() for node in first.scouts)
    engine.restore(second)
    np.testing.assert_allclose(engine.calibration(first).box.axes, plan.box.axes, atol=1e-12)


def test_turned_scouts_and_uneven_ones_are_saved_too(scene, plan, tmp_path):
    from dataclasses import replace

    stacks = list(scout_stacks(rotation_deg=(10.0, 5.0, -8.0)))
    last = stacks[2].slices[-1]
    apart = replace(last, origin_mm=last.origin_mm + 7 * stacks[2].normal)
    stacks[2] = replace(stacks[2], slices=(*stacks[2].slices[:-1], apart))
    save_scene(replace(plan, stacks=tuple(stacks)), tmp_path / "scene.mrb")
    load_scene(scene, tmp_path / "scene.mrb")
    engine, study = reopened(scene)
    assert len(study.scouts) == 5
    found = engine.calibration(study).stacks
    assert [len(stack.slices) for stack in found] == [3, 3, 3]
    np.testing.assert_allclose(found[2].positions_mm, stacks[2].positions_mm, atol=1e-5)
    np.testing.assert_allclose(found[0].slices[1].row_axis, stacks[0].slices[1].row_axis, atol=1e-6)


def test_volumes_have_their_grey_colours_after_loading(scene, plan, tmp_path):
    save_scene(plan, tmp_path / "scene.mrb")
    load_scene(scene, tmp_path / "scene.mrb")
    for node in reopened(scene)[1].scouts:
        assert node.GetDisplayNode().GetColorNode().GetName() == "Grey"


def test_saving_leaves_the_callers_scene_alone(engine, study, plan, scene, nodes_in, tmp_path):
    count = nodes_in()
    save_scene(plan, tmp_path / "scene.mrb")
    assert nodes_in() == count
    assert [path.name for path in tmp_path.glob("scene*")] == ["scene.mrb"]


def test_the_file_holds_no_path_of_this_machine(plan, tmp_path):
    save_scene(plan, tmp_path / "scene.mrb")
    with zipfile.ZipFile(tmp_path / "scene.mrb") as bundle:
        (name,) = [entry for entry in bundle.namelist() if entry.endswith(".mrml")]
        text = bundle.read(name).decode()
    assert str(ROOT) not in text
    assert str(tmp_path) not in text


def test_the_scene_is_written_together_with_the_other_results(scene, plan, tmp_path):
    write_results(plan, tmp_path / "out", overwrite=False, drawings={SCENE_FILE: save_scene})
    assert (tmp_path / "out" / "landmarks.mrk.json").is_file()
    load_scene(scene, tmp_path / "out" / SCENE_FILE)
    assert reopened(scene)[1].name == "Study 1"


def test_a_scene_file_is_whole_or_not_there(plan, tmp_path):
    with pytest.raises(UsageError, match="absent"):
        save_scene(plan, tmp_path / "absent" / "scene.mrb")
    (tmp_path / "old.mrb").write_text("old")
    save_scene(plan, tmp_path / "old.mrb")
    assert zipfile.is_zipfile(tmp_path / "old.mrb")


def test_a_scene_that_would_write_outside_its_folder_is_not_opened(scene, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.mrb", "w") as archive:
        archive.writestr("Scene/scene.mrml", "<MRML></MRML>")
        archive.writestr("../../out.txt", "x")
    with pytest.raises(InputError, match="leads out of the archive"):
        load_scene(scene, tmp_path / "bad.mrb")


def test_what_is_no_scene_is_refused(scene, tmp_path):
    (tmp_path / "bad.mrb").write_text("no scene")
    before = os.getcwd()
    for name in ("bad.mrb", "absent.mrb"):
        with pytest.raises(InputError, match=f"{name}: (is not a whole archive|cannot be read)"):
            load_scene(scene, tmp_path / name)
        assert os.getcwd() == before  # MRML would leave it in a folder that it has removed


def test_without_slicer_core_the_error_says_how_to_get_it(tmp_path):
    script = (
        "import sys; sys.modules['slicer'] = None\n"
        "from AutoVolumeCalibrationLib.mrml.scene_file import save_scene\n"
        "from AutoVolumeCalibrationLib.core.errors import UsageError\n"
        "try:\n    save_scene(None, 'x.mrb')\nexcept UsageError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "AutoVolumeCalibration")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert '-m pip install "autovolume[standalone]"' in done.stdout
