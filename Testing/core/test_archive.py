"""Archives that would write outside their folder, or fill the disk, are refused before they are unpacked."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files import archive
from AutoVolumeCalibrationLib.core.files.archive import require_safe_archive


def write(path: Path, *names: str, kind: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.filename = name  # ZipInfo tidies names up
            entry.external_attr = kind << 16
            target.writestr(entry, b"content")
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "Scene/../../out.txt",
        "/etc/out.txt",
        "C:/out.txt",
        "C:out.txt",
        r"..\out.txt",
        r"Scene\..\..\out",
        r"\\host\x",
    ],
)
def test_an_entry_that_leads_outside_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="leads out of the archive"):
        require_safe_archive(write(tmp_path / "a.mrb", "Scene/scene.mrml", name))


@pytest.mark.parametrize("kind", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int):
    with pytest.raises(InputError, match="leads out of the archive"):
        require_safe_archive(write(tmp_path / "a.mrb", "Scene/link", kind=kind))


def test_plain_entries_pass(tmp_path: Path):
    write(tmp_path / "a.mrb", "Scene/", "Scene/scene.mrml", "Scene/Data/a..b.nrrd", "Scene/Data/..c.txt")
    require_safe_archive(tmp_path / "a.mrb")
    require_safe_archive(write(tmp_path / "b.mrb", "Scene/a", kind=stat.S_IFREG | 0o644))


def test_what_unpacks_to_too_much_and_what_is_no_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "MOST_UNPACKED_BYTES", 10)
    with pytest.raises(InputError, match="more than a scene has"):
        require_safe_archive(write(tmp_path / "a.mrb", "Scene/a", "Scene/b"))
    (tmp_path / "b.mrb").write_bytes(b"PK\x03\x04 junk")
    for name, said in {"b.mrb": "not a whole archive", "c.mrb": "No such file", ".": "directory"}.items():
        with pytest.raises(InputError, match=said):
            require_safe_archive(tmp_path / name)
