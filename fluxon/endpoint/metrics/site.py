"""``/metrics`` for Prometheus and ``/health`` for whoever watches over the process, on a port of their own.

Rules kept here: nothing but numbers and "ok" is told, and only to this machine unless the program says otherwise;
answers are made in threads, so that asking holds up no request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import make_wsgi_app
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.wsgi import WSGIResource

from fluxon.endpoint.metrics.collector import ApplicationCollector, ServerCollector
from fluxon.workers import WorkerPool

#: Seconds until a health check that gets no answer is one.
HEALTH_SECONDS = 5.0


class _Health(Resource):
    """200 and ``ok``, or 503 and what is wrong."""

    isLeaf = True

    def __init__(self, reactor: Any, check: Callable[[], Deferred[str | None]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._check = check

    def render_GET(self, request: Request) -> int:
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)
        checking = self._check().addTimeout(HEALTH_SECONDS, self._reactor)

        def answer(outcome: Any) -> None:
            if gone:
                return
            trouble = "no answer in time" if isinstance(outcome, Failure) else outcome
            request.setResponseCode(200 if trouble is None else 503)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            request.write(f"{trouble or 'ok'}\n".encode())
            request.finish()

        checking.addBoth(answer)
        return NOT_DONE_YET


class _Root(Resource):
    """What has no name here is not there."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class MetricsSite:
    """The port, from ``open`` to ``close``."""

    port: IListeningPort

    def __init__(self, reactor: Any, collector: ServerCollector, check: Callable[[], Deferred[str | None]]) -> None:
        self._reactor = reactor
        registry = CollectorRegistry()
        registry.register(collector)
        registry.register(ApplicationCollector())
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        # Not the reactor's own threads: those are the application's.
        self._threads = WorkerPool("metrics", 1, reactor, queue_limit=10)
        root = _Root()  # type: ignore[no-untyped-call]
        root.putChild(b"metrics", WSGIResource(reactor, _Pool(self._threads), make_wsgi_app(registry)))
        root.putChild(b"health", _Health(reactor, check))
        self._site = Site(root)
        self._site.noisy = False

    async def open(self, endpoint: IStreamServerEndpoint) -> None:
        """Listen."""
        self.port = await endpoint.listen(self._site)

    async def close(self) -> None:
        """Take no more questions."""
        if hasattr(self, "port"):
            await maybeDeferred(self.port.stopListening)
        self._threads.stop()


class _Pool:
    """A ``WorkerPool`` as the thread pool that Twisted's WSGI wants."""

    def __init__(self, threads: WorkerPool) -> None:
        self._threads = threads

    def callInThread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._threads.submit(function, *args, **kwargs).addErrback(lambda _: None)
