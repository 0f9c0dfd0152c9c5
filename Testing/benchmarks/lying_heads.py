"""Plans of real heads that lie in the scanner as no network was trained for: on the side, face down, far askew.

Run: ``python Testing/benchmarks/lying_heads.py DATA [--heads ID ...]``, DATA holding ``heads.csv``. Each head is put
into the scanner in a random pose (+-15 deg), turned by each of TURNS, and planned with 5 and with 1 slice per plane.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

from AutoVolumeCalibrationLib.core.bundles import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError  # noqa: E402
from AutoVolumeCalibrationLib.core.pipeline import calibrate  # noqa: E402
from AutoVolumeCalibrationLib.core.protocols import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.reslice import cut_three_planes  # noqa: E402
from LandmarkTrainingLib.core.evaluation import GEOMETRIES, add_noise, true_plan  # noqa: E402
from LandmarkTrainingLib.core.heads import list_heads  # noqa: E402
from LandmarkTrainingLib.core.metrics import box_errors, markdown_table  # noqa: E402
from LandmarkTrainingLib.core.poses import head_to_scanner, posed_volume, random_pose  # noqa: E402

#: Euler axes in the scanner, and degrees about each.
TURNS = (("x", 0), ("x", 45), ("x", 90), ("z", 60), ("y", 90), ("z", 180), ("xyz", 50))
NOISE = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--heads", nargs="+", default=["asl_t1", "nichart_s01_fl", "saganon_t1"], metavar="ID")
    arguments = parser.parse_args()
    protocol, model = load_protocol("BrainAcPc"), load_model("brain-scout", "cpu")
    rows = []
    for head in list_heads(arguments.data, "validation"):
        if head.id not in arguments.heads:
            continue
        volume = head.volume()
        for axes, degrees in TURNS:
            turn = np.eye(4)
            turn[:3, :3] = Rotation.from_euler(axes, [degrees] * len(axes), degrees=True).as_matrix()
            pose = random_pose(np.random.default_rng(1), 15, 15)
            transform = turn @ head_to_scanner(pose, head.origin_mm, head.axes)
            truth = true_plan(head, transform, protocol)
            for name in ("P5", "P1"):
                clean = cut_three_planes(posed_volume(volume, transform), GEOMETRIES[name], np.zeros(3))
                stacks = add_noise(clean, NOISE, np.random.default_rng(0))
                rows.append([head.id, f"{axes} {degrees}", name, *planned(stacks, protocol, model, truth)])
    print(markdown_table(["head", "turn, deg", "scouts", "box turned, deg", "centre, mm", "checks", "s"], rows))


def planned(stacks, protocol, model, truth) -> list[str]:
    """Errors of the plan against the true one, findings and seconds."""
    started = time.perf_counter()
    try:
        result = calibrate(stacks, protocol, model)
    except AutoVolumeError as error:
        return ["-", "-", str(error).splitlines()[0][:60], "-"]
    errors = box_errors(result.box, truth.box)
    angle = Rotation.from_matrix(result.box.axes @ truth.box.axes.T).magnitude()
    findings = ", ".join(check.name for check in result.checks if check.level != "ok")
    seconds = time.perf_counter() - started
    return [f"{np.degrees(angle):.1f}", f"{errors.center_mm:.1f}", findings or "ok", f"{seconds:.1f}"]


if __name__ == "__main__":
    main()
