"""Somebody at a server's console, without a terminal or SSH between."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor

from fluxon.console.actions import ACTIONS
from fluxon.console.console import DONE, Console
from fluxon.endpoint import AsyncServer
from fluxon.workers import WorkerPool


class Said:
    """What an operator sees."""

    width: int | None = None
    has_room = True

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: list[str]) -> None:
        self.lines += lines

    def complain(self, line: str) -> None:
        self.lines.append(line)


class Operator:
    """Somebody at the console of ``server``."""

    def __init__(self, server: AsyncServer) -> None:
        self._threads = WorkerPool("console", 1, reactor)  # type: ignore[arg-type]
        self.console = Console(server.served, "emma (SHA256:x)", self._threads, ACTIONS)

    async def type(self, line: str, status: int = DONE) -> str:
        """What the server answers, which ends with ``status``."""
        said = Said()
        found = await self.console.run(line, said)
        text = "\n".join(said.lines)
        assert found == status, (line, found, text)
        return text

    async def told(self, line: str) -> Any:
        """The same for a program."""
        return json.loads(await self.type(f"{line} --json"))

    def offered(self, line: str) -> list[str]:
        """What Tab offers for the last word."""
        return self.console.complete(line)[1]

    def leave(self) -> None:
        self._threads.stop()
