"""How long Slicer waits for the module file at start-up, and what it drags in.

Run: ``python Testing/benchmarks/module_import.py [--runs N]``. Needs slicer-core and PySide6 (the stand-in takes the
place of the application's own Python modules, which are loaded before the clock starts).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET_S = 0.3
HEAVY = ("torch", "monai", "SimpleITK", "pydicom", "matplotlib", "scipy", "jsonschema")

SCRIPT = """
import sys, tempfile, time
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]
from standin.session import installed
with tempfile.TemporaryDirectory() as folder, installed(Path(folder)) as stand_in:
    before = time.perf_counter()
    module = stand_in.load_module(root / sys.argv[2] / f"{sys.argv[2]}.py")
    loaded = time.perf_counter()
    module.widgetRepresentation()
    opened = time.perf_counter()
print(loaded - before, opened - loaded, *(name for name in sys.argv[3:] if name in sys.modules))
"""


def main() -> None:
    """Print the median times of loading each module file and of building its panel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    for module in ("AutoVolumeCalibration", "LandmarkTraining"):
        loads, opens, heavy = [], [], set()
        for _ in range(runs):
            command = [sys.executable, "-c", SCRIPT, str(ROOT), module, *HEAVY]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
            load, opened, *names = done.stdout.split()
            loads.append(float(load))
            opens.append(float(opened))
            heavy.update(names)
        loading, opening = statistics.median(loads), statistics.median(opens)
        print(f"{module}: file {loading:.3f} s (target {TARGET_S} s), panel in the stand-in {opening:.3f} s")
        print(f"  heavy packages loaded: {', '.join(sorted(heavy)) or 'none'}")


if __name__ == "__main__":
    main()
