"""Readiness and stopping, as a supervisor hears of them."""

from __future__ import annotations

import gc
import os
import signal
import socket
import tempfile
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.endpoint import supervisor
from fluxon.errors import Unavailable


class TellTests(SynchronousTestCase):
    def listen(self, address: str | bytes) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind(address)
        made.settimeout(5)
        return made

    def test_a_socket_in_a_folder(self) -> None:
        """What is told arrives as one datagram."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "notify")
            listening = self.listen(path)
            self.assertTrue(supervisor.tell(supervisor.READY, {"NOTIFY_SOCKET": path}))
            self.assertEqual(listening.recv(100), b"READY=1")

    def test_an_abstract_socket(self) -> None:
        """Linux's names without a folder begin with @."""
        name = f"fluxon-test-{os.getpid()}"
        listening = self.listen("\0" + name)
        self.assertTrue(supervisor.tell(supervisor.STOPPING, {"NOTIFY_SOCKET": "@" + name}))
        self.assertEqual(listening.recv(100), b"STOPPING=1")

    def test_nobody(self) -> None:
        """Without a supervisor, or with one that is gone, nothing happens."""
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/x"}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            self.assertFalse(supervisor.tell(supervisor.READY, environ))

    def test_full(self) -> None:
        """One that does not listen keeps nobody waiting."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "notify")
            self.listen(path)
            told = [supervisor.tell(supervisor.READY, {"NOTIFY_SOCKET": path}) for _ in range(2_000)]
            self.assertIn(False, told)


class Turns(MemoryReactorClock):
    """A reactor that turns when the test says so."""

    def callFromThread(self, function: Any, *args: object) -> None:
        self.callLater(0, function, *args)


class SuperviseTests(SynchronousTestCase):
    """A server as the purpose of a process."""

    def setUp(self) -> None:
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.patch(os, "isatty", lambda _: self.on_terminal)
        self.on_terminal = False
        self.reloads = 0
        self.told: list[str] = []
        self.patch(supervisor, "tell", self.told.append)
        # The heap of the tests is nobody's to keep.
        for name in ("collect", "freeze"):
            self.patch(gc, name, lambda name=name: self.told.append(name))
        self.waiting: list[Deferred[Any]] = []

    def when_ready(self) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def reload(self) -> Deferred[Any]:
        self.reloads += 1
        return fail(OSError("no such file")) if self.reloads == 2 else succeed("")

    def supervised(self) -> Turns:
        reactor = Turns()
        server: Any = self
        supervisor.supervise(server, reactor)
        for function, args, keywords in reactor.whenRunningHooks:
            function(*args, **keywords)
        return reactor

    def test_a_hang_up(self) -> None:
        """Reloads, on the reactor's thread, each time; a reload that fails is logged, and the next one is done."""
        reactor = self.supervised()
        for count in (1, 2, 3):
            os.kill(os.getpid(), signal.SIGHUP)
            self.assertEqual(self.reloads, count - 1)
            reactor.advance(0)
            self.assertEqual(self.reloads, count)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_whose_hang_up_it_is(self) -> None:
        """On a terminal, and where somebody handles or ignores the signal, it is left as it is."""
        self.on_terminal = True
        self.supervised()
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_DFL)
        self.on_terminal = False
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.supervised()
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_a_server_that_does_not_start(self) -> None:
        """Is not told to be ready; why not is in the log already."""
        self.supervised()
        for each in self.waiting:
            each.errback(Unavailable("the port is taken"))
        self.assertEqual(self.told, [])

    def test_a_server_that_starts(self) -> None:
        """Is ready once the collector has been through what stays."""
        self.supervised()
        self.assertEqual(self.told, [])
        for each in self.waiting:
            each.callback(self)
        self.assertEqual(self.told, ["collect", "freeze", supervisor.READY])
