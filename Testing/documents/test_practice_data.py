"""What a reader without data tries the pages on: the script's folders are what the pages' commands expect."""

from __future__ import annotations

import re

import pytest

from AutoVolumeCalibrationLib.service.node.configuration import read_configuration
from documents.pages import DOCS
from LandmarkTrainingLib.core.datasets.file_pairs import find_pairs
from LandmarkTrainingLib.core.datasets.image_numbers import read_numbers
from LandmarkTrainingLib.core.datasets.labelme import read_labelme
from make_practice_data import EXAMS, LABEL_MAPS, RADIOGRAPHS, TEST, TRAIN, main


def test_every_folder_is_what_its_page_begins_with(tmp_path, capsys):
    folder = tmp_path / "practice"
    main([str(folder)])
    paw = folder / "paw"
    page = (DOCS / "new_anatomy.md").read_text(encoding="utf-8")
    tables = re.findall(r"```csv\n(.*?)```", page, flags=re.DOTALL)
    for name, shown in zip(("landmarks.csv", "tissues.csv"), tables, strict=True):
        assert (paw / name).read_text(encoding="utf-8").splitlines() == shown.splitlines()
    assert [len(list(find_pairs(paw / "cases" / name))) for name in ("train", "test")] == [len(TRAIN), len(TEST)]
    assert len(list((paw / "labels").glob("paw_??.csv"))) == len(LABEL_MAPS) and (paw / "box.mrk.json").exists()
    images = list(read_labelme(folder / "radiographs", read_numbers("1-")))
    assert len(images) == RADIOGRAPHS
    assert len(list((folder / "exams").iterdir())) == EXAMS
    with pytest.raises(SystemExit):
        main([str(folder)])
    assert "exists already; name a new folder" in capsys.readouterr().err


def test_the_configurations_of_the_page_are_read(tmp_path):
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "service.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    for text in blocks:
        (tmp_path / "service.toml").write_text(text, encoding="utf-8")
        read_configuration(tmp_path / "service.toml")
