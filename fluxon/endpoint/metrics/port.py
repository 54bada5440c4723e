"""The port on which a server tells how it is.

Rules kept here: what needs the extra is imported when somebody wants metrics, and not before; who wants them without it
is told what to install, before anything is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from fluxon.endpoint.listening import address_of
from fluxon.endpoint.metrics.figures import Measured, health, samples
from fluxon.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxon.endpoint.metrics.site import MetricsSite

_log = Logger(namespace="fluxon.server")


class MetricsPort:
    """``/metrics`` and ``/health`` of ``run``. ``stopping()``: whether it takes nothing new any more."""

    def __init__(
        self, run: Measured, endpoint: IStreamServerEndpoint, reactor: Any, stopping: Callable[[], bool]
    ) -> None:
        try:
            from fluxon.endpoint.metrics.collector import ServerCollector
            from fluxon.endpoint.metrics.site import MetricsSite
        except ImportError as error:
            if error.name is None or error.name.partition(".")[0] == "prometheus_client":
                raise ConfigurationError(
                    "metrics need prometheus-client; type: pip install 'fluxon[metrics]'"
                ) from error
            raise ConfigurationError(
                f"metrics need Python's {error.name}, which cannot be imported; see that the server's user may read "
                f"the Python that the virtual environment was made of"
            ) from error
        self._endpoint = endpoint
        collector = ServerCollector(lambda: run.requests, lambda: samples(run))
        self._site: MetricsSite = MetricsSite(reactor, collector, lambda: health(run, stopping))

    @property
    def port(self) -> IListeningPort:
        """What it listens on."""
        return self._site.port

    async def open(self) -> None:
        """Listen."""
        await self._site.open(self._endpoint)
        _log.info("metrics and health at {address}", address=address_of(self.port))

    async def close(self) -> None:
        """Take no more questions."""
        await self._site.close()
