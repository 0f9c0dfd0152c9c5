"""What the page is configured with: the table ``[page]`` of the configuration."""

from __future__ import annotations

from dataclasses import dataclass

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class PageSettings:
    """Where the page is and who may open it.

    Attributes:
        port: 0 for no page.
        host: address to listen on.
        token: that users enter; empty: whoever reaches this machine's loopback address may open the page.
        names: show names and IDs of patients.
    """

    port: int = 0
    host: str = "127.0.0.1"
    token: str = ""
    names: bool = False

    @property
    def is_on_this_machine(self) -> bool:
        """Whether other machines cannot reach it."""
        return self.host in _THIS_MACHINE

    @property
    def address(self) -> str:
        """Of the page, for messages."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"
