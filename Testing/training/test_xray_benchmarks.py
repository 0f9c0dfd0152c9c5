"""The public X-ray benchmarks, in the layouts they are published in; the files are made here."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from LandmarkTrainingLib.core.datasets.xray_benchmarks import (
    CEPHALOMETRIC_NAMES,
    CHEST_EXCLUDED,
    read_cephalometric,
    read_chests,
    read_hands,
)

#: Rows and columns of the images: small, and not square, so that a mix-up shows.
SHAPE = (30, 20)


def write_picture(path, value=0):
    """A grey image with one bright pixel at row 12, column 7."""
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full(SHAPE, value, dtype=np.uint8)
    pixels[12, 7] = 255
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(path))


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def points(count, start=0):
    """x, y of ``count`` points; the first is the bright pixel."""
    return [(7, 12), *((start + n, 2 * start + n) for n in range(1, count))]


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ceph")
    for place, numbers in (("TrainingData", (1, 150)), ("Test1Data", (151,)), ("Test2Data", (400,))):
        for number in numbers:
            write_picture(folder / "RawImage" / place / f"{number:03d}.bmp")
            for who, start in (("senior", 0), ("junior", 2)):
                lines = [f"{x},{y}" for x, y in points(19, start)] + ["1"] * 8
                write_text(folder / "AnnotationsByMD" / f"400_{who}" / f"{number:03d}.txt", "\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hands")
    rows = []
    for number in (3128, 3129, 3130):
        write_picture(folder / "jpg" / f"{number}.jpg")
        marks = points(37)
        marks[4] = (7, 22)  # the wrist is 10 pixels wide
        rows.append(f"{number}," + ",".join(f"{x},{y}" for x, y in marks))
    write_picture(folder / "jpg" / "9999.jpg")
    write_text(folder / "all.csv", "\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def chests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chests")
    for name in ("CHNCXR_0001_0", "CHNCXR_0002_0", "CHNCXR_0003_1", "MCUCXR_0001_0", min(CHEST_EXCLUDED)):
        write_picture(folder / "pngs" / f"{name}.png")
        ratios = [f"{x / SHAPE[1]:.4f} {y / SHAPE[0]:.4f}" for x, y in points(6)]
        write_text(folder / "labels" / f"{name}.txt", "6\n" + "\n".join(ratios) + "\n")
    return folder


@pytest.mark.parametrize(
    ("split", "numbers"), [(None, "001 150 151 400"), ("train", "001 150"), ("test1", "151"), ("test2", "400")]
)
def test_the_splits_of_the_heads_are_those_of_the_challenge(heads, split, numbers):
    assert [image.name for image in read_cephalometric(heads, split)] == numbers.split()


def test_a_head_has_its_19_points_as_row_and_column_in_tenths_of_a_millimetre(heads):
    image = next(read_cephalometric(heads))
    assert image.pixels.shape == SHAPE and image.pixels.dtype == np.float32
    assert image.spacing_mm == (0.1, 0.1) and image.names == CEPHALOMETRIC_NAMES and len(set(image.names)) == 19
    assert image.points[0] == pytest.approx([12, 7]) and image.pixels[12, 7] == 255
    assert image.points[5] == pytest.approx([5, 5])


def test_the_annotators_can_be_told_apart_or_averaged(heads):
    senior, junior, mean = (next(read_cephalometric(heads, None, who)).points for who in ("senior", "junior", "mean"))
    assert not np.allclose(senior, junior)
    assert mean == pytest.approx((senior + junior) / 2)


def test_the_flat_layout_of_the_heads_is_read_too(heads, tmp_path):
    shutil.copytree(heads / "AnnotationsByMD", tmp_path, dirs_exist_ok=True)
    shutil.copytree(heads / "RawImage" / "TrainingData", tmp_path / "raw")
    assert [image.name for image in read_cephalometric(tmp_path)] == ["001", "150"]


def test_a_hand_is_measured_by_its_wrist(hands):
    images = list(read_hands(hands))
    assert [image.name for image in images] == ["3128", "3129", "3130"]
    assert images[0].spacing_mm == pytest.approx((5.0, 5.0))
    assert images[0].points.shape == (37, 2) and len(set(images[0].names)) == 37
    row, column = images[0].points[0].astype(int)
    assert images[0].pixels[row, column] > 200  # JPEG is not exact


@pytest.mark.parametrize(("split", "count"), [(None, 3), ("train", 3), ("validation", 0), ("test", 0)])
def test_few_hands_are_all_for_training(hands, split, count):
    assert len(list(read_hands(hands, split))) == count


def test_a_chest_has_its_points_at_fractions_of_its_own_size_and_no_spacing(chests):
    images = list(read_chests(chests))
    assert [image.name for image in images] == ["CHNCXR_0001_0", "CHNCXR_0002_0"]
    assert images[0].spacing_mm is None and images[0].points.shape == (6, 2)
    assert images[0].points[0] == pytest.approx([12, 7], abs=0.01)


def test_the_published_splits_share_no_image_and_leave_none_out():
    from LandmarkTrainingLib.core.datasets import xray_benchmarks as benchmarks

    names = [f"{number:04d}" for number in range(895)]
    parts = {split: benchmarks._part(names, split, benchmarks.HAND_SPLIT) for split in benchmarks.SPLITS}
    assert [len(part) for part in parts.values()] == [550, 59, 286]
    assert sum(parts.values(), []) == names


@pytest.mark.parametrize(("read", "split"), [(read_cephalometric, "test"), (read_hands, "test1"), (read_chests, "x")])
def test_an_unknown_split_is_an_error_that_lists_the_known_ones(heads, hands, chests, read, split):
    folder = {read_cephalometric: heads, read_hands: hands, read_chests: chests}[read]
    with pytest.raises(UsageError, match="train"):
        list(read(folder, split))


def test_an_unknown_annotator_is_an_error(heads):
    with pytest.raises(UsageError, match="senior"):
        list(read_cephalometric(heads, annotator="expert"))


@pytest.mark.parametrize("read", [read_cephalometric, read_hands, read_chests])
def test_a_folder_in_another_layout_is_an_error_that_says_what_was_expected(tmp_path, read):
    with pytest.raises(InputError, match=r"holds no .*published layout"):
        list(read(tmp_path))
    with pytest.raises(InputError, match="is not a folder"):
        list(read(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["", "1,2\n", "a,b\n" * 19, "1,nan\n" * 19])
def test_a_damaged_point_file_is_named(heads, tmp_path, text):
    folder = shutil.copytree(heads, tmp_path / "copy")
    write_text(folder / "AnnotationsByMD" / "400_senior" / "001.txt", text)
    with pytest.raises(InputError, match=r"001\.txt"):
        next(read_cephalometric(folder))


def test_a_missing_point_file_and_a_damaged_image_are_named(heads, chests, tmp_path):
    folder = shutil.copytree(heads, tmp_path / "heads")
    (folder / "AnnotationsByMD" / "400_senior" / "001.txt").unlink()
    with pytest.raises(InputError, match=r"001\.txt"):
        next(read_cephalometric(folder))
    folder = shutil.copytree(chests, tmp_path / "chests")
    (folder / "pngs" / "CHNCXR_0001_0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"CHNCXR_0001_0\.png"):
        next(read_chests(folder))
