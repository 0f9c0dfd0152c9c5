"""The command as a process: a plain file that Slicer runs, signals, and output that nobody reads."""

from __future__ import annotations

import logging
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.cli import listing_commands
from AutoVolumeCalibrationLib.cli import main as main_module
from child_processes import started
from command_line import MAIN_FILE, MIDDLE_SLICES, ROOT

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}

#: The command with a network that takes for ever.
ENDLESS = """
import sys, time
from types import SimpleNamespace
from AutoVolumeCalibrationLib.cli.main import entry_point
from AutoVolumeCalibrationLib.core.models import bundle as bundles
from AutoVolumeCalibrationLib.core.workflow import pipeline

def locate(stacks, protocol, model, progress, cancelled, *, guidance):
    print("detecting", flush=True)
    time.sleep(60)

bundles.load_model = lambda name, device, backend: SimpleNamespace(guided=False, names=("AC",))
pipeline.locate = locate
entry_point()
"""


#: Ctrl-C comes while the module {library} is loaded, which {answer}.
INTERRUPTED = """
import os, signal, sys, time

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background inherits that it is ignored

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{library}":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(20)
            except KeyboardInterrupt as stop:
                {answer}

sys.meta_path.insert(0, Finder())
from AutoVolumeCalibrationLib.cli.main import entry_point
entry_point()
"""


def process(*arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        timeout=60,
        **{"cwd": cwd, "env": ENVIRONMENT, "capture_output": True, "text": True} | options,
    )


@pytest.fixture
def as_found(monkeypatch):
    """What running a file in this process changes, put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    yield monkeypatch
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_file_runs_from_anywhere(tmp_path):
    done = process(MAIN_FILE, "protocols", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "BrainAcPc" in done.stdout


def test_the_file_finds_the_packages_it_lies_in_as_slicer_installs_them(tmp_path):
    """Both modules' packages lie side by side there, the shared resources beside them; nothing is on the path."""
    modules = tmp_path / "qt-scripted-modules"
    for package in ("AutoVolumeCalibration/AutoVolumeCalibrationLib", "LandmarkTraining/LandmarkTrainingLib"):
        shutil.copytree(ROOT / package, modules / Path(package).name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "Resources" / "Protocols", modules / "Resources" / "AutoVolumeCalibration" / "Protocols")
    shutil.copytree(ROOT / "Resources" / "Schemas", modules / "Resources" / "AutoVolumeCalibration" / "Schemas")
    shutil.copytree(ROOT / "Resources" / "Anatomies", modules / "Resources" / "AutoVolumeCalibration" / "Anatomies")
    init = modules / "AutoVolumeCalibrationLib" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, "99.9"))
    file = modules / "AutoVolumeCalibrationLib" / "cli" / "main.py"
    assert process(file, "--version", cwd=tmp_path).stdout == "autovolume 99.9\n"
    done = process(file, "render", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert process(file, "models", cwd=tmp_path).returncode == 3  # not copied, and not taken from elsewhere


def test_a_failure_is_the_exit_code_of_the_process(tmp_path):
    done = process(MAIN_FILE, "calibrate", "nothing", "--output", "out", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("autovolume: nothing: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"), [(["protocols"], 0), (["--help"], 0), ([], 2), (["check", "nothing"], 3)], ids=str
)
def test_slicer_gets_a_system_exit_whatever_happens(as_found, capsys, tmp_path, arguments, code):
    as_found.chdir(tmp_path)
    as_found.setattr(sys, "argv", [str(MAIN_FILE), *arguments])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(MAIN_FILE), run_name="__main__")
    assert left.value.code == code


def test_slicer_reads_the_file_by_whatever_encoding_the_machine_has():
    assert MAIN_FILE.read_text(encoding="ascii")


def test_a_fault_of_the_program_ends_it_too_and_can_be_reported(as_found, capsys):
    def fail(_arguments):
        raise ZeroDivisionError("a bug")

    as_found.setattr(listing_commands, "run_models", fail)
    as_found.setattr(sys, "argv", ["autovolume", "models"])
    with pytest.raises(SystemExit) as left:
        main_module.entry_point()
    assert left.value.code == 1
    written = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in written
    assert written.splitlines()[-1].startswith("autovolume: ")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_detection_cancels(tmp_path, number):
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT / "AutoVolumeCalibration")}
    planned = ["calibrate", *map(str, MIDDLE_SLICES), "--protocol", "BrainAcPc", "--output", "new/out"]
    arguments = [sys.executable, "-c", ENDLESS, *planned]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A job in the background is started with SIGINT ignored, and would hand that down.
    heard = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    with started(arguments, cwd=tmp_path, env=environment, **streams, **heard) as running:
        assert running.stdout.readline() == "detecting\n"
        time.sleep(0.1)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert (out, err) == ("", "autovolume: cancelled, nothing was written\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
def test_a_reader_that_has_gone_changes_nothing(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = process(MAIN_FILE, "protocols", cwd=tmp_path, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_told(tmp_path):
    with open("/dev/full", "w") as full:
        done = process(MAIN_FILE, "protocols", cwd=tmp_path, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith("autovolume: standard output cannot be written")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_process_without_a_terminal_works(closed, capfd, monkeypatch):
    """A windowed application has no standard streams."""
    monkeypatch.setattr(sys, closed, None)
    assert main_module.main(["protocols"]) == 0
    assert main_module.main(["check", "/nothing"]) == 3


def test_a_missing_package_of_ours_is_an_incomplete_installation(monkeypatch, capsys):
    def fail(_arguments):
        raise ModuleNotFoundError("no", name="AutoVolumeCalibrationLib.core.models.bundle")

    monkeypatch.setattr(listing_commands, "run_models", fail)
    assert main_module.main(["models"]) == 4
    assert "installation is incomplete" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["numpy", "pydicom", "LandmarkTrainingLib"])
@pytest.mark.parametrize(
    "answer",
    ["raise", "raise SystemError('error return without exception set')", "raise ModuleNotFoundError('no') from stop"],
)
def test_ctrl_c_while_libraries_load_is_a_cancel(tmp_path, library, answer):
    script = INTERRUPTED.format(library=library, answer=answer)
    arguments = ["check", *MIDDLE_SLICES]
    path = os.pathsep.join([str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")])
    done = process("-c", script, *arguments, cwd=tmp_path, env=ENVIRONMENT | {"PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "autovolume: cancelled, nothing was written\n"


def test_names_cannot_steer_the_terminal(tmp_path):
    for name in ("\x1b[31mred\x1b[0m.dcm", "a\nb.nrrd", "abc\u202egpj.nii"):
        (tmp_path / name).write_bytes(b"junk" * 99)
        done = process(MAIN_FILE, "check", name, cwd=tmp_path)
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert done.stderr.rstrip("\n").isprintable(), ascii(done.stderr)


def test_whatever_prints_a_name_cannot_steer_the_terminal(as_found, capsys):
    """Training's commands print by themselves."""

    def run(_arguments):
        print("left out  \x1b[2J.dcm\tcolumn")
        logging.getLogger("some.library").warning("\x1b[2J.dcm")
        return 0

    as_found.setattr(listing_commands, "run_models", run)
    as_found.setattr(sys, "argv", ["autovolume", "models"])
    with pytest.raises(SystemExit):
        main_module.entry_point()
    written = capsys.readouterr()
    assert written.out == "left out  \\x1b[2J.dcm\tcolumn\n"
    assert "\x1b" not in written.err
