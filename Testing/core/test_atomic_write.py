"""Files appear whole or not at all, and the shared resources are found where they may lie."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import (
    atomic_path,
    remove_stale,
    temporary_beside,
    write_bytes,
    write_text,
)
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.files.resources import resource_path, resources_folder


def test_text_is_written_as_it_is(tmp_path):
    write_text(tmp_path / "a.txt", "grün\n")
    assert (tmp_path / "a.txt").read_bytes() == "grün\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    write_bytes(tmp_path / "a.bin", b"old")
    with pytest.raises(ValueError), atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"half")
        raise ValueError("stopped")
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_temporary_file_has_the_suffix_and_the_folder_of_the_target(tmp_path):
    with atomic_path(tmp_path / "picture.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")


@pytest.mark.parametrize("place", ["a_folder", "absent/file.txt"])
def test_a_place_that_cannot_be_written_is_a_usage_error_naming_it(tmp_path, place):
    (tmp_path / "a_folder").mkdir()
    with pytest.raises(UsageError) as caught:
        write_text(tmp_path / place, "x")
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def dead_process() -> int:
    """The number of a process that has ended."""
    return int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True, timeout=20).stdout)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    own = temporary_beside(tmp_path / "plan.json").name
    dead = own.replace(f"-{os.getpid()}-", f"-{dead_process()}-")
    elsewhere = re.sub(r"\.[0-9a-f]{8}-", ".00000000-", dead)
    old = elsewhere.replace("plan", "old")
    kept = [own, elsewhere, ".notes.partial.json", "plan.partial.json", "result.json"]
    for name in (dead, old, *kept):
        (tmp_path / name).write_bytes(b"x")
    folder = tmp_path / dead.replace("plan", "bundle")
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"x")
    os.utime(tmp_path / old, (0, 0))
    write_text(tmp_path / "a.txt", "x")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "a.txt"}


def test_a_link_with_the_name_of_a_rest_loses_the_link_only(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"x")
    name = temporary_beside(tmp_path / "plan").name.replace(f"-{os.getpid()}-", f"-{dead_process()}-")
    (tmp_path / name).symlink_to(tmp_path / "precious")
    remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious" / "file").exists()


def test_trouble_with_another_file_is_not_blamed_on_the_target(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out.txt"):
        (tmp_path / "absent.txt").read_text()
    assert list(tmp_path.iterdir()) == []


def test_lists_of_numbers_stay_on_one_line_and_words_stay_whole():
    text = json_text({"a": [1.5, 2], "b": [[1], [2]], "c": ["x [\n y ]"], "d": []})
    assert '"a": [1.5, 2]' in text
    assert '"c": ["x [\\n y ]"]' in text
    with pytest.raises(ValueError):
        json_text({"a": float("nan")})


@pytest.mark.parametrize(
    ("package", "resources"),
    [
        ("site-packages/AutoVolumeCalibrationLib", "site-packages/AutoVolumeCalibrationLib/Resources"),
        ("qt-scripted-modules/AutoVolumeCalibrationLib", "qt-scripted-modules/Resources/AutoVolumeCalibration"),
        ("repo/AutoVolumeCalibration/AutoVolumeCalibrationLib", "repo/Resources"),
    ],
)
def test_resources_are_found_in_wheel_slicer_and_checkout(tmp_path, package, resources):
    (tmp_path / package).mkdir(parents=True)
    (tmp_path / resources / "Schemas").mkdir(parents=True)
    # Icons and .ui files lie in a folder of the same name.
    (tmp_path / package).parent.joinpath("Resources", "UI").mkdir(parents=True, exist_ok=True)
    assert resources_folder(tmp_path / package) == tmp_path / resources


def test_an_incomplete_installation_is_said_so(tmp_path):
    with pytest.raises(AutoVolumeError, match="incomplete"):
        resources_folder(tmp_path / "a" / "AutoVolumeCalibrationLib")
    with pytest.raises(AutoVolumeError, match=r"nothing\.json.*incomplete"):
        resource_path("Protocols", "nothing.json")
