"""The functions of a client that its server may call, by name.

Rules of this module: a name that is not in the table does not exist; a payload that a function does not take is
``InvalidPayload`` and not a traceback; what a function raises is its caller's to deal with. Pure.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fluxon.arguments import shown
from fluxon.errors import ConfigurationError, InvalidPayload, UnknownView

Function = Callable[..., Any]


class Functions:
    """A table of functions. A dict payload becomes keyword arguments, None no argument, any other the only one."""

    __slots__ = ("_table", "_waiting_allowed")

    def __init__(self, *, waiting_allowed: bool) -> None:
        self._table: dict[str, tuple[Function, inspect.Signature | None]] = {}
        #: Whether coroutine functions may be among them.
        self._waiting_allowed = waiting_allowed

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def __len__(self) -> int:
        return len(self._table)

    def update(self, mapping: Mapping[str, Function]) -> None:
        """Add ``mapping``, all or nothing. Raises ``ConfigurationError``."""
        if not isinstance(mapping, Mapping):
            raise ConfigurationError(
                f'the functions for the server are a dict of names and functions: {{"name": function}}; '
                f"not {shown(mapping)}"
            )
        added = {}
        for name, function in mapping.items():
            if not isinstance(name, str) or not name:
                raise ConfigurationError(f"a function for the server needs a name, not {name!r}")
            if not callable(function):
                raise ConfigurationError(f"{name!r} is mapped to {function!r}, which is no function")
            if inspect.iscoroutinefunction(function) and not self._waiting_allowed:
                raise ConfigurationError(
                    f"{name!r} is an async function, and a blocking client has no loop to run it in: "
                    "write it with plain def, or use fluxon.connect.connect"
                )
            added[name] = (function, _signature(function))
        self._table = {**self._table, **added}

    def call(self, name: str, payload: Any) -> Any:
        """What the function ``name`` gives for ``payload``. Raises ``UnknownView``, ``InvalidPayload`` or its own."""
        found = self._table.get(name)
        if found is None:
            raise UnknownView(f"this client maps no function {name[:64]!r}; see reverse_request_mapping")
        function, signature = found
        positional, keywords = _arguments(payload)
        if signature is not None:
            try:
                signature.bind(*positional, **keywords)
            except TypeError as error:
                raise InvalidPayload(
                    f"the client's function {name[:64]!r} does not take this payload: {error}"
                ) from error
        return function(*positional, **keywords)


def _arguments(payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(payload, dict):
        return (), payload
    return ((), {}) if payload is None else ((payload,), {})


def _signature(function: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some built-ins have none
        return None
