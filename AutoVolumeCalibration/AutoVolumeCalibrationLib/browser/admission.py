"""Who may open the page: the one window whose user has the key, on this machine."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})
_SOCKET = "/ws"
_PAGE = "/index.html"
_PAGES = frozenset({"/", _PAGE})
#: A window that is loaded again connects before the server has noticed that the old connection ended.
_PATIENCE_S, _POLL_S = 3.0, 0.05
_LOOK_S = 0.5

#: trame compiles its page in the browser, which needs eval; nothing is fetched from, or sent to, another place.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

WAITING = (
    "<p style='font: 16px sans-serif; margin: 2em'>Opening the plan. If this text stays, the plan is open in another "
    "window: close that one, and it opens here.</p>"
)
#: Asks again every second. A window that is loaded again frees the plan only once it shows another page: this one.
_ASK_AGAIN = f"<!doctype html><meta charset='utf-8'><meta http-equiv='refresh' content='1'>{WAITING}"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admission:
    """Decides about each request.

    The address with the key sets a cookie, which admits to the rest; without either everything is refused. A second
    window waits while the first is open, because both would move the same points.

    Args:
        key: a secret of this process.
    """

    def __init__(self, key: str) -> None:
        self._key, self._taken = key, False
        self._left_at = time.monotonic()

    def protect(self, app: web.Application) -> None:
        """Let no request of ``app`` go unseen; before it starts."""

        @web.middleware
        async def admit(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await self._admit(request, handler)

        app.middlewares.append(admit)

    async def _admit(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        # A page of another site that resolves its own name to this machine is not answered.
        if (urlsplit(f"//{request.host}").hostname or "") not in _LOOPBACK_NAMES:
            raise web.HTTPBadRequest(text="This page has another address.", headers=_HEADERS)
        cookie = f"autovolume-view-{request.url.port}"  # cookies of a machine are shared by all its ports
        shown = request.query.get("secret", "")
        if not (self._is_key(shown) or self._is_key(request.cookies.get(cookie, ""))):
            text = "This page opens only with the address that the command printed."
            raise web.HTTPForbidden(text=text, headers=_HEADERS)
        if request.path in _PAGES and not self._is_key(shown):
            raise web.HTTPFound(f"/index.html?secret={self._key}", headers=_HEADERS)  # the window is loaded again
        if request.path == _PAGE and self._taken:
            waiting = web.Response(text=_ASK_AGAIN, content_type="text/html")
            self._complete(waiting, cookie)
            return waiting
        if request.path == _SOCKET:
            return await self._only_one(request, handler)
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            self._complete(answer, cookie)
            raise
        self._complete(response, cookie)
        return response

    async def _only_one(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        limit = loop.time() + _PATIENCE_S
        while self._taken and loop.time() < limit:
            await asyncio.sleep(_POLL_S)
        if self._taken:
            raise web.HTTPConflict(text="The plan is open in another window.", headers=_HEADERS)
        self._taken = True
        try:
            return await handler(request)
        finally:
            self._taken, self._left_at = False, time.monotonic()

    async def left_for(self, seconds: float) -> None:
        """Return once no window has been open for so long, since the last one closed or since the beginning."""
        while self._taken or time.monotonic() - self._left_at < seconds:
            await asyncio.sleep(_LOOK_S)

    def _is_key(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._key.encode("ascii"))

    def _complete(self, response: web.StreamResponse, cookie: str) -> None:
        response.headers.update(_HEADERS)
        response.set_cookie(cookie, self._key, httponly=True, samesite="Strict", path="/")
