"""Make the sample knee: simulated scouts of a left knee, for want of a real one that may be shipped.

    autovolume knees --atlas spl_knee_labels.nii.gz --seed 31 --count 1 --output LABELS
    python Testing/make_knee_sample.py --labels LABELS

No training used that seed. The same input gives the same bytes. The sample's LICENSE.txt, part B of the 3D Slicer
licence with the words that it demands before it, stays as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / name) for name in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import shipped_anatomy  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import InputError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.json_files import read_json  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes  # noqa: E402
from dicom_localizers import write_localizer  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.label_landmarks import read_label_map  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.point_files import read_points  # noqa: E402
from LandmarkTrainingLib.core.simulator.scenes.scene import SCENE_FILE  # noqa: E402
from make_sample_study import as_scanned, write_nrrd  # noqa: E402

NAME, SEED = "KneeScouts", 20261129

#: Of the label map's scene.
SEQUENCE = "T1"

GEOMETRY = ScoutGeometry(slices=5, slice_spacing_mm=12.0, thickness_mm=6.0, pixel_mm=1.5, matrix=120)

#: How the knee lies in the scanner: turned about right, then anterior, then superior, and moved to the left (RAS mm).
PITCH_DEG, ROLL_DEG, YAW_DEG = 5.0, -4.0, 8.0
CENTER_MM = np.array([-72.0, 0.0, 0.0])

#: Stored values per grey value of the scene; texture within tissues (share, correlation in voxels); blur in voxels.
SCALE, TEXTURE, GRAIN, BLUR = 4.0, 0.05, 1.5, 0.5

#: A coil receives less from tissue at this distance from its middle, by the factor 1 / e.
COIL_MM = 190.0

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def make_scouts(labels: Path) -> tuple[list[ScoutStack], dict[str, np.ndarray]]:
    """The scouts of the knee in ``labels``, mirrored to a left one, and where its landmarks are (RAS mm)."""
    knee = read_label_map(labels / "knee_0001.nii.gz")
    rng = np.random.default_rng(SEED)
    # The label maps are right knees.
    to_scanner = _pose() @ _MIRROR
    painted = Volume(_painted(knee, labels, rng), to_scanner @ knee.affine, NAME)
    stacks = [
        replace(stack, slices=tuple(as_scanned(s, rng) for s in stack.slices))
        for stack in cut_three_planes(painted, GEOMETRY, center_mm=CENTER_MM)
    ]
    return stacks, _mirrored_names(read_points(labels / "knee_0001.csv"), to_scanner)


def _pose() -> np.ndarray:
    """(4, 4) from the knee's own axes to the scanner."""
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [PITCH_DEG, ROLL_DEG, YAW_DEG], degrees=True).as_matrix()
    pose[:3, 3] = CENTER_MM
    return pose


def _painted(knee: Volume, labels: Path, rng: np.random.Generator) -> np.ndarray:
    """The label map in the grey values of one sequence, textured, blurred, and brightest in the middle of the coil."""
    from scipy.ndimage import gaussian_filter

    scene = read_json(labels / SCENE_FILE, InputError, "Write the label maps again.")
    (signals,) = (entry["signals"] for entry in scene["sequences"] if entry["name"] == SEQUENCE)
    image = np.array(signals)[knee.array.astype(int)]
    grain = gaussian_filter(rng.normal(size=image.shape), GRAIN)
    image = gaussian_filter(image * (1 + TEXTURE * grain / grain.std()), BLUR)
    index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(index @ knee.affine[:3, :3].T + knee.affine[:3, 3], axis=-1)
    return (SCALE * image * np.exp(-((distance / COIL_MM) ** 2))).astype(np.float32)


def _mirrored_names(points: Mapping[str, np.ndarray], to_scanner: np.ndarray) -> dict[str, np.ndarray]:
    """The points in the scanner; what was on the right of the knee is on its left in the mirror."""
    constellation = shipped_anatomy("knee")
    assert constellation is not None
    partner = {each.name: each.mirror or each.name for each in constellation.landmarks}
    return {partner[name]: to_scanner[:3, :3] @ at + to_scanner[:3, 3] for name, at in points.items()}


def truth(landmarks: Mapping[str, np.ndarray]) -> dict:
    """Side and landmarks as the simulator knows them."""
    places = {name: at.round(3).tolist() for name, at in landmarks.items()}
    return {"coordinate_system": "RAS", "anatomy": "knee", "side": "left", "landmarks_mm": places}


def write_thumbnail(stack: ScoutStack, path: Path) -> None:
    """The middle slice as a picture of 128 x 128."""
    from PIL import Image

    pixels = stack.slices[len(stack.slices) // 2].pixels
    grey = np.clip(255 * pixels / np.percentile(pixels, 99.5), 0, 255).astype(np.uint8)
    Image.fromarray(grey).resize((128, 128)).save(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="folder with knee_0001.nii.gz of seed 31")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "SampleData" / NAME)
    parser.add_argument(
        "--icon", type=Path, default=ROOT / "AutoVolumeCalibration" / "Resources" / "Icons" / f"{NAME}.png"
    )
    options = parser.parse_args(arguments)
    stacks, landmarks = make_scouts(options.labels)
    write_localizer(stacks, options.output / "dicom", study=f"{NAME} sample", edit=_state)
    for stack in stacks:
        write_nrrd(stack, options.output / f"{stack.plane}.nrrd")
    (options.output / "truth.json").write_text(json.dumps(truth(landmarks), indent=2) + "\n", encoding="utf-8")
    (options.output / "README.md").write_text(
        _README.format(g=GEOMETRY, pitch=PITCH_DEG, roll=ROLL_DEG, yaw=YAW_DEG), encoding="utf-8"
    )
    write_thumbnail(stacks[0], options.icon)
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    print(f"{options.output}: {size / 1e6:.2f} MB")


def _state(dataset, _index: int) -> None:
    """What the header of a knee says about the body, and that nobody was scanned."""
    dataset.BodyPartExamined, dataset.Laterality = "KNEE", "L"
    dataset.SeriesDescription = "Three-plane localizer, simulated"
    dataset.DeidentificationMethod = "Simulated, no patient"


_README = """\
# Sample: simulated three-plane scouts of a left knee

**Simulated, not acquired.** No real knee scouts were found that may be shipped. Real images differ; this study shows
how a knee is planned, not how well.

One localizer in two forms, the same pixels in both:

- `dicom/`: 15 DICOM images, one series of mixed orientation (5 sagittal, 5 coronal, 5 axial); the headers state the
  body part (`KNEE`) and the side (`L`)
- `sagittal.nrrd`, `coronal.nrrd`, `axial.nrrd`, which state neither

| | |
|---|---|
| Slices | {g.slices} per plane, {g.thickness_mm:g} mm thick, {g.slice_spacing_mm:g} mm from centre to centre |
| Pixels | {g.matrix} x {g.matrix} of {g.pixel_mm:g} mm |
| Planes | aligned with the scanner, crossing 72 mm left of the isocentre |
| Knee | turned by {pitch:g}, {roll:g} and {yaw:g} degrees about right, anterior and superior |
| Image | T1-like grey values, texture, coil shading, slight Rician noise |

`truth.json` holds the side and the landmarks that the simulator placed.

## Origin

The label map of one knee of the SPL knee atlas (Surgical Planning Laboratory, Brigham and Women's Hospital; Open
Anatomy Project), **modified**: deformed to a shape that was drawn from the mean and variation of landmark positions
measured on 18 other people, its shafts extended, covered with fat and skin, mirrored to a left knee and painted
(`autovolume knees --seed 31`, `Testing/make_knee_sample.py`). No training used that seed.

## Licence

The atlas is published under the 3D Slicer licence; `LICENSE.txt` holds the terms that apply to this sample. Research
use: not for clinical decisions.
"""


if __name__ == "__main__":
    main()
