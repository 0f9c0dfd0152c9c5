"""UIDs that follow from the content: the same plan gives the same objects, on every computer and after a restart."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

#: Of this project's DICOM objects; a random UUID, drawn once.
_NAMESPACE = uuid.UUID("6f0e9f9c-6a5e-4f3c-9f0b-3d7b5f6a2c41")


def uid_of(*parts: str) -> str:
    """A DICOM UID below 2.25 (UUID-derived, PS3.5 B.2) that depends on the parts alone."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, json.dumps(parts)).int}"


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()
