"""What a study's node stores of its calibration, so that a saved scene restores everything.

The state is the text of ``calibration.json``: one format for folder and scene. The pixels of the scouts are in
their own nodes, and the frame is fitted again from the landmarks, which takes milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.anatomy.constellation import constellation_from_dict
from ..core.anatomy.protocol import Protocol
from ..core.anatomy.protocol_file import load_protocol, protocol_from_dict
from ..core.errors import AutoVolumeError, InputError, ProtocolError
from ..core.files.json_files import read_json
from ..core.files.resources import resource_path
from ..core.planning.protocol_editing import constellation_to_dict
from ..core.scouts.stack import ScoutStack
from ..core.storage.results import SavedCalibration, calibration_to_dict, saved_from_dict
from ..core.workflow.calibration import Calibration
from ..core.workflow.pipeline import plan_from_landmarks
from .study_nodes import Study

#: Parameters of the study's node.
CALIBRATION, PROTOCOL, BOX, MODEL = "Calibration", "Protocol", "Box", "Model"
#: The content of a protocol that is not shipped: its file may be elsewhere when the scene is opened again.
PROTOCOL_CONTENT = "ProtocolContent"


def remember(study: Study, calibration: Calibration) -> str:
    """Keep the calibration in the study's node; gives the text of the state."""
    text = json.dumps(calibration_to_dict(calibration, study=study.name), ensure_ascii=False, allow_nan=False)
    _set_parameters(
        study,
        {
            CALIBRATION: text,
            PROTOCOL: calibration.protocol.name,
            BOX: calibration.box.name,
            MODEL: calibration.model.name if calibration.model else "",
        },
    )
    return text


def remember_protocol(study: Study, protocol: Protocol) -> None:
    """Keep the content of a protocol that is not shipped.

    Raises:
        ProtocolError: its file is missing.
    """
    content = ""
    if not protocol.source.resolve().is_relative_to(resource_path("Protocols").resolve()):
        data = read_json(protocol.source, ProtocolError, "Put the protocol file back.")
        content = json.dumps({**data, **constellation_to_dict(protocol.constellation)})
    _set_parameters(study, {PROTOCOL_CONTENT: content})


def state_of(study: Study) -> str:
    """The text that ``remember`` left, empty where there is none."""
    return study.node.GetParameter(CALIBRATION) or ""


def recall(study: Study, stacks: Sequence[ScoutStack]) -> Calibration:
    """The calibration that ``remember`` kept, on these scouts.

    Raises:
        InputError: there is none, or it is damaged.
        ProtocolError: its protocol is missing.
    """
    saved = _saved(study)
    planned = plan_from_landmarks(
        stacks,
        _protocol(study, saved),
        saved.landmarks,
        predicted=saved.predicted,
        model=saved.model,
        box=saved.box.name,
        disagreeing=saved.disagreeing,
        motion=saved.motion,
        birge_ratios=saved.birge_ratios,
    )
    # Only the frame is missing in the file. The box may be one that the user drew, and some checks need pixels
    # and detections that are not saved.
    return replace(
        planned,
        landmarks=saved.landmarks,
        box=saved.box,
        prescription=saved.prescription,
        checks=saved.checks,
        timings_s=saved.timings_s,
        follow_up=saved.follow_up,
    )


def _saved(study: Study) -> SavedCalibration:
    """The state through the one reader of calibration.json."""
    text = state_of(study)
    if not text:
        raise InputError("has not been calibrated", source=study.name, remedy="Calibrate it first.")
    try:
        return saved_from_dict(json.loads(text), study.name)
    except (AutoVolumeError, ValueError) as error:
        reason = error.what if isinstance(error, AutoVolumeError) else str(error)
        raise InputError(
            f"is saved in a damaged form ({reason})", source=study.name, remedy="Make a new study of its scouts."
        ) from error


def _protocol(study: Study, saved: SavedCalibration) -> Protocol:
    content = study.node.GetParameter(PROTOCOL_CONTENT)
    if not content:
        return load_protocol(saved.protocol)
    data = json.loads(content)
    source = Path(saved.protocol)
    return protocol_from_dict(data, constellation_from_dict(data, source), source)


def _set_parameters(study: Study, values: Mapping[str, str]) -> None:
    modifying = study.node.StartModify()
    for name, value in values.items():
        study.node.SetParameter(name, value)
    study.node.EndModify(modifying)
