"""The shipped sample scouts, offered in Slicer's Sample Data module."""

from __future__ import annotations

from pathlib import Path

from ..core.files.resources import resource_path
from ..core.geometry.coordinates import PLANES
from ..core.models.bundle import sha256_of

CATEGORY = "Auto Volume Calibration"
SAMPLE = "ColinScouts"


def register(icon: Path) -> None:
    """Offer the three scouts as one data set; nothing where this application has no Sample Data module."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    files = [resource_path("SampleData", SAMPLE, f"{plane}.nrrd") for plane in PLANES]
    SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE,
        thumbnailFileName=str(icon),
        uris=[path.as_uri() for path in files],
        fileNames=[f"{SAMPLE}-{path.name}" for path in files],
        checksums=[f"SHA256:{sha256_of(path)}" for path in files],
        nodeNames=[f"{SAMPLE} {plane}" for plane in PLANES],
    )
