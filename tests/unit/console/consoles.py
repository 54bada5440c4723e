"""A console whose commands do what a test says, and a sink that remembers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from fluxon.console.console import Action, Console
from fluxon.workers import WorkerPool


class Said:
    """A ``Sink``."""

    width: int | None = None
    has_room = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []

    def write(self, lines: list[str]) -> None:
        self.lines += lines

    def complain(self, line: str) -> None:
        self.errors.append(line)


def console_of(actions: dict[str, Action], *, python: bool = False, clock: Clock | None = None) -> Console:
    """A console of no server at all. Time is the test's."""
    served: Any = SimpleNamespace(setup=SimpleNamespace(console_python=python), own={}, reactor=clock or Clock())
    return Console(served, "emma (SHA256:x)", WorkerPool("console", 1, reactor), actions)  # type: ignore[arg-type]


class Slow:
    """An action that waits until the test says what it answers."""

    def __init__(self) -> None:
        self.waiting: Deferred[Any] = Deferred()
        self.stopped = 0

    async def __call__(self, served: Any, run: Any) -> Any:
        try:
            return await self.waiting
        except CancelledError:
            self.stopped += 1
            raise
