"""``twistd fluxon-cloud``: the cloud storage in a process of its own. The rules are those of ``fluxon.plugins``."""

from __future__ import annotations

from types import ModuleType

from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.plugins import ProjectOptions, make_service, setup_of, where

makeService = make_service


class Options(ProjectOptions):
    """What ``twistd fluxon-cloud`` takes."""

    program = "twistd fluxon-cloud"
    synopsis = "--config router.py [--port ENDPOINT] [--secure] [--manhole ENDPOINT] [--metrics ENDPOINT]"
    longdesc = (
        "Runs the cloud storage of a project in a process of its own; its main server may run in another, and whoever "
        "logs in there is known here. If the file has a variable `server` with a CloudStorageServer, that says where "
        "it listens and whether with TLS; otherwise it is port 8888 of this machine, without. The options go before "
        "both."
    )

    server: CloudStorageServer

    def describe(self, module: ModuleType) -> CloudStorageServer:
        """The cloud of the module's server, or of its setup, with what the command line says instead."""
        server = getattr(module, "server", None)
        if isinstance(server, CloudStorageServer) and server.setup is not None:
            like, setup = server, server.setup
        elif isinstance(server, AsyncServer):
            like, setup = server.cloud_storage or CloudStorageServer(), server.setup
        else:
            like, setup = CloudStorageServer(), setup_of(module)
        return CloudStorageServer(setup=setup, **where(like, self["port"], bool(self["secure"])))
