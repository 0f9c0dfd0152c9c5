"""Write the protocol that a scene contains to a file again: its own file may be on another machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..core.files.atomic_write import write_text
from ..core.files.json_files import json_text
from ..core.workflow.calibration import Calibration
from .study_nodes import Study
from .study_state import PROTOCOL_CONTENT


def with_protocol_file(study: Study, calibration: Calibration, make_folder: Callable[[], Path]) -> Calibration:
    """The study's calibration with a protocol whose file exists.

    It is ``calibration`` itself where the file exists; else the file is written into ``make_folder()``.
    """
    protocol = calibration.protocol
    content = study.node.GetParameter(PROTOCOL_CONTENT)
    if protocol.source.is_file() or not content:
        return calibration
    path = make_folder() / f"{protocol.name}.json"
    write_text(path, json_text(json.loads(content)))
    return replace(calibration, protocol=replace(protocol, source=path))
