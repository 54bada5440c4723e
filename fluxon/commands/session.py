"""Commands that open a conversation and keep its session."""

from __future__ import annotations

from fluxon.commands.arguments import Boolean, Integer, ListOf, Number, Optional, Structure, Text
from fluxon.commands.base import Command
from fluxon.errors import Conflict, InvalidPayload, ResourceExhausted, Unavailable

#: Raised when an older peer could misunderstand a newer one.
PROTOCOL_VERSION = 1

#: A token has 94 characters; the rest is room for a later form.
_TOKEN = Text(max_bytes=256)
_FEATURE = Text(max_bytes=32)


class Hello(Command):
    """Client to server, first on every connection, and again to present a newer token.

    An unknown, forged or expired token is no error: the session is then a new anonymous one and ``fresh`` is true.
    """

    name = "hello"
    arguments = {
        "version": Integer(1, 65_535),
        "token": Optional(_TOKEN),
        # The number of the last ``deliver`` up to which all that came were carried out; 0 for none.
        "seen": Integer(0),
        # What the client can do: "lz4" for compressed frames.
        "features": ListOf(_FEATURE, max_items=32),
    }
    response = {
        "version": Integer(1, 65_535),
        # Names the session in logs; useless without the token.
        "session": Text(max_bytes=64),
        "token": _TOKEN,
        # Whether a user is logged in on this session.
        "authenticated": Boolean(),
        # True when a token was offered and not honoured: whoever was logged in no longer is.
        "fresh": Boolean(),
        # True when the session goes on and nothing that was kept for it, or remembered of it, was lost.
        "recovered": Boolean(),
        # Seconds of silence after which the server pings, and after twice which either side gives up.
        "heartbeat": Number(0, 86_400),
        "limits": Structure(
            {
                "frame": Integer(1),
                "frame_authenticated": Integer(1),
                "frame_to_client": Integer(1),
                "in_flight": Integer(1),
            }
        ),
        "features": ListOf(_FEATURE, max_items=32),
    }
    errors = (InvalidPayload, Conflict, ResourceExhausted, Unavailable)
    before_hello = True


class Leaving(Command):
    """Server to client: this server stops. What is under way on this connection ends; what is new is for the next one.

    When the client has answered, everything that it asked here has been read, and the server closes the connection as
    soon as nothing is under way: so nothing that is asked gets lost in between.
    """

    name = "leaving"


class Goodbye(Command):
    """Client to server: its program ends. Nothing is kept for the session when this was its last connection."""

    name = "goodbye"


class SessionChanged(Command):
    """Server to client, before the answer of the call that logged in or out: the token to present from now on."""

    name = "session"
    arguments = {"session": Text(max_bytes=64), "token": _TOKEN, "authenticated": Boolean()}
