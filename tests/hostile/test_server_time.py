"""Peers that dawdle or die: gone in time, and nothing is left of them."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire import frame
from fluxon.wire.messages import write_ask, write_ping, write_pong

#: Seconds. Before any of the default limits would have ended it, and room for a machine that is busy with other things.
SOON = 9.0


@pytest.mark.usefixtures("server")
class TimeCase(SynchronousTestCase):
    server: Any
    limits = {"handshake": 1.0, "heartbeat": 0.5, "frame_stall": 0.5, "frame_rate": 1_000}

    def time_to_end(self, visitor: Any) -> float:
        """Seconds until the server ends the connection."""
        began = time.monotonic()
        self.assertTrue(visitor.ends())
        return time.monotonic() - began


class HelloTests(TimeCase):
    def test_no_hello(self) -> None:
        """100 silent strangers, and one who asks and pings but never says hello: gone at the timeout, or soon after."""
        strangers = [self.server.visit() for _ in range(100)]
        talker = self.server.visit()
        began = time.monotonic()
        talker.socket.settimeout(0.05)
        try:
            while time.monotonic() - began < SOON:
                talker.send(write_ping(1) + write_ask(1, "call", {"view": "echo", "payload": 1}, None, {}))
                try:
                    if not talker.socket.recv(65_536):
                        break
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
        for stranger in [talker, *strangers]:
            self.time_to_end(stranger)
            stranger.socket.close()
        self.assertLess(time.monotonic() - began, SOON)

    def test_dripping_hello(self) -> None:
        """A hello that comes a byte at a time, too slowly."""
        with self.server.visit() as visitor:
            hello = write_ask(1, "hello", {"version": 1, "token": None, "seen": 0, "features": []}, None, {})
            visitor.socket.settimeout(0.1)
            began = time.monotonic()
            try:
                for byte in hello[:-1]:
                    visitor.send(bytes([byte]))
                    try:
                        if not visitor.socket.recv(1):
                            break
                    except TimeoutError:
                        pass
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - began, SOON)


class SilenceTests(TimeCase):
    def test_silent(self) -> None:
        """Silence is answered with a ping, and ended after as long again."""
        with self.server.visit() as visitor:
            visitor.greet()
            began = time.monotonic()
            heard = b""
            while data := _read(visitor.socket):
                heard += data
            self.assertIn(write_ping(0), heard)
            self.assertLess(time.monotonic() - began, SOON)
            self.assertGreater(time.monotonic() - began, 0.9)

    def test_answering_pings(self) -> None:
        """Whoever says nothing but pong stays."""
        with self.server.visit() as visitor:
            visitor.greet()
            for _ in range(3):
                self.assertIn(write_ping(0), _read(visitor.socket))
                visitor.send(write_pong(0))
            self.assertEqual(visitor.result("echo", 1), 1)

    def test_truncated_frame(self) -> None:
        """Half a frame and then nothing."""
        with self.server.visit() as visitor:
            visitor.greet()
            visitor.send(frame(b"x" * 1_000)[:500])
            self.assertLess(self.time_to_end(visitor), SOON)

    def test_stalled_frame(self) -> None:
        """A frame that grows, and too slowly."""
        with self.server.visit() as visitor:
            visitor.greet()
            began = time.monotonic()
            visitor.socket.settimeout(0.1)
            data = write_ask(1, "call", {"view": "echo", "payload": "x" * 10_000}, None, {})
            try:
                for byte in data:
                    visitor.send(bytes([byte]))
                    try:
                        if not visitor.socket.recv(4_096):
                            break
                    except TimeoutError:
                        pass
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - began, SOON)


def _read(connected: Any) -> bytes:
    try:
        return bytes(connected.recv(65_536))
    except ConnectionError:
        return b""


class DyingTests(TimeCase):
    """Connections that end in every way."""

    limits = {"handshake": 1.0, "heartbeat": 0.5, "view_timeout": 1.0, "output_stalled": 1.0, "drain": 1.0}

    def test_nothing_is_left(self) -> None:
        """500 connections that die in ten ways: descriptors, timers, sessions and requests are what they were."""
        ways = [getattr(self, name) for name in dir(self) if name.startswith("die_")]
        for way in ways:
            way()
        before = self.server.until(_quiet)
        for number in range(500):
            ways[number % len(ways)]()
        after = self.server.until(
            lambda state: all(state[key] <= before[key] for key in ("descriptors", "timers", "sessions", "working"))
        )
        for key in ("descriptors", "timers", "sessions", "working", "peers"):
            self.assertLessEqual(after[key], before[key], key)

    def die_before_hello(self) -> None:
        self.server.visit().socket.close()

    def die_politely(self) -> None:
        with self.server.visit() as visitor:
            visitor.greet()

    def die_by_reset(self) -> None:
        visitor = self.server.visit().greet()
        visitor.call("echo", "x" * 1_000)
        visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.socket.close()

    def die_half(self) -> None:
        with self.server.visit() as visitor:
            visitor.greet()
            visitor.say_no_more()
            self.assertTrue(visitor.ends())

    def die_by_offence(self) -> None:
        with self.server.visit() as visitor:
            visitor.greet()
            visitor.send(b"\xff" * 5)
            self.assertTrue(visitor.ends())

    def die_in_a_frame(self) -> None:
        with self.server.visit() as visitor:
            visitor.greet()
            visitor.send(frame(b"x" * 1_000)[:300])

    def die_while_it_works(self) -> None:
        with self.server.visit() as visitor:
            visitor.greet()
            for view in ("hang", "later", "sleep"):
                visitor.put_call(view, 0)
            visitor.flush()

    def die_unread(self) -> None:
        with self.server.visit(receive_buffer=4_096) as visitor:
            visitor.greet()
            for _ in range(10):
                visitor.put_call("make", 300_000)
            visitor.flush()

    def die_with_two_hellos(self) -> None:
        with self.server.visit() as visitor:
            visitor.greet()
            hello = {"version": 1, "token": visitor.hello["token"], "seen": 0, "features": []}
            with self.server.visit() as other:
                other.outcome(other.ask_command("hello", hello))
            visitor.ask_command("hello", {**hello, "token": None})

    def die_while_greeting(self) -> None:
        with self.server.visit() as visitor:
            visitor.send(write_ask(1, "hello", {"version": 1, "token": None, "seen": 0, "features": []}, None, {}))


def _quiet(state: dict[str, Any]) -> bool:
    """Nothing is under way but the asking for the state itself."""
    return state["peers"] == 1 and state["working"] == 0 and state["sessions"] == 1
