"""Is a site's habit learnt from its archive? Made-up exams of heads, planned by a technologist with habit and scatter.

Run: ``python Testing/benchmarks/archive.py DATA --output FOLDER --exams 15 [--split train]``, DATA holding
``heads.csv`` and ``heads/``. Every exam is a head in another pose: a three-plane localizer, and the series that the
technologist planned on the head's true landmarks, as DICOM in the forms of four vendors. Every seventh is planned
otherwise. The archive becomes a data set, the model finds the landmarks, and five-fold cross-validation, split by
person, learns a protocol from four fifths and plans the rest with it. Within the scatter: no farther from what the
technologist intended than 95 % of the technologist's own boxes are, in every measure of the table. What is in FOLDER is
not computed again.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import InputError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text  # noqa: E402
from AutoVolumeCalibrationLib.core.follow_up.follow_up import between_boxes  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.oriented_box import (  # noqa: E402
    FACES,
    OrientedBox,
    face_center_mm,
    outward_axis,
)
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.planning.box import plan_box  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes  # noqa: E402
from AutoVolumeCalibrationLib.core.storage.results import box_from_dict, box_to_dict  # noqa: E402
from LandmarkTrainingLib.core.datasets.building import Skipped, build_dataset  # noqa: E402
from LandmarkTrainingLib.core.datasets.from_archive import archive_candidates  # noqa: E402
from LandmarkTrainingLib.core.datasets.habit.detected import detected_frame  # noqa: E402
from LandmarkTrainingLib.core.datasets.habit.exams import PlannedExam, planned_exam  # noqa: E402
from LandmarkTrainingLib.core.datasets.habit.site_protocol import SiteProtocol, site_protocol  # noqa: E402
from LandmarkTrainingLib.core.datasets.habit.words import habit_in_words, outliers_in_words  # noqa: E402
from LandmarkTrainingLib.core.datasets.reading import read_study  # noqa: E402
from LandmarkTrainingLib.core.evaluation.evaluation import add_noise  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.heads import Head, list_heads  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.poses import (  # noqa: E402
    head_to_scanner,
    move_named,
    posed_volume,
    random_pose,
)
from LandmarkTrainingLib.core.reference_heads.truth import true_frame  # noqa: E402
from made_up_archive import OTHERWISE, Technologist, write_exam  # noqa: E402

#: The localizers: slices, poses of the heads, how far the middle of the stacks lies from that of the head, and noise.
SCOUTS, MOST_DEG, MOST_MM, OFF_CENTRE_MM, NOISE = ScoutGeometry(5, 12.0, 6.0), 12.0, 12.0, 6.0, 0.02

#: One exam in so many is planned otherwise; folds of the cross-validation.
ODD_EVERY, FOLDS = 7, 5

#: Numbers of exams to learn from, and draws of each per fold.
LEARNT_FROM, DRAWS = (5, 10, 15, 30, 60), 20

PROTOCOL = load_protocol("BrainAcPc")
MEASURES = ("rotation, deg", "centre, mm", "farthest face, mm")


def main() -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--exams", type=int, default=15)
    parser.add_argument("--split", default="train", choices=("train", "validation"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    truth = make_archive(arguments.data, arguments.split, arguments.exams, arguments.output)
    exams = list(learn_frames(arguments.output, truth))
    write_text(arguments.output / "report.md", report(exams, truth))
    print((arguments.output / "report.md").read_text("utf-8"))
    return 0


def make_archive(data: Path, split: str, count: int, output: Path) -> dict[str, dict]:
    """Write the exams that are not there yet; name of the exam's folder -> intended and drawn box, and what is odd."""
    log = output / "truth.jsonl"
    known = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    truth = {case["exam"]: case for case in known}
    heads, volumes = list_heads(data, split), {}
    subjects = {head.id: head.subject for head in heads}
    with open(log, "a", encoding="utf-8") as file:
        for number in range(count):
            head = heads[number * len(heads) // count] if count > len(heads) else heads[number]
            if f"exam{number:03d}" in truth:
                continue
            volumes = {head.id: volumes.get(head.id) or head.volume()}
            case = _make_exam(number, head, volumes[head.id], output / "archive")
            truth[case["exam"]] = case
            file.write(json.dumps(case) + "\n")
            file.flush()
    return {exam: {**case, "subject": subjects[case["head"]]} for exam, case in truth.items()}


def _make_exam(number: int, head: Head, volume: Volume, archive: Path) -> dict:
    rng = np.random.default_rng([18, number])
    pose = head_to_scanner(random_pose(rng, MOST_DEG, MOST_MM), head.origin_mm, head.axes)
    clean = cut_three_planes(posed_volume(volume, pose), SCOUTS, rng.uniform(-OFF_CENTRE_MM, OFF_CENTRE_MM, 3))
    scouts = [_as_stored(stack) for stack in add_noise(clean, NOISE, rng)]
    points = move_named(pose, head.points)
    known = [Landmark(name).corrected(point) for name, point in points.items() if name in PROTOCOL.constellation.names]
    frame, technologist = true_frame(known, PROTOCOL), Technologist()
    otherwise = OTHERWISE[number // ODD_EVERY % len(OTHERWISE)] if number % ODD_EVERY == ODD_EVERY - 1 else ""
    intended = technologist.box(frame, PROTOCOL)
    drawn = technologist.box(frame, PROTOCOL, rng, otherwise)
    folder = write_exam(archive / f"exam{number:03d}", number, scouts, drawn, technologist, otherwise=otherwise)
    boxes = {"intended": box_to_dict(intended), "drawn": box_to_dict(drawn)}
    return {"exam": folder.name, "head": head.id, "otherwise": otherwise, **boxes}


def _as_stored(stack: ScoutStack) -> ScoutStack:
    """An acquired stack whose values fill whole numbers: some heads come as 0..1."""
    brightest = max(float(s.pixels.max()) for s in stack.slices)
    slices = tuple(replace(s, pixels=s.pixels * np.float32(1000 / brightest)) for s in stack.slices)
    return replace(stack, slices=slices, volume="")


def learn_frames(output: Path, truth: dict[str, dict]) -> Iterator[PlannedExam | Skipped]:
    """The exams of the data set that the archive becomes, under the names of their folders."""
    folder = output / "set"
    names = output / "names.json"
    if not names.exists():
        built = build_dataset(folder, archive_candidates(output / "archive"), PROTOCOL.constellation)
        found = {name: next(part for part in Path(source).parts if part in truth) for name, source in built.added}
        lost = {next(part for part in Path(o.source).parts if part in truth): o.reason for o in built.skipped}
        write_text(names, json.dumps({"added": found, "skipped": lost}))
    model, content = None, json.loads(names.read_text("utf-8"))
    yield from (Skipped(exam, reason) for exam, reason in content["skipped"].items())
    for name, exam in content["added"].items():
        kept = output / f"{name}.pickle"
        if not kept.exists():
            model = model or load_model("brain-scout")
            study = read_study(folder, name)
            try:
                result: PlannedExam | Skipped = planned_exam(study, detected_frame(study, PROTOCOL, model))
            except InputError as error:
                result = Skipped(name, error.what)
            kept.write_bytes(pickle.dumps((exam, result)))
        exam, result = pickle.loads(kept.read_bytes())  # noqa: S301, the file is our own
        yield replace(result, name=exam) if isinstance(result, PlannedExam) else replace(result, source=exam)


def report(exams: Sequence[PlannedExam | Skipped], truth: dict[str, dict]) -> str:
    """What the command says of the whole archive, the outliers against the truth, and the held-out plans."""
    site = site_protocol(exams, PROTOCOL, name="Site", title="Site")
    odd = {name for name, case in truth.items() if case["otherwise"]}
    named = {each.name for each in site.habit.outliers}
    read = {exam.name for exam in exams if isinstance(exam, PlannedExam)}
    lines = [*habit_in_words(site.habit, PROTOCOL.name), *outliers_in_words(site.habit)]
    lines += [f"left out  {one.source}: {one.reason}" for one in site.skipped]
    lines += [
        "",
        f"Planned otherwise: {len(odd & read)}, of these named: {len(odd & named)}; named without cause: "
        f"{len(named - odd)} of {len(read - odd)}; left out: {len(site.skipped)}.",
        "",
        *_table(exams, truth),
    ]
    return "\n".join([*lines, ""])


def _table(exams: Sequence[PlannedExam | Skipped], truth: dict[str, dict]) -> Iterator[str]:
    """Held-out exams against the technologist."""
    known = [exam for exam in exams if isinstance(exam, PlannedExam)]
    own, planned, actual = [], [], []
    for held_out, others in _folds(known, truth):
        protocol = _protocol_of(site_protocol(others, PROTOCOL, name="S", title="S"))
        for exam in held_out:
            case = truth[exam.name]
            intended, drawn = box_from_dict(case["intended"]), box_from_dict(case["drawn"])
            box = plan_box(exam.frame, protocol, protocol.boxes[0])
            own.append(_difference(intended, drawn))
            planned.append(_difference(intended, box))
            actual.append(_difference(drawn, box))
    limits = np.percentile(own, 95, axis=0)
    yield "| Difference, median (95th percentile) | " + " | ".join(MEASURES) + " | within all three limits |"
    yield "|---|---:|---:|---:|---:|"
    for title, rows in (
        ("technologist from own intention", own),
        ("learnt plan from the intention", planned),
        ("learnt plan from what was scanned", actual),
    ):
        cells = [f"{np.median(column):.1f} ({np.percentile(column, 95):.1f})" for column in np.array(rows).T]
        yield f"| {title} | {' | '.join(cells)} | {_inside(rows, limits).mean():.0%} |"
    yield ""
    usual = sum(not case["otherwise"] for case in truth.values())
    share = _inside(planned, limits).sum() / usual
    yield f"Held-out exams planned: {len(planned)} of {usual}; within scatter, with the others as misses: {share:.0%}."
    yield ""
    yield from _by_number(known, truth, limits)


def _folds(
    known: Sequence[PlannedExam], truth: dict[str, dict]
) -> Iterator[tuple[list[PlannedExam], list[PlannedExam]]]:
    """Ordinary exams of some people, and all exams of the others."""
    people = sorted({case["subject"] for case in truth.values()})
    fold_of = {exam.name: people.index(truth[exam.name]["subject"]) % FOLDS for exam in known}
    for fold in range(FOLDS):
        held_out = [e for e in known if fold_of[e.name] == fold and not truth[e.name]["otherwise"]]
        yield held_out, [e for e in known if fold_of[e.name] != fold]


def _inside(rows: Sequence[Sequence[float]], limits: np.ndarray) -> np.ndarray:
    return (np.array(rows) <= limits).all(axis=1)


def _by_number(known: Sequence[PlannedExam], truth: dict[str, dict], limits: np.ndarray) -> Iterator[str]:
    """How many exams are needed: the same held-out exams, learnt from few of the others, drawn at random."""
    rng = np.random.default_rng(0)
    yield "| Learnt from | " + " | ".join(MEASURES) + " | within all three limits |"
    yield "|---|---:|---:|---:|---:|"
    for count in LEARNT_FROM:
        rows = []
        for held_out, others in _folds(known, truth):
            for _ in range(DRAWS if count <= len(others) else 0):
                drawn = [others[i] for i in rng.choice(len(others), count, replace=False)]
                protocol = _protocol_of(site_protocol(drawn, PROTOCOL, name="S", title="S"))
                boxes = [plan_box(exam.frame, protocol, protocol.boxes[0]) for exam in held_out]
                wanted = [box_from_dict(truth[exam.name]["intended"]) for exam in held_out]
                rows += [_difference(*pair) for pair in zip(wanted, boxes, strict=True)]
        if rows:
            cells = [f"{np.median(column):.1f} ({np.percentile(column, 95):.1f})" for column in np.array(rows).T]
            yield f"| {count} exams | {' | '.join(cells)} | {_inside(rows, limits).mean():.0%} |"


def _protocol_of(site: SiteProtocol) -> Protocol:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "Site.json"
        write_text(path, site.text)
        return load_protocol(path)


def _difference(wanted: OrientedBox, box: OrientedBox) -> tuple[float, float, float]:
    """Angle of the rotation, shift of the centre, and of the face that is farthest from where it should be."""
    rotation_deg, shift_mm = between_boxes(wanted, box)
    faces = [
        (face_center_mm(box, face) - face_center_mm(wanted, face)) @ outward_axis(wanted.axes, face) for face in FACES
    ]
    return float(np.linalg.norm(rotation_deg)), float(np.linalg.norm(shift_mm)), float(np.abs(faces).max())


if __name__ == "__main__":
    sys.exit(main())
