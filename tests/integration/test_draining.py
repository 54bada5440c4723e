"""A server that is told to stop while it is busy: what is under way ends, what is new is refused, clients come back."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.errors import Unavailable
from fluxon.startproject import generate

TWISTD = Path(sys.executable).with_name("twistd")

CLIENTS, EACH, UPLOADS = 5, 10, 5

#: Bytes of an upload: more than what the ends of a connection hold between them.
SIZE = 24 * 2**20

VIEWS = '''

_gate = []


async def slow(request):
    """Waits until the server is told to stop, and then some."""
    import signal
    from twisted.internet import defer, reactor
    if not _gate:
        before = signal.getsignal(signal.SIGTERM)

        def told(*arguments):
            reactor.callFromThread(reactor.callLater, 0.5, lambda: [each.callback(None) for each in _gate])
            before(*arguments)

        signal.signal(signal.SIGTERM, told)
    _gate.append(defer.Deferred())
    await _gate[-1]
    return request.payload


async def waiting(request):
    return len(_gate)
'''


@pytest.mark.slow
class DrainingTests(SynchronousTestCase):
    def setUp(self) -> None:
        generate("AsyncServer", "chat", cloud=True)
        with open("chat/views.py", "a") as views:
            views.write(VIEWS)
        router = Path("chat/router.py").read_text().replace("setup = Setup(", "setup = Setup(limits=LIMITS,")
        Path("chat/router.py").write_text(
            router.replace("BASE_DIR =", "from fluxon.limits import Limits\nLIMITS = Limits(drain=60)\nBASE_DIR =", 1)
        )
        self.ports = [_free_port(), _free_port()]

    def serve(self) -> Child:
        main, cloud = (f"tcp:{port}:interface=127.0.0.1" for port in self.ports)
        command = [TWISTD, "-n", "--pidfile=", "fluxon", "--config", "chat/router.py", "--port", main]
        child = Child("twistd", [*command, "--cloud-port", cloud], Path.cwd())
        self.addCleanup(child.discard)
        child.expect(rf"listening on tcp \S+:{self.ports[0]}")
        return child

    def client(self) -> ConnectionInterface:
        made = ConnectionInterface(port=self.ports[0], timeout=90)
        self.addCleanup(made.close)
        return made

    def test_busy(self) -> None:
        """50 requests and 5 uploads end as if nothing were; what is new waits; the next server goes on with all."""
        child = self.serve()
        owner = self.client()
        owner.send_request("create_user", {"username": "emma", "email": "e@example.com", "password": "Secret123"})
        cloud = CloudStorageConnector(port=self.ports[1], connection=owner, timeout=90)
        self.addCleanup(cloud.close)
        cloud.create_directory("/files")
        owner.send_request("assign_me_as_owner", {"path": "/files"})
        content = os.urandom(SIZE)
        Path("content").write_bytes(content)
        clients = [self.client() for _ in range(CLIENTS)]
        begun = [threading.Event() for _ in range(UPLOADS)]
        told_to_stop = threading.Event()
        pool = ThreadPoolExecutor(CLIENTS * EACH + UPLOADS + 2)
        self.addCleanup(pool.shutdown, wait=False, cancel_futures=True)
        self.addCleanup(told_to_stop.set)

        def upload(number: int) -> str:
            def progress(done: int, total: int) -> None:
                if done:
                    begun[number].set()
                    told_to_stop.wait(60)

            return cloud.upload_file(f"/files/{number}", "content", progress=progress).sha256

        requests = [pool.submit(client.send_request, "slow", number) for client in clients for number in range(EACH)]
        uploads: list[Future[str]] = [pool.submit(upload, number) for number in range(UPLOADS)]
        while owner.send_request("waiting") < CLIENTS * EACH:
            pass
        for each in begun:
            self.assertTrue(each.wait(60))
        os.kill(child.pid, signal.SIGTERM)
        self.assertRaises(Unavailable, self.until_refused, owner)
        patient = [pool.submit(client.send_request, "whoami") for client in (owner, clients[0])]
        told_to_stop.set()
        self.assertEqual([each.result(90) for each in requests], list(range(EACH)) * CLIENTS)
        self.assertEqual({each.result(90) for each in uploads}, {sha256(content).hexdigest()})
        self.assertEqual(child.stop(90), -signal.SIGTERM)  # twistd ends by the signal that it was sent
        self.serve()
        self.assertEqual([each.result(90) for each in patient], [{"response": "emma"}, {"response": None}])
        for each in [owner, *clients]:
            each.send_request("waiting")
        self.assertEqual(owner.send_request("whoami"), {"response": "emma"})
        self.assertEqual({each.size for each in cloud.list_directory("/files")}, {SIZE})
        self.assertEqual(cloud.read_file("/files/0"), content)

    def until_refused(self, client: ConnectionInterface) -> None:
        """The signal takes a moment to arrive; ``told_to_stop`` is not set before, so nothing ends meanwhile."""
        while True:
            client.send_request("waiting", timeout=1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
