"""The files of one calibration: written together, read again for a refit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ..anatomy.landmark import Landmark
from ..detection.model_info import ModelInfo
from ..detection.model_limits import limits_from_dict
from ..errors import Cancelled, InputError
from ..files.atomic_write import atomic_path
from ..files.json_files import json_text, read_json, require_schema
from ..files.output_folder import require_place
from ..files.resources import resource_path
from ..follow_up.follow_up import FollowUp, follow_up_from_dict, follow_up_to_dict
from ..geometry.oriented_box import FACES, OrientedBox
from ..motion.motion import Motion, motion_from_dict, motion_to_dict
from ..planning.checks.check import Check
from ..planning.console.card import card_to_dict
from ..planning.console.cards import console_cards
from ..planning.face_uncertainty import LEVEL, coverages_from_list
from ..planning.frame import AnatomicalFrame
from ..planning.margins import plan_coverage
from ..planning.prescription import Prescription, prescription_from_dict
from ..planning.risk.features import FEATURES
from ..planning.risk.finding import PlanRisk
from ..planning.risk.model import risk_from_dict
from ..scouts.identity import StackIdentity, identity_from_dict, identity_of
from .markups import landmarks_to_markups, scan_box_to_markups

if TYPE_CHECKING:
    from ..anatomy.protocol import Protocol
    from ..workflow.calibration import Calibration

FORMAT = "AutoVolumeCalibration/calibration/1"

LANDMARKS_FILE, BOX_FILE = "landmarks.mrk.json", "scanbox.mrk.json"
CALIBRATION_FILE, OVERVIEW_FILE, SCENE_FILE = "calibration.json", "overview.png", "scene.mrb"
#: Only written where asked for, or where an earlier one would show an old plan.
REPORT_FILE = "report.html"
#: Where an earlier plan lies after a run that was to replace it failed.
PREVIOUS_FOLDER = "previous"
RESULT_FILES = (LANDMARKS_FILE, BOX_FILE, CALIBRATION_FILE, OVERVIEW_FILE)
#: All that a plan may leave in its folder.
PLAN_FILES = (*RESULT_FILES, REPORT_FILE, SCENE_FILE)

_REMEDY = "Give the folder that calibrate wrote, or run calibrate again."


@dataclass(frozen=True, eq=False)
class SavedCalibration:
    """The content of a result folder: enough to fit again with corrected landmarks.

    Attributes:
        landmarks: as in the last fit, corrections included.
        predicted: the network's own.
        protocol: name or file that ``load_protocol`` takes.
        box, prescription, checks: of the last fit.
        model: None where no network ran.
        sources: absolute paths of the scouts.
        study: name of the study, empty where none was given.
        timings_s: of the last fit.
        disagreeing: names of predicted landmarks on which the planes disagreed.
        motion: of the head between the stacks, None in results of earlier versions.
        birge_ratios: name -> by how much they do, see ``detection.fusion.Fusion``.
        scouts: which scouts they were, none in results of versions before 0.2.
        protocol_sha256: of the protocol's file, None where that was not kept.
        risk: of the plan, None where the model states none or an earlier version planned.
        follow_up: how the box of a baseline was placed, None without one.
    """

    landmarks: tuple[Landmark, ...]
    predicted: tuple[Landmark, ...]
    protocol: str
    box: OrientedBox
    prescription: Prescription
    checks: tuple[Check, ...]
    model: ModelInfo | None
    sources: tuple[str, ...]
    study: str
    timings_s: Mapping[str, float]
    disagreeing: tuple[str, ...] = ()
    birge_ratios: Mapping[str, float] = field(default_factory=dict)
    scouts: tuple[StackIdentity, ...] = ()
    protocol_sha256: str | None = None
    motion: Motion | None = None
    risk: PlanRisk | None = None
    follow_up: FollowUp | None = None


def write_results(
    calibration: Calibration,
    folder: Path | str,
    *,
    overwrite: bool,
    sources: Sequence[Path | str] = (),
    study: str = "",
    drawings: Mapping[str, Callable[[Calibration, Path], None]] | None = None,
) -> list[Path]:
    """Write landmarks, box, calibration.json and the drawings into ``folder``, all of them or none.

    Args:
        overwrite: replace existing results; without it they are an error.
        sources: the scouts as they were given, to find them again.
        study: name of the study, without patient data.
        drawings: file name -> what writes it, given the calibration and a path (the picture, the scene).

    Returns:
        The files, in the folder.

    Raises:
        UsageError: the folder already holds results, or the folder cannot be written.
    """
    folder = Path(folder)
    texts = {
        # Entered first, so renamed last: where calibration.json exists, the other files do too.
        CALIBRATION_FILE: json_text(calibration_to_dict(calibration, sources, study)),
        LANDMARKS_FILE: json_text(landmarks_to_markups(calibration.landmarks, calibration.protocol.constellation)),
        BOX_FILE: json_text(scan_box_to_markups(calibration.box)),
    }
    drawings = drawings or {}
    names = [*texts, *drawings]
    require_place(folder, overwrite, names)
    with ExitStack() as files:
        for name, text in texts.items():
            files.enter_context(atomic_path(folder / name)).write_bytes(text.encode("utf-8"))
        for name, draw in drawings.items():
            draw(calibration, files.enter_context(atomic_path(folder / name)))
    return [folder / name for name in names]


@contextmanager
def earlier_plan_aside(folder: Path) -> Iterator[None]:
    """Make the plan that ``folder`` holds its earlier one.

    Where the body fails, the plan is moved into the folder ``previous``: what is left of a failed run must not look
    like its result. Where the body succeeds, an earlier plan in ``previous`` has been replaced, too, and goes. Where
    the user cancels, all stays as it was.
    """
    aside = folder / PREVIOUS_FOLDER
    try:
        yield
    except Cancelled:
        raise
    except Exception:
        present = [name for name in PLAN_FILES if (folder / name).exists()]
        with suppress(OSError):  # the error that is on its way counts more
            if present:
                aside.mkdir(exist_ok=True)
            for name in present:
                (folder / name).replace(aside / name)
        raise
    for name in PLAN_FILES:
        (aside / name).unlink(missing_ok=True)
    with suppress(OSError):  # not there, or not empty
        aside.rmdir()


def calibration_to_dict(
    calibration: Calibration, sources: Sequence[Path | str] = (), study: str = ""
) -> dict[str, Any]:
    """The content of calibration.json (``Resources/Schemas/calibration.schema.json``). RAS mm."""
    model, protocol = calibration.model, calibration.protocol
    return {
        "format": FORMAT,
        "software": {"name": "AutoVolumeCalibration", "version": __version__},
        "study": study,
        "sources": [str(Path(source).absolute()) for source in sources],
        "model": _model_to_dict(model) if model else None,
        "scouts": [identity_of(stack).to_dict() for stack in calibration.stacks],
        "protocol": protocol.name,
        "anatomy": protocol.anatomy,
        "protocol_file": _protocol_file(protocol),
        "protocol_sha256": protocol_digest(protocol),
        "coordinate_system": "RAS",
        "landmarks": [_landmark_to_dict(landmark) for landmark in calibration.landmarks],
        "predicted": [_landmark_to_dict(landmark) for landmark in calibration.predicted],
        "frame": _frame_to_dict(calibration.frame),
        "box": box_to_dict(calibration.box),
        "coverage": _coverage_to_dict(calibration),
        "risk": calibration.risk.to_dict() if calibration.risk else None,
        "prescription": calibration.prescription.to_dict(),
        "console": [card_to_dict(card) for card in console_cards(calibration)],
        "checks": [{"name": c.name, "level": c.level, "message": c.message} for c in calibration.checks],
        "timings_s": {name: float(seconds) for name, seconds in calibration.timings_s.items()},
        "disagreeing": list(calibration.disagreeing),
        "motion": motion_to_dict(calibration.motion) if calibration.motion else None,
        "birge_ratios": {name: float(ratio) for name, ratio in calibration.birge_ratios.items()},
        **_follow_up_entry(calibration.follow_up),
    }


def read_results(folder: Path | str) -> SavedCalibration:
    """What ``write_results`` left in ``folder``.

    Raises:
        InputError: there is no calibration.json, or it is damaged or of another format.
    """
    path = Path(folder) / CALIBRATION_FILE
    return saved_from_dict(read_json(path, InputError, _REMEDY), path)


def saved_from_dict(data: Mapping[str, Any], source: Path | str) -> SavedCalibration:
    """The content of a calibration.json; InputError naming ``source`` where it does not fit the schema."""
    require_schema(data, "calibration", source, InputError, _REMEDY)
    return SavedCalibration(
        landmarks=tuple(_landmark(entry) for entry in data["landmarks"]),
        predicted=tuple(_landmark(entry) for entry in data["predicted"]),
        protocol=data["protocol_file"] or data["protocol"],
        box=box_from_dict(data["box"]),
        prescription=prescription_from_dict(data["prescription"]),
        checks=tuple(Check(**entry) for entry in data["checks"]),
        model=_model(data["model"], source) if data["model"] else None,
        sources=tuple(data["sources"]),
        study=data["study"],
        timings_s=data["timings_s"],
        disagreeing=tuple(data.get("disagreeing", ())),
        birge_ratios=data.get("birge_ratios", {}),
        scouts=tuple(identity_from_dict(entry) for entry in data.get("scouts", ())),
        protocol_sha256=data.get("protocol_sha256"),
        motion=motion_from_dict(data["motion"]) if data.get("motion") else None,
        risk=PlanRisk(**data["risk"]) if data.get("risk") else None,
        follow_up=_follow_up(data.get("follow_up")),
    )


def protocol_reference(protocol: Protocol) -> str:
    """What ``SavedCalibration.protocol`` is for this protocol: its file, or its name where it is a shipped one."""
    return _protocol_file(protocol) or protocol.name


def protocol_digest(protocol: Protocol) -> str | None:
    """SHA-256 of the protocol's file, None where it is not there (any more)."""
    try:
        return hashlib.sha256(protocol.source.read_bytes()).hexdigest()
    except OSError:
        return None


def _protocol_file(protocol: Protocol) -> str | None:
    shipped = protocol.source.resolve().is_relative_to(resource_path("Protocols").resolve())
    return None if shipped else str(protocol.source.absolute())


def _model_to_dict(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "sha256": model.sha256,
        "device": model.device,
        "backend": model.backend or None,
        "pose_covariance": _list(model.pose_covariance),
        "threshold": model.threshold,
        "given": list(model.guidance),
        "coverage": [coverage.to_dict() for coverage in model.coverage],
        "limits": model.limits.to_dict(),
        "risk": model.risk.to_dict() if model.risk else None,
        **({"other_anatomy": model.other_anatomy} if model.other_anatomy else {}),
        **({"automatic": True} if model.automatic else {}),
        **({"unsure_anatomy": True} if model.unsure_anatomy else {}),
    }


def _model(entry: Mapping[str, Any], source: Path | str) -> ModelInfo:
    shared = entry.get("pose_covariance")
    covariance = None if shared is None else np.array(shared, dtype=float)
    given = tuple(entry.get("given", ()))
    stated_risk = entry.get("risk")
    try:
        coverage = coverages_from_list(entry.get("coverage", ()))
        limits = limits_from_dict(entry.get("limits", {}))
        risk = None if stated_risk is None else risk_from_dict(stated_risk, FEATURES)
    except ValueError as error:
        raise InputError(str(error), source=str(source), remedy=_REMEDY) from error
    return ModelInfo(
        entry["name"],
        entry["sha256"],
        entry["device"],
        covariance,
        entry.get("threshold"),
        given,
        coverage,
        entry.get("backend") or "",
        limits,
        risk,
        entry.get("other_anatomy", ""),
        entry.get("automatic", False),
        entry.get("unsure_anatomy", False),
    )


def _coverage_to_dict(calibration: Calibration) -> dict[str, Any]:
    """The coverage of the stated uncertainty for this plan, see ``face_uncertainty.Coverage``."""
    coverage, sd_mm, frame = plan_coverage(calibration), calibration.box.face_sd_mm, calibration.frame
    return {
        "level": LEVEL,
        "measured": coverage.measured,
        "reach_mm": coverage.reach_mm(sd_mm),
        "safe_margins_mm": coverage.safe_margins_mm(sd_mm),
        "angles_deg": _list(coverage.angles_deg(frame.covariance, frame.line_sd_rad)),
    }


def _follow_up_entry(follow_up: FollowUp | None) -> dict[str, Any]:
    """How the box of a baseline was placed; nothing without one."""
    if follow_up is None:
        return {}
    return {"follow_up": {**follow_up_to_dict(follow_up), "box": box_to_dict(follow_up.box)}}


def _follow_up(entry: Mapping[str, Any] | None) -> FollowUp | None:
    return follow_up_from_dict(entry, box_from_dict(entry["box"])) if entry else None


def _landmark_to_dict(landmark: Landmark) -> dict[str, Any]:
    return {
        "name": landmark.name,
        "position_mm": _list(landmark.position_mm),
        "covariance_mm2": _list(landmark.covariance_mm2),
        "confidence": float(landmark.confidence),
        "status": landmark.status,
        "planes": list(landmark.planes),
    }


def _landmark(entry: Mapping[str, Any]) -> Landmark:
    position, covariance = entry["position_mm"], entry["covariance_mm2"]
    return Landmark(
        entry["name"],
        None if position is None else np.array(position, dtype=float),
        None if covariance is None else np.array(covariance, dtype=float),
        float(entry["confidence"]),
        entry["status"],
        tuple(entry["planes"]),
    )


def _frame_to_dict(frame: AnatomicalFrame) -> dict[str, Any]:
    return {
        "origin_mm": _list(frame.origin_mm),
        "axes": _list(frame.axes),
        "scale": float(frame.scale),
        "line_pitch_sd_deg": float(np.rad2deg(frame.line_sd_rad[0])),
        "line_sd_deg": _list(np.rad2deg(frame.line_sd_rad)),
        "covariance": _list(frame.covariance),
        **_joint_to_dict(frame),
    }


def _joint_to_dict(frame: AnatomicalFrame) -> dict[str, Any]:
    """The side of a limb and how far its joint is bent; nothing for one rigid anatomy."""
    stated: dict[str, Any] = {}
    if frame.side:
        stated |= {
            "side": frame.side,
            "side_probability": float(frame.side_probability),
            "side_source": frame.side_source,
        }
    if frame.angles:
        stated["angles_deg"] = {
            name: {"value": float(angle.deg), "sd": float(angle.sd_deg)} for name, angle in frame.angles.items()
        }
    return stated


def box_to_dict(box: OrientedBox) -> dict[str, Any]:
    """A box as JSON stores it; RAS mm, ``axes`` in rows."""
    return {
        "name": box.name,
        "center_mm": _list(box.center_mm),
        "axes": _list(box.axes),
        "size_mm": _list(box.size_mm),
        "face_sd_mm": {face: float(box.face_sd_mm[face]) for face in FACES if face in box.face_sd_mm},
    }


def box_from_dict(entry: Mapping[str, Any]) -> OrientedBox:
    """The box of a dictionary as ``box_to_dict`` makes it."""
    return OrientedBox(
        entry["name"],
        np.array(entry["center_mm"], dtype=float),
        np.array(entry["axes"], dtype=float),
        np.array(entry["size_mm"], dtype=float),
        dict(entry["face_sd_mm"]),
    )


def _list(values: np.ndarray | None) -> list | None:
    return None if values is None else np.asarray(values, dtype=float).tolist()
