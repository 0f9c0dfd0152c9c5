"""``--report``: the plan on one page beside the other files."""

from __future__ import annotations

import pytest

from AutoVolumeCalibrationLib.core.storage.results import REPORT_FILE
from command_line import MIDDLE_SLICES, PLANNED_CODES, RESULT_FILES, assert_refused, files_in

pytestmark = pytest.mark.usefixtures("no_picture")


def page_in(folder):
    return (folder / REPORT_FILE).read_text(encoding="utf-8")


@pytest.fixture
def refit(autovolume, results):
    """Runs a refit of the landmarks as they are, with further flags."""
    return lambda *flags: autovolume("refit", results, "--landmarks", results / "landmarks.mrk.json", *flags)


def test_calibrate_writes_the_page_where_it_is_asked_for(autovolume, tmp_path):
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path, "--report", "--device", "cpu")
    assert ran.code in PLANNED_CODES
    assert set(files_in(tmp_path)) == RESULT_FILES | {REPORT_FILE}
    assert str(MIDDLE_SLICES[0]) not in page_in(tmp_path)
    again = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path)
    assert_refused(again, 2, "report.html")


def test_a_refit_writes_it_and_keeps_it_up_to_date(refit, results):
    assert refit().code in PLANNED_CODES
    assert set(files_in(results)) == RESULT_FILES
    refit("--report-title", "Study 17 <b>")
    assert "Study 17 &lt;b&gt;" in page_in(results)
    # A page that is there would show the plan before; a title is only written where it is asked for.
    refit()
    assert "Study 17" not in page_in(results)
    assert set(files_in(results)) == RESULT_FILES | {REPORT_FILE}
