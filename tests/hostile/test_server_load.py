"""Peers that ask too much or never read: what they cost is bounded, and others hardly notice."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire import frame
from fluxon.wire.messages import write_ask, write_ping

MIB = 1024 * 1024


class Prober:
    """A client that asks again and again, and notes how long each answer took."""

    def __init__(self, server: Any) -> None:
        self._visitor = server.visit().greet()
        self._stop = threading.Event()
        self.times: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            began = time.monotonic()
            assert self._visitor.result("echo", 1) == 1
            self.times.append(time.monotonic() - began)

    def __exit__(self, *_: object) -> None:
        # A turn that takes long delays one answer: it is seen for what it is only among many.
        while len(self.times) < 200 and self._thread.is_alive():
            time.sleep(0.01)
        self._stop.set()
        self._thread.join()
        self._visitor.socket.close()

    def was_served(self) -> bool:
        """Half of the answers within 0.5 s, all but a few within five: a busy machine is no starvation.

        How good the figures are, ``scripts/soak --slow-readers`` says.
        """
        ordered = sorted(self.times)
        return ordered[len(ordered) // 2] < 0.5 and ordered[-max(4, len(ordered) // 50)] < 5.0


@pytest.mark.usefixtures("attackers")
class LoadCase(SynchronousTestCase):
    attacked: Any


class FloodTests(LoadCase):
    def test_asks(self) -> None:
        """20,000 asks without waiting: at most 128 at work, the rest refused, little memory, others served well."""
        with self.attacked() as server, server.visit() as flooder, Prober(server) as prober:
            flooder.greet()
            before = server.state()["resident"]
            reader = threading.Thread(target=self._count, args=(flooder, 20_000), daemon=True)
            reader.start()
            most = {"answering": 0, "working": 0, "resident": before}
            for start in range(10, 20_010, 1_000):
                flooder.send(
                    b"".join(
                        write_ask(tag, "call", {"view": "later", "payload": 10}, None, {})
                        for tag in range(start, start + 1_000)
                    )
                )
                state = server.state()
                most = {key: max(each, state[key]) for key, each in most.items()}
            reader.join(10)
            self.assertFalse(reader.is_alive())
            self.assertLessEqual(most["answering"], 128)
            self.assertLessEqual(most["working"], 128)
            self.assertLess(most["resident"] - before, 20 * MIB)
            self.assertGreaterEqual(self.codes["ResourceExhausted"], 1_000)
            self.assertGreaterEqual(self.codes["answered"], 128)
            self.assertEqual(sum(self.codes.values()), 20_000)
        self.assertTrue(prober.was_served(), sorted(prober.times)[-20:])

    def test_items_of_two_hundred(self) -> None:
        """Four frames from each of 200 connections at once: others wait for a few of them, not for all 800."""
        body = b"\x86\x00\x1a\x00\x00\x00\x09\x64call\xa2\x64view\x64echo\x67payload\x99\x3a\x98"
        body += b"\x80" * 15_000 + b"\xf6\xa0"
        with self.attacked() as server:
            alone: list[float] = []
            with server.visit() as visitor:
                visitor.greet()
                for _ in range(20):
                    began = time.monotonic()
                    visitor.result("echo", [[]] * 15_000)
                    alone.append(time.monotonic() - began)
            flooders = [server.visit().greet() for _ in range(200)]
            with Prober(server) as prober:
                for flooder in flooders:
                    flooder.socket.settimeout(60)
                    flooder.send(b"".join(frame(body[:3] + bytes((0, 0, 4, tag)) + body[7:]) for tag in range(4)))
                self.assertGreaterEqual(server.until(lambda state: state["busy"])["busy"], 1)
            for flooder in flooders:
                flooder.socket.close()
        self.assertLess(max(prober.times), 150 * sorted(alone)[10])

    def test_items(self) -> None:
        """Frames full of the smallest items from four connections, without end: they wait, others are served."""
        body = b"\x86\x00\x1a\x00\x00\x00\x09\x64call\xa2\x64view\x63who\x67payload\x99\x3a\x98"
        body += b"\x80" * 15_000 + b"\xf6\xa0"
        for secure in (False, True):
            with self.attacked(secure) as server, Prober(server) as prober:
                flooders = [server.visit().greet() for _ in range(4)]
                over = threading.Event()
                threads = [threading.Thread(target=self._flood, args=(each, body, over)) for each in flooders]
                for thread in threads:
                    thread.start()
                busy = server.until(lambda state: state["busy"] >= 10)["busy"]
                over.set()
                for thread, flooder in zip(threads, flooders, strict=True):
                    flooder.socket.shutdown(socket.SHUT_RDWR)
                    thread.join(10)
                    flooder.socket.close()
                self.assertGreaterEqual(busy, 10)
            times = sorted(prober.times)
            self.assertLess(times[len(times) // 2], 0.25)

    def _flood(self, flooder: Any, body: bytes, over: threading.Event) -> None:
        """The same ask under one tag after the other, whatever becomes of them."""
        tag = 1_000
        with contextlib.suppress(OSError):
            while not over.is_set():
                tag += 1
                flooder.send(frame(body[:3] + tag.to_bytes(4, "big") + body[7:]))

    def _count(self, flooder: Any, expected: int) -> None:
        """Whatever the answers are, count them by kind without keeping them."""
        self.codes = {"answered": 0, "ResourceExhausted": 0}
        held = b""
        while sum(self.codes.values()) < expected:
            data = flooder.socket.recv(262_144)
            if not data:
                return
            held += data
            while len(held) >= 4 and len(held) >= 4 + int.from_bytes(held[:4], "big"):
                size = 4 + int.from_bytes(held[:4], "big")
                self.codes["ResourceExhausted" if b"ResourceExhausted" in held[:size] else "answered"] += 1
                held = held[size:]

    def test_connections(self) -> None:
        """400 connections that come, say hello and stay cost little each, and nothing when they are gone."""
        with self.attacked() as server:
            before = server.state()
            visitors = [server.visit().greet() for _ in range(400)]
            full = server.state()
            self.assertEqual(full["peers"] - before["peers"], 400)
            self.assertLess(full["resident"] - before["resident"], 400 * 40 * 1024)
            for visitor in visitors:
                visitor.socket.close()
            after = server.until(lambda state: state["peers"] == before["peers"])
            for count in ("peers", "descriptors", "sessions", "working"):
                self.assertEqual(after[count], before[count], count)


class CrowdTests(LoadCase):
    """More connections than there is room for."""

    def test_descriptors_run_out(self) -> None:
        """With no descriptor left, those who are there are served, and those who wait come in when others leave."""
        with self.attacked(descriptors=100) as server:
            visitors = [server.visit() for _ in range(150)]
            for _ in range(20):
                self.assertEqual(server.result("echo", 1), 1)
            for visitor in visitors[:100]:
                visitor.socket.close()
            late = server.visit()
            self.assertEqual(late.greet().result("echo", 2), 2)
            for visitor in [late, *visitors[100:]]:
                visitor.socket.close()

    def test_too_many(self) -> None:
        """Beyond the limit of connections the next is closed at once, with TLS or without; others notice nothing."""
        for secure in (False, True):
            with self.attacked(secure, connections=3) as server, server.visit() as first, server.visit() as second:
                first.greet()
                second.greet()
                # It is closed so soon that connecting itself may hear of it.
                with (
                    contextlib.suppress(ConnectionResetError),
                    socket.create_connection(("127.0.0.1", server.port), timeout=5) as refused,
                ):
                    self.assertEqual(_until_the_end(refused), b"")
                self.assertEqual(first.result("echo", 1), 1)


class NeverReadingTests(LoadCase):
    """Who asks and does not read."""

    def test_costs_little(self) -> None:
        """64 MiB of answers asked for, none read: about 4 MiB held at most, and the end after its patience."""
        with self.attacked(output_stalled=2.0) as server, server.visit(receive_buffer=4_096) as visitor:
            visitor.greet()
            before = server.state()["resident"]
            most = {"resident": 0, "backlog": 0}
            visitor.socket.settimeout(0.5)
            began = time.monotonic()
            tag = 10
            try:
                while time.monotonic() - began < 20:
                    asks = (
                        write_ask(tag + number, "call", {"view": "make", "payload": 200_000}, None, {})
                        for number in range(100)
                    )
                    tag += 100
                    visitor.send(b"".join(asks))
                    state = server.state()
                    most = {key: max(each, state[key]) for key, each in most.items()}
            except TimeoutError:
                self.fail("the server no longer reads")
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - began, 10)
            self.assertGreater(most["backlog"], MIB // 4)
            self.assertLessEqual(most["backlog"], 4 * MIB + MIB // 2)
            self.assertLess(most["resident"] - before, 12 * MIB)
            self.assertEqual(server.until(lambda state: state["backlog"] == 0)["backlog"], 0)

    def test_answers_that_were_under_way(self) -> None:
        """128 answers of 200 KB that end while none is read: what fits arrives later, the rest is said to be lost."""
        with self.attacked(in_flight=128) as server, server.visit(receive_buffer=4_096) as visitor:
            visitor.greet()
            before = server.state()["resident"]
            tags = [visitor.put_call("later", 200_000) for _ in range(128)]
            visitor.flush()
            state = server.until(lambda state: state["backlog"] > MIB and state["answering"] <= 1)
            self.assertGreater(state["backlog"], MIB)
            self.assertLessEqual(state["backlog"], 3 * MIB + MIB // 2)
            self.assertLess(state["resident"] - before, 40 * MIB)
            visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
            outcomes = [visitor.outcome(tag) for tag in tags]
            read = [each for each in outcomes if isinstance(each, bytes)]
            self.assertEqual({len(each) for each in read}, {200_000})
            self.assertGreater(len(read), 10)
            lost = {each.code for each in outcomes if not isinstance(each, bytes)}
            self.assertEqual(lost, {"OutcomeUnknown"})
            self.assertEqual(visitor.result("echo", 1), 1)

    def test_pings(self) -> None:
        """Pings without end and no pong read: given up."""
        with self.attacked(output_stalled=30.0) as server, server.visit(receive_buffer=4_096) as visitor:
            visitor.greet()
            visitor.socket.settimeout(5)
            flood = write_ping(1) * 50_000
            with self.assertRaises(ConnectionError):
                for _ in range(200):
                    visitor.send(flood)

    def test_crowd(self) -> None:
        """50 of them at once: each costs no more than one, and others are served."""
        with self.attacked(output_stalled=3.0) as server, Prober(server) as prober:
            before = server.state()["resident"]
            crowd = [server.visit(receive_buffer=4_096).greet() for _ in range(50)]
            for visitor in crowd:
                for _ in range(60):
                    visitor.put_call("make", 100_000)
                visitor.flush()
            most = server.state()["resident"]
            self.assertEqual(server.until(lambda state: state["peers"] == 2)["peers"], 2)
            for visitor in crowd:
                visitor.socket.close()
            self.assertLess(most - before, 50 * 3 * MIB)
        self.assertTrue(prober.was_served(), sorted(prober.times)[-20:])


class SlowReadingTests(LoadCase):
    """Who reads, and slowly."""

    def test_two_hundred(self) -> None:
        """Each costs far less than the 4 MiB that it may, and is not thrown out for it; others are served."""
        with self.attacked() as server, Prober(server) as prober:
            before = server.state()["resident"]
            readers = [server.visit(receive_buffer=4_096).greet() for _ in range(200)]
            for reader in readers:
                for _ in range(40):
                    reader.put_call("make", 100_000)
                reader.flush()
            most = {"resident": 0, "backlog": 0}
            while len(prober.times) < 300:
                for reader in readers:
                    self.assertTrue(reader.socket.recv(1_000))
                state = server.state()
                most = {key: max(each, state[key]) for key, each in most.items()}
            self.assertEqual(state["peers"], 201 + 1)
            self.assertLessEqual(most["backlog"], MIB)
            self.assertLess(most["resident"] - before, 200 * MIB)
            for reader in readers:
                reader.socket.close()
        self.assertTrue(prober.was_served(), sorted(prober.times)[-20:])


def _until_the_end(connected: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    heard = b""
    try:
        while data := connected.recv(4_096):
            heard += data
    except ConnectionError:
        pass
    return heard
