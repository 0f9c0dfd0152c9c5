"""The shipped sample studies, offered in Slicer's Sample Data module."""

from __future__ import annotations

from pathlib import Path

from ..core.files.resources import resource_path
from ..core.geometry.coordinates import PLANES
from ..core.models.bundle import sha256_of

CATEGORY = "Auto Volume Calibration"
#: Folders of ``SampleData``, of which each is a data set.
SAMPLES = ("ColinScouts", "KneeScouts")


def register(icons: Path) -> None:
    """Offer each sample's three scouts as one data set; nothing where this application has no Sample Data module.

    Args:
        icons: folder with a thumbnail of each sample.
    """
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    for sample in SAMPLES:
        files = [resource_path("SampleData", sample, f"{plane}.nrrd") for plane in PLANES]
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample,
            thumbnailFileName=str(icons / f"{sample}.png"),
            uris=[path.as_uri() for path in files],
            fileNames=[f"{sample}-{path.name}" for path in files],
            checksums=[f"SHA256:{sha256_of(path)}" for path in files],
            nodeNames=[f"{sample} {plane}" for plane in PLANES],
        )
