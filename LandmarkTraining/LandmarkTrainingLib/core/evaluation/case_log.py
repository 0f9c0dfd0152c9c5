"""Results of an evaluation, and the file that keeps them: JSON lines, the first one holds the conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import InputError

from .metrics import BoxErrors

FORMAT = "AutoVolumeCalibration/evaluation/1"

#: (head, pose number, geometry, method)
CaseKey = tuple[str, int, str, str]


@dataclass(frozen=True)
class CaseResult:
    """The errors of one method on one posed head.

    Attributes:
        head, pose, geometry, method: which case.
        failure: why there is no plan; then everything below is empty.
        in_plane_mm: plane -> landmark -> one distance per slice near it, None where it was not found.
        landmarks_mm: landmark -> error of the detected position (extremes: along their normal).
        expected_mm: the same for the positions according to the frame fit.
        missing: landmarks with a known true position that were not found.
        invented: landmarks that were found although they are known not to be in the scouts.
        frame_angles_deg: (pitch, roll, yaw) from the true to the found frame.
        acpc_pitch_deg: pitch of the found frame against the true AC-PC line itself.
        box: errors of the box.
        slice_angles_deg: angle between the normals of the planned and the true slices, and rotation within them.
        joint_deg: name of a joint's angle -> found minus true.
        side_right: whether the plan is for the right side of the body; None where the anatomy has no sides.
        covered: share of the anatomy's surface points (brain, or joint) inside the box with the rule's margins.
        covered_planned: the same of the box as users get it, with margins for the uncertainty.
        needed_mm: margins (6,), order FACES, that the found box would have needed to hold the whole anatomy.
        angles_sd_deg, face_sd_mm: standard deviations that the plan states, of (pitch, roll, yaw) and the faces (6,).
        level: worst check, "ok", "warning" or "error"; None where the method has no checks.
        findings: names of the checks that are not ok.
        timings_s: seconds per step.
        mean_peak: mean over the landmarks that were detected of their highest heatmap peak, the confidence of the case;
            None without detections, and in logs of earlier versions.
    """

    head: str
    pose: int
    geometry: str
    method: str
    failure: str | None = None
    in_plane_mm: Mapping[str, Mapping[str, Sequence[float | None]]] = field(default_factory=dict)
    landmarks_mm: Mapping[str, float] = field(default_factory=dict)
    expected_mm: Mapping[str, float] = field(default_factory=dict)
    missing: Sequence[str] = ()
    invented: Sequence[str] = ()
    frame_angles_deg: Sequence[float] = ()
    acpc_pitch_deg: float | None = None
    box: BoxErrors | None = None
    slice_angles_deg: Sequence[float] = ()
    joint_deg: Mapping[str, float] = field(default_factory=dict)
    side_right: bool | None = None
    covered: float | None = None
    covered_planned: float | None = None
    needed_mm: Sequence[float] = ()
    angles_sd_deg: Sequence[float] = ()
    face_sd_mm: Sequence[float] = ()
    level: str | None = None
    findings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    mean_peak: float | None = None

    @property
    def key(self) -> CaseKey:
        """What identifies the case."""
        return self.head, self.pose, self.geometry, self.method


def open_case_log(path: Path, conditions: Mapping[str, Any]) -> dict[CaseKey, CaseResult]:
    """The cases already in the log; a new log gets its first line.

    Raises:
        InputError: the file is not an evaluation log, or was written under other conditions.
    """
    header = {"format": FORMAT, **conditions}
    if not path.exists() or not path.stat().st_size:
        path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        return {}
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):  # the last run was stopped while it wrote a line
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    first, cases = _read(path)
    if first != header:
        raise InputError(
            "was written under other conditions",
            source=str(path),
            remedy="Name another log file or the same conditions.",
        )
    return {case.key: case for case in cases}


def append_case(path: Path, case: CaseResult) -> None:
    """Add one line to the log."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(case)) + "\n")


def has_corrected_truth(path: Path) -> bool:
    """Whether a log's errors are against heads with corrected points; InputError where it is another file."""
    return bool(_read(path)[0].get("corrected", False))


def read_case_log(path: Path) -> list[CaseResult]:
    """All cases of a log, for a report.

    Raises:
        InputError: the file is not an evaluation log.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Any], list[CaseResult]]:
    try:
        first, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if first["format"] != FORMAT:
            raise ValueError(f"format {first['format']!r}")
        return first, [_from_dict(line) for line in lines]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise InputError(
            f"is not an evaluation log ({error})", source=str(path), remedy="Name another log file."
        ) from error


def _from_dict(data: Mapping[str, Any]) -> CaseResult:
    box = data["box"]
    if box is not None:
        box = BoxErrors(**{**box, "angles_deg": tuple(box["angles_deg"]), "faces_mm": tuple(box["faces_mm"])})
    return CaseResult(**{**data, "box": box})
