"""A real browser for the tests of pages: headless Chromium, driven over its debugging pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from child_processes import started

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_PATIENCE_S = 60.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--window-size=1200,900",
    "--remote-debugging-pipe",
)


class Browser:
    """One tab of a browser.

    Args:
        commands, answers: file descriptors of the pipe.
        scripts: whether pages may run scripts.

    Attributes:
        requests: the addresses that the pages asked for, sockets included, in their order.
    """

    def __init__(self, commands: int, answers: int, scripts: bool = False) -> None:
        self._commands, self._answers = commands, answers
        self.requests: list[str] = []
        self._pending, self._number, self._session = b"", 0, None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Network.enable")
        self._call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def open(self, address: str) -> None:
        """Load a page and wait for it."""
        self._mark()
        self._call("Page.navigate", url=address)
        self._wait_for_another_page()

    def click(self, selector: str) -> None:
        """Click an element that leads to another page, and wait for that."""
        self._mark()
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        self._wait_for_another_page()

    def enter(self, selector: str, text: str) -> None:
        """Type a text into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def mouse(self, kind: str, x: float, y: float, *, held: bool = False) -> None:
        """Play the mouse at a position of the window in pixels from its upper left corner.

        Args:
            kind: "mouseMoved", "mousePressed" or "mouseReleased", with the left button.
            held: the button is held while the mouse moves.
        """
        pressed = kind != "mouseMoved" or held
        self._call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left" if pressed else "none",
            buttons=int(pressed and kind != "mouseReleased"),
            clickCount=int(kind != "mouseMoved"),
        )

    def scroll(self, x: float, y: float, by: float) -> None:
        """Turn the mouse wheel over a position of the window by some pixels; downwards where positive."""
        self._call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def wait_for(self, expression: str, seconds: float = _PATIENCE_S) -> Any:
        """The value of an expression in the page once it is true."""
        limit = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < limit, f"never true: {expression}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        """What the user reads."""
        return self.evaluate("document.body.innerText")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, of what it promises. The tests may always run scripts."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=self._whole_page())
        path.write_bytes(base64.b64decode(answer["data"]))

    def _whole_page(self) -> dict[str, float]:
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def _mark(self) -> None:
        self.evaluate("document.documentElement.dataset.before = 1")

    def _wait_for_another_page(self) -> None:
        limit = time.monotonic() + _PATIENCE_S
        ready = "document.readyState == 'complete' && !document.documentElement.dataset.before"
        while not self.evaluate(ready):
            assert time.monotonic() < limit, "the browser shows no new page"
            time.sleep(0.1)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next_message())
            self._note(answer)
            if answer.get("id") == self._number:
                if "error" in answer and "context" in answer["error"]["message"]:  # between two pages
                    return {"result": {}}
                assert "error" not in answer, answer
                return answer["result"]

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") == "Network.webSocketCreated":
            self.requests.append(message["params"]["url"])

    def _next_message(self) -> bytes:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE_S)
            data = os.read(self._answers, 2**20) if ready else b""
            assert data, "the browser does not answer"
            self._pending += data
        message, _, self._pending = self._pending.partition(b"\0")
        return message


@contextmanager
def browser(profile: Path, *, scripts: bool = False) -> Iterator[Browser]:
    """A browser with its profile in a new folder; it is ended in any case."""
    assert CHROMIUM
    for_it, commands = os.pipe()
    answers, from_it = os.pipe()
    line = shlex.join([CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"])
    # It reads file descriptor 3 and writes 4.
    shell = ["bash", "-c", f"exec {line} 3<&{for_it} 4>&{from_it}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with started(shell, pass_fds=(for_it, from_it), **quiet):
        os.close(for_it)
        os.close(from_it)
        try:
            yield Browser(commands, answers, scripts)
        finally:
            os.close(commands)
            os.close(answers)
