"""A session of an SSH connection: a shell with a terminal, a script without one, or one command.

Rules of this module:

- Every session that ran something ends with an exit status: without one, OpenSSH reports 255.
- A client that does not read makes commands that follow something skip, and nobody else wait; one that reads nothing
  at all is let go once ``MAX_UNREAD`` waits for it.
- Its end, at any moment, stops what only looks.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import (
    EXTENDED_DATA_STDERR,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
)
from twisted.conch.ssh.session import parseRequest_pty_req, parseRequest_window_change

from fluxon.console.console import Console
from fluxon.console.script import Script
from fluxon.console.shell import Shell
from fluxon.console.ssh.keys import Operator
from fluxon.console.ssh.quiet import QuietLogger

#: Output that a client has not taken: above the first, commands that follow something skip; above the second it is
#: not going to read any more.
_ROOM = 64 * 1024
MAX_UNREAD = 16 * 1024 * 1024

#: Sessions of one connection, as OpenSSH's server has it.
_SESSIONS = 10

_UNKNOWN_WIDTH = 80
_CTRL_C = b"\x03"


class ConsoleUser(ConchUser):
    """An operator who has logged in. ``make_console(name)`` makes a console for a session."""

    def __init__(self, operator: Operator, make_console: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operator = operator
        self.make_console = make_console
        self.sessions = 0

    def lookupChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> Any:
        """A session; nothing is forwarded."""
        if channelType != b"session":
            raise ConchError(OPEN_ADMINISTRATIVELY_PROHIBITED, "only sessions are served here")
        if len(self.conn.channels) >= _SESSIONS:
            raise ConchError(OPEN_RESOURCE_SHORTAGE, "too many sessions on one connection")
        return SessionChannel(remoteWindow=windowSize, remoteMaxPacket=maxPacket, data=data, avatar=self)


class _Plain:
    """A ``Sink`` for programs, and for one command: output as it is, complaints apart."""

    def __init__(self, channel: SessionChannel) -> None:
        self._channel = channel

    @property
    def width(self) -> int | None:
        """Of the client's terminal, if it has one."""
        return self._channel.columns

    @property
    def has_room(self) -> bool:
        """Whether the client reads."""
        return self._channel.has_room

    def write(self, lines: list[str]) -> None:
        """Output."""
        self._channel.put("".join(f"{line}{self._end}" for line in lines))

    def complain(self, line: str) -> None:
        """To the client's standard error; a terminal has but one way."""
        self._channel.put(f"{line}{self._end}", error=self._channel.columns is None)

    @property
    def _end(self) -> str:
        return "\n" if self._channel.columns is None else "\r\n"


class SessionChannel(SSHChannel):
    """One session."""

    name = b"session"
    _log = QuietLogger()
    avatar: ConsoleUser
    conn: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Of the client's terminal; None without one.
        self.columns: int | None = None
        self._console: Console | None = None
        self._face: Shell | Script | None = None
        # What comes by the channel is for the face; a single command has no standard input.
        self._reads = False
        self._over = False
        self._unread = 0

    @property
    def has_room(self) -> bool:
        """Whether the client reads what it is sent."""
        return len(self.buf) < _ROOM and not self.conn.transport.congested

    def put(self, text: str, *, error: bool = False) -> None:
        """Send text."""
        if self._over or self.localClosed:
            return
        data = text.encode("utf-8", "replace")
        self._unread = 0 if self.has_room else self._unread + len(data)
        if self._unread > MAX_UNREAD:
            self._over = True
            self.conn.transport.abort()
        elif error:
            self.writeExtended(EXTENDED_DATA_STDERR, data)  # type: ignore[no-untyped-call]
        else:
            self.write(data)  # type: ignore[no-untyped-call]

    # --- what clients ask for -----------------------------------------------------------------------------------------

    def request_pty_req(self, data: bytes) -> int:
        """A terminal."""
        _, window, _ = parseRequest_pty_req(data)
        self.columns = window[1] or _UNKNOWN_WIDTH
        return 1

    def request_window_change(self, data: bytes) -> int:
        """Its window has another size."""
        window = parseRequest_window_change(data)
        if self.columns is not None:
            self.columns = window[1] or _UNKNOWN_WIDTH
            if isinstance(self._face, Shell):
                self._face.redraw()
        return 1

    def request_shell(self, data: bytes) -> int:
        """A prompt; without a terminal, a script."""
        if self._face is not None:
            return 0
        self._reads = True
        console = self._console = self.avatar.make_console(str(self.avatar.operator))
        if self.columns is None:
            self._face = Script(console, _Plain(self), self._finish)
            return 1
        shell = self._face = Shell(
            console,
            self.put,
            lambda: self.columns or _UNKNOWN_WIDTH,
            room=lambda: self.has_room,
            on_end=lambda: self._finish(shell.status),
        )
        self._soon(shell.start, "Fluxon console. Type help for the commands, Ctrl+D to leave.")
        return 1

    def request_exec(self, data: bytes) -> int:
        """One command, or a script of several lines. It is complete, whatever comes by standard input."""
        if self._face is not None:
            return 0
        command, _ = getNS(data)
        console = self._console = self.avatar.make_console(str(self.avatar.operator))
        script = self._face = Script(console, _Plain(self), self._finish)
        self._soon(script.received, command)
        self._soon(script.no_more)
        return 1

    def _soon(self, function: Any, *args: Any) -> None:
        # After the answer to the request.
        self.conn.transport.factory.reactor.callLater(0, function, *args)

    def request_signal(self, data: bytes) -> int:
        """``INT`` and the like: as Ctrl+C."""
        if self._console is None:
            return 0
        self._soon(self._console.interrupt)
        return 1

    # --- what is typed ------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Keys, or a script's lines."""
        if self._over or self._face is None:
            return
        if self._reads:
            self._face.received(data)
        elif self.columns is not None and _CTRL_C in data and self._console is not None:
            # One command on a terminal, whose client sends this as any other key.
            self._console.interrupt()

    def eofReceived(self) -> None:
        """Nothing more will be typed."""
        face = self._face
        if face is None:
            self.loseConnection()  # type: ignore[no-untyped-call]
        elif isinstance(face, Shell):
            self._finish(face.status)
        elif self._reads:
            face.no_more()

    def closed(self) -> None:
        """The client, or this side, has ended it."""
        self._over = True
        if self._face is not None:
            self._face.end()

    def let_go(self) -> None:
        """The server stops."""
        if self._face is None:
            self.loseConnection()  # type: ignore[no-untyped-call]
        else:
            self.put("\r\nThe server has stopped.\r\n" if isinstance(self._face, Shell) else "")
            self._finish(self._face.status)

    def _finish(self, status: int) -> None:
        if self._over:
            return
        assert self._face is not None
        self._face.end()
        self._over = True
        self.conn.sendRequest(self, b"exit-status", struct.pack(">L", status))
        # When what it has not taken yet has left.
        self.loseConnection()  # type: ignore[no-untyped-call]
