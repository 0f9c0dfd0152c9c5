"""Constellations from annotated points alone: made-up people whose shape is known, and sets that cannot be pooled."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.cli.main import main
from AutoVolumeCalibrationLib.core.anatomy.axis_lines import AxisLine
from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict
from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.storage.markups import write_landmarks
from LandmarkTrainingLib.core.reference_heads import point_sets, points_anatomy
from LandmarkTrainingLib.core.reference_heads.people import measure_people
from LandmarkTrainingLib.core.reference_heads.point_sets import PointSet, common_names, read_point_sets, require_alike
from LandmarkTrainingLib.core.reference_heads.shape_frame import AC_PC, ShapeFrame

NAMES = ("AC", "PC", "TOP", "FRONT", "SIDE_L", "SIDE_R", "REYE", "LEYE")
MIRROR = np.array((0, 1, 2, 3, 5, 4, 7, 6))
PLACES = np.array(
    [[0, 0, 0], [0, -26, 0], [0, -20, 70], [0, 65, 5], [-66, -30, 0], [66, -30, 0], [32, 55, -30], [-32, 55, -30]],
    dtype=float,
)
#: A joint: one-sided, its origin and line are none of a head's.
JOINT = {
    "MED": np.array([-22.0, 0, 0]),
    "LAT": np.array([24.0, 2, 1]),
    "NOTCH": np.array([0.0, -8, 4]),
    "TIP": np.array([3.0, 40, -35]),
    "ROOF": np.array([2.0, 20, 50]),
}


def people_of(
    places: dict[str, np.ndarray], count: int, *, noise_mm: float = 0.5, seed: int = 0, turn_rad: float = 0.3
) -> list[PointSet]:
    """People with these places and independent noise, in random poses and sizes."""
    rng = np.random.default_rng(seed)
    sets = []
    for number in range(count):
        turn = Rotation.from_rotvec(rng.uniform(-turn_rad, turn_rad, 3)).as_matrix()
        shift, size = rng.uniform(-30, 30, 3), rng.uniform(0.95, 1.05)
        points = {n: shift + size * turn @ (at + rng.normal(0, noise_mm, 3)) for n, at in places.items()}
        sets.append(PointSet(f"person{number}.csv", points))
    return sets


def brains(count: int, **options) -> list[PointSet]:
    return people_of(dict(zip(NAMES, PLACES, strict=True)), count, **options)


def csv_text(points) -> str:
    return "label,x,y,z\n" + "".join(f"{name},{x:.4f},{y:.4f},{z:.4f}\n" for name, (x, y, z) in points.items())


@dataclass
class Folder:
    """Point files of people."""

    path: object

    def __call__(self, sets, name="person"):
        for number, each in enumerate(sets):
            (self.path / f"{name}{number:02}.csv").write_text(csv_text(each.points))
        return str(self.path)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "points"
    place.mkdir()
    return Folder(place)


# ---- what is measured ----


def test_mean_places_and_their_standard_errors():
    """Repeated with other people, the means scatter as much as their standard errors say."""
    samples = [measure_people(brains(20, seed=seed), NAMES, MIRROR, AC_PC) for seed in range(12)]
    means = np.array([each.aligned.mean_mm for each in samples])
    means *= np.linalg.norm(PLACES) / np.linalg.norm(means, axis=(1, 2))[:, None, None]
    assert means.mean(axis=0) == pytest.approx(PLACES, abs=0.4)
    stated = np.array([each.mean_se_mm for each in samples]).mean(axis=0)
    sides = [4, 5, 6, 7]
    assert means.std(axis=0)[sides].mean() == pytest.approx(stated[sides].mean(), rel=0.35)


def test_variation_and_its_standard_error():
    samples = [measure_people(brains(20, seed=seed), NAMES, MIRROR, AC_PC) for seed in range(12)]
    deviations = np.array([each.aligned.sd_mm for each in samples])[:, 4:]
    stated = np.array([each.sd_se_mm for each in samples])[:, 4:]
    assert deviations.mean() == pytest.approx(0.5, abs=0.1)
    # Both sides speak of the same deviation, so it scatters a little less than stated.
    assert 0.5 < deviations.std(axis=0).mean() / stated.mean() < 1.2
    covariance, errors = samples[0].aligned.covariance_mm2, samples[0].covariance_se_mm2
    assert np.diag(errors) == pytest.approx(np.diag(covariance) * np.sqrt(2 / 19))


def test_an_asymmetry_is_found_and_its_absence_too():
    places = dict(zip(NAMES, PLACES, strict=True))
    lopsided = places | {"REYE": places["REYE"] + [0, 1.0, 0], "LEYE": places["LEYE"] - [0, 1.0, 0]}
    shape = measure_people(people_of(lopsided, 30), NAMES, MIRROR, AC_PC)
    right, left = NAMES.index("REYE"), NAMES.index("LEYE")
    assert shape.asymmetry_mm[right, 1] == pytest.approx(1.0, abs=0.3)
    assert shape.asymmetry_mm[left, 1] == pytest.approx(-shape.asymmetry_mm[right, 1], abs=1e-9)
    assert shape.asymmetry_mm[right, 1] > 4 * shape.asymmetry_se_mm[right, 1]
    assert shape.aligned.mean_mm[MIRROR] * [-1, 1, 1] == pytest.approx(shape.aligned.mean_mm, abs=1e-9)
    even = measure_people(brains(30), NAMES, MIRROR, AC_PC)
    paired = np.abs(even.asymmetry_mm[4:]) / even.asymmetry_se_mm[4:]
    assert paired.max() < 4


def test_a_one_sided_anatomy_keeps_its_sides():
    names, own = tuple(JOINT), np.arange(len(JOINT))
    frame = ShapeFrame("NOTCH", (("NOTCH",), ("TIP",)))
    people = people_of(JOINT, 30, turn_rad=0.1)
    shape = measure_people(people, names, own, frame)
    mean = dict(zip(names, shape.aligned.mean_mm, strict=True))
    assert mean["NOTCH"] == pytest.approx(np.zeros(3), abs=1e-9) and mean["TIP"][2] == pytest.approx(0, abs=1e-9)
    assert mean["LAT"][0] - mean["MED"][0] > 40 and not shape.asymmetry_mm.any()


def test_points_that_some_people_lack():
    whole = brains(24)
    gaps = [
        PointSet(p.source, {n: at for n, at in p.points.items() if not (n == "REYE" and i < 6)})
        for i, p in enumerate(whole)
    ]
    a, b = (measure_people(sets, NAMES, MIRROR, AC_PC) for sets in (whole, gaps))
    assert b.counts[NAMES.index("REYE")] == 18 and b.counts[0] == 24
    assert b.aligned.mean_mm == pytest.approx(a.aligned.mean_mm, abs=0.15)
    assert np.isfinite(b.mean_se_mm).all()


def test_the_variation_of_the_line_is_what_was_put_in():
    """People are the shipped brain, but for PC, which goes up and down by 1 mm: 2.1 deg at 27 mm."""
    constellation = load_protocol("BrainAcPc").constellation
    rng = np.random.default_rng(1)
    sets = []
    for number in range(40):
        points = dict(zip(constellation.names, constellation.reference_mm, strict=True))
        points["PC"] = points["PC"] + [0, 0, rng.normal()]
        sets.append(PointSet(str(number), points))
    variation, pitches = points_anatomy.line_variation(sets, constellation, AC_PC, "made")
    moved = np.array([each.points["PC"][2] for each in sets])
    assert np.corrcoef(pitches, -moved)[0, 1] > 0.99
    assert variation.pitch_sd_deg == pytest.approx(np.rad2deg(moved.std(ddof=1) / 27), rel=0.12)
    assert variation.heads == 40 and variation.line == (("PC",), ("AC",))


# ---- files ----


def test_every_format_gives_the_same_points(tmp_path):
    points = brains(1)[0].points
    (tmp_path / "a.csv").write_text(csv_text(points))
    marks = [Landmark(name, at, np.eye(3), 1.0, CORRECTED) for name, at in points.items()]
    write_landmarks(tmp_path / "b.mrk.json", marks, load_protocol("BrainAcPc").constellation)
    rows = "".join(f"{i},{-x},{-y},{z},0,0,0,1,1,1,0,{n},,\n" for i, (n, (x, y, z)) in enumerate(points.items()))
    (tmp_path / "c.fcsv").write_text(f"# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n{rows}")
    read = read_point_sets([tmp_path])
    assert [each.source.rsplit("/")[-1][0] for each in read] == ["a", "b", "c"]
    for each in read:
        assert list(each.points) == list(points)
        for name, at in points.items():
            assert each.points[name] == pytest.approx(at, abs=1e-3)


@pytest.mark.parametrize("name", ["points.txt", "image.nii.gz"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(InputError, match="is not a point file"):
        read_point_sets([tmp_path / name])
    with pytest.raises(InputError, match="has no point files"):
        read_point_sets([tmp_path])


def test_case_and_further_points_do_not_matter():
    sets = brains(3)
    sets[1] = PointSet("lower", {name.lower(): at for name, at in sets[1].points.items()} | {"note": np.zeros(3)})
    kept, others = point_sets.with_names_of(sets, NAMES)
    assert set(kept[1].points) == set(NAMES) and others == ["note"]


# ---- sets that cannot be pooled ----


def changed(sets, number, function):
    """The sets with the points of one changed."""
    each = sets[number]
    return [*sets[:number], PointSet(each.source, function(dict(each.points))), *sets[number + 1 :]]


def scaled(*factors):
    """A change of all points by a factor per axis."""
    return lambda points: {name: at * factors for name, at in points.items()}


MISTAKES = {
    "LPS": (scaled(-1, -1, 1), "has its right landmarks on the left"),
    "mirrored": (scaled(-1, 1, 1), "has its right landmarks on the left"),
    "upside down": (scaled(1, -1, -1), "is turned by 1.. deg against"),
    "back to front": (scaled(1, -1, 1), "is the mirror image of"),
    "cm": (scaled(0.1, 0.1, 0.1), r"is 0.\d+ times as large as the others.*mm"),
    "no AC": (lambda points: {n: at for n, at in points.items() if n != "AC"}, "has no AC, on which the axes rest"),
    "few": (lambda points: {n: points[n] for n in ("AC", "PC", "TOP")}, "lacks 5 of 8 landmarks"),
}


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_wrong_set_is_named(mistake, number):
    function, said = MISTAKES[mistake]
    sets = changed(brains(6), number, function)
    with pytest.raises(InputError, match=f"person{number}.csv.*{said}|{said}.*person{number}.csv"):
        require_alike(sets, NAMES, MIRROR, AC_PC)


def test_right_sets_pass():
    require_alike(brains(6), NAMES, MIRROR, AC_PC)
    require_alike(brains(6), NAMES, MIRROR, AC_PC, dict(zip(NAMES, PLACES, strict=True)))


def test_all_of_them_wrong_is_seen_against_an_anatomy():
    upside_down = [PointSet(s.source, MISTAKES["upside down"][0](s.points)) for s in brains(4)]
    with pytest.raises(InputError, match="person0.csv.*is turned by 1.. deg against the anatomy"):
        require_alike(upside_down, NAMES, MIRROR, AC_PC, dict(zip(NAMES, PLACES, strict=True)))
    metres = [PointSet(s.source, scaled(1e-3, 1e-3, 1e-3)(s.points)) for s in brains(4)]
    with pytest.raises(InputError, match=r"is 0.00\d+ times as large as the anatomy"):
        require_alike(metres, NAMES, MIRROR, AC_PC, dict(zip(NAMES, PLACES, strict=True)))


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_people(count):
    with pytest.raises(InputError, match=f"the points of {count} people are too few.*at least 3"):
        require_alike(brains(count), NAMES, MIRROR, AC_PC)


def test_the_same_person_twice():
    sets = brains(4)
    with pytest.raises(InputError, match="again.csv.*holds the same points as person1.csv"):
        require_alike([*sets, PointSet("again.csv", sets[1].points)], NAMES, MIRROR, AC_PC)


def test_a_misspelt_name():
    sets = changed(brains(5), 2, lambda points: {("TPO" if n == "TOP" else n): at for n, at in points.items()})
    with pytest.raises(InputError, match="person2.csv.*TPO is in 1 of 5 files only"):
        common_names(sets)


def test_names_of_another_anatomy():
    with pytest.raises(InputError, match="has none of the landmarks.*Name the points as the anatomy does"):
        point_sets.with_names_of(people_of(JOINT, 3), ("AC", "PC"))


def test_one_side_without_the_other():
    places = dict(zip(NAMES, PLACES, strict=True)) | {"REAR": np.array([40.0, -50, -20])}
    names = tuple(places)
    with pytest.raises(InputError, match="REAR lies .. mm beside the midline, and its partner"):
        measure_people(people_of(places, 5), names, points_anatomy.pairs_by_name(names), AC_PC)


# ---- the command ----


def test_a_new_anatomy_of_any_kind(folder, tmp_path, capsys):
    target, output = tmp_path / "knee.json", tmp_path / "measured.json"
    points = folder(people_of(JOINT, 8, turn_rad=0.1))
    wanted = ["--create", str(target), "--output", str(output), "--origin", "NOTCH", "--line", "NOTCH", "TIP"]
    assert main(["anatomy", "--points", points, *wanted]) == 0
    data, measured = json.loads(target.read_text()), json.loads(output.read_text())
    constellation = constellation_from_dict(data, target)
    assert constellation.names == tuple(JOINT) and data["name"] == "knee"
    assert constellation.lines[0].line == (("NOTCH",), ("TIP",)) and constellation.lines[0].heads == 8
    assert measured["people"] == 8 and {entry["name"] for entry in measured["landmarks"]} == set(JOINT)
    assert np.array(measured["covariance_se_mm2"]).shape == (15, 15)
    assert "line NOTCH -> TIP" in capsys.readouterr().out


def test_the_places_of_people_replace_those_of_an_anatomy(folder, tmp_path):
    """People are the shipped brain turned and grown, with PC 1 mm higher: the file gets that, and nothing else."""
    target = tmp_path / "brain.json"
    before = resource_path("Anatomies", "brain.json").read_text("utf-8")
    target.write_text(before)
    constellation = load_protocol("BrainAcPc").constellation
    places = dict(zip(constellation.names, constellation.reference_mm, strict=True))
    placed = {name: at for name, at in places.items() if name.isupper() and "_" not in name and name != "VERTEX"}
    placed["PC"] = placed["PC"] + [0, 0, 1.0]
    points = folder(people_of(placed, 20, noise_mm=0.2))
    assert main(["anatomy", "--points", points, "--update", str(target), "--keep-variation"]) == 0
    old, new = json.loads(before), json.loads(target.read_text("utf-8"))
    assert new["modes_mm"] == old["modes_mm"] and new["lines"][0]["heads"] == 20
    assert [e["sd_mm"] for e in new["landmarks"]] == [e["sd_mm"] for e in old["landmarks"]]
    after = {e["name"]: np.array(e["reference_mm"]) for e in new["landmarks"]}
    assert after["PC"][2] == 0 and after["AC"] == pytest.approx(np.zeros(3))
    # The line stays level: all else turns by 1 mm in 26.
    turn = Rotation.from_rotvec([np.arctan(1 / 26.6), 0, 0]).as_matrix()
    for name in ("VERTEX", "GENU", "EYE_L", "LATERAL_R"):
        assert after[name] == pytest.approx(turn @ places[name], abs=0.6)


def test_variation_of_landmarks_that_nobody_placed_is_not_made_up(folder, tmp_path, capsys):
    target = tmp_path / "brain.json"
    target.write_text(resource_path("Anatomies", "brain.json").read_text("utf-8"))
    constellation = load_protocol("BrainAcPc").constellation
    places = dict(zip(constellation.names[:28], constellation.reference_mm[:28], strict=True))
    points = folder(people_of(places, 5))
    code = main(["anatomy", "--points", points, "--update", str(target)])
    assert code == 2
    assert "nobody placed FRONTAL_L" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--line", "PC", "AC"], "a line needs an origin"),
        (["--origin", "NOSE"], "no landmark NOSE among the points"),
    ],
)
def test_a_frame_that_is_none(folder, capsys, arguments, said):
    assert main(["anatomy", "--points", folder(brains(4)), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_label_maps_are_measured_for_a_file(tmp_path, capsys):
    assert main(["anatomy", "--labels", str(tmp_path)]) == 2
    assert "Give --update FILE" in capsys.readouterr().err


# ---- the shipped brain against human raters ----


def test_the_shipped_brain_is_not_pitched_against_human_raters(shared_data):
    paths = [path for kind in ("hcp", "oasis") for path in shared_data.glob(f"human_landmarks/{kind}_*.csv")]
    constellation = load_protocol("BrainAcPc").constellation
    sets, _ = point_sets.with_names_of(read_point_sets(paths), constellation.names)
    variation, pitches = points_anatomy.line_variation(sets, constellation, AC_PC, "shipped")
    assert len(pitches) == 40 and abs(pitches.mean()) < 0.1
    stated = np.rad2deg(constellation.line_sd_rad((AxisLine("anterior", variation.line, "right"),))[0])
    assert variation.pitch_sd_deg == pytest.approx(stated, abs=0.01)
