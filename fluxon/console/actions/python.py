"""Python in the server's process, where the setup allows it.

Rules of this module:

- Off unless ``Setup(console_python=True)``: whoever has the prompt has everything.
- ``await`` works at the top level. A coroutine is stepped here, so that what it prints at any step comes to whoever
  asked, and not to the server's own output; other threads are not waited for and print where they always do.
"""

from __future__ import annotations

import ast
import codeop
import contextlib
import inspect
import io
import traceback
from collections.abc import Callable
from types import CodeType
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from fluxon.console.command import WrongUsage
from fluxon.console.console import Run
from fluxon.console.output import Lines, Output
from fluxon.console.served import Served
from fluxon.errors import FluxonError, PermissionDenied

#: A value's text is cut there: a table of a million rows is no answer.
_LONGEST = 20_000
_NAME = "<console>"


async def python(served: Served, run: Run) -> Output:
    """A line of the prompt, one expression, or the beginning of the prompt."""
    if not served.setup.console_python:
        raise PermissionDenied("Python is not allowed here; Setup(console_python=True) allows it")
    prompt: Prompt | None = run.memory.get("python prompt")
    code = run["code"]
    if prompt is None:
        prompt = Prompt(served)
        if code is None and run.memory.get("interactive"):
            run.memory["python prompt"] = prompt
            names = ", ".join(sorted(each for each in prompt.names if not each.startswith("_")))
            return Lines([f"names: {names}. An empty line ends a block; exit ends the prompt."])
        if code is None:
            raise WrongUsage("give it code: python await User.Count()")
        return await prompt.run(code, run)
    line = run["code"] or ""
    if not prompt.lines and line.strip() in ("exit", "quit", "exit()", "quit()"):
        del run.memory["python prompt"]
        return None
    return await prompt.line(line, run)


class Prompt:
    """Names, and the lines of a block that is not complete yet."""

    def __init__(self, served: Served) -> None:
        self.names: dict[str, Any] = {
            "server": served.server,
            "setup": served.setup,
            "sessions": served.sessions,
            "database": served.database,
            "reactor": served.reactor,
            "cloud": None if served.storage is None else served.server.cloud,
            **{each.__name__: each for each in (served.database.models if served.database is not None else [])},
        }
        self.lines: list[str] = []

    async def line(self, line: str, run: Run) -> Output:
        """One line; runs what is complete with it."""
        self.lines.append(line)
        source = "\n".join(self.lines)
        try:
            code = _compiled(source)
        except (SyntaxError, ValueError, OverflowError) as error:
            self.lines.clear()
            return Lines([_told(error)])
        if code is None:
            return None
        self.lines.clear()
        await self._carry_out(code, run)
        return None

    async def run(self, source: str, run: Run) -> Output:
        """Whole code; what it raises is the command's failure."""
        try:
            code = compile(source, _NAME, "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except (SyntaxError, ValueError) as error:
            raise WrongUsage(_told(error)) from None
        raised = await self._carry_out(code, run)
        if raised is not None:
            raise FluxonError(_told(raised))
        return None

    async def _carry_out(self, code: CodeType, run: Run) -> BaseException | None:
        """None, or what it raised, after its traceback was shown."""
        try:
            await _stepped(lambda: eval(code, self.names), run)
        except (CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            lines = traceback.format_exc().rstrip().split("\n")
            # Without the frames of the console.
            first = next((index for index, each in enumerate(lines) if f'"{_NAME}"' in each), 1)
            run.write(Lines([lines[0], *lines[first:]]))
            return error
        return None


def _told(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].rstrip()


def _compiled(source: str) -> CodeType | None:
    """The code of complete source, None if more lines are to come."""
    command = codeop.CommandCompiler()
    command.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    # The prompt's rule: a block of several lines ends with an empty one.
    return command(source, _NAME, "single")


async def _stepped(begin: Callable[[], Any], run: Run) -> None:
    """Run code, and what it awaits, with everything that it prints shown to ``run``."""
    with _captured(run):
        result = begin()
    if not inspect.iscoroutine(result):
        return
    value: Any = None
    error: BaseException | None = None
    while True:
        with _captured(run):
            try:
                awaited = result.send(value) if error is None else result.throw(error)
            except StopIteration:
                return
        value, error = None, None
        try:
            value = await awaited if isinstance(awaited, Deferred) else _not_awaitable(awaited)
        except BaseException as raised:
            error = raised


def _not_awaitable(awaited: Any) -> Any:
    raise TypeError(f"the console can await Deferreds and coroutines, not {type(awaited).__name__}")


@contextlib.contextmanager
def _captured(run: Run) -> Any:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        text = printed.getvalue()
        if text:
            cut = text[:_LONGEST] + ("…" if len(text) > _LONGEST else "")
            run.write(Lines(cut.rstrip("\n").split("\n")))
