"""``/health`` and ``/metrics`` of a service, on this machine only: numbers, and nothing of patients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ...core.errors import UsageError

#: Name -> number, as of now.
Facts = Callable[[], Mapping[str, float]]

_HOST = "127.0.0.1"


@contextmanager
def reporting(port: int, facts: Facts) -> Iterator[None]:
    """Answer in other threads while the body runs; nothing where ``port`` is 0.

    Raises:
        UsageError: the port is in use.
    """
    if not port:
        yield
        return
    try:
        server = ThreadingHTTPServer((_HOST, port), _handler(facts))
    except OSError as error:
        what = f"cannot be used for health reports ({error.strerror or error})"
        raise UsageError(what, source=f"{_HOST}:{port}", remedy="Choose another health_port.") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(facts: Facts) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that the base class calls
            pages = {"/health": ("application/json", _json), "/metrics": ("text/plain; version=0.0.4", _prometheus)}
            page = pages.get(self.path)
            if page is None:
                self.send_error(404)
                return
            kind, text = page
            try:
                code, body = 200, text(facts()).encode("utf-8")
            except OSError as error:  # the folder of the spool is gone, or its disk
                code, kind = 503, "application/json"
                body = json.dumps({"status": "error", "error": error.strerror or str(error)}).encode("utf-8")
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Not a line for each question of a monitor."""

    return Handler


def _json(facts: Mapping[str, float]) -> str:
    return json.dumps({"status": "ok", **facts})


def _prometheus(facts: Mapping[str, float]) -> str:
    return "".join(f"autovolume_{name} {value:g}\n" for name, value in facts.items())
