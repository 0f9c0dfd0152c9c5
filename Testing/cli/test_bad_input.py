"""What cannot be planned is refused with its exit code and one line, and leaves nothing behind."""

from __future__ import annotations

import errno
import itertools
import json
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.cli.exit_codes import error_exit_code
from AutoVolumeCalibrationLib.core.errors import (
    AutoVolumeError,
    Cancelled,
    InputError,
    ModelError,
    ProtocolError,
    UsageError,
)
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.report import overview
from AutoVolumeCalibrationLib.core.scouts import reader as readers
from AutoVolumeCalibrationLib.core.scouts.dicom import NotAScout
from AutoVolumeCalibrationLib.core.workflow import pipeline
from bad_inputs import BAD_INPUTS, SECRET_ID, SECRET_NAME
from command_line import (
    MIDDLE_SLICES,
    SAMPLE,
    assert_refused,
    files_in,
    write_points,
)
from fake_models import fake_model
from scout_files import tiny_stacks, write_image

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def must_not_be_called(*arguments, **options):
    raise AssertionError("the command went on with what it had to refuse")


# Every eighth: test_reader.py reads them all. Here: the exit code, one line on stderr, no output folder.
@pytest.mark.parametrize("name", list(BAD_INPUTS)[::8])
def test_bad_scouts_are_refused(autovolume, tmp_path, monkeypatch, name):
    monkeypatch.setattr(pipeline, "locate", must_not_be_called)
    (tmp_path / "in").mkdir()
    paths, code = BAD_INPUTS[name](tmp_path / "in")
    ran = autovolume("calibrate", *paths, "--output", tmp_path / "out")
    assert_refused(ran, code)
    assert any(str(path) in ran.err for path in paths), ran.err
    assert not (tmp_path / "out").exists()
    for secret in (SECRET_NAME, SECRET_ID, *SECRET_NAME.split("^")):
        assert secret not in ran.err


def test_a_path_that_is_too_long_is_an_error_like_any_other(autovolume, tmp_path):
    ran = autovolume("calibrate", "x" * 5000, "--output", tmp_path)
    assert_refused(ran, 3, "File name too long")


def test_a_path_that_is_no_text_is_refused_before_the_work(autovolume, tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "read_study", must_not_be_called)
    ran = autovolume("calibrate", "M\udcfcller", "--output", tmp_path / "out")
    assert_refused(ran, 3, r"M\udcfcller")


def test_scouts_without_anatomy_name_the_scouts_and_what_would_help(autovolume, tmp_path, monkeypatch):
    """Too few landmarks are found, and one placed by hand is not enough."""
    import torch

    class Blind(torch.nn.Module):
        def forward(self, batch):
            return torch.zeros(len(batch), 1, *(n // 2 for n in batch.shape[-2:]))

    monkeypatch.setattr(
        "AutoVolumeCalibrationLib.core.models.bundle.load_model", lambda *_: fake_model(Blind(), ("AC",))
    )
    scouts = [write_image(stack, tmp_path / f"{stack.plane}.nrrd") for stack in tiny_stacks()]
    points = write_points(tmp_path / "placed.mrk.json", {"AC": [0, 0, 0]})
    named = ("--protocol", "BrainAcPc", "--landmarks", points)
    ran = autovolume("calibrate", *scouts, "--output", tmp_path / "out", *named)
    assert_refused(ran, 3, scouts[0])
    assert "no brain recognised in the scouts, 0 of 45 landmarks found" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["plan"],
        ["calibrate"],
        ["calibrate", "scouts"],
        ["calibrate", "--output", "out"],
        ["calibrate", "scouts", "--output"],
        ["calibrate", "scouts", "--output", "out", "--device", "tpu"],
        ["calibrate", "scouts", "--output", "out", "--colour", "red"],
        ["refit", "out"],
        ["refit", "--landmarks", "points.mrk.json"],
        ["batch", "studies"],
        ["batch", "studies", "--output", "out", "--workers", "-1"],
        ["batch", "studies", "--output", "out", "--workers", "many"],
        ["models", "brain-scout"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_one_line_that_points_to_the_help(autovolume, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    ran = autovolume(*arguments)
    assert_refused(ran, 2, "--help")
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("arguments", [("refit", "out", "--landmarks", "x"), ("dataset", "check", "set"), ("models",)])
def test_an_unknown_flag_points_to_the_help_of_its_command(autovolume, arguments):
    """It pointed to the list of all commands."""
    ran = autovolume(*arguments, "--colour", "red")
    words = list(itertools.takewhile(lambda word: word in ("refit", "dataset", "check", "models"), arguments))
    assert_refused(ran, 2, f"unrecognized arguments: --colour red. See autovolume {' '.join(words)} --help.")


@pytest.mark.parametrize("command", ["calibrate", "export"])
def test_an_output_that_exists_is_answered_with_the_flag(autovolume, results, command):
    output = results if command == "calibrate" else results / "plan.nii.gz"
    if command == "export":
        output.write_text("mine")
    more = ("--to", "nifti") if command == "export" else ()
    ran = autovolume(command, results if more else SAMPLE / "dicom", *more, "--output", output)
    assert_refused(ran, 2, "Choose another output, or add --overwrite.")


def test_a_batch_of_nothing_names_the_path(autovolume, tmp_path):
    """It asked for a table in CSV, whatever was meant."""
    ran = autovolume("batch", tmp_path / "studies", "--output", tmp_path / "out")
    assert_refused(ran, 3, f"{tmp_path / 'studies'}: there is no such file or folder. Give a folder with a")


def _own_protocol(**changes):
    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    return json.dumps({**data, **changes})


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        _own_protocol(boxes=[]),
        _own_protocol(anatomy="unicorn"),
        _own_protocol(frame={"origin": "NOWHERE", "line": {"from": "PC", "to": "AC"}}),
        _own_protocol(format="other"),
        "\ud83d",
    ],
    ids=["absent", "empty", "cut", "a list", "nothing", "no box", "anatomy", "landmark", "format", "no text"],
)
def test_a_damaged_protocol_is_named(autovolume, tmp_path, content):
    path = tmp_path / "Own.json"
    if content is not None:
        path.write_text(content, encoding="utf-16" if content == "\ud83d" else "utf-8", errors="surrogatepass")
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", "--protocol", path)
    assert_refused(ran, 4, path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "named"), [(["--protocol", "BrainFlat"], "BrainAcPc"), (["--box", "Round"], "AxialWholeBrain")]
)
def test_an_unknown_protocol_or_box_is_answered_with_the_known_ones(autovolume, tmp_path, flags, named):
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", *flags)
    assert_refused(ran, 4, named)
    assert flags[1] in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{}",
        '{"markups": []}',
        '{"markups": [{"type": "Fiducial", "controlPoints": []}]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": "AC", "position": [1, 2]}]}]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": "AC", "position": [1, 2, NaN]}]}]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": "F-1", "position": [1, 2, 3]}]}]}',
    ],
    ids=["absent", "empty", "nothing", "no list", "no point", "two numbers", "not a number", "unknown names"],
)
@pytest.mark.parametrize("command", ["calibrate", "refit"])
def test_a_point_file_that_places_nothing_is_named(autovolume, results, tmp_path, command, content):
    path = tmp_path / "points.mrk.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    before = files_in(results)
    arguments = [*MIDDLE_SLICES, "--output", results, "--overwrite"] if command == "calibrate" else [results]
    assert_refused(autovolume(command, *arguments, "--landmarks", path), 3, path)
    assert files_in(results) == (moved_aside(before) if command == "calibrate" else before)


def moved_aside(files, folder=""):
    """The files after a run that failed to replace them: out of sight of whoever looks for its plan."""
    return {f"{folder}previous/{name.removeprefix(folder)}": content for name, content in files.items()}


# ---- the place for the results ----


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none/out", "/dev/null"])
def test_a_place_that_cannot_be_a_folder_is_refused_before_the_work(autovolume, tmp_path, monkeypatch, place):
    monkeypatch.setattr(readers, "read_study", must_not_be_called)
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / place
    assert_refused(autovolume("calibrate", *MIDDLE_SLICES, "--output", folder), 2, folder)
    assert files_in(tmp_path) == {"file": b"mine"}


def test_a_folder_that_was_there_stays_where_the_work_fails(autovolume, tmp_path):
    (tmp_path / "out").mkdir()
    autovolume("calibrate", tmp_path / "none", "--output", tmp_path / "out" / "new" / "deep")
    assert list((tmp_path / "out").iterdir()) == []


def full_when_writing(name):
    """Path.write_bytes of a disk that is full when the file ``name`` comes."""
    write = Path.write_bytes

    def write_bytes(path, data):
        if name in path.name:
            write(path, data[: len(data) // 2])
            raise NO_SPACE
        return write(path, data)

    return write_bytes


def draw_half(calibration, path):
    path.write_bytes(b"half a pic")
    raise NO_SPACE


@pytest.mark.parametrize("full_at", ["scanbox", "landmarks", "calibration", "overview"])
@pytest.mark.parametrize("has_results", [True, False], ids=["over old results", "new folder"])
@pytest.mark.usefixtures("no_picture")
def test_a_full_disk_moves_the_old_results_aside_and_leaves_no_rest(
    autovolume, results, tmp_path, monkeypatch, full_at, has_results
):
    folder = results if has_results else tmp_path / "new"
    before = files_in(tmp_path)
    if full_at == "overview":
        monkeypatch.setattr(overview, "draw_overview", draw_half)
    else:
        monkeypatch.setattr(Path, "write_bytes", full_when_writing(full_at))
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", folder, "--overwrite")
    assert_refused(ran, 2, folder / full_at)
    assert "No space left" in ran.err
    assert files_in(tmp_path) == (moved_aside(before, "results/") if has_results else before)
    assert folder.exists() == has_results


# ---- what happens on the way ----


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def cancelled_half_way(stacks, protocol, model, progress, cancelled, *, guidance):
    progress(0.5)
    raise KeyboardInterrupt


@pytest.mark.parametrize("detect", [raising(KeyboardInterrupt()), raising(Cancelled()), cancelled_half_way])
def test_a_cancelled_command_says_so_and_leaves_nothing(autovolume, results, tmp_path, monkeypatch, detect):
    monkeypatch.setattr(pipeline, "locate", detect)
    before = files_in(tmp_path)
    for folder in (tmp_path / "new", results):
        ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", folder, "--overwrite")
        assert (ran.code, ran.out, ran.err) == (130, "", "autovolume: cancelled, nothing was written\n")
    assert files_in(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_cancelling_while_the_picture_is_drawn_leaves_nothing(autovolume, tmp_path, monkeypatch):
    monkeypatch.setattr(overview, "draw_overview", raising(KeyboardInterrupt()))
    assert autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "new").code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("step", "error", "code", "named"),
    [
        ("AutoVolumeCalibrationLib.core.scouts.reader.read_study", MemoryError(), 3, MIDDLE_SLICES[0]),
        ("AutoVolumeCalibrationLib.core.workflow.pipeline.locate", MemoryError(), 3, MIDDLE_SLICES[0]),
        ("AutoVolumeCalibrationLib.core.report.overview.draw_overview", MemoryError(), 3, "memory"),
        (
            "AutoVolumeCalibrationLib.core.detection.backends.running.run_module",
            RuntimeError("CUDA error\nat ..."),
            4,
            "brain-scout",
        ),
        (
            "AutoVolumeCalibrationLib.core.models.bundle.load_model",
            ModuleNotFoundError(name="monai.networks"),
            4,
            "monai",
        ),
        (
            "AutoVolumeCalibrationLib.core.report.overview.draw_overview",
            ModuleNotFoundError(name="slicer"),
            4,
            "slicer-core",
        ),
        (
            "AutoVolumeCalibrationLib.core.scouts.reader.read_study",
            PermissionError(13, "denied", "here"),
            3,
            "here: denied",
        ),
    ],
)
def test_trouble_on_the_way_is_one_line(autovolume, tmp_path, monkeypatch, step, error, code, named):
    monkeypatch.setattr(step, raising(error))
    choices = ("--protocol", "BrainAcPc", "--backend", "torch")
    ran = autovolume("calibrate", *MIDDLE_SLICES, *choices, "--output", tmp_path / "out")
    assert ran.code == code
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("autovolume: ")
    assert str(named) in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "code"),
    [(AutoVolumeError, 3), (UsageError, 2), (InputError, 3), (NotAScout, 3), (ModelError, 4), (ProtocolError, 4)],
)
def test_each_kind_of_error_has_its_exit_code(kind, code):
    assert error_exit_code(kind("what happened")) == code
