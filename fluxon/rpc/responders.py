"""Which function answers which command: an explicit table, made once and shared by all connections.

A responder is ``function(peer, arguments)`` and gives a value, a Deferred or a coroutine. Its arguments have been
checked against the command's declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fluxon.commands import Command
from fluxon.limits import MAX_NAME
from fluxon.wire import Templates

if TYPE_CHECKING:
    from fluxon.rpc.peer import Peer

#: A function of the peer that asks and of a command's arguments, which returns the response or a Deferred of it.
Responder = Callable[["Peer", dict[str, Any]], Any]


class Responders:
    """A table from commands to responders.

    >>> Responders({Hello: greet, Call: call_view})
    """

    __slots__ = ("_by_name", "find", "templates")

    def __init__(self, table: Mapping[type[Command], Responder]) -> None:
        self._by_name: dict[str, tuple[type[Command], Responder, Callable[[Any, str], None]]] = {}
        for command, responder in table.items():
            if not 0 < len(command.name.encode()) <= MAX_NAME:
                raise ValueError(f"the name of {command.__name__} must have 1 to {MAX_NAME} bytes")
            if command.name in self._by_name:
                raise ValueError(f"two responders for the command {command.name!r}")
            self._by_name[command.name] = (command, responder, command.argument_check())
        self.find = self._by_name.get
        #: The asks that ``expect`` was told of; the meaning of each is what ``find`` would give.
        self.templates: Templates | None = None

    def expect(
        self, command: type[Command], fixed: Mapping[str, Any], changing: str, responder: Callable[[Peer, Any], Any]
    ) -> None:
        """Recognise asks of ``command`` with the arguments ``fixed``, and one more that may be anything.

        They come often, so they have a shorter way: ``responder`` is given that one argument alone, unchecked.
        ``changing`` is its name, the same for all that are expected.
        """
        if self.templates is None:
            self.templates = Templates(command.name, changing)
        self.templates.add(fixed, (command, responder))

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)
