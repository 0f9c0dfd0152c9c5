"""``models`` and ``protocols`` list what there is; ``--help`` and ``--version`` answer."""

from __future__ import annotations

import argparse
import re
import shutil

import pytest

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.cli.command_groups import GROUPS, grouped_commands
from AutoVolumeCalibrationLib.cli.main import _parser
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, CurrentModel, write_current
from command_line import assert_refused

COMMANDS = ("calibrate", "refit", "check", "batch", "models", "protocols")


def test_every_shipped_protocol_is_listed_with_its_boxes(autovolume):
    ran = autovolume("protocols")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    for path in resource_path("Protocols").glob("*.json"):
        assert any(line.startswith(f"{path.stem}: ") for line in lines)
    assert "    AxialWholeBrain: " in ran.out


def test_every_shipped_model_is_listed_and_the_default_marked(autovolume):
    ran = autovolume("models")
    assert (ran.code, ran.err) == (0, "")
    shipped = {path.parent.parent.name for path in resource_path("Models").glob("*/configs/metadata.json")}
    assert len(ran.out.splitlines()) == len(shipped)
    assert [line.split(":")[0] for line in ran.out.splitlines() if "(default)" in line] == [
        f"{DEFAULT_MODEL} (default)"
    ]


def test_the_version_is_shown(autovolume):
    ran = autovolume("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"autovolume {__version__}\n", "")


def test_the_help_names_the_commands(autovolume):
    ran = autovolume("--help")
    assert (ran.code, ran.err) == (0, "")
    for command in (*COMMANDS, "train", "evaluate", "render"):
        assert re.search(rf"^  {command}\b", ran.out, re.MULTILINE)


def test_every_command_is_listed_once_in_a_group_in_a_line_that_fits_a_terminal(autovolume, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    commands = _parser()._subparsers._group_actions[0].choices
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(commands)
    listed = autovolume("--help").out.partition("Plan:")[2].splitlines()
    assert [len(line) for line in listed if len(line) > 80] == []
    for name, parser in commands.items():
        assert [line.split(maxsplit=1)[1] for line in listed if line.split()[:1] == [name]] == [parser.description]


def test_only_commands_that_exist_are_listed():
    parsers = {"batch": argparse.ArgumentParser(description="Plan many studies")}
    assert grouped_commands(parsers) == "Department:\n  batch          Plan many studies"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_flags(autovolume, command):
    ran = autovolume(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"usage: autovolume {command}" in ran.out


def test_calibrate_says_in_its_first_line_that_it_plans(autovolume):
    assert autovolume("calibrate", "--help").out.split("\n\n")[1] == "Plan the scan volume from these scouts"


def test_a_model_of_the_user_s_is_listed_and_marked_where_it_is_the_default(autovolume, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path))
    shutil.copytree(resource_path("Models", DEFAULT_MODEL), tmp_path / "mine-1")
    write_current(CurrentModel("mine-1"))
    lines = autovolume("models").out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["mine-1 (default)", DEFAULT_MODEL]


def test_a_damaged_choice_of_model_is_reported(autovolume, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path))
    (tmp_path / "current.json").write_text("{", encoding="utf-8")
    assert_refused(autovolume("models"), 4, tmp_path / "current.json")
