"""What a program gives to a constructor, checked when it is given.

Rules of this module: pure. A value of a wrong kind is a ``ConfigurationError`` that names the keyword, says what to
write, and shows what was written; nothing is guessed from it. A text is no flag: ``"no"``, as a variable of the
environment gives it, would be true.
"""

from __future__ import annotations

import os
from typing import Any

from fluxon.errors import ConfigurationError
from fluxon.limits import MAX_INT


def check_flag(name: str, value: object) -> None:
    """True or False."""
    if value is not True and value is not False:
        raise ConfigurationError(f"{name} is True or False, not {shown(value)}")


def check_count(name: str, value: object, most: int = MAX_INT, *, optional: bool = False) -> None:
    """A whole number from 0 to ``most``; or None, if it is ``optional``."""
    if optional and value is None:
        return
    if type(value) is not int or not 0 <= value <= most:
        bounds = "from 0 on" if most == MAX_INT else f"from 0 to {most:,}"
        raise ConfigurationError(
            f"{name} is a whole number {bounds}{', or None' if optional else ''}, not {shown(value)}"
        )


def check_function(name: str, value: object, *, optional: bool = True) -> None:
    """A function; or None, if it is ``optional``."""
    if not callable(value) and not (optional and value is None):
        raise ConfigurationError(f"{name} is a function{', or None' if optional else ''}; not {shown(value)}")


def check_reactor(value: object) -> None:
    """What looks like a reactor of Twisted's, or a clock of its tests'."""
    if isinstance(value, type) or not callable(getattr(value, "callLater", None)):
        raise ConfigurationError(f"reactor is Twisted's: from twisted.internet import reactor; not {shown(value)}")


def check_path(name: str, value: object, example: str, kind: str = "a path") -> None:
    """A path: text or ``os.PathLike``, which the system can open; ``example`` is how one is written."""
    if not is_path(value):
        # The place of a database may hold a password.
        wrong = shown(value) if isinstance(value, str) else type(value).__name__
        raise ConfigurationError(f"{name} is {kind}: {example}; not {wrong}")


def is_path(value: object) -> bool:
    """Whether ``value`` can be a path: an empty text would be whatever folder the program was started in."""
    if not isinstance(value, (str, os.PathLike)):
        return False
    text = os.fspath(value)
    return isinstance(text, str) and bool(text.strip()) and "\0" not in text


def shown(value: object) -> str:
    """A wrong value as the one who wrote it knows it."""
    return f"{value!r:.60}"


def is_host(value: Any) -> bool:
    """Whether ``value`` can be the name or the address of a machine or an interface."""
    return isinstance(value, str) and bool(value) and value.isprintable() and not any(map(str.isspace, value))
