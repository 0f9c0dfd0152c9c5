"""Measure planning methods on simulated scouts of label maps: of heads, or of what their ``scene.json`` describes.

Every case is one label map at one pose, in one contrast and geometry, planned by one method. The shapes are those of
the label maps, rotated and shifted and, where the anatomy has partners, mirrored to the other side in half of the
cases, in random contrasts. A case depends on (seed, map, pose number) and its geometry alone: the same pose and
contrast for all geometries and protocols, and never one of the training, whose seeds are others.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, box_rule
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, InputError
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry

from ...simulator.effects.effect_settings import SimulationEffects
from ...simulator.label_heads import LabelHeads
from ...simulator.label_maps import load_simulated_anatomy, numbers_of_maps, require_landmarks
from ...simulator.pose import PoseLimits
from ...simulator.render import simulate_study
from ...simulator.slice_planes import SliceSettings
from ...simulator.study_rendering import scouts_of
from ...simulator.surfaces import anatomy_surface_mm
from ..case_log import CaseResult, append_case, open_case_log
from ..evaluation import GEOMETRIES, Truth, anatomy_digest, measure
from ..methods import Method, Plan
from .truth import simulated_truth

#: First of the seeds of a case; training and its validation use others.
SEED = 20261213

#: What clinical scouts show besides the anatomy.
EFFECTS = SimulationEffects(coil_shading=0.4)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimulatedConditions:
    """How label maps are posed and imaged, and what is planned; results of other conditions do not mix.

    ``box`` names one of the protocol's boxes, its first when None.
    """

    seed: int = SEED
    max_rotation_deg: float = 20.0
    max_shift_mm: float = 25.0
    box: str | None = None

    @property
    def settings(self) -> SliceSettings:
        """Slices of the anatomy as it is: nothing is deformed."""
        return SliceSettings(limits=PoseLimits(self.max_rotation_deg, self.max_shift_mm).undeformed, effects=EFFECTS)


@dataclass(frozen=True, eq=False)
class SimulatedCase:
    """The scouts of one case, and what a perfect method would plan on them."""

    stacks: Sequence[ScoutStack]
    truth: Truth


@dataclass(frozen=True, eq=False)
class LabelMapCases:
    """The cases of some label maps, read and simulated one after another.

    Attributes:
        folder: of the label maps; maps: number -> name of those that are used.
        protocol: that is planned.
        geometries: name -> slices per plane.
    """

    folder: Path
    maps: Mapping[int, str]
    protocol: Protocol
    conditions: SimulatedConditions = SimulatedConditions()
    geometries: Mapping[str, ScoutGeometry] = field(default_factory=lambda: GEOMETRIES)
    _loaded: dict[int, tuple[LabelHeads, Any]] = field(default_factory=dict)

    def case(self, number: int, pose: int, geometry: str) -> SimulatedCase:
        """The case of a label map, by its number."""
        heads, surface = self._map(number)
        seed = (self.conditions.seed, zlib.crc32(self.maps[number].encode()), pose)
        settings, constellation = self.conditions.settings, self.protocol.constellation
        study = simulate_study(heads, constellation.mirror_indices, self.geometries[geometry], seed, settings)
        scouts = scouts_of(study, constellation, self.geometries[geometry], settings)
        rule = box_rule(self.protocol, self.conditions.box)
        truth = simulated_truth(study, scouts.landmarks, surface, self.protocol, rule)
        return SimulatedCase(scouts.stacks, truth)

    def description(self) -> dict[str, Any]:
        """What results depend on besides their key, as the first line of a log."""
        return {
            "protocol": self.protocol.name,
            "conditions": asdict(self.conditions),
            "geometries": {name: asdict(geometry) for name, geometry in self.geometries.items()},
            "anatomy": anatomy_digest(self.protocol),
            "labels": True,
        }

    def _map(self, number: int) -> tuple[LabelHeads, Any]:
        """The label map and its surface; only the last one is kept."""
        if number not in self._loaded:
            self._loaded.clear()
            heads = load_simulated_anatomy(self.folder, [number], self.protocol.constellation.names)
            require_landmarks(heads, self.folder, self.protocol.name)
            self._loaded[number] = heads, anatomy_surface_mm(heads, 0)
        return self._loaded[number]


def chosen_maps(folder: Path, names: Sequence[str] | None = None) -> dict[int, str]:
    """Number -> name of the label maps in a folder, all or those named.

    Raises:
        InputError: the folder has no label map, or none of a name.
    """
    maps = numbers_of_maps(folder)
    if not names:
        return maps
    unknown = sorted(set(names) - set(maps.values()))
    if unknown:
        raise InputError(
            f"has no label map {', '.join(unknown)}",
            source=str(folder),
            remedy=f"Name files without .nii.gz, such as {next(iter(maps.values()))}.",
        )
    return {number: name for number, name in maps.items() if name in names}


def evaluate_label_maps(
    methods: Mapping[str, Method],
    cases: LabelMapCases,
    *,
    poses: int = 2,
    log: Path | None = None,
    progress: Callable[[CaseResult], None] = lambda case: None,
) -> list[CaseResult]:
    """Every method on every label map, pose and geometry, in this order; ``head`` is the name of the map.

    Args:
        methods: name -> method; the names identify results in the log.
        log: JSON-lines file, one line a case; the cases in it are not computed again.
        progress: called with every new result.

    Raises:
        InputError: a label map cannot be read, or the log was written under other conditions.
    """
    known = open_case_log(log, cases.description()) if log else {}
    results = []
    for number, name in cases.maps.items():
        for pose in range(poses):
            for geometry in cases.geometries:
                keys = {method: (name, pose, geometry, method) for method in methods}
                todo = [method for method in methods if keys[method] not in known]
                case = cases.case(number, pose, geometry) if todo else None
                for method in todo:
                    assert case is not None
                    result = _measured(keys[method], methods[method], case, cases.protocol)
                    known[result.key] = result
                    if log:
                        append_case(log, result)
                    progress(result)
                results += [known[key] for key in keys.values()]
    return results


def _measured(key: tuple[str, int, str, str], method: Method, case: SimulatedCase, protocol: Protocol) -> CaseResult:
    try:
        plan: Plan = method(case.stacks)
    except AutoVolumeError as error:  # a refusal is a result
        return CaseResult(*key, failure=str(error))
    return measure(key, plan, case.truth, case.stacks, protocol)
