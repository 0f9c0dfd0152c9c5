"""Small cases of four rules: few points are no head, peaks on the border, two slices, and networks too large to be."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.fusion import fuse
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, render_targets
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model, sha256_of
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING
from AutoVolumeCalibrationLib.core.planning.checks.evidence import Evidence
from AutoVolumeCalibrationLib.core.planning.checks.plan_checks import run_checks
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from fake_models import blank_stacks
from posed_landmarks import landmarks_at, without

SIGMA, TAU, THROUGH = 1.5, 12.0, 4.0


def anatomy_level(found: int, confidence: float) -> str | None:
    """Level of the finding about the anatomy where so many landmarks were found, all with this confidence."""
    protocol = load_protocol("BrainAcPc")
    marks = [replace(mark, confidence=confidence) for mark in landmarks_at(protocol)]
    # From one end of the list to the other, so that few points still span a head.
    kept = {marks[i].name for i in np.linspace(0, len(marks) - 1, found).round().astype(int)}
    marks = without(marks, *(mark.name for mark in marks if mark.name not in kept))
    assert sum(mark.status != MISSING for mark in marks) == found
    frame, rule = fit_frame(marks, protocol), protocol.boxes[0]
    evidence = Evidence(blank_stacks([0.0]), marks, (), frame, plan_box(frame, protocol, rule), protocol, rule)
    return {check.name: check.level for check in run_checks(evidence)}.get("anatomy")


@pytest.mark.parametrize(
    ("found", "confidence", "level"),
    [(4, 0.95, ERROR), (6, 0.95, ERROR), (7, 0.95, WARNING), (8, 0.95, None), (10, 0.71, None), (10, 0.69, WARNING)],
)
def test_what_was_not_found_counts_as_unclear(found, confidence, level):
    """The ten clearest landmarks decide, and those of them that are missing count as nothing: 6 x 0.95 / 10 < 0.6."""
    assert anatomy_level(found, confidence) == level


@pytest.mark.parametrize(
    ("place", "axis", "pixel"),
    [((-0.4, 20.3), 0, 0), ((39.4, 20.3), 0, 39), ((15.6, -0.4), 1, 0), ((15.6, 55.4), 1, 55)],
)
def test_a_peak_on_the_border_keeps_its_pixel_across_it_and_is_exact_along_it(place, axis, pixel):
    """What lies beyond the border is not known, so nothing is concluded from it."""
    points = torch.tensor([[place]], dtype=torch.float32)
    found = decode_peaks(render_targets(points, torch.ones(1, 1), (40, 56), SIGMA), SIGMA).positions[0, 0]
    assert found[axis] == pixel
    assert found[1 - axis] == pytest.approx(place[1 - axis], abs=0.02)


@pytest.mark.parametrize("row", [1.3, 37.7])
def test_a_peak_one_pixel_from_the_border_is_exact(row):
    points = torch.tensor([[[row, 20.0]]])
    found = decode_peaks(render_targets(points, torch.ones(1, 1), (40, 56), SIGMA), SIGMA).positions[0, 0]
    assert found == pytest.approx([row, 20.0], abs=0.05)


def axial_stack(positions_mm, peak_values) -> StackDetections:
    """Slices that see one landmark at (5, 7) in the plane, with an error of 1.5 mm there."""
    count = (len(positions_mm), 1)
    places = np.broadcast_to([5.0, 7.0], (*count, 2)).copy()
    heights = np.array(peak_values, float)[:, None]
    return StackDetections(
        "axial", np.eye(3), np.array(positions_mm, float), places, heights, np.full((*count, 2), 1.5)
    )


@pytest.mark.parametrize(("heights", "slice_mm"), [((0.9, 0.6), 10.0), ((0.6, 0.9), 22.0)])
def test_with_two_slices_the_depth_is_the_clearer_one_and_open_to_both_sides(heights, slice_mm):
    """A peak of 0.9 lies tau * sqrt(-2 ln 0.9) off its slice, and two slices hardly say on which side."""
    (found,) = fuse([axial_stack([10.0, 22.0], heights)], ("AC",), np.array([0]), 0.2, TAU, THROUGH).landmarks
    assert found.position_mm == pytest.approx([5, 7, slice_mm], abs=1e-3)
    distance = TAU * np.sqrt(-2 * np.log(0.9))
    assert np.sqrt(np.diagonal(found.covariance_mm2)) == pytest.approx(
        [1.5, 1.5, np.hypot(THROUGH, distance)], rel=1e-3
    )


@pytest.mark.parametrize(("best", "open_sided"), [(0, True), (1, False), (2, True)])
def test_with_three_slices_the_depth_is_known_where_the_clearest_has_neighbours(best, open_sided):
    positions = np.array([0.0, 12.0, 24.0])
    heights = np.exp(-((positions - positions[best]) ** 2) / (2 * TAU**2))
    (found,) = fuse([axial_stack(positions, heights)], ("AC",), np.array([0]), 0.2, TAU, THROUGH).landmarks
    assert found.position_mm[2] == pytest.approx(positions[best], abs=0.3)
    known = found.covariance_mm2[2, 2] < THROUGH**2 * 1.01
    assert known != open_sided


def test_a_network_takes_no_memory_before_its_weights_are_read(tmp_path):
    """Metadata may name widths of gigabytes; a weight file that does not hold them must be all that it costs."""
    shipped = resource_path("Models", "brain-scout")
    metadata = json.loads((shipped / "configs" / "metadata.json").read_text(encoding="utf-8"))
    options = {"in_channels": 4, "out_channels": len(metadata["landmarks"]), "stem": 2, "dropout": 0.0}
    metadata["network"] = {"architecture": "unet_plus_plus", "options": {**options, "features": [48] * 6}}
    (tmp_path / "models").mkdir()
    (tmp_path / "configs").mkdir()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "models" / "model.pt")
    metadata["weights"] = {"file": "models/model.pt", "sha256": sha256_of(tmp_path / "models" / "model.pt")}
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    made: list[bool] = []
    hook = register_module_parameter_registration_hook(lambda _module, _name, parameter: made.append(parameter.is_meta))
    try:
        with pytest.raises(ModelError, match="weights"):
            load_model(tmp_path, "cpu")
    finally:
        hook.remove()
    assert made and all(made)
