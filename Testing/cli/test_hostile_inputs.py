"""Damaged inputs are planned or refused in one clean line: a sample of what ``Testing/benchmarks/hostile.py`` tries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from command_line import ROOT

MUTANTS = 200


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_sample_of_damaged_inputs_is_handled_cleanly():
    script = ROOT / "Testing" / "benchmarks" / "hostile.py"
    arguments = [sys.executable, str(script), "--mutants", str(MUTANTS), "--seed", "11"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert f"{MUTANTS} mutants, 0 faults." in done.stdout


def test_a_fault_of_each_kind_is_found(tmp_path):
    from benchmarks.hostile_inputs.sandbox import Outcome, faults

    sound, folder = tmp_path / "sound", tmp_path / "mutant"
    sound.mkdir()
    folder.mkdir()
    refusal = Outcome(3, 0, False, "", "autovolume: a.nrrd: is bad. Mend it.\n", 0.1, 10.0)

    def found(**changes: object) -> list[str]:
        return faults(Outcome(**{**vars(refusal), **changes}), folder, sound, False)

    assert found() == []
    assert found(code=0, err="") == []
    assert found(signal=11) == ["signal 11"]
    assert found(timed_out=True, signal=9) == ["time-out"]
    assert found(code=1, err="Traceback (most recent call last):\n") == ["traceback"]
    assert found(code=70) == ["exit code 70"]
    assert found(memory_mb=3000.0) == ["memory"]
    assert found(err="autovolume: a: set weights_only to False.\n") == ["leaked words"]
    assert found(err="autovolume: a: patient Doe.\n") == ["leaked words"]
    assert found(err="autovolume: \x1b[31ma: is bad.\n") == ["control characters"]
    assert found(err="one\ntwo\n") == ["not one line"]
    assert found(out="half a plan") == ["not one line"]
    (folder / "out").mkdir()
    (folder / "out" / "landmarks.mrk.json").write_text("x")
    assert found() == ["leftovers"]
    assert found(code=5) == []
    (folder / "out" / ".x.partial").write_text("x")
    assert found(code=5) == ["leftovers"]
