"""Answers to modal dialogs, prepared by the test: nobody is there to click (stand-in)."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """One dialog that the code under test opened."""

    kind: str
    title: str
    text: str


class Dialogs:
    """What was shown, and the prepared answer to the next dialog of each kind.

    Kinds are "QMessageBox", "QDialog", "QMenu" and the functions of QFileDialog, as "QFileDialog.getOpenFileName".
    """

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self._answers: dict[str, deque] = defaultdict(deque)

    def answer(self, kind: str, value: object) -> None:
        """Prepare ``value`` for the next unanswered dialog of this kind ("" is a cancelled file dialog)."""
        self._answers[kind].append(value)

    def ask(self, kind: str, title: str, text: str) -> object:
        """The prepared answer; AssertionError if the test expected no such dialog."""
        self.shown.append(Shown(kind, title, text))
        if not self._answers[kind]:
            raise AssertionError(f"no answer was prepared for {self.shown[-1]}")
        return self._answers[kind].popleft()

    def unused(self) -> list[str]:
        """Kinds for which an answer was prepared that nobody asked for."""
        return [kind for kind, answers in self._answers.items() if answers]

    def reset(self) -> None:
        """Forget everything, before the next test."""
        self.__init__()


dialogs = Dialogs()
