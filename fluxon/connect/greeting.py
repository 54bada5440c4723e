"""What both clients say first, and what they take from the answer. Pure."""

from __future__ import annotations

from typing import Any

import attrs

from fluxon.commands import PROTOCOL_VERSION, Hello
from fluxon.connect.session import Session
from fluxon.errors import InvalidPayload, ProtocolError
from fluxon.limits import MAX_FRAME, Limits
from fluxon.wire import Conversation

LZ4 = "lz4"
TELL = "tell"

_DEFAULTS = Limits()

#: Asks of the server's that are taken at once, whatever it says.
_MOST_IN_FLIGHT = 10_000

#: Places at the server that ordinary requests leave free.
_URGENT = 4


def new_conversation() -> Conversation:
    """A conversation as a client begins it: what it may send grows with the answer to its hello."""
    return Conversation(
        receive_limit=_DEFAULTS.frame_to_client,
        send_limit=_DEFAULTS.frame_before_hello,
        in_flight=_DEFAULTS.in_flight,
        ask_limit=1,
        waiting_limit=_DEFAULTS.waiting_asks,
        takes_tells=True,
    )


def hello_arguments(token: str | None, *, compress: bool, seen: int = 0) -> dict[str, Any]:
    """The arguments of a hello that presents ``token``; ``seen`` is the session's."""
    features = [LZ4, TELL] if compress else [TELL]
    return {"version": PROTOCOL_VERSION, "token": token, "seen": seen, "features": features}


@attrs.frozen(repr=False)
class Greeting:
    """The answer to a hello."""

    token: str
    public_id: str
    authenticated: bool
    fresh: bool
    #: Whether nothing that the server kept for the session, or remembered of it, was lost.
    recovered: bool
    heartbeat: float
    _frame: int
    _frame_authenticated: int
    _frame_to_client: int
    _in_flight: int
    _compress: bool

    @classmethod
    def read(cls, value: Any, *, compress: bool) -> Greeting:
        """From the answer to a hello that offered ``compress``; ``ProtocolError`` if it is no such answer."""
        try:
            Hello.check_response(value)
        except InvalidPayload as error:
            raise ProtocolError(f"the server's answer to hello is not understood: {error.text}") from error
        limits = value["limits"]
        return cls(
            token=value["token"],
            public_id=value["session"],
            authenticated=value["authenticated"],
            fresh=value["fresh"],
            recovered=value["recovered"],
            heartbeat=value["heartbeat"],
            frame=limits["frame"],
            frame_authenticated=limits["frame_authenticated"],
            frame_to_client=limits["frame_to_client"],
            in_flight=limits["in_flight"],
            compress=compress and LZ4 in value["features"],
        )

    def apply(self, conversation: Conversation, session: Session) -> None:
        """Speak from now on as the server takes it."""
        conversation.send_limit = self._frame_authenticated if session.authenticated else self._frame
        # What the server sends is its own promise; a bound of ours keeps a wrong one from filling our memory.
        conversation.receive_limit = min(self._frame_to_client, MAX_FRAME)
        # What remains is for another hello, which does not wait.
        conversation.ask_limit = max(1, self._in_flight - _URGENT)
        # The same number holds for what the server asks here.
        conversation.in_flight = min(max(self._in_flight, _DEFAULTS.in_flight), _MOST_IN_FLIGHT)
        conversation.compress_from = _DEFAULTS.compress_from if self._compress else None
