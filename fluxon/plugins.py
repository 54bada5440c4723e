"""What the ``twistd`` plugins have in common: the project's file, where to listen, and how to end.

Rules of this module:

- Whatever is wrong with the options, or with the file they name, is said in one line before anything starts, never as
  a traceback: ``makeService`` gets what ``postOptions`` has loaded and checked.
- Nothing is opened here: twistd may fork after the service is made. The server opens what it needs when it starts.
- A server that cannot start ends twistd, with status 1: a process that serves nobody must not look alive.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.copyright import version as twisted_version
from twisted.python import usage

from fluxon import __version__
from fluxon.config import load_config
from fluxon.endpoint.listening import check_port, choose_operators
from fluxon.endpoint.service import ServerService
from fluxon.endpoint.supervisor import supervise
from fluxon.errors import ConfigurationError
from fluxon.routing import Setup


class ProjectOptions(usage.Options):
    """Options of a plugin that runs a server of a project. After parsing, ``server`` is what is to run."""

    #: What was typed, for errors.
    program: ClassVar[str]

    optParameters = [
        ["config", "c", None, "The project's router.py, or its server.py."],
        ["manhole", "m", None, "The console over SSH: a port, or tcp:2222:interface=127.0.0.1. Off without it."],
        ["port", "p", None, "A port, or any Twisted endpoint: tcp:8080:interface=127.0.0.1, unix:/run/chat.sock."],
        [
            "metrics",
            None,
            None,
            "Metrics and health over HTTP: a port, or tcp:9100:interface=127.0.0.1.",
        ],
    ]
    optFlags = [["secure", "s", "TLS, with the certificate in the project's secrets folder."]]

    server: ServerService[Any]

    def describe(self, module: ModuleType) -> ServerService[Any]:
        """The server of the project's file, with what the command line says instead."""
        raise NotImplementedError

    def endpoints(self) -> list[tuple[str, Callable[[Any], object]]]:
        """Options that say where to listen, each with what chooses its endpoint for a reactor."""
        server: Any = self.server
        found: list[tuple[str, Callable[[Any], object]]] = [("--port", server.choose_endpoint)]
        if server.manhole is not None:
            found.append(("--manhole", lambda reactor: choose_operators(reactor, server.manhole)))
        if server.metrics is not None:
            found.append(("--metrics", lambda reactor: choose_operators(reactor, server.metrics)))
        return found

    def opt_version(self) -> None:
        """Display the versions of Fluxon and Twisted, and exit."""
        sys.stdout.write(f"fluxon {__version__} (Twisted {twisted_version})\n")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Load the file and check everything that can be checked without opening anything.

        A wrong command line is a ``UsageError``, below which twistd shows the usage. A file that does not load is no
        fault of the command line, and ends the program with the one line that says where to look.
        """
        self["config"] = _existing_file(self["config"])
        for option in ("port", "cloud-port"):
            if self.get(option) is not None:
                try:
                    check_port(self[option])
                except ConfigurationError as error:
                    raise usage.UsageError(f"--{option}: {error.text}") from None
        try:
            self.server = self.describe(load_config(self["config"]))
            if self["manhole"] is not None:
                self.server.manhole = self["manhole"]
            if self["metrics"] is not None:
                self.server.metrics = self["metrics"]
        except ConfigurationError as error:
            raise SystemExit(f"{self.program}: {error.text}") from None
        # Made for the check alone: a server makes its own when it starts, and an endpoint opens nothing.
        from twisted.internet import reactor

        for option, choose in self.endpoints():
            try:
                choose(reactor)
            except ConfigurationError as error:
                raise usage.UsageError(f"{option}: {error.text}") from None


def make_service(options: ProjectOptions) -> IService:
    """The service that ``options`` describe. Nothing is open yet."""
    from twisted.internet import reactor

    server = options.server
    server.on_failure(_end_twistd)
    supervise(server, reactor)
    return server


def setup_of(module: ModuleType) -> Setup:
    """The module's ``setup``. Raises ``ConfigurationError``."""
    setup = getattr(module, "setup", None)
    if not isinstance(setup, Setup):
        name = os.path.basename(str(module.__file__))
        raise ConfigurationError(f"{name} has no `setup = Setup(...)`, and no `server` either; is it a router.py?")
    return setup


def where(server: Any, port: str | None, secure: bool) -> dict[str, Any]:
    """Keywords for a server like ``server``, but listening on ``port``, and with TLS if either says so."""
    given: dict[str, Any] = {"port": server.configured_port, "host": server.host, "endpoint": server.endpoint}
    if port is not None:
        # A bare number keeps the server's own host; an endpoint says everything by itself.
        given = {"port": port, "host": server.host} if port.isdecimal() else {"endpoint": port}
    return {**given, "secure": secure or server.secure, "manhole": server.manhole, "metrics": server.metrics}


def _existing_file(config: str | None) -> str:
    if config is None:
        raise usage.UsageError("--config is missing: give the project's router.py")
    path = os.path.abspath(config)
    if os.path.isdir(path):
        raise usage.UsageError(f"--config: {path} is a folder; give the router.py in it")
    if not os.path.isfile(path):
        raise usage.UsageError(f"--config: there is no file {path}")
    return path


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
