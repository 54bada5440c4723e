"""``MemoryCloud``: the cloud storage of a server in memory, as one of its clients sees it.

Rules of this module: every call is that of ``CloudStorageConnector`` of the same name, carried out by the client for
Twisted programs over a link in memory, under the rule of ``calling``. Functions that hear of changes are called as
those that the server calls.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from fluxon.connect import CloudClient
from fluxon.connect.cloud.given import CloudPath
from fluxon.connect.cloud.items import CloudChange
from fluxon.connect.cloud.leases import CloudLock
from fluxon.testing.link import Link
from fluxon.testing.network import MemoryClientEndpoint

if TYPE_CHECKING:
    from fluxon.testing.client import MemoryClient
    from fluxon.testing.server import MemoryServer


class MemoryCloud:
    """Made by ``MemoryClient.cloud``. In a test that awaits: ``files = await emma.cloud()``."""

    def __init__(self, server: MemoryServer, owner: MemoryClient) -> None:
        self._calls = server.calls
        self._owner = owner
        self._endpoint: MemoryClientEndpoint = server.cloud_endpoint()
        self._blocks = self._calls.may_block()
        #: The client for Twisted programs.
        self.client = CloudClient(server.reactor, self._endpoint, connection=owner, random=lambda: 0.0)
        server.opened(self)
        self._begun = self._calls.run("cloud()", self._begin)

    def __repr__(self) -> str:
        return f"<MemoryCloud {self.client!r}>"

    def __await__(self) -> Generator[Any, Any, MemoryCloud]:
        if not self._blocks:
            begun, self._begun = self._begun, None
            if begun is not None:
                yield from begun.__await__()
        return self

    def _begin(self) -> Deferred[Any]:
        self.client.startService()
        return self.client.when_connected()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # CloudClient has the whole vocabulary; here it is only a matter of who waits.
        method = getattr(CloudClient, name)

        def call(*args: Any, **keywords: Any) -> Any:
            return self._calls.run(f"{name}()", lambda: method(self.client, *args, **keywords))

        return call

    def lock(self, relative_path: CloudPath, seconds: int = 60) -> Any:
        """As ``CloudStorageConnector.lock``; for ``with``, or ``async with``."""
        taken = self._calls.run("lock()", lambda: self.client.lock(relative_path, seconds))
        if not isinstance(taken, CloudLock):
            return taken
        return CloudLock(taken.path, taken.id, taken.until, lambda held: self.unlock(held))

    def watch(self, relative_path: CloudPath, function: Callable[[CloudChange], Any]) -> Any:
        """As ``CloudStorageConnector.watch``."""
        heard = self._owner.in_turn(function)
        return self._calls.run("watch()", lambda: self.client.watch(relative_path, heard))

    @property
    def link(self) -> Link | None:
        """The connection that there is, or was last."""
        return self._endpoint.link

    def close(self) -> Any:
        """End it for good."""
        return self._calls.run("close()", self.client.close)
