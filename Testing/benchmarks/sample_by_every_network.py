"""Every network of a comparison as a bundle, planning the sample study.

Run after ``autovolume ablation PLAN --output DIR``: ``python Testing/benchmarks/sample_by_every_network.py PLAN DIR``.
Each variant's first seed is exported as a bundle (into DIR/bundles), loaded as a user's model is, and plans the sample
scouts; the plan is compared with that of the shipped model. The uncertainty of the peaks is the cautious default.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import default_uncertainty  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.resources import resource_path  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import box_errors, markdown_table  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablation import run_place  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablations.plan import AblationPlan, Variant, read_plan  # noqa: E402
from LandmarkTrainingLib.core.runs.run_folder import RunFolder  # noqa: E402
from LandmarkTrainingLib.core.training.bundle_export import export_bundle  # noqa: E402
from LandmarkTrainingLib.core.training.learner import landmark_network  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path)
    parser.add_argument("folder", type=Path, help="output of autovolume ablation")
    arguments = parser.parse_args()
    plan = read_plan(arguments.plan)
    protocol = load_protocol(plan.base.protocol)
    scouts = read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
    reference = calibrate(scouts, protocol, load_model("brain-scout", "cpu"))
    rows = []
    for variant in plan.variants:
        place = run_place(arguments.folder, variant.name, plan.seeds[0])
        if not RunFolder(place).checkpoint.exists():
            continue
        bundle = exported(plan, variant, place, arguments.folder / "bundles" / place.name)
        try:
            result = calibrate(scouts, protocol, load_model(bundle, "cpu"))
        except AutoVolumeError as error:
            rows.append([variant.name, "-", "-", "-", str(error).splitlines()[0][:60]])
            continue
        found = sum(mark.status != MISSING for mark in result.landmarks)
        errors = box_errors(result.box, reference.box)
        worst = max((check.level for check in result.checks), key=("ok", "warning", "error").index)
        rows.append([variant.name, str(found), f"{errors.rotation_deg:.1f}", f"{errors.center_mm:.1f}", worst])
    print(markdown_table(["variant", "landmarks found", "turn, deg", "centre, mm", "checks"], rows))


def exported(plan: AblationPlan, variant: Variant, place: Path, bundle: Path) -> Path:
    """The run's last averaged weights as a bundle."""
    config = plan.base.replaced({**variant.settings, "name": place.name}, source=variant.name)
    constellation = load_protocol(config.protocol).constellation
    network = landmark_network(config, len(constellation.names))
    network.load_state_dict(RunFolder(place).last_weights())
    uncertainty = default_uncertainty(len(constellation.names))
    export_bundle(bundle, network.eval(), config, constellation, uncertainty, {}, overwrite=True)
    return bundle


if __name__ == "__main__":
    main()
