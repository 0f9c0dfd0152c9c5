"""The page as a Flask application. Every text from files, images or users is escaped by its templates."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import TYPE_CHECKING

from flask import Flask, abort, redirect, render_template, request, send_file, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from ... import __version__
from ...core.errors import AutoVolumeError, InputError, printable
from ...core.files.resources import resource_path
from ...core.report.style import LEVEL_SIGNS, LEVEL_WORDS
from ...core.storage.results import OVERVIEW_FILE
from .access import csrf_token, enter, leave, protect
from .assessments import VERDICTS, Assessment, add_assessment, latest_about, read_assessments
from .day_view import day_of, day_view, patient_of, time_of
from .desk import DONE, Desk, StudyState
from .plan_view import PlanView, read_plan_view
from .settings import PageSettings
from .viewers import Viewers, can_view

if TYPE_CHECKING:
    from flask import Response
    from werkzeug.wrappers import Response as BaseResponse

#: Characters of what users enter.
LONGEST_NAME, LONGEST_COMMENT = 40, 500


class StudyName(BaseConverter):
    """A digest: nothing else in an address leads to a file."""

    regex = "[0-9a-f]{16}"


class Page:
    """The requests that the page answers.

    Args:
        desk: of the service. settings: of the page. viewers: the plans that are open in the browser.
    """

    def __init__(self, desk: Desk, settings: PageSettings, viewers: Viewers) -> None:
        self._desk, self._settings, self._viewers = desk, settings, viewers

    def day(self) -> str:
        """Queue and plans of a day, today's without the argument ``day``."""
        today = datetime.now().date()
        try:
            wanted = date.fromisoformat(request.args.get("day", today.isoformat()))
        except ValueError:
            abort(404)
        shown = day_view(self._desk.studies(), wanted, self._settings.names)
        to_send, unreadable = self._desk.objects_to_send(), self._desk.unreadable()
        return render_template("day.html", shown=shown, today=today, to_send=to_send, unreadable=unreadable)

    def study(self, name: str) -> str:
        """A plan, with what was decided about it."""
        state = self._state(name)
        plan, plan_problem = self._plan(state)
        try:
            assessments, assessment_problem = read_assessments(state.plan), ""
        except InputError as error:
            assessments, assessment_problem = (), str(error)
        return render_template(
            "study.html",
            state=state,
            day=day_of(state),
            time=time_of(state),
            patient=patient_of(state.images) if self._settings.names else "",
            plan=plan,
            problems=[problem for problem in (plan_problem, assessment_problem) if problem],
            picture=(state.plan / OVERVIEW_FILE).is_file(),
            assessments=assessments[::-1],
            decided=latest_about(assessments, plan.sha256) if plan else None,
            verdicts=VERDICTS,
            view=plan is not None and self._can_view(state),
            longest_name=LONGEST_NAME,
            longest_comment=LONGEST_COMMENT,
        )

    def picture(self, name: str) -> Response:
        """The overview of a plan."""
        path = self._state(name).plan / OVERVIEW_FILE
        if not path.is_file():
            abort(404)
        return send_file(path.absolute(), mimetype="image/png")

    def assess(self, name: str) -> BaseResponse:
        """Keep a decision about the plan that the user saw."""
        state, verdict = self._state(name), request.form.get("verdict", "")
        if verdict not in VERDICTS:
            abort(400, "Choose accept, correct or reject.")
        plan, _problem = self._plan(state)
        if plan is None or plan.sha256 != request.form.get("plan", ""):
            abort(409, "The plan has changed since this page was shown. Look at it again.")
        assessed_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        by, comment = _entered("by", LONGEST_NAME), _entered("comment", LONGEST_COMMENT)
        add_assessment(state.plan, Assessment(plan.sha256, plan.model_sha256, verdict, assessed_at, by, comment))
        return redirect(url_for("study", name=name), 303)

    def open_plan(self, name: str) -> BaseResponse:
        """Open a plan in the browser view, on this machine."""
        state = self._state(name)
        if not self._can_view(state) or self._plan(state)[0] is None:
            abort(409, "There is no plan here that could be opened.")
        return redirect(self._viewers.address_of(state.plan), 303)

    def plan_again(self, name: str) -> BaseResponse:
        """Put a study into the queue once more."""
        if self._state(name).stage != DONE:
            abort(409, "The study is in the queue already.")
        self._desk.plan_again(name)
        return redirect(url_for("day"), 303)

    def login(self) -> str | tuple[str, int] | BaseResponse:
        """Ask for the token, and compare it."""
        if not self._settings.token:
            return redirect(url_for("day"), 303)
        if request.method == "GET":
            return render_template("login.html", wrong=False)
        if enter(self._settings, request.form.get("token", "")):
            return redirect(url_for("day"), 303)
        return render_template("login.html", wrong=True), 403

    def logout(self) -> BaseResponse:
        """End the session."""
        leave()
        return redirect(url_for("login"), 303)

    def style(self) -> Response:
        """The style sheet."""
        return send_file(resource_path("Page", "style.css").absolute(), mimetype="text/css")

    def _can_view(self, state: StudyState) -> bool:
        """With a token the page may be read on another machine, which the view does not answer."""
        return state.stage == DONE and not self._settings.token and self._settings.is_on_this_machine and can_view()

    def _state(self, name: str) -> StudyState:
        state = self._desk.study(name)
        return state if state is not None else abort(404)

    @staticmethod
    def _plan(state: StudyState) -> tuple[PlanView | None, str]:
        """The plan and, where it cannot be read, why."""
        try:
            return read_plan_view(state.plan), ""
        except InputError as error:
            return None, str(error)


def create_app(desk: Desk, settings: PageSettings, viewers: Viewers) -> Flask:
    """The application. Sessions hold as long as it does."""
    app = Flask(__name__, static_folder=None, template_folder=str(resource_path("Page").absolute()))
    app.url_map.converters["study"] = StudyName
    protect(app, settings)
    page = Page(desk, settings, viewers)
    for rule, view, method in (
        ("/", page.day, "GET"),
        ("/studies/<study:name>", page.study, "GET"),
        ("/studies/<study:name>/overview.png", page.picture, "GET"),
        ("/studies/<study:name>/assessment", page.assess, "POST"),
        ("/studies/<study:name>/view", page.open_plan, "POST"),
        ("/studies/<study:name>/again", page.plan_again, "POST"),
        ("/logout", page.logout, "POST"),
        ("/style.css", page.style, "GET"),
    ):
        app.add_url_rule(rule, view.__name__, view, methods=[method])
    app.add_url_rule("/login", "login", page.login, methods=["GET", "POST"])
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(AutoVolumeError, _failed)
    app.register_error_handler(OSError, _failed)
    app.jinja_env.globals.update(
        csrf_token=csrf_token, signs=LEVEL_SIGNS, words=LEVEL_WORDS, version=__version__, settings=settings
    )
    return app


def _entered(field: str, longest: int) -> str:
    """A text that a user entered, on one line, without what steers a terminal or no file can hold."""
    return printable(" ".join(request.form.get(field, "").split()))[:longest]


def _refused(error: HTTPException) -> tuple[str, int]:
    return render_template("message.html", title=error.name, text=error.description), error.code or 500


def _failed(error: Exception) -> tuple[str, int]:
    text = str(error) if isinstance(error, AutoVolumeError) else f"{type(error).__name__} at the service's files"
    return render_template("message.html", title="This did not work", text=text), 500
