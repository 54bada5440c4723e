"""``Place``: the server that a command means, who is logged in there, and the connections to it."""

from __future__ import annotations

import argparse
import os
from types import TracebackType

from fluxon.connect.arguments import DEFAULT_CLOUD_PORT, DEFAULT_PORT, checked_timeout, checked_wait, parsed_address
from fluxon.connect.cloud.connector import CloudStorageConnector
from fluxon.connect.command_line.saved import Saved, SavedSessions
from fluxon.connect.interface import ConnectionInterface
from fluxon.connect.session import SessionHolder
from fluxon.errors import ConfigurationError


class _Resumed:
    """What clients take a session from."""

    def __init__(self, session: SessionHolder) -> None:
        self.session = session


class Place:
    """Made of the command line and what was remembered. At its end the session is saved as it is then."""

    def __init__(self, options: argparse.Namespace, sessions: SavedSessions | None = None) -> None:
        self._sessions = sessions or SavedSessions()
        self.timeout = checked_timeout(options.timeout)
        self._wait = checked_wait(options.wait)
        self.saved = _server(options, self._sessions)
        self.session = SessionHolder(self.saved.host, self.saved.secure)
        if self.saved.token is not None:
            self.session.resume(self.saved.token)
        self._begun_with = self.saved.token
        self._main: ConnectionInterface | None = None
        self._cloud: CloudStorageConnector | None = None

    @property
    def main(self) -> ConnectionInterface:
        """The connection to the server itself."""
        if self._main is None:
            saved = self.saved
            self._main = ConnectionInterface(
                saved.host,
                saved.port,
                saved.secure,
                saved.trust,
                _Resumed(self.session),
                self.timeout,
                wait_for_server=self._wait,
            )
            if self._wait:
                self._main.when_connected()
        return self._main

    @property
    def cloud(self) -> CloudStorageConnector:
        """The connection to its cloud storage."""
        if self._cloud is None:
            saved = self.saved
            self._cloud = CloudStorageConnector(
                saved.host,
                saved.cloud_port,
                _Resumed(self.session),
                saved.secure,
                saved.trust,
                self.timeout,
                wait_for_server=self._wait,
            )
            if self._wait:
                self._cloud.when_connected()
        return self._cloud

    def remember(self, user: str | None) -> None:
        """Who is logged in from now on; None for nobody."""
        self.saved.user = user
        self._save()

    def forget(self) -> None:
        """Nobody is logged in from now on, as far as this machine knows."""
        self.saved.user = self.saved.token = self._begun_with = None
        self.session = SessionHolder(self.saved.host, self.saved.secure)
        self._sessions.save(self.saved)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in (self._cloud, self._main):
            if each is not None:
                each.close()
        # A view that was called may have logged in or out, or the server may have forgotten who it was.
        known = self.session.authenticated or self._begun_with is not None
        if self._main is not None and known and self.session.token != self._begun_with:
            self._save()

    def _save(self) -> None:
        self.saved.token = self.session.token if self.session.authenticated else None
        if self.saved.token is None:
            self.saved.user = None
        self._sessions.save(self.saved)
        self._begun_with = self.session.token


def _server(options: argparse.Namespace, sessions: SavedSessions) -> Saved:
    if options.server is None:
        saved = sessions.last()
        if saved is None:
            raise ConfigurationError("which server? Name it with --server HOST:PORT; login remembers it")
    else:
        address = parsed_address(options.server)
        if address is None or address.port is None:
            raise ConfigurationError(f"--server {options.server!r} is no HOST or HOST:PORT")
        saved = sessions.of(address.host, address.port) or Saved(
            address.host, address.port or DEFAULT_PORT, DEFAULT_CLOUD_PORT, False, None, None
        )
    if options.cloud_port is not None:
        saved.cloud_port = options.cloud_port
    if options.secure is False and saved.secure:
        saved.secure, saved.trust, saved.token, saved.user = False, None, None, None  # it is for TLS only
    elif options.secure:
        saved.secure = True
    if options.trust is not None:
        saved.trust = os.path.abspath(options.trust)
    return saved
