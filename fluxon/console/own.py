"""Commands that a project adds to its server's console (``Setup(console_commands=…)``).

Rules of this module:

- None of them stands in place of one of the table's: the first words differ.
- Whatever one does counts as a change: it is in the log with who gave it, and goes on to its end.
- What it returns is shown as what it is: texts as lines, dicts and rows as a table. A program gets it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fluxon.console.command import Argument, Command, Kind, Option
from fluxon.console.console import Action, Run
from fluxon.console.output import Lines, Output, Record, Table, Value
from fluxon.console.served import Served
from fluxon.console.table import COMMANDS
from fluxon.errors import ConfigurationError
from fluxon.routing.lifetime import call
from fluxon.routing.operator_commands import OperatorCommand, Typed

_TAKEN = {each.name.split()[0] for each in COMMANDS}


def own_commands(declared: Mapping[str, OperatorCommand]) -> dict[Command, Action]:
    """Each as the console has commands, with what it does. Raises ``ConfigurationError`` for a name that is taken."""
    for name in declared:
        if name.split()[0] in _TAKEN:
            raise ConfigurationError(
                f"the console has a command {name.split()[0]!r} already; give {name!r} another name"
            )
    return {
        Command(each.name, each.help, tuple(_argument(of) for of in each.parameters), changes=True): partial(_run, each)
        for each in declared.values()
    }


def _argument(parameter: Typed) -> Argument | Option:
    kind = Kind.NUMBER if parameter.number else Kind.WORD
    if not parameter.option:
        return Argument(parameter.name, kind, parameter.required)
    name = f"--{parameter.name.replace('_', '-')}"
    return Option(name, None if parameter.flag else "NUMBER" if parameter.number else "TEXT", kind)


async def _run(command: OperatorCommand, served: Served, run: Run) -> Output:
    given, options = command.call_with(run.values)
    return shown(await call(command.view, run.threads, served.server, *given, **options), run.as_json)


def shown(result: Any, as_json: bool) -> Output:
    """What a function returned, as output."""
    if result is None:
        return None
    if as_json:
        return Value(_plain(result))
    if isinstance(result, Mapping):
        return Record({str(name): value for name, value in result.items()})
    if isinstance(result, list):
        rows = [row for each in result if (row := _named(each)) is not None]
        if rows and len(rows) == len(result) and all(each.keys() == rows[0].keys() for each in rows):
            return Table(tuple(map(str, rows[0])), [tuple(each.values()) for each in rows])
        return Lines([str(each) for each in result] or ["none"])
    return Lines(str(result).split("\n"))


def _named(value: Any) -> dict[str, Any] | None:
    """A dict, or a row, by its names; None for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    return value._asdict() if hasattr(value, "_asdict") else None


def _plain(result: Any) -> Any:
    """For JSON: rows by their names, as they are shown."""
    if isinstance(result, list):
        return [each if (named := _named(each)) is None else named for each in result]
    return result
