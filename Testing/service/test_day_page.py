"""The page of the day by its requests: what it shows, who may ask, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING, Check
from AutoVolumeCalibrationLib.core.planning.risk.finding import PlanRisk, risk_in_words
from AutoVolumeCalibrationLib.service.page.assessments import Assessment, add_assessment, read_assessments
from AutoVolumeCalibrationLib.service.page.server import require_packages, showing
from AutoVolumeCalibrationLib.service.page.settings import PageSettings
from AutoVolumeCalibrationLib.service.page.viewers import Viewers
from calibrations import calibration
from service.page_desks import PATIENT, PLANNED, QUEUED, REFUSED, fake_desk

pytest.importorskip("flask", reason="needs flask (the extra service)")

from AutoVolumeCalibrationLib.service.page.app import create_app  # noqa: E402 - flask is at its file scope

TOKEN = "a token of 24 characters"
EVIL = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


@pytest.fixture
def desk(tmp_path):
    return fake_desk(tmp_path)


def client_of(desk, **settings):
    return create_app(desk, PageSettings(port=1, **settings), Viewers()).test_client()


def hidden(page: str, name: str) -> str:
    """The value of a hidden field of a page."""
    return re.search(rf'name="{name}" value="([^"]*)"', page)[1]


def decide(client, verdict="accepted", **fields):
    """Answer the form of PLANNED as a browser does, with some fields changed."""
    page = client.get(f"/studies/{PLANNED}").text
    form = {"csrf": hidden(page, "csrf"), "plan": hidden(page, "plan"), "verdict": verdict, "by": "", "comment": ""}
    return client.post(f"/studies/{PLANNED}/assessment", data={**form, **fields})


def test_the_day_lists_the_queue_and_every_outcome(desk):
    page = client_of(desk).get("/").text
    queue, plans = page.split("<h2>Plans</h2>")
    assert QUEUED in queue and "receiving images" in queue and PLANNED not in queue
    assert "⚠ Warning" in plans and "4.7 %" in plans and "GENU is 5 mm off" in plans
    assert REFUSED in plans and "not planned" in plans and "no scout shows &lt;b&gt;a plane&lt;/b&gt;" in plans
    assert "Objects that wait to be sent to pacs: 2" in page


def test_days_lead_to_those_before_and_after(desk):
    yesterday = date.today() - timedelta(days=1)
    desk.states[REFUSED] = replace(desk.states[REFUSED], received_s=desk.states[REFUSED].received_s - 24 * 3600)
    client = client_of(desk)
    assert f"/?day={yesterday}" in client.get("/").text and REFUSED not in client.get("/").text
    page = client.get(f"/?day={yesterday}").text
    assert REFUSED in page and f"/?day={date.today()}" in page and "http-equiv" not in page
    assert client.get("/?day=<b>").status_code == 404
    assert client.get("/?day=0001-01-01").status_code == 200


def test_a_plan_is_shown_with_light_picture_checks_and_cards(desk):
    client = client_of(desk)
    page = client.get(f"/studies/{PLANNED}").text
    for expected in (
        "⚠ Planned, review the warnings",
        "GENU is 5 mm off",
        "About 1 in 21",
        "Siemens",
        "Philips",
        "GE:",
    ):
        assert expected in page
    picture = client.get(re.search(r'<img src="([^"]*)"', page)[1])
    assert picture.mimetype == "image/png" and picture.data.startswith(b"\x89PNG")
    assert "<script" not in page and "<script" not in client.get("/").text


def test_objects_without_a_study_are_counted(desk):
    client = client_of(desk)
    assert "which study they belong to" not in client.get("/").text
    desk.unreadable_objects = 3
    assert "which study they belong to: 3." in client.get("/").text


def test_the_light_and_the_risk_are_written_once(tmp_path):
    plan = calibration()
    risk = PlanRisk(0.3, 0.1, 0.2)
    words = risk_in_words(risk.probability)
    plan = replace(plan, risk=risk, checks=(Check("risk", WARNING, f"{words}: check AC."),))
    client = client_of(fake_desk(tmp_path, plan))
    assert client.get(f"/studies/{PLANNED}").text.count(words) == 1
    day = client.get("/").text
    assert f"<td>{words}: check AC.</td>" in day


def test_what_was_not_planned_says_why_and_has_no_picture(desk):
    client = client_of(desk)
    page = client.get(f"/studies/{REFUSED}").text
    assert "No plan" in page and "no scout shows" in page and "Plan again" in page and "<img" not in page
    assert client.get(f"/studies/{REFUSED}/overview.png").status_code == 404


def test_patients_are_named_only_where_it_is_configured(desk):
    for address in ("/", f"/studies/{PLANNED}"):
        assert "Doe" not in client_of(desk).get(address).text
        page = client_of(desk, names=True).get(address).text
        assert "Doe^&lt;i&gt;Jane&lt;/i&gt;, 4711" in page and PATIENT not in page


def test_texts_from_plans_images_and_users_are_escaped(tmp_path):
    plan = replace(calibration(), checks=(Check(EVIL, ERROR, EVIL),))
    plan = replace(plan, model=replace(plan.model, name=EVIL))
    client = client_of(fake_desk(tmp_path, plan))
    assert decide(client, by=EVIL[:30], comment=EVIL).status_code == 303
    page = client.get(f"/studies/{PLANNED}").text
    assert "<script" not in page and page.count("&lt;script&gt;alert(1)") >= 4
    assert "{{ 7 * 7 }}" in page


@pytest.mark.parametrize("verdict", ["accepted", "corrected", "rejected"])
def test_a_decision_is_kept_with_its_plan(desk, verdict):
    client = client_of(desk)
    assert decide(client, verdict, by=" A.B. ", comment="tilted\r\nby 2\0 deg").status_code == 303
    (kept,) = read_assessments(desk.states[PLANNED].plan)
    assert (kept.verdict, kept.by, kept.comment) == (verdict, "A.B.", "tilted by 2\\x00 deg")
    assert kept.model_sha256 == "0" * 64 and len(kept.plan_sha256) == 64
    assert f"<b>{verdict}</b>" in client.get(f"/studies/{PLANNED}").text
    assert f">{verdict}</td>" in client.get("/").text


def test_the_last_decision_counts_and_all_are_kept(desk):
    client = client_of(desk)
    for verdict in ("accepted", "rejected"):
        decide(client, verdict)
    assert [one.verdict for one in read_assessments(desk.states[PLANNED].plan)] == ["accepted", "rejected"]
    assert ">rejected</td>" in client.get("/").text and ">accepted</td>" not in client.get("/").text


def test_a_decision_does_not_count_for_a_later_plan_nor_come_too_late(desk):
    client, folder = client_of(desk), desk.states[PLANNED].plan
    decide(client)
    page = client.get(f"/studies/{PLANNED}").text
    form = {"csrf": hidden(page, "csrf"), "plan": hidden(page, "plan"), "verdict": "accepted"}
    calibration().save(folder, overwrite=True)  # another plan: it states no risk
    assert client.post(f"/studies/{PLANNED}/assessment", data=form).status_code == 409
    assert len(read_assessments(folder)) == 1
    assert ">open</td>" in client.get("/").text
    page = client.get(f"/studies/{PLANNED}").text
    assert "This plan was" not in page and "an earlier one" in page


def test_a_study_is_planned_again_unless_it_is_in_the_queue(desk):
    client = client_of(desk)
    csrf = hidden(client.get(f"/studies/{REFUSED}").text, "csrf")
    assert client.post(f"/studies/{REFUSED}/again", data={"csrf": csrf}).status_code == 303
    assert client.post(f"/studies/{QUEUED}/again", data={"csrf": csrf}).status_code == 409
    assert desk.again == [REFUSED]


@pytest.mark.parametrize("forged", ["", "x" * 43, "ü" * 43])
def test_a_form_that_the_page_did_not_make_changes_nothing(desk, forged):
    client = client_of(desk)
    assert decide(client, csrf=forged).status_code == 403
    assert client.post(f"/studies/{REFUSED}/again", data={"csrf": forged}).status_code == 403
    stranger = client_of(desk)  # another browser's form, sent from a session that has none
    assert stranger.post(f"/studies/{REFUSED}/again", data={"csrf": ""}).status_code == 403
    assert desk.again == [] and not (desk.states[PLANNED].plan / "assessment.json").exists()


def test_a_get_changes_nothing(desk):
    client = client_of(desk)
    for address in (f"/studies/{REFUSED}/again", f"/studies/{PLANNED}/assessment?verdict=accepted"):
        assert client.get(address).status_code == 405
    assert desk.again == []


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "..%5csecret",
        "%00",
        "%252e%252e",
        PLANNED.upper(),
        f"{PLANNED}%2f..%2f..%2fsecret",
        f"{PLANNED}/..",
        f"{PLANNED}%0a",
        "0" * 16,
    ],
)
def test_no_address_leads_out_of_the_studies(desk, tmp_path, name):
    shutil.copytree(desk.states[PLANNED].plan, tmp_path / "secret")
    client = client_of(desk)
    csrf = hidden(client.get(f"/studies/{PLANNED}").text, "csrf")
    for answer in (
        client.get(f"/studies/{name}/overview.png"),
        client.get(f"/studies/{name}"),
        client.post(f"/studies/{name}/again", data={"csrf": csrf}),
        client.get(f"/{name}/style.css"),
    ):
        assert answer.status_code in (404, 405, 308)
    assert desk.again == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:1", ""])
def test_a_page_that_resolves_its_name_to_this_machine_is_not_answered(desk, host):
    answer = client_of(desk).get("/", headers={"Host": host})
    assert answer.status_code == 400 and PLANNED not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_this_machine_is_answered_by_its_names(desk, host):
    assert client_of(desk).get("/", headers={"Host": host}).status_code == 200


def test_with_a_token_nothing_is_shown_before_it_was_entered(desk):
    client = client_of(desk, host="0.0.0.0", token=TOKEN)
    for address in ("/", f"/studies/{PLANNED}", f"/studies/{PLANNED}/overview.png"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        assert PLANNED not in answer.text
    csrf = hidden(client.get("/login").text, "csrf")
    assert client.post(f"/studies/{REFUSED}/again", data={"csrf": csrf}).status_code == 403
    for wrong in ("", TOKEN[:-1], TOKEN + "x", "ü"):
        assert client.post("/login", data={"csrf": csrf, "token": wrong}).status_code == 403
        assert client.get("/").status_code == 303
    assert client.post("/login", data={"token": TOKEN}).status_code == 403  # sent by another site
    answer = client.post("/login", data={"csrf": csrf, "token": TOKEN})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    page = client.get("/").text
    assert PLANNED in page
    client.post("/logout", data={"csrf": hidden(page, "csrf")})
    assert client.get("/").status_code == 303


def test_a_session_of_another_service_does_not_count(desk):
    client, other = (client_of(desk, token=TOKEN) for _ in range(2))
    csrf = hidden(client.get("/login").text, "csrf")
    client.post("/login", data={"csrf": csrf, "token": TOKEN})
    other.set_cookie("autovolume", client.get_cookie("autovolume").value)
    assert other.get("/").status_code == 303


def test_browsers_run_no_scripts_and_keep_nothing(desk):
    client = client_of(desk)
    for address in ("/", f"/studies/{PLANNED}", f"/studies/{PLANNED}/overview.png", "/style.css", "/none"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "script" not in headers["Content-Security-Policy"]
        assert (headers["Cache-Control"], headers["X-Frame-Options"]) == ("no-store", "DENY")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_too_large_a_form_is_refused(desk):
    assert decide(client_of(desk), comment="x" * 100_000).status_code == 413
    assert decide(client_of(desk), comment="x" * 5_000, by="y" * 5_000).status_code == 303
    (kept,) = read_assessments(desk.states[PLANNED].plan)
    assert (len(kept.comment), len(kept.by)) == (500, 40)


@pytest.mark.parametrize("verdict", ["", "ok", "accepted\0"])
def test_only_the_three_verdicts_are_kept(desk, verdict):
    assert decide(client_of(desk), verdict).status_code == 400
    assert read_assessments(desk.states[PLANNED].plan) == ()


def test_no_text_in_a_request_makes_the_service_fail(desk):
    client = client_of(desk)
    page = client.get(f"/studies/{PLANNED}").text
    known = {"csrf": hidden(page, "csrf"), "plan": hidden(page, "plan"), "verdict": "rejected"}

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=200))
    def feed(text: str, data: bytes) -> None:
        for answer in (
            client.get("/", query_string={"day": text}),
            client.get(f"/studies/{quote(text, safe='')}"),
            client.post(f"/studies/{PLANNED}/assessment", data={**known, "by": text, "comment": text}),
            client.post(f"/studies/{PLANNED}/assessment", data={**known, "plan": text, "verdict": text}),
            client.post("/logout", data=data, content_type="application/x-www-form-urlencoded"),
            client.post("/login", data=data, content_type="multipart/form-data; boundary=x"),
        ):
            assert answer.status_code < 500

    feed()
    assert client.get(f"/studies/{PLANNED}").status_code == 200
    assert {one.verdict for one in read_assessments(desk.states[PLANNED].plan)} == {"rejected"}


def test_damaged_files_are_named_and_stay(desk):
    client, folder = client_of(desk), desk.states[PLANNED].plan
    (folder / "assessment.json").write_text('{"format": "other"}')
    assert decide(client).status_code == 500
    assert (folder / "assessment.json").read_text() == '{"format": "other"}'
    assert "assessment.json" in client.get(f"/studies/{PLANNED}").text
    assert client.get("/").status_code == 200
    (folder / "calibration.json").write_text("{")
    page = client.get(f"/studies/{PLANNED}")
    assert page.status_code == 200 and "is not valid JSON" in page.text
    assert client.get("/").status_code == 200


def test_decisions_are_plain_json(tmp_path):
    one = Assessment("a" * 64, "", "accepted", "2026-11-29T13:00:00+00:00", "AB", "ä")
    add_assessment(tmp_path, one)
    content = json.loads((tmp_path / "assessment.json").read_text(encoding="utf-8"))
    assert content["format"] == "AutoVolumeCalibration/assessment/1"
    assert content["assessments"][0] == vars(one)
    with pytest.raises(InputError):
        (tmp_path / "assessment.json").write_text(json.dumps({**content, "more": 1}), encoding="utf-8")
        read_assessments(tmp_path)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require_packages(PageSettings())
    with pytest.raises(UsageError, match="flask"):
        require_packages(PageSettings(port=1))


def test_without_a_port_nothing_listens(desk):
    with showing(PageSettings(), desk):
        assert not Path("unused").exists()
