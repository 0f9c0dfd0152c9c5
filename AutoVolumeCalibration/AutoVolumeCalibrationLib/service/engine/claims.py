"""Atomic claims on a shared folder: a study is planned by one process at a time, on whatever machine.

A claim is a file that only one process can create. Its holder touches it regularly, so that the claim of a process
that was killed is known: at once on the same machine, elsewhere because it was not touched for a while.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...core.files.atomic_write import is_running, place

#: How often a claim is touched, and the age at which it has no holder any more.
BEAT_S, STALE_S = 10.0, 60.0


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the claim inside; False where another process holds it."""
    token, stop = uuid.uuid4().hex, threading.Event()
    try:
        if not _take(path, token):
            yield False
            return
        threading.Thread(target=_touch, args=(path, stop), daemon=True).start()
        yield True
    finally:  # also where Ctrl-C comes right after the claim was made
        stop.set()
        _release(path, token)


def remove_if_dead(path: Path) -> bool:
    """Remove a claim whose holder is dead; False where it is held or there is none."""
    before = _content(path)
    if not _is_dead(path, before):
        return False
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.rename(aside)  # one of several processes succeeds
    except FileNotFoundError:
        return False
    try:
        if _content(aside) == before:
            return True
        with suppress(OSError):  # another process was quicker and has claimed it again: this is its claim
            os.link(aside, path)
        return False
    finally:
        aside.unlink(missing_ok=True)


def _take(path: Path, token: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    return _create(path, token) or (remove_if_dead(path) and _create(path, token))


def _create(path: Path, token: str) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        json.dump({"place": place(), "process": os.getpid(), "token": token}, file)
    return True


def _release(path: Path, token: str) -> None:
    if f'"{token}"' in _content(path):  # else another process took it for dead, as after a sleep of this machine
        path.unlink(missing_ok=True)


def _is_dead(path: Path, content: str) -> bool:
    with suppress(ValueError, KeyError, TypeError):  # being written
        holder = json.loads(content)
        if holder["place"] == place() and os.name != "nt" and not is_running(int(holder["process"])):
            return True
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return False
    return _now(path.parent) - touched > STALE_S


def _now(folder: Path) -> float:
    """The time by the clock of the file server, which may differ from this machine's."""
    probe = folder / f"{uuid.uuid4().hex}.now"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _touch(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        with suppress(OSError):
            os.utime(path)
