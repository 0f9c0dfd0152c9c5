"""Send what waits in the outboxes while the service runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ...core.errors import AutoVolumeError
from .configuration import Configuration
from .outbox import Outbox
from .spool import OUTBOX

_logger = logging.getLogger(__name__)

_POLL_S = 0.5


@contextmanager
def sending(configuration: Configuration) -> Iterator[None]:
    """Send what waits, in another thread: a node that does not answer keeps nothing else waiting."""
    (configuration.spool / OUTBOX).mkdir(exist_ok=True)
    stop = threading.Event()
    common = (configuration.title, configuration.tls)
    outboxes = [Outbox(configuration.spool, one, *common) for one in configuration.destinations]

    def send(outbox: Outbox) -> None:
        while not stop.wait(_POLL_S):
            try:
                outbox.send()
            except (OSError, AutoVolumeError) as error:
                _logger.warning("sending failed: %s", error)

    threads = [threading.Thread(target=send, args=(outbox,), daemon=True) for outbox in outboxes]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
