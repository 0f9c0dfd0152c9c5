"""Radiographs of one's own: chosen by number, in any suffix, labelled with labelme, several sets in one network."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import Cancelled, InputError, UsageError
from LandmarkTrainingLib.core.datasets.image_numbers import number_of, read_numbers
from LandmarkTrainingLib.core.datasets.labelme import read_labelme
from LandmarkTrainingLib.core.runs.checkpoints import load_checkpoint
from LandmarkTrainingLib.core.xray.xray_data import XrayRequest
from LandmarkTrainingLib.core.xray.xray_run import run_sets, run_xray
from xray_sets import SHAPE, spots, write_set

SETTINGS = {
    "device": "cpu",
    "bf16": False,
    "workers": 0,
    "warmup_steps": 2,
    "sigma_mm": 2.5,
    "picture_steps": 0,
    "steps": 4,
    "checkpoint_steps": 2,
    "batch_size": 2,
}
UNET = {
    "architecture": "unet",
    "options": {"features": [8] * 6, "stem": 1, "dropout": 0.0},
    "losses": [{"name": "mse"}],
}
GU2NET = {"options": {"features": [4] * 5, "width": 4, "stem": 1}}
#: Numbers of the images that ``write_set`` writes, all of them in other splits than the published ones.
HEADS = {"train": "1-4,6", "watch": "5", "test": "151-"}
NUMBERED = {"train": "3001-3004", "watch": "3005,3006", "test": "3007-3008"}


def words(**more):
    return [f"{name}={json.dumps(value)}" for name, value in {**SETTINGS, **more}.items()]


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def measured(run):
    return json.loads((run / "measured.json").read_text(encoding="utf-8"))


def write_labelme(folder, numbers, reader="", shift=0.0, leave_out=()):
    """``image-N.png`` with three spots, and what labelme writes."""
    import SimpleITK

    for number in numbers:
        points = np.array([[15.0, 12], [40, 30], [60, 45]]) + number
        path = folder / "images" / f"image-{number}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(spots(points)), str(path))
        shapes = [
            # labelme counts from the corner of the first pixel.
            {"label": name, "shape_type": "point", "points": [[x + 0.5 + shift, y + 0.5]]}
            for name, (y, x) in zip("CAB", points, strict=True)
            if (number, name) not in leave_out
        ]
        shapes.append({"label": "outline", "shape_type": "polygon", "points": [[0, 0], [5, 0], [0, 5]]})
        target = folder / reader / f"image-{number}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({"version": "5.4.1", "imagePath": path.name, "shapes": shapes}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "number"),
    [("001", 1), ("CHNCXR_0012_0", 12), ("IMG3-0045", 45), ("7_8", 7), ("head", None)],
)
def test_the_number_of_an_image_is_the_longest_row_of_digits(name, number):
    assert number_of(name) == number


def test_numbers_and_ranges_choose_images():
    chosen = read_numbers("1-3, 7,10-")
    assert [n for n in range(1, 13) if f"{n:03d}" in chosen] == [1, 2, 3, 7, 10, 11, 12]
    assert "head" not in chosen
    assert chosen.shared_with(read_numbers("4-6,8")) is None and chosen.shared_with(read_numbers("5-9")) == 7


@pytest.mark.parametrize("text", ["", "a", "1-2-3", "5-3", "1,,2", "-4"])
def test_what_names_no_images_is_refused(text):
    with pytest.raises(UsageError, match="does not name images|ends before"):
        read_numbers(text)


@pytest.mark.parametrize(("name", "splits"), [("cephalometric", HEADS), ("hand", NUMBERED), ("chest", NUMBERED)])
def test_a_small_and_differently_numbered_set_trains_with_splits_of_its_own(tmp_path, name, splits):
    images = write_set(tmp_path / name, name)
    run_xray(tmp_path / "run", name, images, matrix=64, settings=words(**UNET), splits=splits)
    part = measured(tmp_path / "run")["parts"]
    assert list(part) == ["test"] and part["test"]["images"] == (4 if name == "cephalometric" else 2)
    assert ("readers" in part["test"]) == (name == "cephalometric")
    # On resume as before, without naming the splits again; other ones are refused.
    before = measured(tmp_path / "run")
    run_xray(tmp_path / "run", name, images, resume=True)
    assert measured(tmp_path / "run") == before
    with pytest.raises(UsageError, match="other data"):
        run_xray(tmp_path / "run", name, images, resume=True, splits={**splits, "test": "9999"})


def test_the_recipes_steps_follow_the_number_of_images_that_are_learnt_from(tmp_path):
    """A hundred rounds of four images a batch, as published."""
    images = write_set(tmp_path / "chests", "chest")

    def stop(*_):
        raise MemoryError

    settings = [word for word in words(**UNET) if not word.startswith(("steps", "batch_size"))]
    with pytest.raises(MemoryError):
        run_xray(tmp_path / "run", "chest", images, matrix=64, settings=settings, splits=NUMBERED, progress=stop)
    assert json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["steps"] == 100


def test_images_of_another_suffix_and_name_are_found(tmp_path):
    images = write_set(tmp_path / "chests", "chest")
    for path in list((images / "pngs").iterdir()):
        number = path.stem.split("_")[1]
        path.rename(path.with_name(f"thorax{number}.TIF"))
        (images / "labels" / f"{path.stem}.txt").rename(images / "labels" / f"thorax{number}.txt")
        # SimpleITK goes by the suffix.
        rewrite(images / "pngs" / f"thorax{number}.TIF")
    run_xray(tmp_path / "run", "chest", images, matrix=64, settings=words(**UNET), splits=NUMBERED, suffix=".tif")
    assert list(measured(tmp_path / "run")["parts"]["test"]["errors"]) == ["thorax3007", "thorax3008"]


def rewrite(path):
    import SimpleITK

    as_png = path.with_suffix(".png")
    path.rename(as_png)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(as_png)), str(path))
    as_png.unlink()


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": "3001-3004"}, "no images to watch and test are named"),
        ({**NUMBERED, "watch": "3004-3005"}, "image 3004 is to train and to watch"),
        ({**NUMBERED, "test": "3008-3006"}, "ends before"),
    ],
)
def test_splits_that_do_not_suit_each_other_are_refused(tmp_path, splits, said):
    with pytest.raises(UsageError, match=said):
        run_xray(tmp_path / "run", "chest", tmp_path, matrix=64, settings=words(**UNET), splits=splits)
    assert not (tmp_path / "run").exists()


def test_numbers_that_no_image_has_are_named(tmp_path):
    images = write_set(tmp_path / "chests", "chest")
    with pytest.raises(InputError, match=r"no images of split test.*77"):
        run_xray(
            tmp_path / "run", "chest", images, matrix=64, settings=words(**UNET), splits={**NUMBERED, "test": "77"}
        )


def test_points_of_labelme_lie_in_the_middle_of_their_spot(tmp_path):
    folder = write_labelme(tmp_path, [1, 2, 3], leave_out={(2, "C")})
    one, two, _ = read_labelme(folder, read_numbers("1-3"))
    assert one.names == ("A", "B", "C") and one.pixels.shape == SHAPE and one.readings is None
    assert one.points.tolist() == [[41, 31], [61, 46], [16, 13]]
    assert all(one.pixels[row, column] >= 85 for row, column in one.points.astype(int)), "as bright as drawn"
    assert np.isnan(two.points[2]).all() and np.isfinite(two.points[:2]).all()


def test_two_readers_of_labelme_are_kept_apart(tmp_path):
    write_labelme(tmp_path, [1, 2], "anna")
    write_labelme(tmp_path, [1, 2], "bert", shift=4.0)
    chosen = read_numbers("1-2")
    anna, bert, mean = (next(read_labelme(tmp_path, chosen, who)) for who in ("anna", "bert", ""))
    assert (bert.points - anna.points).tolist() == [[0, 4]] * 3 and np.allclose(mean.points - anna.points, [0, 2])
    assert np.linalg.norm(mean.readings[0] - mean.readings[1], axis=1).tolist() == [4, 4, 4]
    with pytest.raises(InputError, match="no reader carl"):
        next(read_labelme(tmp_path, chosen, "carl"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "not a file of labelme"),
        ('{"shapes": [{"label": "A", "points": [[1, 2], [3, 4]]}]}', "A is not one point"),
        ('{"shapes": [{"label": "A", "points": [[1, "x"]]}]}', "A is not one point"),
        ('{"shapes": [{"points": [[1, 2]]}]}', "no name"),
        ('{"shapes": [{"label": "A", "points": [[1, 2]]}, {"label": "A", "points": [[3, 4]]}]}', "two points A"),
    ],
)
def test_a_damaged_file_of_labelme_is_named(tmp_path, content, said):
    write_labelme(tmp_path, [1])
    (tmp_path / "image-1.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"image-1\.json.*{said}"):
        next(read_labelme(tmp_path, read_numbers("1")))


def test_images_labelled_with_labelme_train_and_are_measured_in_their_pixels(tmp_path):
    write_labelme(tmp_path / "set", range(1, 9), "anna", leave_out={(2, "B")})
    write_labelme(tmp_path / "set", range(1, 9), "bert", shift=4.0)
    splits = {"train": "1-4", "watch": "5-6", "test": "7-8"}
    text = run_xray(tmp_path / "run", "labelme", tmp_path / "set", matrix=64, settings=words(**UNET), splits=splits)
    result = measured(tmp_path / "run")
    part = result["parts"]["test"]
    assert result["unit"] == "px" and part["mean"] == pytest.approx(part["pixels"]["mean"], rel=1e-6)
    assert part["readers"]["distance"] == pytest.approx(4) and "error / distance" in text
    with pytest.raises(UsageError, match="no images to train and watch and test"):
        run_xray(tmp_path / "other", "labelme", tmp_path / "set")


def together(tmp_path, **more):
    for name in ("cephalometric", "hand", "chest"):
        if not (tmp_path / name).exists():
            write_set(tmp_path / name, name)
    return [
        XrayRequest("cephalometric", tmp_path / "cephalometric", splits=HEADS, **more),
        XrayRequest("hand", tmp_path / "hand", splits=NUMBERED),
        XrayRequest("chest", tmp_path / "chest", splits=NUMBERED),
    ]


def test_one_network_learns_three_sets_in_turn_and_is_measured_on_each(tmp_path):
    requests, settings = together(tmp_path), words(**GU2NET, steps=6, checkpoint_steps=3)
    text = run_sets(tmp_path / "run", requests, matrix=64, settings=settings)
    result = measured(tmp_path / "run")["together"]
    assert [part["benchmark"] for part in result] == ["cephalometric", "hand", "chest"]
    assert [len(part["parts"]["test"]["landmarks"]) for part in result] == [19, 37, 6]
    assert text.count("Mean radial error of each landmark") == 3
    (_, line) = [json.loads(text) for text in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {f"check_{part['benchmark']}_median_mm" for part in result} <= set(line)

    def stop(step, *_):
        if step == 3:
            (tmp_path / "parts" / "stop").touch()

    with pytest.raises(Cancelled):
        run_sets(tmp_path / "parts", requests, matrix=64, settings=settings, progress=stop)
    moved = shutil.move(tmp_path / "hand", tmp_path / "hands")
    again = [XrayRequest(r.benchmark, moved if r.benchmark == "hand" else r.folder) for r in requests]
    run_sets(tmp_path / "parts", again, resume=True)
    one, other = (load_checkpoint(tmp_path / run / "checkpoint.pt")["network"] for run in ("run", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_network_of_one_set_cannot_learn_several(tmp_path):
    with pytest.raises(UsageError, match="unet cannot learn several"):
        run_sets(tmp_path / "run", together(tmp_path), matrix=64, settings=words(**UNET))
    assert not (tmp_path / "run").exists()
