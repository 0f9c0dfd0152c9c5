"""What stated uncertainties promise, and the factors a bundle carries."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of, coverages_from_list, rule_key

RULE = load_protocol("BrainAcPc").boxes[0]
SD = dict.fromkeys(FACES, 2.0)
MEASURED = replace(
    coverage_of(RULE, ()),
    offset_mm={face: 0.5 + i for i, face in enumerate(FACES)},
    factors=dict.fromkeys(FACES, 1.8),
    joint_factor=2.9,
    angle_factors=(2.1, 2.2, 2.3),
    heads=15,
    cases=90,
)


def test_without_measurement_a_normal_distribution_is_assumed():
    assumed = coverage_of(RULE, ())
    rng = np.random.default_rng(0)
    errors = rng.normal(0, 2, (40000, 6))
    one, six = (np.array(list(m.values())) for m in (assumed.reach_mm(SD), assumed.safe_margins_mm(SD)))
    assert not assumed.measured
    assert np.mean(errors[:, 0] <= one[0]) == pytest.approx(0.95, abs=0.005)
    assert np.mean((errors <= six).all(axis=1)) == pytest.approx(0.95, abs=0.005)
    turned = rng.normal(0, 1, 40000)
    assert np.mean(np.abs(turned) <= assumed.angles_deg(np.eye(6) * np.deg2rad(1) ** 2)[0]) == pytest.approx(
        0.95, abs=0.005
    )


def test_factors_survive_the_file():
    (read,) = coverages_from_list(json.loads(json.dumps([MEASURED.to_dict()])))
    assert read.measured and read.to_dict() == MEASURED.to_dict()
    assert coverage_of(RULE, (read,)) is read


def test_name_margin_and_slices_of_a_box_do_not_matter_but_its_landmarks_line_and_tilt_do():
    alike = replace(RULE, name="Other", slice_thickness_mm=1.0, round_up_to_slices=False)
    assert rule_key(alike) == rule_key(RULE)
    assert rule_key(replace(RULE, tilt_deg=(5.0, 0.0, 0.0))) != rule_key(RULE)
    assert rule_key(replace(RULE, line=(("PC",), ("AC",)))) != rule_key(RULE)
    moved = {**RULE.faces, "left": replace(RULE.faces["left"], landmarks=("TEMPORAL_L",))}
    assert rule_key(replace(RULE, faces=moved)) != rule_key(RULE)
    assert not coverage_of(replace(RULE, tilt_deg=(5.0, 0.0, 0.0)), (MEASURED,)).measured


@pytest.mark.parametrize(
    "damage",
    [
        {"joint_factor": -1.0},
        {"joint_factor": "wide"},
        {"angle_factors": [1.0, 2.0]},
        {"offset_mm": {"left": 1.0}},
        {"factors": dict.fromkeys(FACES, float("nan"))},
        {"rule": None},
    ],
)
def test_damaged_factors_are_refused(damage):
    with pytest.raises(ValueError, match="coverage of its boxes is damaged"):
        coverages_from_list([{**MEASURED.to_dict(), **damage}])
