"""One end of a conversation, asking: places at the other side, order, giving up, late answers, the end."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ProtocolError, ResourceExhausted, Unserialisable
from fluxon.wire import Answer, Ask, Conversation, Failed, decode, frame
from fluxon.wire.messages import MAX_TAG, write_answer, write_ask, write_failed


def conversation(**changes: Any) -> Conversation:
    return Conversation(**({"receive_limit": 100_000, "send_limit": 100_000} | changes))


def sent(end: Conversation) -> list[list[Any]]:
    """The bodies that ``end`` wants to send, taken from it."""
    bodies = [decode(each[5:]) for each in end.output]
    end.output.clear()
    end.output_size = 0
    return bodies


def answer(tag: int, value: bytes = b"\xf6") -> bytes:
    return write_answer(tag, value)


class AskingTests(SynchronousTestCase):
    """Asks of ours."""

    def test_an_ask(self) -> None:
        """Six items, the tags one after the other; the answer brings the waiter back."""
        end = conversation()
        first = end.ask("call", {"view": "a", "payload": None}, waiter="w1", timeout=2.5)
        second = end.ask("call", {}, waiter="w2", options={"later": 1})
        self.assertEqual((first, second), (0, 1))
        self.assertEqual(
            sent(end), [[0, 0, "call", {"view": "a", "payload": None}, 2.5, {}], [0, 1, "call", {}, None, {"later": 1}]]
        )
        received = end.receive(answer(1, b"\x07") + write_failed(0, "NotFound", "no", {"a": 1}))
        good, bad = received
        assert isinstance(good, Answer)
        assert isinstance(bad, Failed)
        self.assertEqual((good.tag, good.value, good.waiter), (1, 7, "w2"))
        self.assertEqual((bad.tag, bad.code, bad.text, bad.details, bad.waiter), (0, "NotFound", "no", {"a": 1}, "w1"))
        self.assertEqual(end.asked, {})

    def test_patience_has_an_end(self) -> None:
        """Whoever would wait for longer than the protocol's day, or for ever, asks for a day."""
        end = conversation()
        for timeout in (86_400, 86_401, 10**9, float("inf")):
            end.ask("call", {}, waiter=None, timeout=timeout)
        self.assertEqual([body[4] for body in sent(end)], [86_400] * 4)

    def test_output_size(self) -> None:
        """The driver sees how much waits to be sent without adding it up."""
        end = conversation()
        for _ in range(3):
            end.ask("call", {"a": "x" * 50}, waiter=None)
        end.ping()
        end.abandon(0)
        self.assertEqual(end.output_size, sum(map(len, end.output)))

    def test_asks_wait_for_a_place(self) -> None:
        """What the other side does not take at once waits here, and goes in the order in which it was asked."""
        end = conversation(ask_limit=2)
        for number in range(6):
            end.ask("call", {"n": number}, waiter=number)
        self.assertEqual([body[3]["n"] for body in sent(end)], [0, 1])
        end.receive(answer(1))
        self.assertEqual([body[3]["n"] for body in sent(end)], [2])
        end.receive(answer(0) + answer(2))
        self.assertEqual([body[3]["n"] for body in sent(end)], [3, 4])

    def test_nobody_overtakes(self) -> None:
        """A new ask does not pass those that wait, even when a place is free; an urgent one does."""
        end = conversation(ask_limit=1)
        end.ask("call", {"n": 0}, waiter=0)
        end.ask("call", {"n": 1}, waiter=1)
        end.ask("hello", {"n": 2}, waiter=2, urgent=True)
        self.assertEqual([body[3]["n"] for body in sent(end)], [0, 2])
        end.receive(answer(0))
        self.assertEqual(sent(end), [])  # the urgent one has the place
        end.receive(answer(2))
        self.assertEqual([body[3]["n"] for body in sent(end)], [1])

    def test_too_many_wait(self) -> None:
        """A bounded number waits; one more is refused to its caller, and nothing of it stays."""
        end = conversation(ask_limit=1, waiting_limit=2)
        for number in range(3):
            end.ask("call", {}, waiter=number)
        self.assertEqual(end.waiting, 2)
        self.assertRaises(ResourceExhausted, end.ask, "call", {}, waiter=3)
        self.assertEqual(sorted(end.asked), [0, 1, 2])
        self.assertEqual(end.waiting, 2)

    def test_too_much_waits(self) -> None:
        """Their bytes are bounded, too; one alone may have more, and what no longer waits makes room."""
        end = conversation(ask_limit=1, waiting_bytes_limit=1_000)
        end.ask("call", {"n": 0}, waiter=0)
        large = end.ask("call", {"data": b"x" * 5_000}, waiter=1)
        self.assertRaises(ResourceExhausted, end.ask, "call", {"n": 2}, waiter=2)
        end.abandon(large)
        self.assertEqual(end.waiting_bytes, 0)
        end.ask("call", {"data": b"x" * 600}, waiter=3)
        self.assertRaises(ResourceExhausted, end.ask, "call", {"data": b"x" * 600}, waiter=4)
        end.receive(answer(0))
        self.assertEqual(end.waiting_bytes, 0)
        end.ask("call", {"data": b"x" * 900}, waiter=5)
        self.assertGreater(end.waiting_bytes, 900)
        end.close()
        self.assertEqual(end.waiting_bytes, 0)

    def test_a_raised_limit_sends_what_waits(self) -> None:
        """Hello's answer may allow more than was assumed before it."""
        end = conversation(ask_limit=0)
        end.ask("call", {"n": 0}, waiter=0)
        self.assertEqual(sent(end), [])
        end.ask_limit = 5
        self.assertEqual(end.ask_limit, 5)
        self.assertEqual([body[3]["n"] for body in sent(end)], [0])

    def test_what_cannot_be_asked(self) -> None:
        """Arguments that cannot cross, or a frame that the other side would refuse, are the caller's error alone."""
        end = conversation(send_limit=1_000)
        self.assertRaises(Unserialisable, end.ask, "call", {"a": {1, 2}}, waiter=None)
        self.assertRaises(Unserialisable, end.ask, "call", {"a": "\ud800"}, waiter=None)
        for key in (1, True, b"a", None, "\ud800"):
            self.assertRaises(Unserialisable, end.ask, "call", {key: 1}, waiter=None)
        error = self.assertRaises(ResourceExhausted, end.ask, "call", {"a": b"x" * 1_000}, waiter=None)
        self.assertIn("file", error.text)
        self.assertEqual((end.asked, end.output, end.output_size), ({}, [], 0))
        end.ask("call", {"a": b"x" * 900}, waiter=None)
        (written,) = end.output
        self.assertEqual(conversation(receive_limit=len(written) - 4).receive(written)[0].arguments, {"a": b"x" * 900})

    def test_many_arguments(self) -> None:
        """As many as fit, whatever their number."""
        end = conversation(send_limit=10_000_000)
        for count in (0, 1, 23, 24, 255, 256, 65_535, 65_536):
            arguments = {str(number): number for number in range(count)}
            end.ask("call", arguments, waiter=None)
            (message,) = conversation(receive_limit=10_000_000).receive(end.output.pop())
            assert isinstance(message, Ask)
            self.assertEqual(message.arguments, arguments)

    def test_tags_go_round(self) -> None:
        """After the last 32-bit tag comes the first that is free."""
        end = conversation()
        end.ask("call", {}, waiter="old")
        end._next_tag = MAX_TAG
        self.assertEqual(end.ask("call", {}, waiter="last"), MAX_TAG)
        self.assertEqual(end.ask("call", {}, waiter="new"), 1)
        end._next_tag = 0
        end.abandon(0)
        self.assertEqual(end.ask("call", {}, waiter="newer"), 2)
        self.assertEqual([message.waiter for message in end.receive(answer(MAX_TAG) + answer(1))], ["last", "new"])

    def test_compression(self) -> None:
        """From the agreed size on and where it pays; the other side sees no difference."""
        here, there = conversation(), conversation()
        rows = [{"id": number, "name": f"user {number}"} for number in range(100)]
        here.ask("call", {"rows": rows}, waiter=None)
        here.compress_from = 1_024
        here.ask("call", {"rows": rows}, waiter=None)
        here.ask("call", {"rows": rows[:3]}, waiter=None)
        here.ask("call", {"noise": bytes((number * number * 7919 >> 8) & 255 for number in range(2_000))}, waiter=None)
        flags = [each[4] for each in here.output]
        self.assertEqual(flags[:3], [0, 1, 0])
        self.assertLess(len(here.output[1]), len(here.output[0]) // 2)
        received = there.receive(b"".join(here.output))
        self.assertEqual([each.arguments.get("rows") for each in received], [rows, rows, rows[:3], None])
        self.assertEqual(received[0].size, received[1].size)


class GivingUpTests(SynchronousTestCase):
    """Asks abandoned, answers that nobody waits for."""

    def test_a_sent_ask(self) -> None:
        """The other side is told; the late answer is no offence and no message."""
        end = conversation()
        end.ask("call", {}, waiter="w")
        sent(end)
        self.assertTrue(end.abandon(0))
        self.assertEqual(sent(end), [[3, 0]])
        self.assertEqual(end.receive(answer(0)), [])
        self.assertEqual(end._unsolicited, 0)

    def test_it_keeps_its_place(self) -> None:
        """The other side may still be working on it: nothing else is sent in its place until it answered."""
        end = conversation(ask_limit=1)
        end.ask("call", {"n": 0}, waiter=0)
        end.ask("call", {"n": 1}, waiter=1)
        end.abandon(0)
        self.assertEqual([body[0] for body in sent(end)], [0, 3])
        end.receive(write_failed(0, "Cancelled", "", {}))
        self.assertEqual([body[3]["n"] for body in sent(end)], [1])

    def test_one_that_was_never_sent(self) -> None:
        """Nothing was done and nothing is sent; those behind it go in their order."""
        end = conversation(ask_limit=1)
        for number in range(4):
            end.ask("call", {"n": number}, waiter=number)
        sent(end)
        self.assertFalse(end.abandon(2))
        self.assertEqual(sent(end), [])
        end.receive(answer(0))
        end.receive(answer(1))
        self.assertEqual([body[3]["n"] for body in sent(end)], [1, 3])

    def test_one_that_is_unknown(self) -> None:
        """Answered already, or never made: nothing happens."""
        end = conversation()
        end.ask("call", {}, waiter=0)
        end.receive(answer(0))
        sent(end)
        self.assertFalse(end.abandon(0))
        self.assertFalse(end.abandon(77))
        self.assertEqual(sent(end), [])

    def test_unsolicited_answers(self) -> None:
        """Nine are dropped, the tenth ends the connection, wherever asks of ours stand between them."""
        end = conversation()
        for number in range(9):
            self.assertEqual(end.receive(answer(1_000 + number)), [])
            end.ask("call", {}, waiter=number)
            self.assertEqual(len(end.receive(answer(number))), 1)
        self.assertRaises(ProtocolError, end.receive, answer(5_000))

    def test_an_answer_twice(self) -> None:
        """The second is unsolicited, for an abandoned ask as for any other."""
        end = conversation(unsolicited_limit=2)
        end.ask("call", {}, waiter=0)
        end.abandon(0)
        end.receive(answer(0))
        end.receive(answer(0))
        self.assertRaises(ProtocolError, end.receive, answer(0))

    def test_an_answer_before_the_question(self) -> None:
        """An ask that waits here has not been heard by anybody: an answer to it is unsolicited, and it still waits."""
        end = conversation(ask_limit=1, unsolicited_limit=2)
        end.ask("call", {}, waiter=0)
        end.ask("call", {"n": 1}, waiter=1)
        self.assertEqual(end.receive(answer(1)), [])
        sent(end)
        end.receive(answer(0))
        self.assertEqual([body[3] for body in sent(end)], [{"n": 1}])
        (message,) = end.receive(answer(1))
        self.assertEqual(message.waiter, 1)


class TimeTests(SynchronousTestCase):
    """Deadlines are data here; the clock is the driver's."""

    def test_deadlines(self) -> None:
        """The earliest of both sides' asks, and what has passed."""
        end = conversation(ask_limit=1)
        self.assertIsNone(end.next_deadline())
        for number, deadline in enumerate((5.0, 3.0, None)):
            end.ask("call", {}, waiter=number, deadline=deadline)
        other = conversation()
        other.ask("call", {}, waiter=None, timeout=2)
        (ask,) = end.receive(b"".join(other.output))
        assert isinstance(ask, Ask)
        self.assertEqual((ask.timeout, ask.deadline), (2, None))
        self.assertEqual(end.next_deadline(), 3.0)
        ask.deadline = 2.5
        self.assertEqual(end.next_deadline(), 2.5)
        self.assertEqual(end.expired(2.4), ([], []))
        self.assertEqual(end.expired(3.0), ([1], [0]))
        self.assertEqual(end.expired(99.0), ([0, 1], [0]))


class EndTests(SynchronousTestCase):
    """What is left when a connection is gone."""

    def test_close(self) -> None:
        """Every waiter once, and whether its ask was sent: so that the caller knows whether it may have been done."""
        end = conversation(ask_limit=2)
        for number in range(4):
            end.ask("call", {}, waiter=number)
        end.abandon(0)
        self.assertEqual(end.close(), [(1, True), (2, False), (3, False)])
        self.assertEqual((end.close(), end.output, end.output_size), ([], [], 0))

    def test_answers_before_an_offence(self) -> None:
        """An answer in the same read as a broken frame is not acted on, and its waiter is not forgotten either."""
        for offence in (b"\x00\x00\x00\x00", frame(b"\xff"), frame(b"\x00"), frame(b"\xf6", 0x80), answer(9) * 10):
            with self.subTest(offence=offence):
                end, other = conversation(), conversation()
                end.ask("call", {}, waiter="first")
                end.ask("call", {}, waiter="second")
                other.ask("call", {}, waiter="theirs")
                self.assertRaises(ProtocolError, end.receive, answer(0) + b"".join(other.output) + offence)
                self.assertEqual(sorted(end.close()), [("first", True), ("second", True)])
                self.assertEqual(end.answering, {})


class NullAnswerTests(SynchronousTestCase):
    """What acknowledges is read in a shorter way when it comes alone: to the same end."""

    def outcome(self, frame: bytes, *cuts: int) -> Any:
        """What comes of it for an end with three asks, of which one is given up and one waits for its place."""
        end = conversation(ask_limit=2, unsolicited_limit=3)
        for number in range(3):
            end.ask("call", {}, waiter=number)
        end.abandon(1)
        end.output.clear()
        received: list[Any] = []
        error = None
        try:
            for start, stop in zip((0, *cuts), (*cuts, len(frame)), strict=True):
                received += end.receive(frame[start:stop])
            for _ in range(2):
                received += end.receive(frame)
        except ProtocolError as problem:
            error = problem.text
        said = [(type(each).__name__, each.tag, getattr(each, "value", None), each.waiter) for each in received]
        return said, error, end.output, sorted(end.asked)

    def test_the_same(self) -> None:
        """As when it comes in two pieces: for asks that are out, given up, waiting or were never made."""
        for tag in (0, 1, 2, 7):
            for value in (b"\xf6", b"\xf5", b"\x00", b"\xf7"):
                frame = write_answer(tag, value)
                self.assertEqual(self.outcome(frame), self.outcome(frame, 6), (tag, value))
        self.assertEqual(self.outcome(write_answer(0, b"\xf6"))[0], [("Answer", 0, None, 0)])

    def test_inside_of_another_frame(self) -> None:
        """The same bytes as a part of what has begun are a part of it."""
        end = conversation()
        whole = write_ask(5, "call", {"data": write_answer(0, b"\xf6")}, None, {})
        at = whole.index(write_answer(0, b"\xf6"))
        for piece in (whole[:at], whole[at : at + 13], whole[at + 13 :]):
            received = end.receive(piece)
        self.assertEqual([each.arguments for each in received], [{"data": write_answer(0, b"\xf6")}])
