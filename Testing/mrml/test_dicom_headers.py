"""Volumes of Slicer's own DICOM browser pass the checks of our reader."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.stack import header_side
from calibrations import scout_stacks
from dicom_localizers import write_localizer

slicer = pytest.importorskip("slicer")

from AutoVolumeCalibrationLib.mrml.dicom_headers import INSTANCES_ATTRIBUTE  # noqa: E402
from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import (  # noqa: E402
    FRAME_OF_REFERENCE_ATTRIBUTE,
    stacks_from_volume_nodes,
    volume_nodes_from_stack,
)


@pytest.fixture
def loaded(scene, tmp_path, monkeypatch):
    """Gives volumes as the DICOM browser loads them; ``values`` are attributes of each volume's files."""
    files = {}
    monkeypatch.setattr(
        slicer, "dicomDatabase", SimpleNamespace(fileForInstance=lambda uid: files.get(uid, "")), raising=False
    )

    def load(*values):
        nodes = []
        for number, (stack, own) in enumerate(zip(scout_stacks(), values, strict=False)):

            def edit(dataset, _index, own=own):
                for keyword, value in own.items():
                    setattr(dataset, keyword, value)

            paths = write_localizer([stack], tmp_path / str(number), edit=edit)
            uids = [f"{number}.{index}" for index in range(len(paths))]
            files.update(zip(uids, map(str, paths), strict=True))
            (node,) = volume_nodes_from_stack(scene, stack, f"{stack.plane} volume")
            node.SetAttribute(INSTANCES_ATTRIBUTE, " ".join(uids))
            node.SetAttribute(FRAME_OF_REFERENCE_ATTRIBUTE, None)
            nodes.append(node)
        return nodes, files

    return load


def test_a_localizer_becomes_a_study_that_knows_its_frame_of_reference(engine, loaded):
    nodes, _ = loaded({"FrameOfReferenceUID": "1.2.3"}, {"FrameOfReferenceUID": "1.2.3"})
    engine.study_of(nodes)
    assert [node.GetAttribute(FRAME_OF_REFERENCE_ATTRIBUTE) for node in nodes] == ["1.2.3", "1.2.3"]


@pytest.mark.parametrize(
    ("image_type", "said"),
    [
        (["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"], "projection"),
        (["ORIGINAL", "PRIMARY", "P"], "phase images"),
    ],
)
def test_what_is_no_scout_is_refused_with_the_name_of_the_volume(engine, loaded, image_type, said):
    nodes, _ = loaded({}, {"ImageType": image_type})
    with pytest.raises(InputError, match=f"coronal volume: shows {said}, not the anatomy"):
        engine.study_of(nodes)
    assert engine.studies() == []


def test_volumes_of_two_patients_are_refused(engine, loaded):
    nodes, _ = loaded({"PatientID": "A"}, {"PatientID": "B"})
    with pytest.raises(InputError, match="patients"):
        engine.study_of(nodes)


def test_volumes_whose_files_are_gone_or_that_never_had_any_are_taken_as_they_are(engine, loaded):
    nodes, files = loaded({"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, {})
    files.clear()
    nodes[1].SetAttribute(INSTANCES_ATTRIBUTE, None)
    assert len(engine.study_of(nodes).scouts) == 2


def test_the_side_of_the_headers_stays_with_the_volumes(engine, loaded):
    stated = {"Laterality": "L", "BodyPartExamined": "KNEE"}
    nodes, _ = loaded(stated, stated)
    study = engine.study_of(nodes)
    stacks = stacks_from_volume_nodes(study.scouts)
    assert header_side(stacks) == "left" and {stack.body_part for stack in stacks} == {"KNEE"}


@pytest.mark.parametrize("slices", [1, 3])
def test_the_side_survives_the_way_into_the_scene_and_back(scene, slices):
    stacks = [replace(s, slices=s.slices[:slices], laterality="right", body_part="KNEE") for s in scout_stacks()]
    nodes = [node for stack in stacks for node in volume_nodes_from_stack(scene, stack, stack.plane)]
    again = stacks_from_volume_nodes(nodes)
    assert header_side(again) == "right" and {stack.body_part for stack in again} == {"KNEE"}


@pytest.mark.parametrize("slices", [1, 3])
def test_how_the_scouts_came_about_survives_the_way_into_the_scene_and_back(scene, slices):
    """A plan of one diagnostic series was amber on the command line and green in the panel."""
    made = {"remark": "Planned on 24 axial slices alone.", "volume": "a fingerprint"}
    stacks = [replace(s, slices=s.slices[:slices], **made) for s in scout_stacks()]
    nodes = [node for stack in stacks for node in volume_nodes_from_stack(scene, stack, stack.plane)]
    again = stacks_from_volume_nodes(nodes)
    assert {(stack.remark, stack.volume) for stack in again} == {tuple(made.values())}
