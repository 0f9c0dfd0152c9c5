"""Files appear whole or not at all, and the shared resources are found where they may lie."""

from __future__ import annotations

import pytest

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path, write_bytes, write_text
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
