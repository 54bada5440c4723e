"""Commands that a project adds to the console: what a function's signature says of how it is typed.

Rules of this module:

- A function is given the server, and then what was typed: a parameter by position is a word, ``int`` a number, and a
  default says that it may be left out. One that is keyword only is an option, ``bool`` one that is there or not.
- What cannot be typed is an error when the setup is made. Annotations are read as they are written, never evaluated.
- It runs as a view does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

import attrs

from fluxon.errors import ConfigurationError
from fluxon.routing.mapping import View, make_operator_command

_NAME = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)?")

#: Annotations, and whether what is typed is a number.
_TYPED = {"str": False, "int": True, "str|None": False, "int|None": True, "None|str": False, "None|int": True}


@attrs.frozen
class Typed:
    """One parameter: ``number`` or text, by place or, as ``option``, by name; ``flag`` is there or not."""

    name: str
    number: bool = False
    required: bool = True
    option: bool = False
    flag: bool = False


@attrs.frozen
class OperatorCommand:
    """A command: its name, what ``help`` says, and its function."""

    name: str
    help: str
    view: View
    parameters: tuple[Typed, ...]

    def call_with(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What the function is given after the server; what was not typed is left to its defaults."""
        given = [each for each in self.parameters if values.get(each.name) is not None]
        by_place = [values[each.name] for each in given if not each.option]
        return by_place, {each.name: values[each.name] for each in given if each.option}


def operator_commands(functions: Any) -> dict[str, OperatorCommand]:
    """The commands that ``Setup(console_commands=…)`` declares. Raises ``ConfigurationError`` naming what is wrong."""
    if not isinstance(functions, Mapping):
        raise ConfigurationError('console_commands is a dict of names and functions: {"agents add": add_agent}')
    return {name: _command(name, function) for name, function in functions.items()}


def _command(name: Any, function: Any) -> OperatorCommand:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"the name of a command is one or two words of small letters, not {name!r}")
    view = make_operator_command(name, function)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        raise ConfigurationError(f"the command {name!r} takes the server first, and then what is typed")
    first_line = (inspect.getdoc(function) or name).partition("\n")[0].rstrip(".")
    return OperatorCommand(name, first_line, view, tuple(_typed(name, each) for each in parameters[1:]))


def _typed(name: str, parameter: Parameter) -> Typed:
    what = f"{parameter.name} of the command {name!r}"
    if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
        raise ConfigurationError(f"{what}: a command has a fixed number of parameters, * is none")
    option = parameter.kind is Parameter.KEYWORD_ONLY
    required = parameter.default is Parameter.empty
    if option and (required or parameter.name == "json"):
        raise ConfigurationError(f"{what}: an option has a default, and is not called json")
    annotation = parameter.annotation
    written = "str" if annotation is Parameter.empty else getattr(annotation, "__name__", None) or str(annotation)
    written = annotation if isinstance(annotation, str) else written
    if option and written == "bool" and parameter.default is False:
        return Typed(parameter.name, required=False, option=True, flag=True)
    number = _TYPED.get(written.replace(" ", ""))
    if number is None:
        raise ConfigurationError(f"{what} is a str or an int, or, after *, a bool that is False unless typed")
    return Typed(parameter.name, number, required, option)
