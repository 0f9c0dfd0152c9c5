"""The series that were found: what each is, whether it is used and why, and the user's choice among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrations import scout_stacks
from dicom_localizers import write_localizer

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def add_series(folder: Path, number: int, stacks=None, **values: object) -> None:
    """One more series of the study in ``folder``; ``values`` are attributes of each file."""

    def edit(dataset: object, _index: int) -> None:
        dataset.SeriesInstanceUID, dataset.SeriesNumber = f"1.2.3.{number}", number
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    write_localizer(stacks or scout_stacks(), folder / f"series{number}", edit=edit)


def load(panel, folder: Path) -> None:
    panel.app.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
    panel.click(panel.ui.loadFolderButton)
    panel.wait()


def rows(panel) -> list[tuple[str, str, str, bool]]:
    """(series, what it is, why, ticked)"""
    import qt

    table = panel.ui.seriesTable
    texts = [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]
    return [(*cells, table.item(row, 0).checkState() == qt.Qt.Checked) for row, cells in enumerate(texts)]


def tick(panel, *chosen: int) -> None:
    """Tick these rows and no others."""
    import qt

    for row in range(panel.ui.seriesTable.rowCount):
        panel.ui.seriesTable.item(row, 0).setCheckState(qt.Qt.Checked if row in chosen else qt.Qt.Unchecked)
    panel.settle()


@pytest.fixture
def repeated(panel, tmp_path):
    """A localizer that was repeated, in the panel."""
    add_series(tmp_path, 1, SeriesDescription="localizer")
    add_series(tmp_path, 4, SeriesDescription="localizer again")
    load(panel, tmp_path)
    return panel


def test_a_single_localizer_needs_no_list(panel, tmp_path):
    add_series(tmp_path, 1)
    load(panel, tmp_path)
    assert panel.ui.seriesTable.isHidden()
    assert panel.ui.useSeriesButton.isHidden()


def test_each_series_is_listed_with_what_it_is_and_why(repeated):
    first, second = rows(repeated)
    assert first[0] == "1 localizer"
    assert first[1] == "localizer"
    assert "sagittal 3" in repeated.ui.seriesTable.item(0, 0).toolTip()
    assert first[2:] == ("repeated later", False)
    assert second[2:] == ("the latest complete localizer", True)
    assert not repeated.ui.seriesTable.isHidden()
    assert "Series 1 is a localizer too" in repeated.ui.statusLabel.text
    assert repeated.ui.useSeriesButton.toolTip == "These are the series that are used."


def test_the_user_chooses_another_series(repeated):
    before = repeated.current.study.node
    tick(repeated, 0)
    repeated.click(repeated.ui.useSeriesButton)
    repeated.wait()
    assert [ticked for *_rest, ticked in rows(repeated)] == [True, False]
    assert rows(repeated)[0][2] == "chosen by the user"
    assert repeated.current.study.node is not before
    assert repeated.ui.calibrateButton.enabled


def test_nothing_ticked_is_nothing_to_read(repeated):
    tick(repeated)
    assert repeated.ui.useSeriesButton.toolTip == "Tick at least one series."
    assert not repeated.ui.useSeriesButton.enabled


def test_what_shows_no_anatomy_in_place_is_left_out_and_says_so(panel, tmp_path):
    add_series(tmp_path, 1, SeriesDescription="localizer")
    add_series(tmp_path, 2, SeriesDescription="MIP", ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"])
    load(panel, tmp_path)
    assert [(what, ticked) for _name, what, _why, ticked in rows(panel)] == [
        ("localizer", True),
        ("projection", False),
    ]


def test_where_nothing_can_be_planned_on_the_list_says_why_and_offers_the_choice(panel, tmp_path, caplog):
    add_series(tmp_path, 2, ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"])
    load(panel, tmp_path)
    assert panel.current.study is None
    assert panel.ui.statusLabel.text
    ((_name, what, why, ticked),) = rows(panel)
    assert (what, why, ticked) == (
        "projection",
        "does not show the anatomy as it lies in the scanner",
        False,
    )
    tick(panel, 0)
    panel.click(panel.ui.useSeriesButton)
    panel.wait()
    assert panel.current.study is not None


def test_the_list_goes_with_its_study(repeated):
    repeated.load()
    assert repeated.ui.seriesTable.isHidden()
    assert repeated.ui.seriesTable.rowCount == 0
