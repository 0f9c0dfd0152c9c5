"""Simulated studies of held-out heads, planned and measured like real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError

from ..evaluation.case_log import CaseResult
from ..evaluation.evaluation import measure
from ..evaluation.methods import model_method, model_name
from ..evaluation.simulated.truth import simulated_truth
from ..evaluation.study_calibration import GEOMETRIES, limits_of
from ..simulator.label_heads import LabelHeads
from ..simulator.render import simulate_study
from ..simulator.slice_planes import SliceSettings
from ..simulator.study_rendering import scouts_of
from ..simulator.surfaces import anatomy_surface_mm

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel


def simulated_cases(
    model: LandmarkModel, heads: LabelHeads, protocol: Protocol, rule: BoxRule, *, studies: int = 120, seed: int = 4242
) -> Iterator[CaseResult]:
    """One case per study, with 5, 3 and 1 slices per plane in turn; those that the model refuses are left out."""
    settings = SliceSettings(limits=limits_of(heads))
    method = model_method(model, protocol, rule.name, look=lambda *_: ())
    surfaces = [anatomy_surface_mm(heads, head) for head in range(len(heads.tissues))]
    for number in range(studies):
        geometry = GEOMETRIES[number % len(GEOMETRIES)]
        study = simulate_study(heads, protocol.constellation.mirror_indices, geometry, (seed, number), settings)
        scouts = scouts_of(study, protocol.constellation, geometry, settings)
        truth = simulated_truth(study, scouts.landmarks, surfaces[study.head], protocol, rule)
        key = (f"simulated {number}", 0, f"P{geometry.slices}", model_name(model))
        try:
            plan = method(scouts.stacks)
        except AutoVolumeError:
            continue
        yield measure(key, plan, truth, scouts.stacks, protocol)
