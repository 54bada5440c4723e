"""``twistd fluxon``: its options, and the service that they describe. The rules are those of ``fluxon.plugins``."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.plugins import ProjectOptions, make_service, setup_of, where

makeService = make_service


class Options(ProjectOptions):
    """What ``twistd fluxon`` takes."""

    program = "twistd fluxon"
    synopsis = (
        "--config router.py [--port ENDPOINT] [--cloud-port ENDPOINT] [--secure] [--manhole ENDPOINT] "
        "[--metrics ENDPOINT]"
    )
    longdesc = (
        "Runs a project's server. If the file has a variable `server` (as the server.py of a generated project has), "
        "that says where it listens and whether with TLS; otherwise it is port 8080 of this machine, without. "
        "The options go before both."
    )
    optParameters = [
        ["cloud-port", None, None, "Serve the cloud storage as well: a port, or any Twisted endpoint."],
    ]

    server: AsyncServer

    def describe(self, module: ModuleType) -> AsyncServer:
        """The module's own server, with what the command line says instead."""
        server = getattr(module, "server", None)
        if not isinstance(server, AsyncServer):
            server = AsyncServer(setup=setup_of(module))
        return self._listening_elsewhere(server)

    def _listening_elsewhere(self, server: AsyncServer) -> AsyncServer:
        port, cloud_port, secure = self["port"], self["cloud-port"], bool(self["secure"])
        cloud = server.cloud_storage
        as_secure = not secure or (server.secure and (cloud is None or cloud.secure))
        if port is None and cloud_port is None and as_secure:
            return server
        if cloud is not None or cloud_port is not None:
            # Another one, since a port belongs to one server.
            cloud = CloudStorageServer(**where(cloud or CloudStorageServer(), cloud_port, secure))
        given = where(server, port, secure)
        return AsyncServer(setup=server.setup, cloud_storage=cloud, **given)

    def endpoints(self) -> list[tuple[str, Callable[[Any], object]]]:
        """The main port's, the cloud's, and those for operators, as far as there are any."""
        server, found = self.server, super().endpoints()
        if server.cloud_storage is not None:
            found.append(("--cloud-port", server.cloud_storage.choose_endpoint))
        return found
