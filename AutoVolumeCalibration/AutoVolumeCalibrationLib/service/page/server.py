"""The page while a service runs, in threads of its process."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...core.errors import UsageError
from ...core.install_remedy import install_remedy
from .desk import Desk
from .settings import PageSettings

_logger = logging.getLogger(__name__)

_THREADS = 4
_MOST_CONNECTIONS = 50
_POLL_S, _END_S = 0.5, 10.0
#: A request that takes longer to come is not answered.
_SILENCE_S = 30
_MOST_BODY_BYTES, _MOST_HEADER_BYTES = 64 * 1024, 16 * 1024


@contextmanager
def showing(settings: PageSettings, desk: Desk) -> Iterator[None]:
    """Show the page while the body runs; nothing where its port is 0.

    Raises:
        UsageError: the address is in use or is not one of this machine, or a package is missing.
    """
    if not settings.port:
        yield
        return
    require_packages(settings)
    from waitress.server import create_server

    from .app import create_app
    from .viewers import Viewers

    viewers = Viewers()
    channels: dict[int, Any] = {}
    server = create_server(
        create_app(desk, settings, viewers),
        map=channels,
        sockets=[_listening(settings)],
        threads=_THREADS,
        connection_limit=_MOST_CONNECTIONS,
        channel_timeout=_SILENCE_S,
        max_request_body_size=_MOST_BODY_BYTES,
        max_request_header_size=_MOST_HEADER_BYTES,
        ident=None,
    )
    stop = threading.Event()
    thread = threading.Thread(target=_answer, args=(server, channels, stop), daemon=True)
    thread.start()
    _logger.info("the page of the day is at %s", settings.address)
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_S)
        viewers.close()


def _listening(settings: PageSettings) -> socket.socket:
    """The socket of the page; made first, because the server begins its threads before it finds the address in use."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        what = f"cannot be used for the page ({error.strerror or error})"
        raise UsageError(what, source=settings.address, remedy="Choose another port or host of [page].") from error


def _answer(server: Any, channels: dict[int, Any], stop: threading.Event) -> None:
    """Answer until ``stop`` is set.

    ``server.run`` has no end, and closing its sockets from another thread breaks whatever it is doing.
    """
    from waitress import wasyncore

    while not stop.is_set():
        wasyncore.loop(timeout=_POLL_S, use_poll=True, map=channels, count=1)
    server.task_dispatcher.shutdown()
    wasyncore.close_all(channels)


def require_packages(settings: PageSettings) -> None:
    """Raise UsageError where a page is wanted and a package for it is missing."""
    from importlib.util import find_spec

    missing = [name for name in ("flask", "waitress") if settings.port and find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the Python package {missing[0]} is missing, which the page needs",
            remedy=install_remedy(missing[0], "service"),
        )
