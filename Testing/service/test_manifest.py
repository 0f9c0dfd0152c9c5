"""Manifests as people and spreadsheets write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.service.batch.manifest import Study, list_studies


def studies(folder: Path, content: str | bytes) -> list[Study]:
    path = folder / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return list_studies(path, folder / "out")


def expected(folder: Path) -> list[Study]:
    return [Study("a", (str(folder / "x"),)), Study("b", (str(folder / "y"), str(folder / "z")))]


@pytest.mark.parametrize(
    "content",
    [
        "study,scouts\na,x\nb,y;z\n",
        "study,scouts\r\na,x\r\nb,y;z\r\n",
        "\ufeffstudy,scouts\na,x\nb,y;z\n",
        "study,scouts\na,x\nb,y;z\n,\n\n   ,  \n",
        "Study,Scouts\na,x\nb,y;z",
        " STUDY , scouts \n a , x \n b , y ; z \n",
        'study;scouts\na;x\nb;"y;z"\n',
        "study;scouts\na;x\nb;y;z\n",
        'study;scouts;\na;x;\nb;"y;z";\n',
        "study\tscouts\na\tx\nb\ty;z\n",
        "number;Study;note;Scouts\n1;a;;x\n2;b;old;y;z\n",
        "scouts,study\nx,a\ny;z,b\n",
        "\ufeffstudy\tscouts\r\na\tx\r\nb\ty;z\r\n".encode("utf-16-le"),
    ],
    ids=range(13),
)
def test_a_manifest_is_read_as_it_was_meant(tmp_path, content):
    assert studies(tmp_path, content) == expected(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("study,scouts\na,x\n\n,y\n", "row 4 has nothing in the column study"),
        ("study,scouts\na,x\nb,\n", "row 3 has nothing in the column scouts"),
        ("study,scouts\na,x\nb\n", "row 3 has nothing in the column scouts"),
        ("study,scouts\na,x\nb,y,z\n", "row 3 has more cells than the header"),
        ("name,scouts\na,x\n", "row 1 has no column named study"),
        ("study,path\na,x\n", "row 1 has no column named scouts"),
        ("study,scouts,Study\na,x,b\n", "row 1 has several columns named study"),
        ("study,scouts\na,x\nb,y;\0z\n", "row 3: a path holds a zero byte"),
        ("study,scouts\na,x\n../b,y\n", "row 3: '../b' is not a valid folder name"),
        ("study,scouts\na,x\nBatch.csv,y\n", "row 3: 'Batch.csv' is not a valid folder name"),
        ("study,scouts\na,x\nb,y\na,z\n", "row 2 and row 4 have the same study name (a)"),
        ("study,scouts\nHead,x\nhead,y\n", "row 2 and row 3 have study names that some systems take for one (head)"),
        ("study,scouts\na,x\na .,y\n", "row 2 and row 3 have the same study name (a)"),
        (b"study,scouts\na,x\n\xe9,y\n", "row 3 is not in UTF-8"),
        ("\n   \n", "is empty"),
        ("study,scouts\n,\n", "lists no studies"),
    ],
    ids=range(16),
)
def test_what_is_wrong_is_named_with_its_row(tmp_path, content, said):
    with pytest.raises(InputError) as refused:
        studies(tmp_path, content)
    assert said in str(refused.value)
    assert str(tmp_path / "list.csv") in str(refused.value)


def test_composed_and_decomposed_characters_are_one_name(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    assert studies(tmp_path, f"study,scouts\n{decomposed},x\n")[0].name == composed
    with pytest.raises(InputError, match="row 2 and row 3"):
        studies(tmp_path, f"study,scouts\n{composed},x\n{decomposed},y\n")


def test_folders_whose_names_are_one_on_some_systems_are_refused(tmp_path):
    for name in ("a", "b "):
        (tmp_path / "studies" / name).mkdir(parents=True)
    found = list_studies(tmp_path / "studies", tmp_path / "out")
    assert [study.name for study in found] == ["a", "b"]
    (tmp_path / "studies" / "b").mkdir()
    with pytest.raises(InputError, match="folder 'b' and folder 'b '"):
        list_studies(tmp_path / "studies", tmp_path / "out")


def test_a_folder_that_is_not_there_is_named_as_such(tmp_path):
    with pytest.raises(InputError, match="no such file or folder. Give a folder with a sub-folder for each study, or"):
        list_studies(tmp_path / "studies", tmp_path / "out")
