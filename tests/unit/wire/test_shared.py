"""An ask for many connections: the same bytes for each, and one answer from each."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ResourceExhausted, Unserialisable
from fluxon.wire import Answer, Conversation, SharedAsk, decode
from fluxon.wire.frames import COMPRESSED, HEADER
from fluxon.wire.messages import write_answer


def conversation(**changes: Any) -> Conversation:
    return Conversation(**({"receive_limit": 100_000, "send_limit": 100_000} | changes))


class SharedAskTests(SynchronousTestCase):
    """One ask, several conversations."""

    def test_the_same_bytes(self) -> None:
        """Every connection's output holds the one frame that was made, and answers find their own waiters."""
        shared = SharedAsk("call", {"view": "told", "payload": [1]}, 2.5)
        ends = [conversation(), conversation()]
        ends[1].ask("other", {}, waiter=None)
        for number, end in enumerate(ends):
            self.assertEqual(end.ask_shared(shared, number), shared.tag)
            self.assertIs(end.output[-1], shared.frame)
        self.assertEqual(decode(shared.frame[5:]), [0, shared.tag, "call", {"view": "told", "payload": [1]}, 2.5, {}])
        for number, end in enumerate(ends):
            (answer,) = end.receive(write_answer(shared.tag, b"\x07"))
            assert isinstance(answer, Answer)
            self.assertEqual((answer.value, answer.waiter), (7, number))

    def test_tags_of_their_own(self) -> None:
        """No two have one tag, and none has that of a usual ask; where it is taken all the same another is used."""
        first, second = SharedAsk("call", {}, None), SharedAsk("call", {}, None)
        self.assertNotEqual(first.tag, second.tag)
        self.assertGreaterEqual(min(first.tag, second.tag), 2**31)
        end = conversation()
        self.assertEqual(end.ask_shared(first, "a"), first.tag)
        tag = end.ask_shared(first, "b")
        self.assertEqual(tag, 0)
        self.assertEqual(decode(end.output[-1][5:]), [0, 0, "call", {}, None, {}])

    def test_compressed_once(self) -> None:
        """Where a connection compresses it is sent the one compressed frame; where that does not pay, the plain one."""
        shared = SharedAsk(
            "call", {"view": "told", "payload": " ".join(f"row {n} of the table" for n in range(200))}, None
        )
        ends = [conversation(), conversation(), conversation()]
        for end in ends[:2]:
            end.compress_from = 1_000
        for end in ends:
            end.ask_shared(shared, None)
        self.assertIs(ends[0].output[0], ends[1].output[0])
        self.assertEqual(HEADER.unpack_from(ends[0].output[0])[1], COMPRESSED)
        self.assertIs(ends[2].output[0], shared.frame)
        small = SharedAsk("call", {}, None)
        ends[0].ask_shared(small, None)
        self.assertIs(ends[0].output[-1], small.frame)

    def test_places_and_limits(self) -> None:
        """It waits for a place at the other side as any ask; too many, too large and what cannot cross are errors."""
        end = conversation(ask_limit=1, waiting_limit=1, send_limit=100)
        asks = [SharedAsk("call", {"n": number}, None) for number in range(3)]
        end.ask_shared(asks[0], "a")
        end.ask_shared(asks[1], "b")
        self.assertRaises(ResourceExhausted, end.ask_shared, asks[2], "c")
        self.assertEqual(len(end.output), 1)
        end.receive(write_answer(asks[0].tag, b"\xf6"))
        self.assertIs(end.output[1], asks[1].frame)
        self.assertRaises(ResourceExhausted, end.ask_shared, SharedAsk("call", {"n": "x" * 200}, None), "d")
        self.assertRaises(Unserialisable, SharedAsk, "call", {"n": object()}, None)
        self.assertTrue(end.abandon(asks[1].tag))
        self.assertEqual(end.close(), [])
