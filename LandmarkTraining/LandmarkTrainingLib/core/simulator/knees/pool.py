"""Write simulated knees as label maps with landmarks, for ``simulator.label_maps`` to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps

from ...reference_knees.constellation import ORIGIN
from ...reference_knees.people import read_people, stacked
from ..people_of_maps import write_people_of_maps
from ..scenes.scene import SCENE_FILE
from .atlas import KneeAtlas, load_atlas
from .deformation import deform, random_build
from .shapes import KneeShapes, random_turn, read_shapes
from .soft_tissue import cover
from .tissues import HALF_MM, VOXEL_MM, knee_scene

#: Added to the number of a kept-back person's knee where it is bent.
BENT = 1000


def write_knees(atlas_file: Path, anatomy_json: Path, folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Write ``count`` random right knees, ``knee_0001.nii.gz`` and ``.csv`` on; those that exist are kept.

    Knee n depends on ``seed`` and n alone, so that an interrupted call can be repeated.

    Raises:
        InputError: the atlas cannot be read; ProtocolError: the anatomy is damaged.
        UsageError: the folder cannot be written.
    """
    atlas, shapes = load_atlas(atlas_file), read_shapes(anatomy_json)
    _begin(folder)
    for number in range(1, count + 1):
        path = folder / f"knee_{number:04d}.nii.gz"
        if not path.exists():
            tissues, landmarks = random_knee(atlas, shapes, np.random.default_rng((seed, number)))
            write_knee(path, tissues, shapes.names, landmarks)
        yield path


def write_kept_back(atlas_file: Path, anatomy_json: Path, people: Path, folder: Path, seed: int) -> Iterator[Path]:
    """Write knees in the shape of each person who is kept for the test, two for each visit: as it lay, and bent.

    Their number is that of the person and that of the visit: ``knee_0042`` is the second visit of person 4 as it lay,
    extended; ``knee_1042`` is the same bent further by a random angle, as coils and cushions bend knees
    (``shapes.random_turn``). ``people.csv`` says whose they are. These are shapes that no model learnt from, in the
    tissues of the atlas; never train on them.

    Raises:
        InputError: the atlas or the people's label maps cannot be read; ProtocolError: the anatomy is damaged.
        UsageError: the folder cannot be written.
    """
    atlas, shapes = load_atlas(atlas_file), read_shapes(anatomy_json)
    found = read_people(people, kept_back=True)
    _begin(folder)
    numbers = {
        BENT * bent + 10 * person + visit: (person, visit, bent)
        for person, visits in found.items()
        for visit in range(1, len(visits) + 1)
        for bent in (0, 1)
    }
    write_people_of_maps(folder, {f"knee_{number:04d}": f"person {who}" for number, (who, _, _) in numbers.items()})
    for number, (person, visit, bent) in numbers.items():
        path = folder / f"knee_{number:04d}.nii.gz"
        if not path.exists():
            own = stacked(found[person][visit - 1], shapes.names)
            own = own - own[shapes.names.index(ORIGIN)]
            own = np.where(np.isnan(own), shapes.mean_mm, own)
            # Those as they lay keep the numbers that they had before there were bent ones.
            rng = np.random.default_rng((seed, person, visit, *([1] if bent else [])))
            if bent:
                own = shapes.bent(own, random_turn(rng, shapes.hinges[0].flexion_sd_deg))
            tissues, landmarks = knee_like(atlas, shapes, own, rng)
            write_knee(path, tissues, shapes.names, landmarks)
        yield path


def _begin(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SCENE_FILE, json.dumps(knee_scene(), indent=1) + "\n")


def random_knee(atlas: KneeAtlas, shapes: KneeShapes, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tissues (I, J, K) of a random right knee, voxel (0, 0, 0) at -HALF_MM, and its landmarks (k, 3) mm."""
    return knee_like(atlas, shapes, shapes.random(rng), rng)


def knee_like(
    atlas: KneeAtlas, shapes: KneeShapes, landmarks_mm: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Like ``random_knee``, in the shape of ``landmarks_mm`` (k, 3)."""
    tissues, placed = deform(atlas, shapes, landmarks_mm, random_build(rng), rng)
    cover(tissues, rng)
    return tissues, placed


def write_knee(path: Path, tissues: np.ndarray, names: Sequence[str], landmarks_mm: np.ndarray) -> None:
    """One label map, and its landmarks in the ``.csv`` beside it; the map comes last, so that it marks a whole pair."""
    import SimpleITK

    rows = [f"{name},{','.join(f'{v:.3f}' for v in place)}" for name, place in zip(names, landmarks_mm, strict=True)]
    write_text(path.with_name(path.name.split(".nii")[0] + ".csv"), "\n".join(["label,x,y,z", *rows]) + "\n")
    image = SimpleITK.GetImageFromArray(tissues.transpose(2, 1, 0))
    image.SetSpacing([VOXEL_MM] * 3)
    image.SetOrigin(swap_ras_lps(-HALF_MM).tolist())
    image.SetDirection(np.diag([-1.0, -1.0, 1.0]).ravel().tolist())
    unfinished = path.with_name(f"unfinished_{path.name}")
    SimpleITK.WriteImage(image, str(unfinished), True)
    unfinished.replace(path)
