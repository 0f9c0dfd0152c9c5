"""Simulated studies of held-out heads, planned and measured like real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.planning.box import plan_box

from ..evaluation.case_log import CaseResult
from ..evaluation.evaluation import Truth, measure
from ..evaluation.methods import model_method, model_name
from ..evaluation.study_calibration import GEOMETRIES, LIMITS
from ..reference_heads.truth import true_frame
from ..simulator.label_heads import LabelHeads
from ..simulator.render import simulate_study
from ..simulator.slice_planes import SliceSettings
from ..simulator.study_rendering import scouts_of
from ..simulator.tissues import CEREBRUM_AND_CEREBELLUM

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

#: Points on the surface of a brain.
SURFACE_POINTS = 4000


def simulated_cases(
    model: LandmarkModel, heads: LabelHeads, protocol: Protocol, rule: BoxRule, *, studies: int = 120, seed: int = 4242
) -> Iterator[CaseResult]:
    """One case per study, with 5, 3 and 1 slices per plane in turn; those that the model refuses are left out."""
    settings, method = SliceSettings(limits=LIMITS), model_method(model, protocol, rule.name, look=lambda *_: ())
    surfaces = [brain_surface_mm(heads, head) for head in range(len(heads.tissues))]
    for number in range(studies):
        geometry = GEOMETRIES[number % len(GEOMETRIES)]
        study = simulate_study(heads, protocol.constellation.mirror_indices, geometry, (seed, number), settings)
        scouts = scouts_of(study, protocol.constellation, geometry, settings)
        frame = true_frame(scouts.landmarks, protocol)
        brain = study.pose.to_scanner(surfaces[study.head][None])[0].double().cpu().numpy()
        points = {each.name: each.position_mm for each in scouts.landmarks if each.position_mm is not None}
        truth = Truth(points, brain, frame, plan_box(frame, protocol, rule), unseen_mm={})
        key = (f"simulated {number}", 0, f"P{geometry.slices}", model_name(model))
        try:
            plan = method(scouts.stacks)
        except AutoVolumeError:
            continue
        yield measure(key, plan, truth, scouts.stacks, protocol)


def brain_surface_mm(heads: LabelHeads, head: int) -> torch.Tensor:
    """(n, 3) head-space points, up to SURFACE_POINTS, on the outside of cerebrum and cerebellum of one head."""
    from scipy.ndimage import binary_erosion

    brain = np.isin(heads.tissues[head].cpu().numpy(), CEREBRUM_AND_CEREBELLUM)
    surface = np.argwhere(brain & ~binary_erosion(brain))
    chosen = np.random.default_rng(0).permutation(len(surface))[:SURFACE_POINTS]
    voxels = torch.from_numpy(surface[chosen]).float().to(heads.voxel_from_head.device)
    matrix = heads.voxel_from_head[head]
    return torch.linalg.solve(matrix[:, :3], (voxels - matrix[:, 3]).T).T
