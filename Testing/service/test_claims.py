"""Claims: one holder at a time, also among processes; those of dead processes are free."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.files.atomic_write import place
from AutoVolumeCalibrationLib.service.engine import claims
from AutoVolumeCalibrationLib.service.engine.claims import claimed, remove_if_dead
from child_processes import started

ROOT = Path(__file__).resolve().parents[2]

#: Takes each of many claims once it can, and prints which it got.
RACE = """
import sys
from pathlib import Path
from AutoVolumeCalibrationLib.service.engine.claims import claimed
folder = Path(sys.argv[1])
for number in range(200):
    with claimed(folder / f"{number}.claim") as ours:
        if ours and not (folder / f"{number}.done").exists():
            (folder / f"{number}.done").touch(exist_ok=False)
            print(number)
"""


def test_a_claim_has_one_holder(tmp_path):
    path = tmp_path / "folder" / "a.claim"
    with claimed(path) as first:
        with claimed(path) as second:
            assert (first, second) == (True, False)
        assert path.exists()
    assert not path.exists()
    with claimed(path) as third:
        assert third


def test_of_several_processes_each_claim_goes_to_one(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "AutoVolumeCalibration")}
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    with (
        started(command, stdout=subprocess.PIPE, text=True, env=environment) as one,
        started(command, stdout=subprocess.PIPE, text=True, env=environment) as other,
    ):
        got = [int(line) for process in (one, other) for line in process.communicate(timeout=60)[0].splitlines()]
        assert (one.returncode, other.returncode) == (0, 0)
    assert sorted(got) == list(range(200))


@pytest.mark.skipif(os.name == "nt", reason="processes cannot be asked there")
def test_the_claim_of_a_killed_process_is_free_at_once(tmp_path):
    path = tmp_path / "a.claim"
    code = "import sys, time; from pathlib import Path\n"
    code += "from AutoVolumeCalibrationLib.service.engine.claims import claimed\n"
    code += "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "AutoVolumeCalibration")}
    with started([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        assert not remove_if_dead(path)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        with claimed(path) as ours:
            assert ours


def test_a_claim_of_another_machine_is_free_once_it_is_not_touched(tmp_path):
    path = tmp_path / "a.claim"
    path.write_text(json.dumps({"place": "elsewhere", "process": 1, "token": "x"}))
    assert not remove_if_dead(path)
    old = time.time() - claims.STALE_S - 5
    os.utime(path, (old, old))
    with claimed(path) as ours:
        assert ours
    assert list(tmp_path.iterdir()) == []


def test_a_holder_touches_its_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.02)
    path = tmp_path / "a.claim"
    with claimed(path):
        os.utime(path, (0, 0))
        limit = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < limit:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_claim_that_was_lost_is_left_to_its_new_holder(tmp_path):
    path = tmp_path / "a.claim"
    other = json.dumps({"place": place(), "process": os.getpid(), "token": "other"})
    with claimed(path):
        path.write_text(other)
    assert path.read_text() == other


def test_a_claim_that_was_interrupted_as_it_was_made_is_given_back(tmp_path, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(claims.threading, "Thread", interrupted)
    with pytest.raises(KeyboardInterrupt), claims.claimed(tmp_path / "a.claim"):
        raise AssertionError("it was begun")
    assert list(tmp_path.iterdir()) == []
