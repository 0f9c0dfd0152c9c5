"""The page on a server of this machine, until the user ends the command."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..core.errors import UsageError
from .needs import choose_window
from .opened import OpenedPlan

_HOST = "127.0.0.1"


def require_port(port: int) -> None:
    """Raise UsageError where the page cannot listen on ``port``; 0 stands for any free one."""
    try:
        socket.create_server((_HOST, port)).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        what = f"cannot be used for the page ({reason})"
        raise UsageError(what, source=f"{_HOST}:{port}", remedy="Choose another --port.") from error


def serve(opened: OpenedPlan, port: int, on_ready: Callable[[str], None], close_after_s: float | None = None) -> None:
    """Show the plan until KeyboardInterrupt, or until no window has shown it for ``close_after_s``.

    Args:
        port: 0 for any free one.
        on_ready: receives the address of the page, with its key.
    """
    choose_window()
    # trame reads the command line and these variables, which could open the page to other machines.
    sys.argv[1:] = []
    os.environ.pop("TRAME_ARGS", None)
    os.environ["WSLINK_READY_MSG"] = ""
    with TemporaryDirectory() as scratch:
        asyncio.run(_serve(opened, port, on_ready, close_after_s, Path(scratch)))


async def _serve(
    opened: OpenedPlan, port: int, on_ready: Callable[[str], None], close_after_s: float | None, scratch: Path
) -> None:
    from trame.app import get_server

    from .admission import Admission
    from .desk import Desk
    from .page import Page

    key = secrets.token_urlsafe(24)
    admission = Admission(key)
    server = get_server("autovolume-view", client_type="vue3")
    server.cli.set_defaults(authKey=key, host=_HOST)
    desk = Desk(opened, scratch)
    try:
        Page(server, desk)
        server.controller.on_server_bind.add(lambda bound: _protect(bound.app, admission))
        ready = asyncio.ensure_future(_register(server, desk, key, on_ready))
        serving = server.start(
            host=_HOST,
            port=port,
            timeout=0,
            thread=True,  # signals are the command's own
            open_browser=False,
            show_connection_info=False,
            exec_mode="coroutine",
        )
        await _until_left(serving, admission, close_after_s)
        await ready
    finally:
        await desk.close()


async def _until_left(serving: Awaitable[None], admission: Any, close_after_s: float | None) -> None:
    """Serve; with a limit until no window has been open for so long."""
    if close_after_s is None:
        await serving
        return
    tasks = [asyncio.ensure_future(serving), asyncio.ensure_future(admission.left_for(close_after_s))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _protect(app: Any, admission: Any) -> None:
    from aiohttp import web

    from .admission import WAITING

    async def waiting(_request: web.Request) -> web.Response:
        return web.Response(text=WAITING, content_type="text/html")

    admission.protect(app)
    app.router.add_get("/loading.tpl", waiting)


async def _register(server: Any, desk: Any, key: str, on_ready: Callable[[str], None]) -> None:
    await server.ready
    for view in desk.views.values():
        server.controller.rc_area_register(view.adapter)
    on_ready(f"http://{_HOST}:{server.port}/?secret={key}")
