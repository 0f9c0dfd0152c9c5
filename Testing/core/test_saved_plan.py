"""A saved plan is opened again on its own scouts only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.identity import difference, identity_from_dict, identity_of
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from scout_files import tiny_stacks


def changed(stacks: list[ScoutStack], **values: object) -> list[ScoutStack]:
    """The stacks with other values in the first slice of the first one."""
    first, *others = stacks
    return [replace(first, slices=(replace(first.slices[0], **values), *first.slices[1:])), *others]


def test_the_same_scouts_are_the_same_in_any_order() -> None:
    known = [identity_from_dict(identity_of(stack).to_dict()) for stack in tiny_stacks()]
    assert difference(known, tiny_stacks()[::-1]) is None


def test_rounding_of_another_file_format_does_not_matter() -> None:
    known = [identity_of(stack) for stack in tiny_stacks()]
    first = tiny_stacks()[0].slices[0]
    assert difference(known, changed(tiny_stacks(), origin_mm=first.origin_mm + 1e-4)) is None


def test_what_differs_is_named() -> None:
    known = [identity_of(replace(stack, frame_of_reference="1.2.3")) for stack in tiny_stacks()]
    first = tiny_stacks()[0].slices[0]
    elsewhere = [replace(stack, frame_of_reference="1.2.4") for stack in tiny_stacks()]
    assert "another frame of reference" in difference(known, elsewhere)
    assert "6 slices, the plan was made on 9" in difference(known, tiny_stacks()[1:])
    assert "images differ" in difference(known, changed(tiny_stacks(), pixels=first.pixels + np.float32(1)))
    assert "positions in space differ" in difference(known, changed(tiny_stacks(), origin_mm=first.origin_mm + 1))


def test_a_plan_is_opened_again_and_corrected(tmp_path: Path) -> None:
    from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts, refit, reopen
    from command_line import MIDDLE_SLICES

    plan = calibrate(read_scouts(MIDDLE_SLICES), load_protocol("BrainAcPc"), load_model(device="cpu"))
    plan.save(tmp_path / "plan", sources=MIDDLE_SLICES)
    again = reopen(tmp_path / "plan")
    np.testing.assert_allclose(again.box.center_mm, plan.box.center_mm, atol=1e-6)
    assert refit(again, [again.landmarks[0].corrected(np.zeros(3))]).landmarks[0].status == "corrected"
    with pytest.raises(InputError, match="not the scouts of this plan"):
        reopen(tmp_path / "plan", scouts=MIDDLE_SLICES[:2])
