"""One person at one server: lines in, output and an exit status out. Both faces, SSH and terminal, drive this.

Rules of this module:

- One command at a time. What changes something is logged with who asked for it, before it begins and at its end;
  what could be a secret (a payload) is not.
- Giving up stops what only looks. What changes something goes on to its end, and the log says how that was.
- An error is one line; a fault of a command's own code is in the log with its traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.console import candidates
from fluxon.console.available import available
from fluxon.console.command import Command, WrongUsage
from fluxon.console.output import Lines, Output
from fluxon.console.parsing import Parsed, complete, parse
from fluxon.console.rendering import safe, to_json, to_text
from fluxon.console.served import Served
from fluxon.console.table import COMMANDS
from fluxon.errors import FluxonError
from fluxon.workers import WorkerPool

T = TypeVar("T")

_log = Logger(namespace="fluxon.console")

DONE = 0
FAILED = 1
WRONG = 2
#: As a shell says of what Ctrl+C ended.
STOPPED = 130

_PYTHON = next(each for each in COMMANDS if each.python)

#: Seconds after which somebody at a terminal is told that a command is still at work, and told again.
STILL_EVERY = 10.0

#: Longer lines are no commands.
MAX_LINE = 64 * 1024


class Sink(Protocol):
    """Where output goes."""

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where a program reads."""

    @property
    def has_room(self) -> bool:
        """Whether what was written before has mostly been taken."""

    def write(self, lines: list[str]) -> None:
        """Lines of output."""

    def complain(self, line: str) -> None:
        """One line of what went wrong."""


@attrs.define
class Run:
    """A command on its way: what it was asked, and what it may use."""

    values: dict[str, Any]
    operator: str
    sink: Sink
    as_json: bool
    threads: WorkerPool
    #: Of this console, for as long as it lasts.
    memory: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def write(self, output: Output) -> None:
        """Show something before the end."""
        self.sink.write([to_json(output)] if self.as_json else to_text(output, self.sink.width))

    def progress(self, text: str) -> None:
        """Say how far it is; not to programs, which wait for the end."""
        if not self.as_json:
            self.write(Lines([text]))

    def in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run what blocks."""
        return self.threads.submit(function, *args)


Action = Callable[[Served, Run], Any]


class Console:
    """Carries out lines for ``operator``: a key's name and fingerprint, or ``terminal``."""

    def __init__(self, served: Served, operator: str, threads: WorkerPool, actions: dict[str, Action]) -> None:
        self.served = served
        self.operator = operator
        self._threads = threads
        self._actions = {**actions, **{command.name: action for command, action in served.own.items()}}
        self._memory: dict[str, Any] = {}
        self._running: tuple[Command, Deferred[Any], Deferred[int]] | None = None
        self._waiting: Any = None
        self.commands = available(served)

    @property
    def busy(self) -> bool:
        """Whether a command is under way."""
        return self._running is not None

    @property
    def memory(self) -> dict[str, Any]:
        """What commands keep from one line to the next."""
        return self._memory

    def complete(self, line: str) -> tuple[str, list[str]]:
        """The part of the last word that is there, and the words it could become."""
        if self._memory.get("python prompt") is not None:
            return "", []
        return complete(line, lambda kind: candidates.of(kind, self.served), self.commands)

    def run(self, line: str, sink: Sink) -> Deferred[int]:
        """Carry out one line; fires with its exit status, never fails. One at a time."""
        prompting = self._memory.get("python prompt") is not None
        if not prompting and (not line.strip() or line.lstrip().startswith("#")):
            return succeed(DONE)
        if len(line) > MAX_LINE:
            sink.complain(f"a line of more than {MAX_LINE:,} characters is no command")
            return succeed(WRONG)
        if prompting:
            # Every space counts.
            return self._begin(Parsed(_PYTHON, {"code": line}, False, _PYTHON.name), sink)
        try:
            parsed = parse(line, self.commands)
        except WrongUsage as error:
            sink.complain(safe(error.text))
            return succeed(WRONG)
        return self._begin(parsed, sink)

    def interrupt(self) -> None:
        """Ctrl+C, or nobody is there any more."""
        if self._running is None:
            return
        command, work, outcome = self._running
        if not command.changes or command.python:
            work.cancel()
        else:
            _log.info(
                "console: {operator} does not wait for {name}, which goes on", operator=self.operator, name=command.name
            )
            self._running = None
            self._tell_no_more()
            outcome.callback(STOPPED)

    def _begin(self, parsed: Parsed, sink: Sink) -> Deferred[int]:
        run = Run(parsed.values, self.operator, sink, parsed.as_json, self._threads, self._memory)
        if parsed.command.changes:
            _log.info("console: {operator}: {told}", operator=self.operator, told=parsed.told)
        outcome: Deferred[int] = Deferred()
        action = self._actions[parsed.command.name]
        work = Deferred.fromCoroutine(_carried_out(action, self.served, run))
        self._running = (parsed.command, work, outcome)
        if not work.called and not parsed.command.follows and not parsed.as_json:
            self._tell_later(parsed.command.name, sink, 1)
        work.addBoth(self._ended, parsed, sink, outcome)
        return outcome

    def _tell_later(self, name: str, sink: Sink, times: int) -> None:
        """Say now and then that work goes on; not to programs."""

        def tell() -> None:
            if sink.width is not None and sink.has_room:
                sink.write([f"{name}: at work for {times * STILL_EVERY:.0f} seconds"])
            self._tell_later(name, sink, times + 1)

        self._waiting = self.served.reactor.callLater(STILL_EVERY, tell)

    def _tell_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _ended(self, result: Any, parsed: Parsed, sink: Sink, outcome: Deferred[int]) -> None:
        status, said = DONE, "done"
        if isinstance(result, Failure):
            status, said = self._failed(result, parsed)
        if parsed.command.changes:
            _log.info("console: {operator}: {told}: {said}", operator=self.operator, told=parsed.told, said=safe(said))
        if outcome.called:  # nobody waited for it
            return
        self._running = None
        self._tell_no_more()
        try:
            if status:
                sink.complain(f"{parsed.command.name}: {safe(said)}")
            elif result is not None:
                sink.write([to_json(result)] if parsed.as_json else to_text(result, sink.width))
        except Exception:
            _log.failure("showing the output of {name}", name=parsed.command.name)
            status = FAILED
            sink.complain(f"{parsed.command.name}: it was done, and its output cannot be shown; see the log")
        outcome.callback(status)

    def _failed(self, failure: Failure, parsed: Parsed) -> tuple[int, str]:
        error = failure.value
        if isinstance(error, CancelledError):
            return STOPPED, "stopped"
        if isinstance(error, WrongUsage):
            return WRONG, error.text
        if isinstance(error, FluxonError):
            return FAILED, error.text
        _log.failure("console: {name} failed", failure, name=parsed.command.name)
        return FAILED, f"{type(error).__name__}: {error}; its traceback is in the log"


async def _carried_out(action: Action, served: Served, run: Run) -> Output:
    output: Output = await action(served, run)
    return output
