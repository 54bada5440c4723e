"""Which names clients may ask for, and how the function behind each is run.

Rules of this module:

- A name is public because the mapping says so. ``dynamic_views_loading`` takes the functions that a module DEFINES:
  what it imports, and what begins with an underscore, is never a view.
- ``async def``, ``inlineCallbacks`` and ``-> Deferred`` run on the reactor; any other function in a thread.
- What cannot be a view is an error when the setup is made, not when a client asks.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import attrs

from fluxon.errors import ConfigurationError, UnknownView
from fluxon.limits import MAX_NAME

ViewFunction = Callable[[Any], Any]

#: Names that are compared with an unknown one.
_LOOKED_AT = 8


@attrs.frozen
class View:
    """One view: its public name, its function, and where that runs."""

    name: str
    function: ViewFunction
    in_thread: bool


def dynamic_views_loading(module: ModuleType) -> dict[str, ViewFunction]:
    """The mapping of every public function defined in ``module``, each under its own name."""
    if not isinstance(module, ModuleType):
        raise ConfigurationError("dynamic_views_loading takes a module: import views; dynamic_views_loading(views)")
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and _is_function(value)
    }


def _is_function(value: Any) -> bool:
    return callable(value) and isinstance(inspect.unwrap(value), FunctionType)


def make_views(mapping: Mapping[str, ViewFunction]) -> dict[str, View]:
    """The table of views that a mapping declares. Raises ``ConfigurationError`` naming the entry that is wrong."""
    if not isinstance(mapping, Mapping):
        raise ConfigurationError('mapping is a dict of names and functions: mapping={"login": views.login}')
    return {name: _make_view(name, function) for name, function in mapping.items()}


def make_listener(name: str, function: Any) -> View:
    """A function that hears of events, checked as a view is."""
    return _checked(name, function, "function", "event")


def make_lifetime(name: str, function: Any) -> View:
    """A function that hears of the server's start or stop, checked as a view is."""
    return _checked(name, function, "function", "server")


def make_job(function: Any) -> View:
    """A function that the server calls by itself, checked as a view is."""
    return _checked(getattr(function, "__qualname__", repr(function)), function, "job", "server")


def make_operator_command(name: str, function: Any) -> View:
    """A function that an operator calls from the console; what it takes is looked at elsewhere."""
    return _checked(name, function, "command", "server", alone=False)


def _make_view(name: Any, function: Any) -> View:
    if not isinstance(name, str) or not _is_utf8(name) or not 0 < len(name.encode()) <= MAX_NAME:
        raise ConfigurationError(f"the name of a view is a text of 1 to {MAX_NAME} bytes, not {name!r}")
    return _checked(name, function, "view", "request")


def _checked(name: str, function: Any, kind: str, argument: str, alone: bool = True) -> View:
    what = f"the {kind} {name!r}"
    if isinstance(function, type):
        raise ConfigurationError(f"{what} must be a function, not the class {function.__name__}")
    if not callable(function):
        raise ConfigurationError(f"{what} must be a function, not {type(function).__name__}")
    if alone:
        _check_takes(what, function, kind, argument)
    plain = _undecorated(function)
    if inspect.isasyncgenfunction(plain) or (inspect.isgeneratorfunction(plain) and plain is _innermost(function)):
        raise ConfigurationError(f"{what} yields; decorate it with inlineCallbacks, or return its result")
    return View(name, function, in_thread=not _runs_on_reactor(function))


def _check_takes(what: str, function: Any, kind: str, argument: str) -> None:
    # A decorator may pass more to its view than it is given itself; inlineCallbacks hands on what it gets.
    wrapped = getattr(function, "__wrapped__", None)
    for each in (function, wrapped) if inspect.isgeneratorfunction(wrapped) else (function,):
        try:
            inspect.signature(each, follow_wrapped=False).bind(object())
        except TypeError:
            raise ConfigurationError(
                f"{what} must take one argument, the {argument}; one that is no {kind} begins with an underscore"
            ) from None
        except ValueError:  # a builtin without a signature
            pass


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _innermost(function: Any) -> Any:
    """What is left when partials and bound methods are taken off, decorators not."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not isinstance(function, type):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def _undecorated(function: Any) -> Any:
    return inspect.unwrap(_innermost(function))


def _runs_on_reactor(function: Any) -> bool:
    innermost = _innermost(function)
    if inspect.iscoroutinefunction(innermost):
        return True
    plain = inspect.unwrap(innermost)
    if plain is not innermost and (inspect.isgeneratorfunction(plain) or inspect.iscoroutinefunction(plain)):
        return True  # inlineCallbacks, or a decorator that hands on the coroutine
    return _names_deferred(getattr(plain, "__annotations__", {}).get("return"))


def _names_deferred(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].rsplit(".")[-1] in ("Deferred", "Pending")
    annotation = getattr(annotation, "__origin__", annotation)
    return isinstance(annotation, type) and any(base.__name__ == "Deferred" for base in annotation.__mro__)


def _alike(name: str, views: Mapping[str, View]) -> list[str]:
    """Names worth a closer look. One costs 10 microseconds, and strangers may ask for any name, any number of times."""
    found = (each for each in views if abs(len(each) - len(name)) <= 2 and (each[0] == name[0] or each[-1] == name[-1]))
    return list(itertools.islice(found, _LOOKED_AT))


_ELSEWHERE = "; see the mapping in router.py, and start the server again if the view is new"


def unknown_view(name: str, views: Mapping[str, View]) -> UnknownView:
    """The error for a name that no view has; it names those that look alike, which the client may ask anyway."""
    near = difflib.get_close_matches(name[:64], _alike(name, views), n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else _ELSEWHERE
    return UnknownView(f"there is no view {name[:64]!r}{hint}", details={"near": near})
