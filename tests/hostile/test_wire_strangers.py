"""Peers that speak something else, and bombs: known from their first bytes, and cheap to the end."""

from __future__ import annotations

import pickle
import time
import tracemalloc
from typing import Any

import lz4.block
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError, ProtocolError
from fluxon.limits import Limits
from fluxon.wire import COMPRESSED, Ask, Conversation, frame
from fluxon.wire.frames import MAX_RATIO

LIMITS = Limits()

#: What port scanners, browsers and misconfigured clients send first.
STRANGERS = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "SMTP": b"EHLO example.org\r\n",
    "JSON": b'{"view": "login", "payload": {}}\n',
    "five digits and JSON": b'00032{"view": "login", "payload": {}}',
    "a digit that is none": "\u00b2\u00b2\u00b2\u00b2\u00b2{}".encode(),
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "pickle": pickle.dumps({"view": "login"}),
    "SOCKS": b"\x05\x01\x00\x00",
    "memcached": b"\x80\x0b\x00\x00" + b"\x00" * 20,
}


def conversation(limit: int) -> Conversation:
    return Conversation(receive_limit=limit, send_limit=LIMITS.frame_to_client, in_flight=LIMITS.in_flight)


def ask_of(payload: bytes, tag: int = 1) -> bytes:
    """The body of a call whose payload is that CBOR."""
    return b"\x86\x00\x1a" + tag.to_bytes(4, "big") + b"\x64call\xa2\x64view\x64echo\x67payload" + payload + b"\xf6\xa0"


def lists(count: int) -> bytes:
    """A list of so many empty lists: a byte each on the wire, 73 in memory."""
    return b"\x9a" + count.to_bytes(4, "big") + b"\x80" * count


class StrangerTests(SynchronousTestCase):
    """Other protocols on this port."""

    def test_refused_at_once(self) -> None:
        """Each is refused from its first four bytes, whole or byte by byte: nothing waits for more."""
        for name, data in STRANGERS.items():
            with self.subTest(name):
                self.assertRaises(ProtocolError, conversation(LIMITS.frame_before_hello).receive, data)
                end = conversation(LIMITS.frame_before_hello)
                for byte in data[:3]:
                    self.assertEqual(end.receive(bytes([byte])), [])
                self.assertRaises(ProtocolError, end.receive, data[3:4])

    def test_the_text_helps(self) -> None:
        """Whoever reads the log learns what to look at, and sees nothing that a stranger wrote."""
        error = self.assertRaises(ProtocolError, conversation(1_000).receive, STRANGERS["HTTP"])
        self.assertIn("1000", error.text)
        self.assertNotIn("GET", error.text)


class BombTests(SynchronousTestCase):
    """Small on the wire, large in memory, if anywhere."""

    def cost(self, end: Conversation, data: bytes) -> tuple[float, int, Any]:
        """Seconds of this thread, bytes at the highest point, and what came of it."""
        started = time.thread_time()
        outcome: Any
        try:
            outcome = end.receive(data)
        except ProtocolError as error:
            outcome = error
        spent = time.thread_time() - started
        end.close()
        end.answering.clear()
        tracemalloc.start()
        try:
            end.receive(data)
        except FluxonError:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return spent, peak, outcome

    def test_many_small_lists(self) -> None:
        """The densest frame that a stranger may send: taken, in a time that nobody notices."""
        body = ask_of(lists(LIMITS.frame_anonymous - 60))
        spent, peak, outcome = self.cost(conversation(LIMITS.frame_anonymous), frame(body))
        self.assertIsInstance(outcome[0], Ask)
        self.assertLess(spent, 1.5)
        self.assertLess(peak, 40 << 20)

    def test_compressed_lists(self) -> None:
        """A read's worth of them, compressed as far as lz4 can: each is refused for its ratio, before it unpacks."""
        body = ask_of(lists(LIMITS.frame_anonymous - 60))
        packed = len(body).to_bytes(4, "big") + lz4.block.compress(body, store_size=False)
        self.assertLess(len(packed), 2_000)
        spent, peak, outcome = self.cost(conversation(LIMITS.frame_anonymous), frame(packed, COMPRESSED) * 40)
        self.assertIsInstance(outcome, ProtocolError)
        self.assertLess(spent, 0.1)
        self.assertLess(peak, 4 << 20)

    def test_the_densest_read(self) -> None:
        """At the ratio that is allowed, 64 KiB unpack to 1 MiB of the densest frames and no more."""
        noise = bytes(number * number * 7919 >> 8 & 255 for number in range(3_000))
        body = ask_of(b"\x82" + b"\x59" + len(noise).to_bytes(2, "big") + noise + lists(42_000))
        packed = len(body).to_bytes(4, "big") + lz4.block.compress(body, store_size=False)
        self.assertLess(len(body), MAX_RATIO * len(packed))
        frames = [
            frame(len(each).to_bytes(4, "big") + lz4.block.compress(each, store_size=False), COMPRESSED)
            for each in (
                ask_of(b"\x82" + b"\x59" + len(noise).to_bytes(2, "big") + noise + lists(42_000), tag)
                for tag in range(20)
            )
        ]
        data = b"".join(frames)[:65_536]
        spent, peak, _ = self.cost(conversation(LIMITS.frame_anonymous), data)
        self.assertLess(spent, 6)  # by itself an eighth of that; coverage takes four times as long
        self.assertLess(peak, 120 << 20)

    def test_a_flood_of_refusals(self) -> None:
        """What every byte of a read can make this side answer is bounded: 64 KiB of wrong asks, under 1 MiB."""
        end = conversation(LIMITS.frame_anonymous)
        data = b"".join(frame(b"\x82\x00\x19" + tag.to_bytes(2, "big")) for tag in range(6_500))
        self.assertLess(len(data), 65_536)
        self.assertEqual(end.receive(data), [])
        self.assertLess(end.output_size, 1 << 20)
        self.assertEqual(end.output_size, sum(map(len, end.output)))

    def test_a_flood_of_pings(self) -> None:
        """Each costs as many bytes as it brought."""
        end = conversation(LIMITS.frame_anonymous)
        data = frame(b"\x82\x06\x1a\x00\x00\x00\x01") * 5_000
        self.assertEqual(end.receive(data), [])
        self.assertEqual(end.output_size, len(data))
