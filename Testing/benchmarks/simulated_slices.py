"""Draw a sheet of simulated slices with the landmarks near them, to see what a network learns from.

python Testing/benchmarks/simulated_slices.py --labels LABELS --anatomy FILE.json --output SHEET.png [--maps 1 2 3]

Rows are sagittal, coronal and axial in turn. Dots are landmarks nearer to the slice than 8 mm: red on the right of the
body, blue on the left, yellow in the middle and, in sagittal slices, between the two of a pair.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import ProtocolError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.json_files import read_json  # noqa: E402
from LandmarkTrainingLib.core.simulator.label_maps import find_label_maps, load_simulated_anatomy  # noqa: E402
from LandmarkTrainingLib.core.simulator.render import SliceBatch, simulate_batch  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402

NEAR_MM, COLUMNS = 8.0, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, type=Path, metavar="DIR")
    parser.add_argument("--anatomy", required=True, type=Path, metavar="FILE")
    parser.add_argument("--output", required=True, type=Path, metavar="PNG")
    parser.add_argument("--maps", type=int, nargs="+", help="numbers of the label maps (default: all)")
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = read_json(arguments.anatomy, ProtocolError, "Give an anatomy file.")
    constellation = constellation_from_dict(data, arguments.anatomy)
    numbers = arguments.maps or sorted(find_label_maps(arguments.labels))
    maps = load_simulated_anatomy(arguments.labels, numbers, constellation.names)
    batch = simulate_batch(maps, constellation.mirror_indices, 200, (arguments.seed,), SliceSettings())
    draw(batch, constellation.names, constellation.mirror_indices, arguments.rows, arguments.output)


def draw(batch: SliceBatch, names: tuple[str, ...], mirror: np.ndarray, rows: int, path: Path) -> None:
    """Write the sheet of the first slices of each plane."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    planes = batch.planes.numpy()
    waiting = [list(np.flatnonzero(planes == plane)) for plane in range(3)]
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(2.4 * COLUMNS, 2.4 * rows), facecolor="black")
    for number, panel in enumerate(axes.ravel()):
        plane = number // COLUMNS % 3
        i = waiting[plane].pop(0)
        panel.imshow(batch.images[i], cmap="gray", vmin=0, vmax=1, origin="lower")
        for k, name in enumerate(names):
            if batch.visible[i, k] and abs(float(batch.depths_mm[i, k])) < NEAR_MM:
                row, column = batch.points[i, k].tolist()
                middle = plane == 0 or mirror[k] == k
                panel.plot(column, row, ".", ms=5, color="gold" if middle else "red" if name.endswith("R") else "cyan")
        panel.set(xlim=(-0.5, batch.images.shape[2] - 0.5), ylim=(-0.5, batch.images.shape[1] - 0.5))
        panel.axis("off")
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=55)


if __name__ == "__main__":
    main()
