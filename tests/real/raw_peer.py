"""One end of a real connection that speaks the wire by hand: as polite as its test wants it.

What hostile clients, hostile servers and slow readers of the tests have in common. In a thread, or in a process of its
own: it blocks.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from typing import Any

from fluxon.commands import Command, Integer
from fluxon.errors import FluxonError
from fluxon.limits import Limits
from fluxon.wire import Conversation

HELLO = {"version": 1, "token": None, "seen": 0, "features": []}


def connect(
    port: int,
    patience: float,
    context: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
    address: str | None = None,
) -> socket.socket:
    """A connection to this machine; with a small ``receive_buffer`` what is not read is soon not sent.

    With an ``address`` the connection says, as a proxy does, that it is from there.
    """
    plain = socket.socket()
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.settimeout(patience)
    plain.connect(("127.0.0.1", port))
    if address is not None:
        plain.sendall(f"PROXY TCP4 {address} 127.0.0.1 50000 80\r\n".encode())
    return plain if context is None else context.wrap_socket(plain, server_hostname="localhost")


class RawPeer:
    """A socket and the conversation on it. ``heard`` are the messages that ``next`` has not given yet."""

    #: Whether ``next`` sends what the conversation says by itself: pongs, the ends of streams.
    polite = False

    def __init__(self, connected: socket.socket, **limits: int) -> None:
        self.socket = connected
        self.conversation = Conversation(**{"receive_limit": 2**25, "send_limit": 2**25, **limits})
        self.heard: deque[Any] = deque()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def flush(self) -> None:
        """Send what the conversation has to say."""
        data = b"".join(self.conversation.output)
        self.conversation.output.clear()
        self.conversation.output_size = 0
        if data:
            self.send(data)

    def receive(self) -> list[Any] | None:
        """The messages of one read; None at the end of the connection."""
        try:
            data = self.socket.recv(262_144)
        except ConnectionError:
            return None
        return self.conversation.receive(data) if data else None

    def next(self, *kinds: type) -> Any:
        """The next message, or the next of some kinds while others are dropped; None at the end of the connection."""
        while True:
            while self.heard:
                message = self.heard.popleft()
                if not kinds or isinstance(message, kinds):
                    return message
            received = self.receive()
            if received is None:
                return None
            self.heard += received
            if self.polite:
                self.flush()

    def say_no_more(self) -> None:
        """End this direction of the connection, if there still is one."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def ends(self, within: float | None = None) -> bool:
        """Read what comes, well-formed or not, to the end; False if there is none within so many seconds of silence."""
        if within is not None:
            self.socket.settimeout(within)
        try:
            while self.socket.recv(1 << 20):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


def welcome(**changes: Any) -> dict[str, Any]:
    """What a server answers to hello."""
    limits = Limits()
    return {
        "version": 1,
        "session": "s",
        "token": "t",
        "authenticated": False,
        "fresh": False,
        "recovered": True,
        "heartbeat": 25.0,
        "limits": {
            "frame": limits.frame_anonymous,
            "frame_authenticated": limits.frame_authenticated,
            "frame_to_client": limits.frame_to_client,
            "in_flight": limits.in_flight,
        },
        "features": [],
        **changes,
    }


class Get(Command):
    """A part of the server's file."""

    name = "get"
    arguments = {"offset": Integer(0), "length": Integer(0)}
    response = {"stream": Integer(0)}
    errors = (FluxonError,)
    opens = True


class Put(Command):
    """Bytes for the server to take."""

    name = "put"
    response = {"stream": Integer(0)}
    errors = (FluxonError,)
    opens = True
