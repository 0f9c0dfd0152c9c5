"""Make data to try the pages on: a paw for a new anatomy, radiographs, and an archive of the sample head.

    .venv/bin/python Testing/make_practice_data.py FOLDER

``FOLDER/paw`` holds what docs/new_anatomy.md begins with, ``FOLDER/radiographs`` images with labelme's files
(docs/xray_benchmarks.md), ``FOLDER/exams`` DICOM exams with a habit (docs/archive.md). All of it is made up, apart from
the sample head: nothing that is measured on it says anything about patients.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / name) for name in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from command_line import NRRD_SCOUTS  # noqa: E402
from made_up_anatomy import TABLE, write_box, write_cases, write_label_maps, write_table  # noqa: E402
from made_up_archive import Technologist, write_exam  # noqa: E402
from posed_landmarks import Placement, random_placement  # noqa: E402
from xray_sets import spots  # noqa: E402

#: Numbers of the animals to learn from and to measure on (six people are needed for a verdict), and of label maps.
TRAIN, TEST, LABEL_MAPS = range(1, 7), range(7, 13), range(1, 7)
RADIOGRAPHS, EXAMS = 16, 12
#: Every so many exams one is planned with another phase encoding.
ODD_EVERY = 6


def make_paw(folder: Path) -> None:
    """What the reader of docs/new_anatomy.md brings along, with the tables that the page shows."""
    write_cases(folder / "cases" / "train", TRAIN)
    write_cases(folder / "cases" / "test", TEST)
    write_label_maps(folder / "labels", LABEL_MAPS)
    write_box(folder / "box.mrk.json", TRAIN[0])
    write_table(folder / "landmarks.csv", TABLE)
    page = (ROOT / "docs" / "new_anatomy.md").read_text(encoding="utf-8")
    _, tissues = re.findall(r"```csv\n(.*?)```", page, flags=re.DOTALL)
    (folder / "tissues.csv").write_text(tissues, encoding="utf-8")


def make_radiographs(folder: Path) -> None:
    """``image-N.png`` with three spots, and ``image-N.json`` as labelme writes it."""
    import SimpleITK

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, RADIOGRAPHS + 1):
        shift = np.random.default_rng(number).uniform(-8, 8, 2)
        points = np.array([[15.0, 12], [40, 30], [55, 45]]) + shift
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(spots(points)), str(folder / f"image-{number}.png"))
        shapes = [
            # labelme counts from the corner of the first pixel.
            {"label": name, "shape_type": "point", "points": [[x + 0.5, y + 0.5]]}
            for name, (y, x) in zip("ABC", points, strict=True)
        ]
        (folder / f"image-{number}.json").write_text(json.dumps({"shapes": shapes}), encoding="utf-8")


def make_exams(folder: Path) -> None:
    """Exams of the sample head in several poses and in the forms of four vendors, planned by one technologist."""
    rng, stacks, protocol = np.random.default_rng(0), read_scouts(NRRD_SCOUTS), load_protocol("BrainAcPc")
    frame = calibrate(stacks, protocol, load_model("brain-scout", "cpu")).frame
    technologist = Technologist(sd_deg=0.5, sd_mm=0.5)
    for number in range(EXAMS):
        place = random_placement(number, angle_deg=4)
        place = replace(place, shift=place.shift / 20)
        odd = "phase" if number % ODD_EVERY == ODD_EVERY - 1 else ""
        drawn = technologist.box(frame, protocol, rng, odd)
        box = replace(drawn, center_mm=place(drawn.center_mm), axes=drawn.axes @ place.turn.T)
        write_exam(folder / f"exam{number + 1:02d}", number, moved(stacks, place), box, technologist, otherwise=odd)


def moved(stacks: Sequence[ScoutStack], place: Placement) -> list[ScoutStack]:
    """The scouts of the same head in another pose."""
    return [
        replace(
            stack,
            slices=tuple(
                replace(
                    one,
                    origin_mm=place(one.origin_mm),
                    column_axis=place.turn @ one.column_axis,
                    row_axis=place.turn @ one.row_axis,
                )
                for one in stack.slices
            ),
        )
        for stack in stacks
    ]


def main(arguments: list[str] | None = None) -> None:
    """Write all three sets into a new folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder")
    folder = parser.parse_args(arguments).folder
    if folder.exists():
        parser.error(f"{folder} exists already; name a new folder")
    for name, make in (("paw", make_paw), ("radiographs", make_radiographs), ("exams", make_exams)):
        make(folder / name)
        print(f"{folder / name}", flush=True)


if __name__ == "__main__":
    main()
