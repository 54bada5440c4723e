"""200,000 hostile frames through a conversation: each is understood, answered or ``ProtocolError``, and nothing else.

The seed is fixed so that a failure is found again; ``FLUXON_FUZZ_SEED`` and ``FLUXON_FUZZ_FRAMES`` ask for others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random
from typing import Any

import lz4.block
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError, ProtocolError
from fluxon.wire import COMPRESSED, RAW, Answer, Ask, Conversation, Failed, encode, frame
from fluxon.wire.messages import (
    write_answer,
    write_ask,
    write_cancel,
    write_credit,
    write_end,
    write_failed,
    write_ping,
    write_pong,
)

SEED = int(os.environ.get("FLUXON_FUZZ_SEED", "20240501"))
FRAMES = int(os.environ.get("FLUXON_FUZZ_FRAMES", "200000"))

PAYLOAD = {"text": "héllo", "n": [1, -5, 2**40, 1.5, None, True], "bytes": b"\x00\xff", "deep": [[{"a": [{}]}]]}


def good_frames() -> list[bytes]:
    """One of each kind, and some that say much."""
    asks = [write_ask(tag, "call", {"view": "echo", "payload": PAYLOAD}, 3.5, {}) for tag in range(3)]
    packed = encode([0, 9, "call", {"payload": list(range(500))}, None, {}])
    raw_size = len(packed).to_bytes(4, "big")
    return [
        *asks,
        write_ask(4, "hello", {"version": 1, "token": None, "seen": 0, "features": ["lz4"]}, None, {"x": 1}),
        write_answer(0, encode(PAYLOAD)),
        write_failed(1, "NotFound", "no", {"a": 1}),
        write_cancel(1),
        write_credit(1, 65_536),
        write_end(1, "Cancelled"),
        write_ping(7),
        write_pong(7),
        frame(b"\x00\x00\x00\x01chunk", RAW),
        frame(raw_size + lz4.block.compress(packed, store_size=False), COMPRESSED),
        frame(b"\x86\x00\x01\x64call\xa1\x61a" + b"\xd8\x25\x50" + b"u" * 16 + b"\xf6\xa0"),
        frame(b"\x83\x01\x00\xc4\x82\x21\x19\x27\x10"),
        frame(b"\x83\x01\x00\xc0\x74" + b"2024-05-06T12:00:00Z"),
    ]


class Noise:
    """Makes hostile frames. Every shape of damage that a broken or clever sender could do."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.good = good_frames()

    def mutated(self) -> bytes:
        """A good frame with a few bytes changed, lost, doubled or moved; its length put right, mostly."""
        random = self.random
        data = bytearray(random.choice(self.good))
        for _ in range(random.randint(1, 4)):
            place = random.randrange(4, len(data)) if len(data) > 5 else 4
            what = random.random()
            if what < 0.5:
                data[place : place + 1] = bytes([random.randrange(256)])
            elif what < 0.65:
                del data[place : place + random.randint(1, 8)]
            elif what < 0.8:
                data[place:place] = random.randbytes(random.randint(1, 8))
            elif what < 0.9:
                data[place:place] = data[4 : random.randint(5, max(5, len(data)))]
            else:
                data[place:place] = random.choice(self.good)[5:]
        if random.random() < 0.97:
            data[:4] = max(0, len(data) - 4).to_bytes(4, "big")
        return bytes(data)

    def noise(self) -> bytes:
        """Random bytes with a good length, or altogether random."""
        body = self.random.randbytes(self.random.randint(1, 40))
        return frame(body, self.random.choice((0, 0, 0, 1, 2, 255))) if self.random.random() < 0.9 else body

    def structured(self) -> bytes:
        """CBOR from a grammar of everything, legal or not, in a message's place."""
        random = self.random
        tag = random.choice((b"\x00", b"\x01", b"\x1a\xff\xff\xff\xff", b"\x20", b"\xf6"))
        item = self.item(random.randint(0, 6))
        body = random.choice(
            (
                b"\x86\x00" + tag + b"\x64call" + b"\xa1\x61a" + item + b"\xf6\xa0",
                b"\x86\x00" + tag + b"\x64call" + item + b"\xf6\xa0",
                b"\x86\x00" + tag + item + b"\xa0\xf6" + item,
                b"\x83\x01" + tag + item,
                b"\x85\x02" + tag + b"\x61C\x61t" + item,
                b"\x84\x05" + tag + b"\xf6" + item,
                bytes([0x80 | random.randrange(8), random.randrange(10)]) + tag + item,
                item,
            )
        )
        return frame(body)

    def item(self, depth: int) -> bytes:
        random = self.random
        major = random.choice((0, 1, 2, 3, 6, 7, 7)) if depth == 0 else random.choice((4, 4, 5, 5, 6, 3, 0))
        if major == 7:
            return random.choice(
                (
                    b"\xf4",
                    b"\xf6",
                    b"\xf7",
                    b"\xe0",
                    b"\xf8\x80",
                    b"\xf9\x7e\x00",
                    b"\xfa" + random.randbytes(4),
                    b"\xff",
                    b"\xfc",
                )
            )
        if major == 6:
            number = random.choice(
                (0, 1, 2, 3, 4, 5, 28, 29, 30, 37, 258, 1004, 61888, 55799, random.randrange(70_000))
            )
            return self.head(6, number) + self.item(max(0, depth - 1))
        if major in (4, 5):
            count = random.randint(0, 3)
            inside = b"".join(
                (random.choice((b"\x61a", b"\x61b", self.item(0))) if major == 5 else b"") + self.item(depth - 1)
                for _ in range(count)
            )
            return self.head(major, count) + inside
        if major in (2, 3):
            content = random.choice(
                (b"", b"a", b"\xff", "é".encode(), b"2024-05-06T12:00:00Z", b"2024-05-06", b"x" * 16)
            )
            return self.head(major, len(content) if random.random() < 0.95 else random.randrange(2**16)) + content
        return self.head(major, random.choice((0, 23, 24, 255, 2**31, 2**63 - 1, 2**63, 2**64 - 1)))

    def head(self, major: int, number: int) -> bytes:
        width = next(each for each in (0, 1, 2, 4, 8) if number < (24 if each == 0 else 256**each))
        if width and self.random.random() < 0.1:
            width = 8
        first = major << 5 | {0: number, 1: 24, 2: 25, 4: 26, 8: 27}[width]
        if self.random.random() < 0.02:
            first = major << 5 | 31
        return bytes([first]) + (number.to_bytes(width, "big") if width else b"")


class NoiseTests(SynchronousTestCase):
    """A third of the frames of each kind."""

    def setUp(self) -> None:
        self.refused = self.understood = 0

    def fresh(self) -> Conversation:
        end = Conversation(receive_limit=4_096, send_limit=65_536, in_flight=4)
        for waiter in range(3):
            end.ask("call", {"n": waiter}, waiter=waiter)
        return end

    def feed(self, frames: Iterator[bytes], random: Random) -> None:
        """Several frames to a connection until one of them ends it; asks are answered with what they brought."""
        end = self.fresh()
        for data in frames:
            cut = random.randrange(len(data)) if random.random() < 0.2 else 0
            try:
                messages: list[Any] = end.receive(data[:cut]) if cut else []
                messages += end.receive(data[cut:])
            except ProtocolError:
                self.refused += 1
                end.close()
                end = self.fresh()
                continue
            self.understood += 1
            for message in messages:
                if isinstance(message, Ask):
                    try:
                        end.answer(message.tag, [message.arguments, message.options])
                    except FluxonError:
                        pass  # nested to the last level, so one level too many in a list
            end.output.clear()
            end.output_size = 0
            if len(end.asked) < 3:
                end.ask("call", {}, waiter=None)

    def run_kind(self, kind: str, share: int) -> None:
        random = Random(f"{SEED} {kind}")
        make = getattr(Noise(random), kind)
        self.feed((make() for _ in range(share)), random)
        self.assertEqual(self.refused + self.understood, share)
        self.assertGreater(self.refused, share // 10)

    def test_mutated(self) -> None:
        """Good frames, damaged."""
        self.run_kind("mutated", FRAMES // 2)
        self.assertGreater(self.understood, FRAMES // 100)

    def test_structured(self) -> None:
        """Well-formed envelopes around everything that CBOR can say."""
        self.run_kind("structured", FRAMES // 4)
        self.assertGreater(self.understood, FRAMES // 100)

    def test_noise(self) -> None:
        """No idea of the protocol at all."""
        self.run_kind("noise", FRAMES - FRAMES // 2 - FRAMES // 4)

    @settings(max_examples=500, deadline=None)
    @given(
        st.lists(st.binary(min_size=1, max_size=80), max_size=4), st.sampled_from([0, 0, 0, 1, 2]), st.integers(1, 50)
    )
    def test_hypothesis(self, bodies: list[bytes], flags: int, step: int) -> None:
        """Its own idea of noise, in reads of any size."""
        stream = b"".join(frame(body, flags) for body in bodies)
        end = self.fresh()
        heard: list[Any] = []
        try:
            for start in range(0, len(stream), step):
                heard += end.receive(stream[start : start + step])
        except ProtocolError:
            pass
        answers = [each for each in heard if isinstance(each, (Answer, Failed))]
        self.assertEqual(len(end.close()) + len(answers), 3)
