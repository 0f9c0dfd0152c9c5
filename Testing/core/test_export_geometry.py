"""Plan -> door -> plan: the geometry survives, with every sign, for oblique boxes off the centre."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.exports.doors import mrd, nifti, openigtlink, scanhub
from AutoVolumeCalibrationLib.core.exports.doors.patient_position import POSITIONS, device_from_lps
from AutoVolumeCalibrationLib.core.exports.scan_geometry import box_of_slab, scan_geometry
from exported_plans import CENTER_MM, GAP_MM, SLABS, SLICES, THICKNESS_MM, assert_same_box, oblique_plan


@pytest.mark.parametrize(("slice_axis", "phase_axis"), SLABS)
def test_a_slab_is_the_box_that_it_came_from(slice_axis: str, phase_axis: str) -> None:
    box, prescription = oblique_plan(slice_axis, phase_axis)
    geometry = scan_geometry(prescription)
    assert np.linalg.det(geometry.directions) == pytest.approx(1)
    assert_same_box(box_of_slab(geometry, box.name, slice_axis), box, 1e-6)


def test_read_and_phase_run_along_the_axes_of_the_plan() -> None:
    box, prescription = oblique_plan("superior", "right")
    read, phase, along = scan_geometry(prescription).directions * [-1, -1, 1]  # RAS
    # Columns of an axial image run to posterior, its rows to the left; phase against the rows: to the right.
    np.testing.assert_allclose(read, -box.axes[1], atol=1e-9)
    np.testing.assert_allclose(phase, box.axes[0], atol=1e-9)
    np.testing.assert_allclose(along, box.axes[2], atol=1e-9)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_patient_position_is_a_rotation(position: str) -> None:
    matrix = device_from_lps(position)
    np.testing.assert_array_equal(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == 1
    assert matrix[2, 2] == (1 if position.startswith("HF") else -1)  # head first: the head points into the bore


@pytest.mark.parametrize(
    ("position", "down"),
    [("HFS", (0, 1, 0)), ("HFP", (0, -1, 0)), ("FFS", (0, 1, 0)), ("FFP", (0, -1, 0)), ("HFDR", (-1, 0, 0))]
    + [("HFDL", (1, 0, 0)), ("FFDR", (-1, 0, 0)), ("FFDL", (1, 0, 0))],
)
def test_the_side_that_lies_on_the_table_points_down(position: str, down: tuple[int, int, int]) -> None:
    """Down is +y of the device; the side is given in LPS."""
    np.testing.assert_array_equal(device_from_lps(position) @ down, (0, 1, 0))


def test_an_unknown_patient_position_is_named() -> None:
    with pytest.raises(UsageError, match="'SITTING' is not a patient position"):
        device_from_lps("SITTING")


@pytest.mark.parametrize(("slice_axis", "phase_axis"), SLABS)
def test_nifti_holds_the_plan(tmp_path: Path, slice_axis: str, phase_axis: str) -> None:
    box, prescription = oblique_plan(slice_axis, phase_axis)
    nifti.write_nifti(scan_geometry(prescription), tmp_path / "plan.nii.gz")
    found = nifti.read_nifti(tmp_path / "plan.nii.gz")
    assert (found.slices, found.thickness_mm, found.gap_mm) == (SLICES, THICKNESS_MM, GAP_MM)
    assert_same_box(box_of_slab(found, box.name, slice_axis), box)


def test_nifti_lies_there_in_ras(tmp_path: Path) -> None:
    """As another library reads it: the middle voxel at the centre, the third axis along superior of the box."""
    nibabel = pytest.importorskip("nibabel")
    box, prescription = oblique_plan()
    nifti.write_nifti(scan_geometry(prescription), tmp_path / "plan.nii.gz")
    image = nibabel.load(tmp_path / "plan.nii.gz")
    middle = (np.array(image.shape) - 1) / 2
    np.testing.assert_allclose(nibabel.affines.apply_affine(image.affine, middle), CENTER_MM, atol=1e-3)
    np.testing.assert_allclose(image.affine[:3, 2] / (THICKNESS_MM + GAP_MM), box.axes[2], atol=1e-6)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)


def test_what_is_not_nifti_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.nii").write_text("no image", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        nifti.read_nifti(tmp_path / "plan.nii")


@pytest.mark.parametrize("position", POSITIONS)
def test_scanhub_holds_the_plan(tmp_path: Path, position: str) -> None:
    box, prescription = oblique_plan()
    scanhub.write_scanhub(scan_geometry(prescription), tmp_path / "plan.json", position)
    assert_same_box(box_of_slab(scanhub.read_scanhub(tmp_path / "plan.json"), box.name, "superior"), box)


def test_scanhub_has_the_keys_of_its_tasks(tmp_path: Path) -> None:
    _, prescription = oblique_plan()
    scanhub.write_scanhub(scan_geometry(prescription), tmp_path / "plan.json")
    parameters = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["acquisition_parameter"]
    assert list(parameters) == ["fov_scaling", "fov_offset", "fov_rotation"]
    assert parameters["fov_scaling"] == {"x": 1.0, "y": 1.0, "z": 1.0}
    # Head first supine: x, y, z are left, posterior, head; the plan's centre is right 12, posterior 20, head 31.
    assert parameters["fov_offset"] == {"x": -12.0, "y": 20.0, "z": 31.0}


@pytest.mark.parametrize(("slice_axis", "phase_axis"), SLABS)
def test_mrd_holds_the_plan(tmp_path: Path, slice_axis: str, phase_axis: str) -> None:
    pytest.importorskip("ismrmrd")
    box, prescription = oblique_plan(slice_axis, phase_axis)
    mrd.write_mrd(scan_geometry(prescription), tmp_path / "plan.h5", "FFS")
    found = mrd.read_mrd(tmp_path / "plan.h5")
    assert found.slices == SLICES
    assert_same_box(box_of_slab(found, box.name, slice_axis), box, 5e-3)


def test_mrd_states_position_and_directions_of_every_slice(tmp_path: Path) -> None:
    ismrmrd = pytest.importorskip("ismrmrd")
    box, prescription = oblique_plan()
    geometry = scan_geometry(prescription)
    mrd.write_mrd(geometry, tmp_path / "plan.h5")
    with ismrmrd.Dataset(str(tmp_path / "plan.h5"), "dataset", create_if_needed=False) as dataset:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        last = dataset.read_acquisition(SLICES - 1)
    assert header.measurementInformation.patientPosition.value == "HFS"
    assert last.idx.slice == SLICES - 1
    np.testing.assert_allclose(list(last.position), geometry.slice_centers_mm()[-1], atol=1e-4)
    # The last slice is the uppermost: half the slab, less half a slice, above the centre (LPS).
    reach = (box.size_mm[2] - THICKNESS_MM) / 2 * box.axes[2]
    np.testing.assert_allclose(list(last.position), (CENTER_MM + reach) * [-1, -1, 1], atol=1e-3)


def test_openigtlink_messages_are_ras(tmp_path: Path) -> None:
    box, prescription = oblique_plan()
    matrices = openigtlink.plan_transforms(scan_geometry(prescription), box)
    assert list(matrices) == ["PLANE_0", "PLANE_1", "PLANE_2", "SCANBOX"]
    for name, matrix in matrices.items():
        np.testing.assert_allclose(matrix[:3, 3], CENTER_MM, atol=1e-9)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1 if name != "SCANBOX" else np.prod(box.size_mm))
    np.testing.assert_allclose(matrices["PLANE_0"][:3, 2], box.axes[2], atol=1e-9)
    # Each direction of the slab is the normal of one plane.
    normals = np.array([matrices[f"PLANE_{n}"][:3, 2] for n in range(3)])
    np.testing.assert_allclose(np.abs(normals @ normals.T), np.eye(3), atol=1e-9)
    corner = matrices["SCANBOX"] @ [0.5, 0.5, 0.5, 1]
    np.testing.assert_allclose(corner[:3], box.corners_mm()[7], atol=1e-9)


def test_openigtlink_arrives_over_a_socket() -> None:
    pyigtl = pytest.importorskip("pyigtl")
    box, prescription = oblique_plan()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = pyigtl.OpenIGTLinkServer(port=port, local_server=True)
    try:
        names = openigtlink.send_plan(scan_geometry(prescription), box, f"127.0.0.1:{port}")
        received = {name: server.wait_for_message(name, timeout=5) for name in names}
    finally:
        server.stop()
    assert all(received.values())
    assert_same_box(openigtlink.box_of_transform(received["SCANBOX"].matrix, box.name), box)


@pytest.mark.parametrize("address", [":18944", "host:", "host:port", "host:70000"])
def test_an_address_without_sense_is_named(address: str) -> None:
    pytest.importorskip("pyigtl")
    box, prescription = oblique_plan()
    with pytest.raises(UsageError, match="not HOST:PORT"):
        openigtlink.send_plan(scan_geometry(prescription), box, address)


def test_a_silent_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyigtl")
    monkeypatch.setattr(openigtlink, "_CONNECT_S", 0.2)
    box, prescription = oblique_plan()
    with pytest.raises(UsageError, match="no OpenIGTLink server answers"):
        openigtlink.send_plan(scan_geometry(prescription), box, "127.0.0.1:9")
