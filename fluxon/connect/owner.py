"""Whom a connection of the blocking client belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fluxon.wire import Ask, Tell

if TYPE_CHECKING:
    from fluxon.connect.link import Link


class Owner(Protocol):
    """What a link tells its owner, on the receiving thread."""

    def asked(self, link: Link, ask: Ask) -> None:
        """The server asks; to be answered with ``link.answer`` or ``link.fail``, now or later."""

    def told(self, tell: Tell) -> None:
        """The server tells something, which nobody answers."""

    def cancelled(self, link: Link, tag: int) -> None:
        """The server no longer wants the answer to its ask ``tag``."""
