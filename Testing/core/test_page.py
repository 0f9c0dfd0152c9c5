"""A plan on one page of HTML: complete, self-contained, escaped, without the patient, and one A4 page in print."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING, Check
from AutoVolumeCalibrationLib.core.planning.console.cards import console_cards
from AutoVolumeCalibrationLib.core.report.page import page_html, write_page
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from calibrations import calibration

#: Elements without an end.
VOID = {"meta", "img", "br"}
#: As long as the checks become.
LONG = "The points are 12 mm off a typical brain: wrong region, or motion? Check the tilt, or acquire three or more."


class Outline(HTMLParser):
    """Elements, attributes and visible text of a page; fails where elements do not nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def with_sources(result, source):
    """The same plan on scouts read from a file of that name."""
    stacks = tuple(ScoutStack(k.plane, tuple(replace(s, source=source) for s in k.slices)) for k in result.stacks)
    return replace(result, stacks=stacks)


def crowded(result):
    """As much as a page has to hold: thirteen findings of two lines, and doubts about every landmark."""
    checks = tuple(Check(f"check {i}", ERROR if i < 4 else WARNING, LONG) for i in range(13))
    names = tuple(landmark.name for landmark in result.landmarks)
    return replace(result, checks=checks, frame=replace(result.frame, outliers=names))


def test_the_page_holds_what_a_technologist_needs():
    result = calibration()
    text = Outline(page_html(result)).text
    for expected in ("Planned, review the warnings", "GENU is 5 mm off", "the head lies in the scouts", "GENU (GENU)"):
        assert expected in text
    for card in console_cards(result):
        assert all(part in text for line in card.lines for part in (line.label, line.typed))
        assert card.evidence in text
    for expected in ("TestModel", "0" * 12, __version__, "Research use only"):
        assert expected in text


@pytest.mark.parametrize(("level", "sign"), [(OK, "✔"), (WARNING, "⚠"), (ERROR, "✖")])
def test_the_verdict_is_said_by_sign_and_words(level, sign):
    result = replace(calibration(), checks=(Check("any", level, "Said."),))
    assert re.search(f"<h1>{sign} [A-Z]", page_html(result))


def test_the_page_is_one_file_without_scripts_and_links():
    page = Outline(page_html(calibration()))
    assert not {"script", "link", "iframe", "a", "form", "object"} & set(page.tags)
    addresses = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    assert [address[:23] for address in addresses] == ["data:image/jpeg;base64,"]
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    policy = dict(page.attributes).get("content", "")
    assert "default-src 'none'" in policy
    assert "url(" not in page_html(calibration()) and "@import" not in page_html(calibration())
    alternative = [value for name, value in page.attributes if name == "alt"]
    assert len(alternative) == 1 and alternative[0]


def test_no_name_of_patient_study_or_file_gets_in_unless_it_is_asked_for():
    result = with_sources(calibration(), "/hospital/DOE^JANE/localizer.dcm")
    page = page_html(result)
    assert "DOE" not in page and "hospital" not in page and str(Path.cwd()) not in page
    asked = page_html(result, "Study 17")
    assert "Study 17" in Outline(asked).text and "Date, initials" not in asked


def test_texts_from_files_and_users_are_escaped():
    evil = "<script>alert(1)</script>\"'&"
    result = calibration()
    protocol = replace(result.protocol, title=evil, name=evil)
    result = replace(
        result,
        protocol=protocol,
        checks=(Check(evil, ERROR, evil),),
        model=replace(result.model, name=evil, device=evil, sha256=evil),
    )
    page = Outline(page_html(result, evil))
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>") >= 4


def test_a_plan_without_model_checks_and_landmarks_has_a_page():
    result = calibration()
    bare = replace(result, model=None, checks=(), timings_s={}, landmarks=(), box=replace(result.box, face_sd_mm={}))
    assert "no model" in Outline(page_html(bare)).text.lower()


def test_every_finding_is_listed_and_the_points_as_far_as_there_is_room():
    result = crowded(calibration())
    text = Outline(page_html(result)).text
    assert text.count(LONG) == 13
    found = sum(landmark.status != MISSING for landmark in result.landmarks) + 1
    assert f"{found} landmarks, see calibration.json" in text


def test_a_page_that_cannot_be_written_is_said_to_be_so(tmp_path):
    with pytest.raises(UsageError, match="absent"):
        write_page(calibration(), tmp_path / "absent" / "report.html")
    write_page(calibration(), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.slow
@pytest.mark.parametrize("many", [False, True], ids=["usual", "crowded"])
def test_the_page_prints_on_one_sheet_of_a4(many, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to print with")
    result = calibration()
    page, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    write_page(crowded(result) if many else result, page)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={printed}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    content = printed.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 1
    width, height = map(float, re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", content).groups())
    assert (width, height) == (pytest.approx(595, abs=1), pytest.approx(842, abs=1))
