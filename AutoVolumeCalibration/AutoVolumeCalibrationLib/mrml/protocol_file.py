"""A protocol that a scene brought along, back as a file: its own may be on another machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ..core.calibration import Calibration
from ..core.json_files import json_text
from ..core.whole_files import write_text
from .study_nodes import Study
from .study_state import PROTOCOL_CONTENT


def with_protocol_file(study: Study, calibration: Calibration, folder: Path) -> Calibration:
    """The study's calibration with a protocol whose file is there: as it was, or written into ``folder``."""
    protocol = calibration.protocol
    content = study.node.GetParameter(PROTOCOL_CONTENT)
    if protocol.source.is_file() or not content:
        return calibration
    path = folder / f"{protocol.name}.json"
    write_text(path, json_text(json.loads(content)))
    return replace(calibration, protocol=replace(protocol, source=path))
