"""DICOM scouts, frame by frame: single-frame and enhanced multi-frame.

The header is checked before any pixel is decoded. Nothing that identifies a patient leaves this folder:
messages and log lines hold file names and reasons of our own wording, never values or library texts.
"""

from ..series import NotAScout
from .damage import PARSE_ERRORS
from .examination import require_one_examination, stacks_from_frames
from .frame import DicomFrame
from .reading import is_dicom, read_dicom_frames, read_dicom_headers, with_pixels

__all__ = [
    "PARSE_ERRORS",
    "DicomFrame",
    "NotAScout",
    "is_dicom",
    "read_dicom_frames",
    "read_dicom_headers",
    "require_one_examination",
    "stacks_from_frames",
    "with_pixels",
]
