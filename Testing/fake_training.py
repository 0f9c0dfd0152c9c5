"""Takes the place of ``autovolume`` in tests of the training window: the same files and exit codes, no network.

``finetune`` and ``train`` write a log line and two pictures every few hundredths of a second, obey the file ``stop``
and go on with ``--resume``; ``--set seed=13`` fails. ``compare`` writes ``comparison.json``, and fails with
the protocol ``Knee``.
"""

from __future__ import annotations

import argparse
import json
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

STEPS, STEP_S = 5, 0.03
CANCELLED, BAD_INPUT = 130, 3


def main() -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--slow", action="store_true", help="train until stopped")
    arguments, _other = parser.parse_known_args()
    if arguments.command == "compare":
        if "Knee" in sys.argv:
            print("autovolume: the protocol Knee does not fit the model", file=sys.stderr)
            return BAD_INPUT
        time.sleep(60 if arguments.slow else 0)
        (arguments.output / "comparison.json").write_text(json.dumps(arguments.models), encoding="utf-8")
        return 0
    settings = dict(text.partition("=")[::2] for text in arguments.set)
    if settings.get("seed") == "13":
        print("autovolume: set/studies/a: the scouts are damaged. Restore them.", file=sys.stderr)
        return BAD_INPUT
    return train(arguments.output, slow=arguments.slow, resume=arguments.resume)


def train(run: Path, *, slow: bool, resume: bool) -> int:
    """Write a run's files, step by step."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # ends with the step at hand, by the file
    checkpoint = run / "checkpoint.pt"
    first = int(checkpoint.read_text(encoding="utf-8")) + 1 if resume else 1
    last = 10_000 if slow else STEPS
    (run / "config.json").write_text("{}", encoding="utf-8")
    (run / "pictures").mkdir(exist_ok=True)
    for step in range(first, last + 1):
        time.sleep(STEP_S)
        checkpoint.write_text(str(step), encoding="utf-8")
        errors = {"check_median_mm": 10 / step, "check_p95_mm": 52.0}
        line = {"step": step, "steps": last, "loss": 1 / step, **errors, "seconds_left": 90.0}
        with open(run / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        for kind in ("step", "kernels"):
            (run / "pictures" / f"{kind}_{step:06d}.png").write_bytes(picture(step))
        print(f"step {step} of {last}", flush=True)
        if (run / "stop").exists():
            print("autovolume: stopped", file=sys.stderr)
            return CANCELLED
    (run / "bundle").mkdir(exist_ok=True)
    return 0


def picture(step: int) -> bytes:
    """A grey PNG image of 32 x 16 pixels, of another grey at each step."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([40 * step % 256]) * 32 for _row in range(16))
    header = struct.pack(">IIBBBBB", 32, 16, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    sys.exit(main())
