"""``CloudStorageServer``: a port for the cloud storage, beside a project's main server or in a process of its own.

Rules of this module: making one opens nothing. As ``AsyncServer(cloud_storage=...)`` it is started and stopped by that
server, on whose setup, database and sessions it works; alone it is an ``IService`` with a setup of its own, and shares
sessions with other processes through the database.
"""

from __future__ import annotations

from typing import Any, NoReturn

from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from fluxon.database.database import Database
from fluxon.endpoint.cloud_port import CloudPort
from fluxon.endpoint.foundation import Foundation
from fluxon.endpoint.listener import Listener
from fluxon.endpoint.metrics.figures import used_of_all
from fluxon.endpoint.service import ServerService
from fluxon.errors import ConfigurationError, Unavailable
from fluxon.metrics import Requests
from fluxon.routing import Setup
from fluxon.sessions import Sessions


class CloudEngine:
    """One run of a cloud server that stands alone."""

    def __init__(self, setup: Setup, reactor: Any, endpoint: IStreamServerEndpoint, secure: bool) -> None:
        self.foundation = Foundation(setup, reactor, log_name="fluxon-cloud")
        self.cloud_port = CloudPort(self.foundation, endpoint, secure)

    @property
    def listeners(self) -> dict[str, Listener]:
        """Its port, by name."""
        return {"cloud": self.cloud_port.listener}

    @property
    def requests(self) -> dict[str, Requests]:
        """What became of requests, by command."""
        return self.cloud_port.requests

    @property
    def queues(self) -> dict[str, int]:
        """What waits for a thread."""
        return {"cloud": self.cloud_port.waiting}

    def used(self) -> dict[str, float]:
        """What is used of the limits, by their names."""
        return {**used_of_all(self), **self.cloud_port.used()}

    async def start(self) -> None:
        """Open everything, and listen last."""
        await self.foundation.open()
        await self.cloud_port.open()

    async def stop(self) -> None:
        """Close everything that is open."""
        await self.cloud_port.close()
        await self.foundation.close()

    def hurry(self) -> None:
        """While it stops, or is about to: do not wait for transfers."""
        self.cloud_port.hurry()


class CloudStorageServer(ServerService[CloudEngine]):
    """Serves the cloud of ``setup`` on ``port``; with TLS if ``secure``.

    Inside ``AsyncServer(cloud_storage=CloudStorageServer(...))`` the setup is that server's. ``host``, ``endpoint``,
    ``manhole`` and ``metrics`` are as in ``AsyncServer``.
    """

    def __init__(
        self,
        port: int | str = 8888,
        secure: bool = False,
        host: str | None = None,
        endpoint: Any = None,
        setup: Setup | None = None,
        *,
        manhole: Any = None,
        metrics: Any = None,
        reactor: Any = None,
    ) -> None:
        super().__init__(port, secure, host, endpoint, reactor, metrics, manhole)
        if setup is not None:
            check_setup(setup)
        self.setup = setup
        self._of: object | None = None
        self._port: CloudPort | None = None

    def _make_run(self, reactor: Any) -> CloudEngine:
        if self._of is not None:
            _raise("this CloudStorageServer belongs to an AsyncServer, which starts it; start that one")
        if self.setup is None:
            _raise("CloudStorageServer needs the setup of router.py: CloudStorageServer(setup=router.setup)")
        return CloudEngine(self.setup, reactor, self.next_endpoint(reactor), self.secure)

    # --- as a part of a main server -----------------------------------------------------------------------------------

    def belong_to(self, server: object, setup: Setup) -> None:
        """Be the cloud's port of ``server``. Raises ``ConfigurationError`` when it cannot be."""
        check_setup(setup)
        if self.setup is not None and self.setup is not setup:
            _raise("a CloudStorageServer inside an AsyncServer has the setup of that; leave its own out")
        if self._of is not None or self.parent is not None or self.running:
            _raise("this CloudStorageServer has a server or a parent already; make another one")
        self._of, self.setup = server, setup

    def opened(self, port: CloudPort | None) -> None:
        """What it runs as in its main server now; None: it does not."""
        self._port = port

    # --- for those who have it ----------------------------------------------------------------------------------------

    @property
    def cloud_port(self) -> CloudPort:
        """Its run, once there is one."""
        if self._of is None:
            return self._running().cloud_port
        if self._port is None:
            raise Unavailable("the server is not running")
        return self._port

    @property
    def listening_port(self) -> IListeningPort:
        """What it listens on, once it does."""
        return self.cloud_port.port

    @property
    def database(self) -> Database | None:
        """The project's database, once the server runs."""
        return self.cloud_port.foundation.database

    @property
    def sessions(self) -> Sessions:
        """The sessions, once the server runs. For the reactor thread."""
        return self.cloud_port.foundation.sessions


def check_setup(setup: Any) -> None:
    """Raise ``ConfigurationError`` unless ``setup`` has a cloud."""
    if not isinstance(setup, Setup):
        _raise("setup is the Setup of router.py: CloudStorageServer(setup=router.setup)")
    if not setup.has_cloud:
        _raise(
            "this setup has no cloud storage: give it cloud_folder=BASE_DIR / 'cloud' and "
            "cloud_auth_model=CloudAuthorizationModel"
        )


def _raise(text: str) -> NoReturn:
    raise ConfigurationError(text)
