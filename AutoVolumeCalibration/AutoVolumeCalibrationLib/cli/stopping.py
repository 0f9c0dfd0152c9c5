"""Whether Ctrl-C or SIGTERM came.

A library that is interrupted while it loads or starts may turn KeyboardInterrupt into an error of its own, or lose it.
"""

from __future__ import annotations

import threading

#: Set by the signal handler of ``main``.
STOPPED = threading.Event()
