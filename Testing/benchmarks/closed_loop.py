"""The loop closed: scouts -> plan -> Pulseq file -> simulated scan -> does the image lie where the plan says?

    python Testing/benchmarks/closed_loop.py --tissue ch2bet.nii.gz --output FOLDER

ch2bet.nii.gz (the brain of Colin27) comes with MRIcron (Debian package mricron-data); the scouts are the sample study,
which was cut from the same head in a known pose. The scouts are planned with the shipped model, the plan becomes a 3D
gradient echo in a .seq file, and MRzero simulates the scan of the brain, as it lies in the scanner, from that file
(``in_the_sense_of_pulseq`` names what MRzero takes otherwise). The image is reconstructed with the logical k-space of
the plan, laid on the planned grid, and registered (rigid) to the tissue sampled on that grid. Passed: offset <= 0.5
voxel along each axis, angle <= 0.5 deg. As controls, the same image is registered to a grid that is displaced by a
known amount, and compared with the tissue on grids that ignore the plan's rotation or shift.

Simulated, not scanned: pulses act at once (the example without slab selection), no field errors, no noise, one coil.
Takes some minutes on one core. MRzero (mrzerocore) is under the AGPL-3; only this file uses it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
for _folder in ("AutoVolumeCalibration", "Testing"):
    sys.path.insert(0, str(ROOT / _folder))

from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.core.exports.doors.patient_position import device_from_lps  # noqa: E402
from AutoVolumeCalibrationLib.core.exports.doors.pulseq_example import gradient_echo_3d, matrix_of  # noqa: E402
from AutoVolumeCalibrationLib.core.exports.doors.pulseq_placement import place_sequence, write_sequence  # noqa: E402
from AutoVolumeCalibrationLib.core.exports.scan_geometry import ScanGeometry, scan_geometry  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.image_file import read_volume  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.volume import Volume  # noqa: E402

SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts"
POSITION = "HFS"

#: What passes.
MOST_VOXELS, MOST_DEG = 0.5, 0.5

#: The control: rotation, and shift along read, phase and slice.
CONTROL_DEG, CONTROL_MM = 2.0, (3.0, -2.0, 2.5)

#: Edge of the simulated voxels, mm; relaxation times, s.
TISSUE_MM, T1_S, T2_S, T2_DASH_S = 5.0, 1.0, 0.08, 0.05


@dataclass(frozen=True)
class Shift:
    """How the image lies against the plan: along read, phase and slice in voxels, and the angle of the rotation."""

    voxels: np.ndarray
    mm: np.ndarray
    angle_deg: float

    @property
    def passed(self) -> bool:
        return bool(np.abs(self.voxels).max() <= MOST_VOXELS and self.angle_deg <= MOST_DEG)


def main() -> int:
    """Run the loop; 0 where the image lies where the plan says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tissue", type=Path, required=True, help="ch2bet.nii.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder for the .seq file, numbers and pictures")
    parser.add_argument("--pixel-mm", type=float, default=6.0)
    parser.add_argument("--partitions", type=int, default=24)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    plan = calibrate(read_scouts([SAMPLE / "dicom"]), load_protocol("BrainAcPc"), load_model(device="cpu"))
    full = scan_geometry(plan.prescription)
    slab = float(full.fov_mm[2])
    geometry = replace(full, slices=arguments.partitions, thickness_mm=slab / arguments.partitions, gap_mm=0.0)
    sequence_file = arguments.output / "plan.seq"
    write_sequence(
        place_sequence(gradient_echo_3d(geometry, arguments.pixel_mm, slab_selective=False), geometry, POSITION),
        sequence_file,
    )
    tissue = tissue_in_scanner(arguments.tissue)
    started = time.perf_counter()
    signal, voxels = simulate(sequence_file, tissue)
    simulated_s = time.perf_counter() - started
    counts = matrix_of(geometry, arguments.pixel_mm)
    image = np.abs(reconstruct(signal, counts))
    truth = on_grid(tissue, geometry, counts)
    shift = register(truth, image, geometry.fov_mm / counts)

    control = register(on_grid(tissue, displaced(geometry), counts), image, geometry.fov_mm / counts)
    unturned = replace(geometry, directions=np.round(geometry.directions))
    unmoved = replace(geometry, center_mm=np.zeros(3))
    numbers = {
        "prescription": plan.prescription.to_dict(),
        "matrix": list(counts),
        "voxel_mm": (geometry.fov_mm / counts).tolist(),
        "tissue_voxels": voxels,
        "simulation_s": simulated_s,
        "offset_voxels": shift.voxels.tolist(),
        "offset_mm": shift.mm.tolist(),
        "angle_deg": shift.angle_deg,
        "control_offset_mm": control.mm.tolist(),
        "control_angle_deg": control.angle_deg,
        "correlation": correlation(image, truth),
        "correlation_rotation_ignored": correlation(image, on_grid(tissue, unturned, counts)),
        "correlation_shift_ignored": correlation(image, on_grid(tissue, unmoved, counts)),
        "passed": shift.passed and found_displacement(control),
    }
    (arguments.output / "closed_loop.json").write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    draw(image, truth, geometry, shift, arguments.output / "closed_loop.png")
    for name, value in numbers.items():
        if name != "prescription":
            print(f"{name:32} {np.round(value, 4).tolist() if not isinstance(value, bool) else value}")
    return 0 if numbers["passed"] else 1


def displaced(geometry: ScanGeometry) -> ScanGeometry:
    """The plan turned and moved by a known amount, which the registration has to find."""
    turn = rotation_about(np.deg2rad(CONTROL_DEG) * np.array([1.0, -1.0, 1.0]) / np.sqrt(3))
    moved = geometry.center_mm + np.array(CONTROL_MM) @ geometry.directions
    return replace(geometry, center_mm=moved, directions=turn @ geometry.directions)


def found_displacement(control: Shift) -> bool:
    """Whether the registration found it: a registration that finds nothing would pass everything."""
    return bool(
        abs(control.angle_deg - CONTROL_DEG) <= MOST_DEG / 2
        and abs(np.linalg.norm(control.mm) - np.linalg.norm(CONTROL_MM)) <= 1.0
    )


def tissue_in_scanner(path: Path) -> Volume:
    """The brain where the sample study has it, RAS mm of the scanner; values 0 to about 1."""
    pose = np.array(json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["pose"]["matrix"])
    head = read_volume(path)
    return Volume(head.array / float(np.percentile(head.array[head.array > 0], 99)), pose @ head.affine, "brain")


def simulate(sequence_file: Path, tissue: Volume) -> tuple[np.ndarray, int]:
    """The signal that the scanner receives, (samples,), and the number of simulated voxels."""
    import MRzeroCore as mr0
    import torch

    torch.set_num_threads(1)
    corners = tissue_corners(tissue)
    axes = [np.arange(low, high, TISSUE_MM) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    centers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    density = averaged(tissue, centers, np.eye(3) * TISSUE_MM)
    kept = density > 0.02
    device_m = swap_ras_lps(centers[kept]) @ device_from_lps(POSITION).T / 1000
    phantom = mr0.CustomVoxelPhantom(
        pos=device_m.tolist(),
        PD=density[kept].tolist(),
        T1=T1_S,
        T2=T2_S,
        T2dash=T2_DASH_S,
        D=0.0,
        voxel_size=TISSUE_MM / 1000,
        voxel_shape="box",
    ).build()
    sequence = in_the_sense_of_pulseq(mr0.Sequence.import_file(str(sequence_file)), sequence_file)
    graph = mr0.compute_graph(sequence, phantom, 200, 1e-3)
    signal = mr0.execute_graph(graph, sequence, phantom, print_progress=False)
    return signal.numpy().ravel(), int(kept.sum())


def in_the_sense_of_pulseq(sequence: Any, sequence_file: Path) -> Any:
    """The sequence that MRzero read from the file, with what it takes otherwise than Pulseq means it.

    In a .seq file gradients turn the spins in the sense in which phases of pulses and receiver grow: a pulse of
    frequency offset f excites where G . r = f. MRzero turns them against it: its gradients are negated. It also leaves
    the frequency of the receiver out: that of each readout is added to its phases.
    """
    import pypulseq as pp
    import torch

    source = pp.Sequence()
    source.read(str(sequence_file))
    receivers = [block.adc for block in map(source.get_block, source.block_events) if block.adc is not None]
    for repetition, receiver in zip(sequence, receivers, strict=True):
        repetition.gradm *= -1
        sampled = repetition.adc_usage > 0
        times = (np.arange(receiver.num_samples) + 0.5) * receiver.dwell
        turned = 2 * np.pi * receiver.freq_offset * times
        repetition.adc_phase[sampled] -= torch.as_tensor(turned, dtype=repetition.adc_phase.dtype)
    return sequence


def reconstruct(signal: np.ndarray, counts: tuple[int, int, int]) -> np.ndarray:
    """(read, phase, slice) complex image; its voxels lie evenly about the middle of the planned volume.

    The receiver already follows the shift of the plan: what remains is a plain Fourier transform in its own axes.
    """
    read, phase, partitions = counts
    image = signal.reshape(partitions, phase, read).transpose(2, 1, 0)
    for axis, count in enumerate(counts):
        k = np.arange(count) - count // 2
        x = (np.arange(count) - (count - 1) / 2) / count
        image = np.moveaxis(np.tensordot(np.exp(-2j * np.pi * np.outer(x, k)), image, axes=(1, axis)), 0, axis)
    return image


def on_grid(tissue: Volume, geometry: ScanGeometry, counts: tuple[int, int, int]) -> np.ndarray:
    """(read, phase, slice) mean of the tissue in each voxel of the planned grid."""
    steps = [
        (np.arange(count) - (count - 1) / 2) * fov / count for count, fov in zip(counts, geometry.fov_mm, strict=True)
    ]
    local = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lps = geometry.center_mm + local @ geometry.directions
    edges = geometry.directions * (geometry.fov_mm / counts)[:, None]
    return averaged(tissue, swap_ras_lps(lps), swap_ras_lps(edges)).reshape(counts)


def averaged(tissue: Volume, centers_mm: np.ndarray, edges_mm: np.ndarray, parts: int = 4) -> np.ndarray:
    """(n,) mean of the tissue in boxes with these RAS centres (n, 3) and edges (3, 3), in rows."""
    inside = (np.arange(parts) + 0.5) / parts - 0.5
    total = np.zeros(len(centers_mm))
    for a in inside:
        for b in inside:
            for c in inside:
                total += tissue.sample(centers_mm + np.array([a, b, c]) @ edges_mm)
    return total / parts**3


def tissue_corners(tissue: Volume) -> np.ndarray:
    """(8, 3) RAS corners of the volume."""
    last = np.array(tissue.array.shape) - 1
    index = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]) * last
    return index @ tissue.affine[:3, :3].T + tissue.affine[:3, 3]


def register(truth: np.ndarray, image: np.ndarray, voxel_mm: np.ndarray) -> Shift:
    """The rigid transform that brings the image onto the truth, both on the planned grid."""
    import SimpleITK as sitk

    def as_image(array: np.ndarray) -> sitk.Image:
        made = sitk.GetImageFromArray(np.ascontiguousarray(array.T / array.max()).astype(np.float32))
        made.SetSpacing(voxel_mm.tolist())
        made.SetOrigin((-(np.array(array.shape) - 1) / 2 * voxel_mm).tolist())
        return made

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkBSpline)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-5, 500, gradientMagnitudeTolerance=1e-9)
    method.SetOptimizerScalesFromPhysicalShift()
    found = sitk.Euler3DTransform()
    method.SetInitialTransform(found, inPlace=True)
    method.Execute(as_image(truth), as_image(image))
    matrix = np.array(found.GetMatrix()).reshape(3, 3)
    angle = float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
    moved = np.array(found.TransformPoint((0.0, 0.0, 0.0)))
    return Shift(moved / voxel_mm, moved, angle)


def correlation(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.corrcoef(image.ravel(), truth.ravel())[0, 1])


def draw(image: np.ndarray, truth: np.ndarray, geometry: ScanGeometry, shift: Shift, path: Path) -> None:
    """The simulated scan above the tissue on the planned grid: middle slices across read, phase and slice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), dpi=100)
    axes = figure.subplots(2, 3)
    voxel = geometry.fov_mm / image.shape
    for row, (array, title) in enumerate(
        [(image, "simulated scan of the plan"), (truth, "tissue on the planned grid")]
    ):
        for column, axis in enumerate((2, 1, 0)):
            others = [one for one in range(3) if one != axis]
            picture = np.take(array, array.shape[axis] // 2, axis=axis).T
            axes[row, column].imshow(picture, cmap="gray", aspect=voxel[others[1]] / voxel[others[0]], origin="lower")
            axes[row, column].axis("off")
            axes[row, column].set_title(f"{title}\nacross {('read', 'phase', 'slice')[axis]}", fontsize=9)
    offset = ", ".join(f"{value:.2f}" for value in shift.mm)
    figure.suptitle(f"offset {offset} mm (read, phase, slice), angle {shift.angle_deg:.2f} deg", fontsize=10)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
