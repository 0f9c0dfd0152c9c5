"""The inputs to damage: sound ones made once, which of their files are damaged how, and the command that reads them."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.storage.results import write_results
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from data_sets import brain_study, write_set
from dicom_localizers import write_localizer
from fake_detection import predictions
from scout_files import tiny_stacks, write_image

from .mutations import Mutation, mutate_archive, mutate_bytes, mutate_dicom, mutate_json, mutate_text

if TYPE_CHECKING:
    from pydicom import Dataset

PROTOCOL = "BrainAcPc"
PATIENT = {"PatientName": "Doe^Jane", "PatientID": "4711-0815"}
#: Names that a file may have on Linux.
NAMES = (
    "\x1b[31mred.{}",
    "a\nb.{}",
    "M\udcfcller.{}",
    "x\u202egpj.{}",
    " .{}",
    "-.{}",
    "%s%n.{}",
    "A" * 200 + ".{}",
    "$x$.{}",
)
#: A file that was damaged already may no longer be one that a way of damaging it can read.
_UNREADABLE = (
    *(ValueError, LookupError, TypeError, EOFError, OSError, RuntimeError, zlib.error, struct.error),
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        make: writes a sound one into an empty folder.
        damaged: pattern of the files that are damaged -> how, with equal chances.
        arguments: of the command, given the folder with the damaged input.
        renames: a file may also get a bad name.
        after: puts right what only a forger would, so that the damage is reached (the hash of weights).
        real_model, report: the model is really loaded; the command prints findings and has a code for them.
        plannable: the sound input can be planned.
    """

    make: Callable[[Path], None]
    damaged: dict[str, tuple[Mutation, ...]]
    arguments: Callable[[Path], list[str]]
    renames: bool = False
    after: Callable[[Path], None] = lambda folder: None
    real_model: bool = False
    report: bool = False
    plannable: bool = True


def damage(rng: random.Random, target: Target, folder: Path) -> None:
    """Damage one file of the kind or all of them, once to three times each."""
    files = sorted(path for pattern in target.damaged for path in folder.glob(pattern))
    chosen = files if rng.random() < 0.2 else [rng.choice(files)]
    for path in chosen:
        ways = next(ways for pattern, ways in target.damaged.items() if path in set(folder.glob(pattern)))
        content = path.read_bytes()
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            content = _damaged(rng, rng.choice(ways), content, path.name.endswith(".gz"))
        path.write_bytes(content)
    if target.renames and rng.random() < 0.1:
        path = rng.choice(files)
        path.rename(path.with_name(rng.choice(NAMES).format(path.name.partition(".")[2])))
    target.after(folder)


def _damaged(rng: random.Random, way: Mutation, content: bytes, packed: bool) -> bytes:
    """A packed file is damaged inside, and packed again, as often as outside."""
    try:
        if packed and rng.random() < 0.6:
            return gzip.compress(way(rng, gzip.decompress(content)), compresslevel=1)
        return way(rng, content)
    except _UNREADABLE:
        return mutate_bytes(rng, content)  # damaged too much already to be damaged in this way


def _calibrate(scouts: list[Path], *more: str) -> list[str]:
    return ["calibrate", "--protocol", "BrainAcPc", *map(str, scouts), "--output", "out", "--device", "cpu", *more]


def _make_dicom(folder: Path) -> None:
    def name(dataset: Dataset, _index: int) -> None:
        for keyword, value in PATIENT.items():
            setattr(dataset, keyword, value)

    write_localizer(tiny_stacks(), folder / "scouts", edit=name)


def _make_rle(folder: Path) -> None:
    def compress(dataset: Dataset, _index: int) -> None:
        from pydicom.uid import RLELossless

        dataset.compress(RLELossless, generate_instance_uid=False)

    write_localizer(tiny_stacks(), folder / "scouts", edit=compress)


def _make_deflated(folder: Path) -> None:
    def deflate(dataset: Dataset, _index: int) -> None:
        from pydicom.uid import DeflatedExplicitVRLittleEndian

        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    write_localizer(tiny_stacks(), folder / "scouts", edit=deflate)


def _make_enhanced(folder: Path) -> None:
    write_localizer(tiny_stacks(), folder / "scouts", multiframe=True)


def _image_target(suffix: str, *ways: Mutation, packed: bool = False) -> Target:
    def make(folder: Path) -> None:
        (folder / "scouts").mkdir()
        for stack in tiny_stacks():
            write_image(stack, folder / "scouts" / f"{stack.plane}{suffix}", useCompression=packed)

    def arguments(folder: Path) -> list[str]:
        data = (".raw", ".raw.gz", ".zraw", ".img")
        images = sorted(path for path in (folder / "scouts").iterdir() if not path.name.endswith(data))
        return _calibrate(images)

    return Target(make, {f"scouts/*{suffix}": ways}, arguments, renames=True)


def _scouts_and(folder: Path) -> list[Path]:
    scouts = folder / "scouts"
    scouts.mkdir()
    return [write_image(stack, scouts / f"{stack.plane}.nrrd") for stack in tiny_stacks()]


def _make_results(folder: Path) -> None:
    scouts = _scouts_and(folder)
    protocol = load_protocol(PROTOCOL)
    plan = plan_from_landmarks(read_scouts(scouts), protocol, (), predicted=predictions(protocol))
    relative = [path.relative_to(folder) for path in scouts]
    write_results(plan, folder / "out", overwrite=True, sources=scouts)
    calibration = folder / "out" / "calibration.json"
    data = json.loads(calibration.read_text(encoding="utf-8"))
    calibration.write_text(json.dumps({**data, "sources": [str(path) for path in relative]}), encoding="utf-8")
    shutil.copy(folder / "out" / "landmarks.mrk.json", folder / "points.mrk.json")


def _make_fcsv(folder: Path) -> None:
    _make_results(folder)
    protocol = load_protocol(PROTOCOL)
    rows = [
        f"id_{number},{x:.3f},{y:.3f},{z:.3f},0,0,0,1,1,1,0,{name},text,"
        for number, (name, (x, y, z)) in enumerate(
            zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True)
        )
    ]
    head = "# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n# columns = id,x,y,z\n"
    (folder / "points.fcsv").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


def _make_protocol(folder: Path) -> None:
    _scouts_and(folder)
    shutil.copy(resource_path("Protocols", f"{PROTOCOL}.json"), folder / "Own.json")
    shutil.copy(resource_path("Anatomies", "brain.json"), folder / "brain.json")


def _make_bundle(folder: Path) -> None:
    import torch

    from AutoVolumeCalibrationLib.core.networks.registry import build_network

    _scouts_and(folder)
    shutil.copytree(resource_path("Models", "brain-scout", "configs"), folder / "bundle" / "configs")
    (folder / "bundle" / "models").mkdir()
    path = folder / "bundle" / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["network"]["options"]["features"] = [4] * 6
    torch.manual_seed(0)
    network = build_network(metadata["network"]["architecture"], metadata["network"]["options"])
    torch.save(network.state_dict(), folder / "bundle" / "models" / "model.pt")
    path.write_text(json.dumps(metadata), encoding="utf-8")
    _state_the_hash(folder)


def _state_the_hash(folder: Path) -> None:
    path = folder / "bundle" / "configs" / "metadata.json"
    weights = (folder / "bundle" / "models" / "model.pt").read_bytes()
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        metadata["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
        path.write_text(json.dumps(metadata), encoding="utf-8")
    except (ValueError, KeyError, TypeError, RecursionError):
        return  # the metadata are what is damaged


def _make_manifest(folder: Path) -> None:
    _scouts_and(folder)
    rows = [f"case_{number},scouts/axial.nrrd;scouts/sagittal.nrrd" for number in range(3)]
    (folder / "studies.csv").write_text("study,scouts\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _make_dataset(folder: Path) -> None:
    write_set(folder / "set", [brain_study(f"case_{number}", number) for number in range(2)])


TARGETS: dict[str, Target] = {
    "DICOM": Target(
        _make_dicom, {"scouts/*.dcm": (mutate_dicom,)}, lambda folder: _calibrate([folder / "scouts"]), renames=True
    ),
    "DICOM, enhanced": Target(
        _make_enhanced, {"scouts/*.dcm": (mutate_dicom,)}, lambda folder: _calibrate([folder / "scouts"])
    ),
    "DICOM, RLE": Target(
        _make_rle, {"scouts/*.dcm": (mutate_dicom, mutate_bytes)}, lambda folder: _calibrate([folder / "scouts"])
    ),
    "DICOM, deflated": Target(
        _make_deflated, {"scouts/*.dcm": (mutate_dicom, mutate_bytes)}, lambda folder: _calibrate([folder / "scouts"])
    ),
    "NRRD": _image_target(".nrrd", mutate_text, mutate_text, mutate_bytes),
    "NRRD, packed": _image_target(".nrrd", mutate_text, mutate_bytes, packed=True),
    "NHDR": _image_target(".nhdr", mutate_text, mutate_bytes),
    "MHA": _image_target(".mha", mutate_text, mutate_text, mutate_bytes),
    "MHA, packed": _image_target(".mha", mutate_text, mutate_bytes, packed=True),
    "MHD": _image_target(".mhd", mutate_text, mutate_bytes),
    "NIfTI": _image_target(".nii", mutate_bytes),
    "NIfTI, packed": _image_target(".nii.gz", mutate_bytes),
    "NIfTI, pair": _image_target(".hdr", mutate_bytes),
    # The format states no orientation: three planes become one.
    "GIPL": replace(_image_target(".gipl", mutate_bytes), plannable=False),
    "MINC": _image_target(".mnc", mutate_bytes),
    "markups": Target(
        _make_results,
        {"points.mrk.json": (mutate_json,)},
        lambda folder: ["refit", "out", "--landmarks", "points.mrk.json"],
    ),
    "markups, before a plan": Target(
        _make_results,
        {"points.mrk.json": (mutate_json,)},
        lambda folder: _calibrate([folder / "scouts"], "--overwrite", "--landmarks", "points.mrk.json"),
    ),
    "fcsv": Target(
        _make_fcsv,
        {"points.fcsv": (mutate_text, mutate_text, mutate_bytes)},
        lambda folder: ["refit", "out", "--landmarks", "points.fcsv"],
    ),
    "calibration": Target(
        _make_results,
        {"out/calibration.json": (mutate_json,)},
        lambda folder: ["refit", "out", "--landmarks", "points.mrk.json"],
    ),
    "protocol": Target(
        _make_protocol,
        {"Own.json": (mutate_json,)},
        lambda folder: _calibrate([folder / "scouts"], "--protocol", "Own.json"),
    ),
    "anatomy": Target(
        _make_protocol,
        {"brain.json": (mutate_json,)},
        lambda folder: _calibrate([folder / "scouts"], "--protocol", "Own.json"),
    ),
    "bundle, metadata": Target(
        _make_bundle,
        {"bundle/configs/metadata.json": (mutate_json,)},
        lambda folder: _calibrate([folder / "scouts"], "--model", "bundle"),
        real_model=True,
    ),
    "bundle, weights": Target(
        _make_bundle,
        {"bundle/models/model.pt": (mutate_archive,)},
        lambda folder: _calibrate([folder / "scouts"], "--model", "bundle"),
        after=_state_the_hash,
        real_model=True,
    ),
    "data set": Target(
        _make_dataset,
        {
            "set/dataset.json": (mutate_json,),
            "set/studies/*/*.json": (mutate_json,),
            "set/studies/*/*.nrrd": (mutate_text, mutate_bytes),
        },
        lambda folder: ["dataset", "check", "set"],
        report=True,
    ),
    "manifest": Target(
        _make_manifest,
        {"studies.csv": (mutate_text, mutate_bytes)},
        lambda folder: ["batch", "--protocol", "BrainAcPc", "studies.csv", "--output", "out", "--device", "cpu"],
        report=True,
    ),
}
