"""JSON from others: what no float, file name or terminal can hold is refused where it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, printable
from AutoVolumeCalibrationLib.core.files import json_files
from AutoVolumeCalibrationLib.core.files.json_files import read_json


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1" * 400, "a number of 400 digits is out of range"),
        ("1" * 5000, "a number of 5000 digits is out of range"),
        ("1e400", "1e400 is out of range"),
        ("-" + "9" * 400 + ".5", "is out of range"),
        ("NaN", "NaN is not a number"),
        (r'{"a": "\ud800x"}', "half of a surrogate pair"),
        (r'{"\udc00": 1}', "half of a surrogate pair"),
        (r'["a\u0000b"]', "NUL character"),
        ("[" * 100000, "is not valid JSON"),
    ],
)
def test_what_nothing_can_hold_is_refused(tmp_path: Path, content: str, said: str):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_json(tmp_path / "a.json", InputError, "Mend it.")
    assert len(str(caught.value)) < 300


def test_whole_pairs_escaped_backslashes_and_long_numbers_are_read(tmp_path: Path):
    (tmp_path / "a.json").write_text(r'["\ud83d\ude00", "\\u0000", 18446744073709551615, -1e308]', encoding="utf-8")
    assert read_json(tmp_path / "a.json", InputError, "") == ["\U0001f600", r"\u0000", 2**64 - 1, -1e308]


def test_a_pipe_a_folder_and_a_huge_file_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "large.json").write_text("[1, 2, 3]")
    monkeypatch.setattr(json_files, "LARGEST_JSON_BYTES", 8)
    for name, said in {
        "pipe.json": "is not a regular file",
        ".": "Is a directory",
        "large.json": "refused for its size",
        "a\0b": "not a valid file name",
    }.items():
        with pytest.raises(InputError, match=said):
            read_json(tmp_path / name, InputError, "Mend it.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain (1) grün 頭", "plain (1) grün 頭"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\x7f\x9b", r"a\nb\tc\x7f\x9b"),
        ("abc\u202egpj", r"abc\u202egpj"),
        ("M\udcfcller", r"M\udcfcller"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_characters_that_steer_a_terminal_are_escaped(text: str, shown: str):
    assert printable(text) == shown
    assert str(InputError("is bad", source=text)) == f"{shown}: is bad"


def test_characters_to_keep_are_kept():
    assert printable("a\n\x1b", keep="\n") == "a\n\\x1b"
    assert printable("no\xa0break\x1b") == "no\xa0break\\x1b"
