"""Measure planning methods on the studies of a data set, against the points that the user placed or confirmed.

The results are those of ``core.evaluation.evaluation``: ``head`` is the study, ``geometry`` is ``study``, the pose 0.
What the points of a study do not determine is not measured: without enough points neither the frame nor the box.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, box_rule
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, InputError
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..datasets.file_pairs import points_in
from ..datasets.frozen_set import dataset_fingerprint
from ..datasets.reading import absent_of, read_study
from ..reference_heads.truth import true_frame
from .case_log import CaseKey, CaseResult, append_case, open_case_log
from .evaluation import Truth, measure
from .methods import Method

#: Name that stands for the slices of a study in the results, where those of an evaluation have their geometry.
GEOMETRY = "study"

#: A frame counts as true where the points determine its rotation better than this (standard deviation about the worst
#: axis). Three or four points of a brain leave 1.5 to 3 degrees, eight well under 1.
TRUE_FRAME_SD_DEG = 1.5

logger = logging.getLogger(__name__)


def measure_on_dataset(
    methods: Mapping[str, Method],
    protocol: Protocol,
    folder: Path,
    names: Sequence[str],
    *,
    box: str | None = None,
    log: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[CaseResult]:
    """Every method on the named studies of a data set, in the order studies, methods.

    Args:
        methods: name -> method; the names identify results in the log.
        box: name of the protocol's box that the methods plan, its first when None.
        log: JSON-lines file, one line a case; the cases in it are not computed again.
        progress: called with (studies done, studies).

    Raises:
        InputError: a study is damaged, or the log was written with another data set, protocol or box.
    """
    header = {"protocol": protocol.name, "dataset": dataset_fingerprint(folder)}
    if box is not None and box != protocol.boxes[0].name:  # logs of earlier versions name no box: the first one
        header["box"] = box
    known = open_case_log(log, header) if log else {}
    results = []
    for number, name in enumerate(names):
        keys = {method: (name, 0, GEOMETRY, method) for method in methods}
        todo = {method: keys[method] for method in methods if keys[method] not in known}
        if todo:
            by_key = {todo[method]: methods[method] for method in todo}
            for result in _measure_study(read_study(folder, name), by_key, protocol, box):
                known[result.key] = result
                if log:
                    append_case(log, result)
        results += [known[key] for key in keys.values()]
        if progress:
            progress(number + 1, len(names))
    return results


def true_plan_of_study(study: LabelledStudy, protocol: Protocol, box: str | None = None) -> Truth:
    """Truth from the study's landmarks; without frame and box if they are too few to determine the head's pose."""
    known = set(protocol.constellation.names)
    points = {name: position for name, position in points_in(study.landmarks).items() if name in known}
    placed = [each for each in study.landmarks if each.name in points]
    absent = absent_of(study) & known
    try:
        frame = true_frame(placed, protocol)
    except InputError:
        return Truth(points, None, None, None, absent)
    if np.rad2deg(np.sqrt(np.diagonal(frame.covariance)[:3].max())) > TRUE_FRAME_SD_DEG:
        return Truth(points, None, None, None, absent)
    return Truth(points, None, frame, plan_box(frame, protocol, box_rule(protocol, box)), absent)


def _measure_study(
    study: LabelledStudy, methods: Mapping[CaseKey, Method], protocol: Protocol, box: str | None
) -> Iterator[CaseResult]:
    truth = true_plan_of_study(study, protocol, box)
    for key, method in methods.items():
        try:
            plan = method(study.stacks)
        except AutoVolumeError as error:  # a refusal is a result
            yield CaseResult(*key, failure=str(error))
        else:
            yield measure(key, plan, truth, study.stacks, protocol)
