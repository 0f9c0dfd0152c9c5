"""Self-made certificates for the tests of TLS."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


@dataclass(frozen=True)
class Certificate:
    """A certificate that is its own authority, and its key."""

    file: Path
    key: Path

    def flags(self, trusted: Path) -> list[str]:
        """For dcmtk: use it, and trust those in a file."""
        return ["+tls", str(self.key), str(self.file), "+cf", str(trusted)]


def certificate(folder: Path, name: str) -> Certificate:
    """A new one, for two days."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-out", made.file, "-keyout", made.key], check=True, capture_output=True, timeout=60)
    return made
