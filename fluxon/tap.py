"""``twistd fluxon``: its options, and the service that they describe.

Rules of this module:

- Only this module reads the options of the command line.
- Whatever is wrong with them, or with the file they name, is said in one line before anything starts, never as a
  traceback: ``makeService`` gets what ``postOptions`` has loaded and checked.
- Nothing is opened here: twistd may fork after the service is made. The server opens what it needs when it starts.
- A server that cannot start ends twistd, with status 1: a process that serves nobody must not look alive.
"""

from __future__ import annotations

import atexit
import os
import sys
from types import ModuleType
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from fluxon.config import load_config
from fluxon.endpoint import AsyncServer
from fluxon.endpoint.listening import choose_endpoint, choose_manhole
from fluxon.errors import ConfigurationError
from fluxon.routing import Setup


class Options(usage.Options):
    """What ``twistd fluxon`` takes. After parsing, ``server`` is what is to run."""

    synopsis = "--config router.py [--port ENDPOINT] [--secure] [--manhole ENDPOINT]"
    longdesc = (
        "Runs a project's server. If the file has a variable `server` (as the server.py of a generated project has), "
        "that says where it listens and whether with TLS; otherwise it is port 8080 of this machine, without. "
        "The options go before both."
    )
    optParameters = [
        ["config", "c", None, "The project's router.py, or its server.py."],
        ["port", "p", None, "A port, or any Twisted endpoint: tcp:8080:interface=127.0.0.1, unix:/run/chat.sock."],
        ["manhole", "m", None, "The console over SSH: a port, or tcp:2222:interface=127.0.0.1. Off without it."],
    ]
    optFlags = [["secure", "s", "TLS, with the certificate in the project's secrets folder."]]

    server: AsyncServer

    def postOptions(self) -> None:
        """Load the file and check everything that can be checked without opening anything.

        A wrong command line is a ``UsageError``, below which twistd shows the usage. A file that does not load is no
        fault of the command line, and ends the program with the one line that says where to look.
        """
        self["config"] = _existing_file(self["config"])
        try:
            module = load_config(self["config"])
            self.server = _described(module, self["port"], bool(self["secure"]))
            if self["manhole"] is not None:
                self.server.manhole = self["manhole"]
        except ConfigurationError as error:
            raise SystemExit(f"twistd fluxon: {error.text}") from None
        try:
            # Made for the check alone: the server makes its own when it starts, and an endpoint opens nothing.
            from twisted.internet import reactor

            server = self.server
            choose_endpoint(reactor, server.configured_port, server.host, server.secure, server.endpoint)
        except ConfigurationError as error:
            raise usage.UsageError(f"--port: {error.text}") from None
        try:
            if server.manhole is not None:
                choose_manhole(reactor, server.manhole)
        except ConfigurationError as error:
            raise usage.UsageError(f"--manhole: {error.text}") from None


def makeService(options: Options) -> IService:
    """The service that ``options`` describe. Nothing is open yet."""
    server = options.server
    server.on_failure(_end_twistd)
    return server


def _existing_file(config: str | None) -> str:
    if config is None:
        raise usage.UsageError("--config is missing: give the project's router.py")
    path = os.path.abspath(config)
    if os.path.isdir(path):
        raise usage.UsageError(f"--config: {path} is a folder; give the router.py in it")
    if not os.path.isfile(path):
        raise usage.UsageError(f"--config: there is no file {path}")
    return path


def _described(module: ModuleType, port: str | None, secure: bool) -> AsyncServer:
    """The module's own server, with what the command line says instead."""
    server = getattr(module, "server", None)
    if not isinstance(server, AsyncServer):
        setup = getattr(module, "setup", None)
        if not isinstance(setup, Setup):
            name = os.path.basename(str(module.__file__))
            raise ConfigurationError(f"{name} has no `setup = Setup(...)`, and no `server` either; is it a router.py?")
        server = AsyncServer(setup=setup)
    if port is None and secure <= server.secure:
        return server
    given: dict[str, Any] = {"port": server.configured_port, "host": server.host, "endpoint": server.endpoint}
    if port is not None:
        # A bare number keeps the server's own host; an endpoint says everything by itself.
        given = {"port": port, "host": server.host} if port.isdecimal() else {"endpoint": port}
    return AsyncServer(setup=server.setup, secure=secure or server.secure, manhole=server.manhole, **given)


def _end_twistd(_: object) -> None:
    """The server has logged why it cannot start. twistd has no way to be told an exit status, so one is set last."""
    from twisted.internet import reactor

    def fail() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    atexit.register(fail)
    running: Any = reactor
    running.callWhenRunning(running.stop)
