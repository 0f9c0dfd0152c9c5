"""Who may open the page and from where: token, session, forged requests, and what browsers are to refuse.

Sessions end with the service, because their key is made when it begins.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, redirect, request, session, url_for

from .settings import PageSettings

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.wrappers import Response as BaseResponse

_logger = logging.getLogger(__name__)

#: No form of the page is near.
_MOST_FORM_BYTES = 16 * 1024

#: A page of another site that resolves its own name to this machine is not answered.
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

#: What anybody may ask for.
_OPEN = frozenset({"login", "style"})

#: The form that opens a plan leads to the browser view, which has another port of this machine.
_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self' http://127.0.0.1:*; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def protect(app: Flask, settings: PageSettings) -> None:
    """Let only those in who may see the page, and only requests that the page itself made change anything."""
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_NAME="autovolume",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        MAX_CONTENT_LENGTH=_MOST_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=_MOST_FORM_BYTES,
    )

    def admit() -> BaseResponse | None:
        if not settings.token and _host_name() not in _LOOPBACK_NAMES:
            abort(400, "This page has another address.")
        # Before the token: a form that another site sent is not even compared with it.
        if request.method == "POST" and not _is_ours(request.form.get("csrf", "")):
            abort(403, "This form is from before the service began. Load the page again.")
        if settings.token and not session.get("entered") and request.endpoint not in _OPEN:
            return redirect(url_for("login"), 303) if request.method == "GET" else abort(403)
        return None

    app.before_request(admit)
    app.after_request(_harden)


def csrf_token() -> str:
    """What every form of this session carries."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(32)
    return str(session["csrf"])


def enter(settings: PageSettings, token: str) -> bool:
    """Begin a session if the token is the right one."""
    if not secrets.compare_digest(token.encode("utf-8", "replace"), settings.token.encode("utf-8")):
        _logger.warning("a wrong token was entered on the page from %s", request.remote_addr)
        return False
    session.clear()  # what was known before entering is of no use afterwards
    session["entered"] = True
    return True


def leave() -> None:
    """End the session."""
    session.clear()


def _host_name() -> str:
    """The name under which the browser knows this page, without the port."""
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_ours(token: str) -> bool:
    ours = str(session.get("csrf", ""))
    return bool(ours) and secrets.compare_digest(token.encode("utf-8", "replace"), ours.encode("utf-8"))


def _harden(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    return response
