"""``xray`` trains on a benchmark and prints its table; what is wrong with the images is one line."""

from __future__ import annotations

import json

import pytest

from command_line import assert_refused
from xray_sets import shorten_splits, write_set

SMALL = {
    "architecture": "unet",
    "options": {"features": [8] * 6, "stem": 1, "dropout": 0.0},
    "steps": 2,
    "checkpoint_steps": 1,
    "batch_size": 2,
    "workers": 0,
    "device": "cpu",
}
SETTINGS = [word for name, value in SMALL.items() for word in ("--set", f"{name}={json.dumps(value)}")]


@pytest.fixture
def chests(tmp_path, monkeypatch):
    shorten_splits(monkeypatch)
    return write_set(tmp_path / "chests", "chest")


def test_a_run_says_how_it_goes_and_ends_with_its_table(autovolume, chests, tmp_path):
    command = ("xray", "chest", chests, "--output", tmp_path / "run")
    ran = autovolume(*command, "--matrix", 64, "--recipe", "unet", *SETTINGS)
    assert ran.code == 0, ran
    assert ran.out.startswith("step 1 of 2: loss ") and ran.out.count("error median") == 2
    assert ran.out.endswith((tmp_path / "run" / "report.md").read_text(encoding="utf-8"))
    again = autovolume(*command, "--resume")
    assert again.code == 0 and again.out in ran.out


def test_a_folder_without_the_published_layout_is_one_line(autovolume, tmp_path):
    for name, expected in (("cephalometric", "001.bmp"), ("hand", "all.csv"), ("chest", "CHNCXR_0001_0.png")):
        ran = autovolume("xray", name, tmp_path, "--output", tmp_path / "run")
        assert_refused(ran, 3, tmp_path)
        assert expected in ran.err
    assert_refused(autovolume("xray", "hand", tmp_path / "gone", "--output", tmp_path / "run"), 3, "gone")
    assert not (tmp_path / "run").exists()


def test_images_are_chosen_by_their_numbers(autovolume, tmp_path):
    chests = write_set(tmp_path / "chests", "chest")
    command = ("xray", "chest", chests, "--output", tmp_path / "run", "--matrix", 64, "--recipe", "unet", *SETTINGS)
    ran = autovolume(*command, "--train", "3001-3004")
    assert_refused(ran, 2, "Give --train, --watch and --test")
    ran = autovolume(*command, "--train", "3001-3004", "--watch", "3005", "--test", "3006-")
    assert ran.code == 0, ran.err
    assert "| test " in ran.out


def test_several_sets_are_named_each(autovolume, tmp_path):
    folders = [f"{name}={write_set(tmp_path / name, name)}" for name in ("hand", "chest")]
    gu2net = {**SMALL, "architecture": "gu2net", "options": {"features": [4] * 5, "width": 4, "stem": 1}}
    settings = [word for name, value in gu2net.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    numbers = {"train": "3001-3004", "watch": "3005", "test": "3006-"}
    splits = [word for k, v in numbers.items() for name in ("hand", "chest") for word in (f"--{k}", f"{name}={v}")]
    command = ("xray", "together", *folders, "--output", tmp_path / "run", "--matrix", 64, *settings)
    ran = autovolume(*command, *splits)
    assert ran.code == 0, ran.err
    assert "Hand radiographs" in ran.out and "Chest radiographs" in ran.out and " hand " in ran.out.splitlines()[0]
    assert_refused(autovolume(*command, "--train", "1-4"), 2, "names no sets")
    assert_refused(autovolume("xray", "together", "foot=x", "--output", tmp_path / "other"), 2, "foot is not one")
