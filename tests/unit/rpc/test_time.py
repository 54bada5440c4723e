"""Silence, stalled frames and strangers that never say hello: who is gone when, and who is not."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire import frame
from fluxon.wire.messages import write_ask, write_ping, write_pong

PING = write_ping(0)


class TimeCase(SynchronousTestCase):
    make_line: Any

    def setUp(self) -> None:
        self.line = self.make_line(heartbeat=25.0, frame_stall=30.0, handshake=10.0)

    def advance(self, seconds: float) -> None:
        self.line.clock.advance(seconds)
        self.line.clock.advance(0)

    @property
    def pings(self) -> int:
        return int(self.line.transport.sent.count(PING))


class HandshakeTests(TimeCase):
    def test_no_hello(self) -> None:
        """Whoever has not said hello in time is gone, however much else they say."""
        line = self.line = self.make_line(greeted=False, handshake=10.0)
        for _ in range(9):
            self.advance(1)
            line.raw(write_ping(1))
        self.assertIsNone(line.ended)
        self.advance(1)
        self.assertEqual(line.ended, "ConnectionAborted")
        self.assertEqual(line.clock.getDelayedCalls(), [])

    def test_hello(self) -> None:
        """After hello patience ends and the heartbeat begins."""
        line = self.line = self.make_line(greeted=False, handshake=10.0)
        self.advance(9)
        line.peer.greeted = True
        line.protocol.greeted()
        self.advance(20)
        self.assertIsNone(line.ended)

    def test_hello_after_the_end(self) -> None:
        """A hello whose answer is ready after the connection was lost starts no timer."""
        line = self.make_line(greeted=False)
        line.transport.lose(ConnectionError())
        line.protocol.greeted()
        self.assertEqual(line.clock.getDelayedCalls(), [])


class HeartbeatTests(TimeCase):
    def test_silence(self) -> None:
        """A ping after one interval of silence, the end after two."""
        self.advance(25)
        self.assertEqual(self.pings, 1)
        self.advance(24.9)
        self.assertIsNone(self.line.ended)
        self.advance(0.1)
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_any_byte_counts(self) -> None:
        """A pong, an ask, a ping, a part of a frame: whoever is heard within each interval lives, and is not pinged."""
        for sound in (write_pong(0), write_ask(1, "do", {"job": "echo", "value": 1}, None, {}), write_ping(1)) * 3:
            self.advance(24)
            self.line.raw(sound)
            self.advance(1)
        self.line.raw(b"\x00")
        self.advance(25)
        self.assertIsNone(self.line.ended)
        self.assertEqual(self.pings, 0)

    def test_answer_to_ping(self) -> None:
        """Whoever answers pings and says nothing else lives for ever."""
        for number in range(1, 20):
            self.advance(25)
            self.assertEqual(self.pings, number)
            self.line.raw(write_pong(0))
            self.advance(25)
        self.assertIsNone(self.line.ended)

    def test_shorter_stall(self) -> None:
        """A patience with frames that is shorter than the heartbeat changes nothing for who is silent."""
        line = self.line = self.make_line(heartbeat=20.0, frame_stall=10.0)
        self.advance(10)
        self.assertEqual(self.pings, 0)
        self.advance(10)
        self.assertEqual(self.pings, 1)
        self.advance(10)
        self.assertIsNone(line.ended)
        self.advance(10)
        self.assertEqual(line.ended, "ConnectionAborted")


class StallTests(TimeCase):
    """A frame has to grow."""

    def setUp(self) -> None:
        self.line = self.make_line(heartbeat=60.0, frame_stall=10.0, frame_rate=1_000)

    def test_truncated(self) -> None:
        """Half a frame and nothing more: gone long before mere silence would be."""
        self.line.raw(frame(b"x" * 1_000)[:500])
        self.advance(10)
        self.advance(10)
        self.assertEqual(self.line.ended, "ConnectionAborted")

    def test_dripping(self) -> None:
        """A byte a second is a stall."""
        data = frame(b"x" * 1_000)
        for position in range(20):
            self.line.raw(data[position : position + 1])
            self.advance(1)
        self.assertEqual(self.line.ended, "ConnectionAborted")

    def test_slow_but_going(self) -> None:
        """At the rate that is asked for a frame may take minutes."""
        data = write_ask(1, "do", {"job": "echo", "value": b"x" * 200_000}, None, {})
        for position in range(0, len(data), 1_000):
            self.line.raw(data[position : position + 1_000])
            self.advance(1)
        self.assertIsNone(self.line.ended)
        self.assertGreater(len(self.line.transport.sent), 200_000)

    def test_busy_sender(self) -> None:
        """Somebody in the middle of another frame at each look, a little further than last time, is no stall."""
        data = write_ask(1, "do", {"job": "echo", "value": b"x" * 5_000}, None, {})
        sent = 0
        for part in (1_000, 1_001, 1_002, 1_500, 3_000):
            self.line.raw((data + data)[sent : len(data)] + data[:part])
            sent = part
            self.advance(10)
        self.assertIsNone(self.line.ended)

    def test_frame_just_begun(self) -> None:
        """A frame that began a moment before the look is not judged by it."""
        self.advance(9.9)
        self.line.raw(frame(b"x" * 100_000)[:10])
        self.advance(0.1)
        self.assertIsNone(self.line.ended)


class ByteByByteTests(TimeCase):
    def test_finely_chopped(self) -> None:
        """However a stream is chopped, the same answers come in the same order."""
        data = b"".join(write_ask(tag, "do", {"job": "echo", "value": ["v", tag]}, None, {}) for tag in range(20))
        whole = self.make_line()
        whole.raw(data)
        for size in (1, 2, 3, 5, 7, 64):
            line = self.make_line()
            for position in range(0, len(data), size):
                line.raw(data[position : position + size])
            self.assertEqual(line.transport.sent, whole.transport.sent)
