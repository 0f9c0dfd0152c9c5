"""Protocols: the shipped ones, what is refused, and protocols made by example."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.constellation import RESIDUAL_FLOOR_MM
from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule, line_axes, tilted_axes
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import list_protocols, load_protocol
from AutoVolumeCalibrationLib.core.errors import ProtocolError, UsageError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example, tilt_between_deg

BRAINS = ["BrainAcPc", "BrainCoronalAcPc", "BrainHippocampus", "BrainSagittal3D", "BrainSubcallosal"]
KNEES = ["KneeAxial", "KneeCoronal", "KneeSagittal"]
SHIPPED = [*BRAINS, *KNEES]


@pytest.fixture(scope="module")
def brain():
    return load_protocol("BrainAcPc").constellation


def random_axes(seed: int, limit_deg: float = 180.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=3)
    return Rotation.from_rotvec(vector / np.linalg.norm(vector) * rng.uniform(0, limit_deg), degrees=True).as_matrix()


def write_protocol(folder, **changes):
    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    data.update(changes)
    path = folder / "mine.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path, data


def placed_frame(constellation, origin_mm=(0, 0, 0), axes=None) -> AnatomicalFrame:
    """The frame of a head that is the reference itself, moved and turned."""
    origin, axes = np.array(origin_mm, float), np.eye(3) if axes is None else axes
    places = origin + constellation.reference_mm @ axes
    expected = dict(zip(constellation.names, places, strict=True))
    return AnatomicalFrame(origin, axes, 1.0, np.eye(6), expected, constellation.covariance_mm2)


def test_every_shipped_protocol_loads_and_has_a_box():
    protocols = list_protocols()
    assert [protocol.name for protocol in protocols] == SHIPPED
    for protocol in protocols:
        assert protocol.source.stem == protocol.name
        assert protocol.boxes
        assert all(set(rule.faces) == set(FACES) for rule in protocol.boxes)


@pytest.mark.parametrize("names", [BRAINS, KNEES])
def test_the_protocols_of_an_anatomy_share_one_constellation(names):
    assert len({id(protocol.constellation) for protocol in list_protocols() if protocol.name in names}) == 1


def test_the_brain_is_symmetric_and_stands_on_ac_and_pc(brain):
    reference = dict(zip(brain.names, brain.reference_mm, strict=True))
    assert len(brain.names) == 45
    assert reference["AC"] == pytest.approx([0, 0, 0])
    assert reference["PC"] == pytest.approx([0, -26.2, 0], abs=1.5)
    mirrored = brain.reference_mm[brain.mirror_indices] * [-1, 1, 1]
    assert np.abs(mirrored - brain.reference_mm).max() < 0.015
    left = [landmark for landmark in brain.landmarks if landmark.title.startswith("Left")]
    assert len(left) == 17
    assert all(landmark.reference_mm[0] < 0 for landmark in left)


def test_every_landmark_says_what_it_is(brain):
    assert all(landmark.title and landmark.definition for landmark in brain.landmarks)
    assert all("right" not in landmark.definition for landmark in brain.landmarks if landmark.title.startswith("Left"))


def test_the_covariance_adds_up_to_the_measured_sd_and_can_be_inverted(brain):
    covariance = brain.covariance_mm2
    sd = np.concatenate([landmark.sd_mm for landmark in brain.landmarks])
    residual = np.diag(covariance) - (brain.modes_mm**2).sum(axis=0)
    assert covariance.shape == (135, 135)
    assert residual.min() >= RESIDUAL_FLOOR_MM**2 - 1e-9
    free = residual > RESIDUAL_FLOOR_MM**2 + 1e-9
    assert np.diag(covariance)[free] == pytest.approx(sd[free] ** 2)
    assert np.linalg.eigvalsh(covariance).min() > 0.9 * RESIDUAL_FLOOR_MM**2


def test_the_hippocampal_box_dips_forward():
    protocol = load_protocol("BrainHippocampus")
    places = dict(zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True))
    axes = line_axes(np.eye(3), protocol.boxes[0].line, places)
    assert -40 < tilt_between_deg(np.eye(3), axes)[0] < -28


def test_a_tilt_about_right_lifts_the_front():
    assert tilted_axes(np.eye(3), (30, 0, 0))[1] == pytest.approx([0, np.cos(np.pi / 6), 0.5])


def test_the_second_tilt_turns_about_the_axis_that_the_first_one_left():
    axes = tilted_axes(np.eye(3), (90, 90, 0))
    # Anterior points up after the first; right, turned about it by 90 deg, points to the front.
    assert axes[0] == pytest.approx([0, 1, 0], abs=1e-12)
    assert axes[1] == pytest.approx([0, 0, 1], abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_tilts_are_found_again(seed):
    start, end = random_axes(seed), random_axes(seed + 100)
    assert tilted_axes(start, tilt_between_deg(start, end)) == pytest.approx(end, abs=1e-9)


def test_a_line_pitches_the_frame_and_keeps_its_right():
    frame = random_axes(3)
    landmarks = {"A": np.array([4.0, 0, 0]), "B": np.array([0, 10.0, 10.0])}
    world = {name: place @ frame for name, place in landmarks.items()}
    axes = line_axes(frame, (("A",), ("B",)), world)
    assert axes[0] == pytest.approx(frame[0])
    assert tilt_between_deg(frame, axes) == pytest.approx([45, 0, 0])
    with pytest.raises(ProtocolError, match="no direction"):
        line_axes(frame, (("A",), ("A",)), world)


def test_slices_cover_the_size_and_a_whole_number_needs_no_more():
    rule = box_rule(load_protocol("BrainAcPc"))
    assert rule.slice_count(141.0) == 47
    assert rule.slice_count(141.0001) == 47
    assert rule.slice_count(141.1) == 48
    assert rule.slab_mm(48) == 144


def test_the_first_box_is_the_default_and_a_wrong_name_lists_the_right_ones():
    protocol = load_protocol("BrainAcPc")
    assert box_rule(protocol) is protocol.boxes[0]
    assert box_rule(protocol, "AxialWholeBrain") is protocol.boxes[0]
    with pytest.raises(ProtocolError, match="AxialWholeBrain"):
        box_rule(protocol, "Nothing")


def test_an_unknown_protocol_lists_the_shipped_ones():
    with pytest.raises(ProtocolError, match="BrainAcPc, BrainCoronalAcPc"):
        load_protocol("Nothing")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "something/2"}, "format"),
        ({"frame": {"origin": "NOSE", "line": {"from": "PC", "to": "AC"}}}, "frame: NOSE"),
        ({"frame": {"origin": "GENU", "line": {"from": "PC", "to": "AC"}}}, "30.9 mm"),
        ({"anatomy": "elbow"}, "unknown anatomy elbow"),
        ({"boxes": []}, "boxes"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_broken_protocol_is_refused_in_one_line(tmp_path, changes, said):
    path, _ = write_protocol(tmp_path, **changes)
    with pytest.raises(ProtocolError) as caught:
        load_protocol(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("slice_thickness_mm", 0, "boxes[0].slice_thickness_mm"),
        ("slice_thickness_mm", "thin", "boxes[0].slice_thickness_mm"),
        ("slice_axis", "up", "boxes[0].slice_axis"),
        ("phase_axis", "superior", "boxes[0].phase_axis"),
        ("line", {"from": "PC", "to": "NOSE"}, "boxes[0].line: NOSE"),
    ],
)
def test_the_place_of_a_mistake_in_a_box_is_named(tmp_path, key, value, said):
    _, data = write_protocol(tmp_path)
    data["boxes"][0][key] = value
    path, _ = write_protocol(tmp_path, boxes=data["boxes"])
    with pytest.raises(ProtocolError) as caught:
        load_protocol(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"a": NaN}', "[]", b"\xff\xfe\x00"])
def test_a_file_that_is_no_protocol_is_refused(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ProtocolError, match=r"bad\.json"):
        load_protocol(path)


def own_landmarks() -> list[dict]:
    places = {"AC": (0, 0, 0), "PC": (0, -25, 0), "TOP": (0, 0, 70), "L": (-60, 0, 0), "R": (60, 0, 0)}
    mirror = {"L": "R", "R": "L"}
    return [
        {"name": n, "reference_mm": list(p), "sd_mm": [1, 1, 1], "planes": ["sagittal"], "mirror": mirror.get(n)}
        for n, p in places.items()
    ]


def own_protocol(folder, landmarks):
    _, data = write_protocol(folder)
    box = data["boxes"][0]
    box["faces"] = {face: {"landmark": ["L", "R", "TOP"], "margin_mm": 1} for face in FACES}
    return write_protocol(folder, landmarks=landmarks, boxes=[box])[0]


def test_a_protocol_may_bring_its_own_landmarks(tmp_path):
    protocol = load_protocol(own_protocol(tmp_path, own_landmarks()))
    assert protocol.constellation.names == ("AC", "PC", "TOP", "L", "R")
    assert protocol.constellation.mirror_indices.tolist() == [0, 1, 2, 4, 3]
    assert protocol.constellation.covariance_mm2 == pytest.approx(np.eye(15))


def test_partners_have_to_name_each_other(tmp_path):
    landmarks = own_landmarks()
    landmarks[3]["mirror"] = "TOP"
    with pytest.raises(ProtocolError, match=r"landmarks\[3\]\.mirror: TOP does not name L"):
        load_protocol(own_protocol(tmp_path, landmarks))


def test_a_landmark_is_defined_once(tmp_path):
    with pytest.raises(ProtocolError, match="TOP defined more than once"):
        load_protocol(own_protocol(tmp_path, [*own_landmarks(), own_landmarks()[2]]))


def test_an_anatomy_beside_the_protocol_comes_first(tmp_path):
    path = own_protocol(tmp_path, own_landmarks())
    data = json.loads(path.read_text())
    anatomy = {"format": "AutoVolumeCalibration/anatomy/1", "name": "brain", "landmarks": data.pop("landmarks")}
    (tmp_path / "brain.json").write_text(json.dumps(anatomy))
    path.write_text(json.dumps(data))
    assert len(load_protocol(path).constellation.names) == 5


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("seed", range(4))
def test_a_protocol_by_example_gives_the_same_box_again(tmp_path, name, seed):
    protocol = load_protocol(name)
    rng = np.random.default_rng(seed)
    frame = placed_frame(protocol.constellation, rng.normal(0, 20, 3), random_axes(seed, 40))
    box = OrientedBox("any", rng.normal(0, 20, 3), random_axes(seed + 50, 60), rng.uniform(90, 200, 3))
    path = tmp_path / "mine.json"
    path.write_text(save_by_example(protocol, frame, frame.expected_mm, box, "Mine", "My box"), encoding="utf-8")
    saved = load_protocol(path)
    again = plan_box(frame, saved, box_rule(saved))
    assert again.center_mm == pytest.approx(box.center_mm, abs=1e-4)
    assert again.axes == pytest.approx(box.axes, abs=1e-6)
    assert again.size_mm == pytest.approx(box.size_mm, abs=1e-4)
    assert not box_rule(saved).round_up_to_slices
    assert saved.constellation is protocol.constellation


def test_an_example_of_whole_slices_keeps_rounding_and_its_size(tmp_path, brain):
    protocol, frame = load_protocol("BrainAcPc"), placed_frame(brain, axes=random_axes(5, 30))
    box = OrientedBox("AxialWholeBrain", np.array([1.0, 2, 3]), random_axes(6, 30), np.array([143.0, 177, 141]))
    text = save_by_example(protocol, frame, frame.expected_mm, box, "Mine", "My box")
    (tmp_path / "mine.json").write_text(text)
    saved = load_protocol(tmp_path / "mine.json")
    assert box_rule(saved).round_up_to_slices
    assert plan_box(frame, saved, box_rule(saved)).size_mm == pytest.approx(box.size_mm, abs=1e-4)


def test_an_example_of_own_landmarks_takes_them_along(tmp_path):
    protocol = load_protocol(own_protocol(tmp_path, own_landmarks()))
    frame = placed_frame(protocol.constellation)
    box = OrientedBox("AxialWholeBrain", np.zeros(3), np.eye(3), np.full(3, 100.0))
    (tmp_path / "new.json").write_text(save_by_example(protocol, frame, frame.expected_mm, box, "New", "New"))
    assert load_protocol(tmp_path / "new.json").constellation.names == protocol.constellation.names
    with pytest.raises(UsageError, match="not a valid protocol name"):
        save_by_example(protocol, frame, frame.expected_mm, box, "../evil", "New")
