"""What a command of the console is: a declaration, without what it does.

Rules of this module: neither Twisted nor a running server is needed to read, list, complete or check a command line.
"""

from __future__ import annotations

import enum

import attrs

from fluxon.errors import InvalidPayload

#: Options that every command has.
JSON_OPTION = "--json"


class WrongUsage(InvalidPayload):
    """The line is no command, or not as the command wants it. Exit status 2."""


class Kind(enum.Enum):
    """What an argument holds: how it is read, and what completes it."""

    WORD = "word"
    NUMBER = "number"
    #: The rest of the line, as it stands.
    JSON = "JSON"
    CODE = "code"
    #: Completed from what the server has.
    COMMAND = "command"
    VIEW = "view"
    USER = "user"
    SESSION = "session"
    CONNECTION = "connection"
    LEVEL = "level"
    LIMIT = "limit"
    PATH = "path"
    ROLE = "role"
    PERMISSION = "permission"


#: What takes the rest of the line, so that quotes and spaces in it need no care.
REST_OF_LINE = (Kind.JSON, Kind.CODE)


@attrs.frozen
class Argument:
    """A value by its place."""

    name: str
    kind: Kind = Kind.WORD
    required: bool = True

    @property
    def shown(self) -> str:
        """``NAME``, or ``[NAME]`` if it may be left out."""
        text = self.name.upper()
        return text if self.required else f"[{text}]"


@attrs.frozen
class Option:
    """A value by its name: ``--plan``, ``--drop Model.field``; or a word such as ``as`` in ``call echo as emma``."""

    name: str
    #: What its value is called; None for one that is there or not.
    takes: str | None = None
    kind: Kind = Kind.WORD
    repeated: bool = False
    short: str | None = None

    @property
    def key(self) -> str:
        """Under which name the command gets it."""
        return self.name.lstrip("-").replace("-", "_") + ("_" if self.name == "as" else "")

    @property
    def shown(self) -> str:
        """``[--drop MODEL.FIELD …]``."""
        inner = self.name if self.short is None else f"{self.short}|{self.name}"
        return f"[{inner}{f' {self.takes}' if self.takes else ''}{' …' if self.repeated else ''}]"


@attrs.frozen
class Command:
    """One command. ``changes`` says that it is logged with who gave it, and never stopped half way."""

    name: str
    help: str
    arguments: tuple[Argument | Option, ...] = ()
    changes: bool = False
    #: It goes on until it is stopped, so that time says nothing of it.
    follows: bool = False
    #: Only where the setup allows it (``Setup(console_python=True)``).
    python: bool = False

    @property
    def places(self) -> list[Argument]:
        """The arguments by place."""
        return [each for each in self.arguments if isinstance(each, Argument)]

    @property
    def options(self) -> list[Option]:
        """The arguments by name."""
        return [each for each in self.arguments if isinstance(each, Option)]

    @property
    def usage(self) -> str:
        """How it is written."""
        return " ".join([self.name, *(each.shown for each in self.arguments)])
