"""Make the sample study: scouts of the Colin27 head, turned in the scanner.

    python Testing/make_sample_study.py --colin ch2.nii.gz

ch2.nii.gz comes with MRIcron (Debian package mricron-data). The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
for _folder in ("AutoVolumeCalibration", "Testing"):
    sys.path.insert(0, str(ROOT / _folder))

from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.image_file import read_volume  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import (  # noqa: E402
    ScoutSlice,  # noqa: E402
    ScoutStack,  # noqa: E402
)
from AutoVolumeCalibrationLib.core.scouts.volume import (  # noqa: E402
    ScoutGeometry,  # noqa: E402
    Volume,  # noqa: E402
    cut_three_planes,  # noqa: E402
)
from dicom_localizers import write_localizer  # noqa: E402

#: How the head lies in the scanner: turned about right, then anterior, then superior, then moved (RAS mm).
PITCH_DEG, ROLL_DEG, YAW_DEG = 12.0, -6.0, 9.0
SHIFT_MM = (4.0, 6.0, -3.0)

GEOMETRY = ScoutGeometry(slices=5, slice_spacing_mm=12.0, thickness_mm=6.0, pixel_mm=1.25, matrix=192)

#: Stored values: ch2 spans 0..255; noise in each of the two quadrature channels.
SCALE, NOISE_SD, SEED = 4.0, 12.0, 20261120


def head_pose() -> np.ndarray:
    """(4, 4) from the RAS mm of ch2.nii.gz to the RAS mm of the scanner."""
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [PITCH_DEG, ROLL_DEG, YAW_DEG], degrees=True).as_matrix()
    pose[:3, 3] = SHIFT_MM
    return pose


def make_scouts(colin: Path) -> list[ScoutStack]:
    """Scanner-aligned scouts through the isocentre of the turned head, whole numbers with Rician noise."""
    head = read_volume(colin)
    turned = Volume(head.array * SCALE, head_pose() @ head.affine, "Colin27")
    rng = np.random.default_rng(SEED)
    stacks = []
    for stack in cut_three_planes(turned, GEOMETRY, center_mm=np.zeros(3)):
        stacks.append(replace(stack, slices=tuple(as_scanned(s, rng) for s in stack.slices)))
    return stacks


def write_nrrd(stack: ScoutStack, path: Path) -> None:
    """The stack as gzipped NRRD of shorts."""
    import SimpleITK as sitk

    first, gap = stack.slices[0], stack.slices[1].origin_mm - stack.slices[0].origin_mm
    image = sitk.GetImageFromArray(np.stack([s.pixels for s in stack.slices]).astype(np.int16))
    spacing = (first.spacing_mm[1], first.spacing_mm[0], float(np.linalg.norm(gap)))
    axes = np.stack([first.column_axis, first.row_axis, gap / spacing[2]])
    image.SetSpacing(spacing)
    image.SetOrigin(swap_ras_lps(first.origin_mm).tolist())
    image.SetDirection(swap_ras_lps(axes).T.ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def truth() -> dict:
    """What is known of the sample: the pose that the head was given, and no landmark."""
    pose = head_pose()
    return {
        "coordinate_system": "RAS",
        "pose": {
            "description": "4x4, from the millimetres of ch2.nii.gz to those of the scouts; x_scouts = pose @ x_ch2",
            "matrix": pose.round(9).tolist(),
            "pitch_roll_yaw_deg": [PITCH_DEG, ROLL_DEG, YAW_DEG],
            "order": "about right, then anterior, then superior, axes fixed in the scanner; then shifted",
            "shift_mm": list(SHIFT_MM),
        },
        "ch2_axes_in_scouts": {
            "description": "rows: right, anterior, superior of ch2.nii.gz as seen in the scouts",
            "axes": pose[:3, :3].T.round(9).tolist(),
        },
        "note": "The axes of ch2 are those of the MNI space it was registered to, not its AC-PC axes.",
    }


def readme() -> str:
    """The sample's README, with origin and licence notice."""
    return _README.format(
        pitch=PITCH_DEG, roll=ROLL_DEG, yaw=YAW_DEG, shift=", ".join(f"{mm:g}" for mm in SHIFT_MM), g=GEOMETRY
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--colin", type=Path, required=True, help="ch2.nii.gz of MRIcron")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "SampleData" / "ColinScouts")
    options = parser.parse_args(arguments)
    stacks = make_scouts(options.colin)
    write_localizer(stacks, options.output / "dicom", study="ColinScouts sample")
    for stack in stacks:
        write_nrrd(stack, options.output / f"{stack.plane}.nrrd")
    (options.output / "truth.json").write_text(json.dumps(truth(), indent=2) + "\n", encoding="utf-8")
    (options.output / "README.md").write_text(readme(), encoding="utf-8")
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    print(f"{options.output}: {size / 1e6:.2f} MB")


def as_scanned(scout_slice: ScoutSlice, rng: np.random.Generator) -> ScoutSlice:
    """The slice with Rician noise, and stored as scanners do: columns run to the left or back, rows down or back."""
    pixels = scout_slice.pixels
    real, imaginary = rng.normal(0.0, NOISE_SD, (2, *pixels.shape))
    noisy = np.hypot(pixels + real, imaginary).round().astype(np.float32)
    last = np.array(pixels.shape) - 1
    return replace(
        scout_slice,
        pixels=noisy[::-1, ::-1],
        origin_mm=scout_slice.to_world(last),
        column_axis=-scout_slice.column_axis,
        row_axis=-scout_slice.row_axis,
    )


_README = """\
# Sample: three-plane scouts of the Colin27 head

One localizer in two forms, the same pixels in both:

- `dicom/`: 15 DICOM images, one series of mixed orientation (5 sagittal, 5 coronal, 5 axial)
- `sagittal.nrrd`, `coronal.nrrd`, `axial.nrrd`

| | |
|---|---|
| Slices | {g.slices} per plane, {g.thickness_mm:g} mm thick, {g.slice_spacing_mm:g} mm from centre to centre |
| Pixels | {g.matrix} x {g.matrix} of {g.pixel_mm:g} mm |
| Planes | aligned with the scanner, crossing in the isocentre |
| Head | pitched {pitch:g}, rolled {roll:g}, yawed {yaw:g} degrees, moved by ({shift}) mm right, anterior, superior |
| Noise | slight, Rician |

`truth.json` holds the pose that the head was given. It ends below the skull base, as in `ch2.nii.gz`.

## Origin

Colin27 is the average of 27 T1-weighted scans of one person (Holmes et al., Journal of Computer Assisted
Tomography 22:324-333, 1998). The scouts were cut from `ch2.nii.gz`, the 1 mm Colin27 that comes with MRIcron
(Debian package `mricron-data`), by `Testing/make_sample_study.py`. The DICOM headers name nobody.

## Licence of Colin27

Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill
University. Permission to use, copy, modify, and distribute this software and its documentation for any purpose and
without fee is hereby granted, provided that the above copyright notice appear in all copies. The authors and McGill
University make no representations about the suitability of this software for any purpose. It is provided "as is"
without express or implied warranty. The authors are not responsible for any data loss, equipment damage, property
loss, or injury to subjects or patients resulting from the use or misuse of this software package.

## Licence of MRIcron, with which the file was distributed

Copyright 2006-2010, Chris Rorden. BSD 3-clause:

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the
following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following
   disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the
   following disclaimer in the documentation and/or other materials provided with the distribution.
3. Neither the names of the copyright owners nor the names of this project (MRIcron) may be used to endorse or
   promote products derived from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES,
INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT OWNER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL,
SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY,
WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


if __name__ == "__main__":
    main()
