"""Counting items before they are decoded, and what becomes of frames with too many of them."""

from __future__ import annotations

import time
from typing import Any

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ProtocolError, from_wire
from fluxon.wire import Ask, Conversation, decode, encode, frame
from fluxon.wire.frames import COMPRESSED, compress
from fluxon.wire.items import exceeds, heads
from fluxon.wire.messages import write_answer, write_ask

scalars = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=30)
    | st.binary(max_size=400)
    | st.sampled_from([255, 256, 65_535, 65_536]).map(bytes)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=300), inner, max_size=30),
    max_leaves=200,
)


def count(value: Any) -> int:
    """How many items ``value`` has, counted in the simplest way."""
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count, value.values()))
    return 1


class CountTests(SynchronousTestCase):
    """The count alone."""

    @settings(max_examples=300, deadline=None)
    @given(values)
    def test_any_value(self, value: Any) -> None:
        """It is exact, whatever is in what."""
        body = cbor2.dumps(value)
        self.assertFalse(exceeds(body, count(value)))
        self.assertTrue(exceeds(body, count(value) - 1))

    def test_long_heads(self) -> None:
        """Every form of a number and of a size counts one, however long it is written."""
        item = {0: b"", 2: b"abc", 3: b"abc"}
        for major, content in item.items():
            argument = 3
            for size in (1, 2, 4, 8):
                head = bytes([major << 5 | (23 + size.bit_length())]) + argument.to_bytes(size, "big")
                self.assertFalse(exceeds((head + content) * 5, 5), head)
                self.assertTrue(exceeds((head + content) * 5, 4), head)

    def test_what_is_no_cbor(self) -> None:
        """The count ends where the decoder would: at what is reserved, indefinite or cut short."""
        for odd in (b"\x1c", b"\x5f", b"\x9f\x80", b"\xff", b"\x79\x01\x00ab", b"\x5b" + b"\xff" * 8):
            self.assertFalse(exceeds(b"\x80" * 5 + odd + b"\x80" * 100, 6), odd)
            self.assertTrue(exceeds(b"\x80" * 5 + odd, 4), odd)

    def test_does_not_explode(self) -> None:
        """A MiB of the worst bodies takes a small part of a second: no pattern is tried again and again."""
        for part in (
            b"\x80",
            b"\x78\x00",
            b"\x59\x00\x00",
            b"\x5b" + bytes(8),
            b"\x77" + b"x" * 22,
            b"\x78\xff",
            b"\x81",
        ):
            body = part * (2**20 // len(part))
            began = time.process_time()
            exceeds(body, 2**20)
            self.assertLess(time.process_time() - began, 5, part)

    def test_heads(self) -> None:
        """The first of them, in any form; fewer where the bytes end."""
        self.assertEqual(heads(bytes.fromhex("86001a00000007"), 3), [(4, 6), (0, 0), (0, 7)])
        self.assertEqual(heads(bytes.fromhex("9806180019000764"), 3), [(4, 6), (0, 0), (0, 7)])
        self.assertEqual(heads(bytes.fromhex("86001a0000"), 3), [(4, 6), (0, 0)])
        self.assertEqual(heads(bytes.fromhex("861f"), 3), [(4, 6)])


class RefusalTests(SynchronousTestCase):
    """A conversation that takes 20 items."""

    def setUp(self) -> None:
        self.end = Conversation(receive_limit=100_000, send_limit=100_000, item_limit=20)

    def failed(self) -> dict[int, str]:
        """The codes that were answered since, by tag."""
        bodies = [decode(each[5:]) for each in self.end.output]
        self.end.output.clear()
        return {tag: from_wire(code, text).code for _, tag, code, text, _ in bodies}

    def test_an_ask(self) -> None:
        """It is answered ResourceExhausted, in whatever form it came, and those beside it are taken."""
        large = write_ask(2, "call", {"payload": [[]] * 60}, None, {})
        packed = compress(large[5:])
        assert packed is not None
        ask = write_ask(1, "call", {}, None, {}) + large + write_ask(3, "call", {}, None, {})
        received = self.end.receive(ask)
        self.assertEqual([each.tag for each in received if isinstance(each, Ask)], [1, 3])
        self.assertEqual(self.failed(), {2: "ResourceExhausted"})
        self.assertEqual(self.end.receive(frame(packed, COMPRESSED)), [])
        self.assertEqual(self.failed(), {2: "ResourceExhausted"})

    def test_few_items_of_many_bytes(self) -> None:
        """What is large is no offence."""
        (received,) = self.end.receive(write_ask(1, "call", {"payload": "x" * 50_000}, None, {}))
        assert isinstance(received, Ask)
        self.assertEqual(len(received.arguments["payload"]), 50_000)

    def test_a_tag_in_use(self) -> None:
        """Not even such an ask may have it."""
        self.end.receive(write_ask(1, "call", {}, None, {}))
        self.assertRaises(ProtocolError, self.end.receive, write_ask(1, "call", {"payload": [0] * 60}, None, {}))

    def test_anything_else(self) -> None:
        """An answer, or what has no tag, ends the connection."""
        self.end.ask("call", {}, waiter="w")
        for data in (write_answer(0, encode([0] * 60)), frame(b"\x86\x00" + b"\x80" * 60), frame(b"\x80" * 60)):
            end = Conversation(receive_limit=100_000, send_limit=100_000, item_limit=20)
            end.ask("call", {}, waiter="w")
            self.assertRaises(ProtocolError, end.receive, data)
