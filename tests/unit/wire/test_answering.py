"""One end of a conversation, asked: exactly one answer for each ask, refusals that cost the ask alone, offences."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError, NotFound, OutcomeUnknown, ProtocolError, ResourceExhausted, Unserialisable
from fluxon.wire import RAW, Answer, Ask, Cancel, Conversation, Failed, decode, encode, frame
from fluxon.wire.messages import (
    MAX_TEXT,
    write_ask,
    write_cancel,
    write_credit,
    write_end,
    write_ping,
    write_pong,
)


def conversation(**changes: Any) -> Conversation:
    return Conversation(**({"receive_limit": 100_000, "send_limit": 100_000} | changes))


def sent(end: Conversation) -> list[list[Any]]:
    """The bodies that ``end`` wants to send, taken from it."""
    bodies = [decode(each[5:]) for each in end.output]
    end.output.clear()
    end.output_size = 0
    return bodies


def ask(tag: int = 0, arguments: dict[str, Any] | None = None) -> bytes:
    return write_ask(tag, "call", arguments or {}, None, {})


def body(*fields: Any) -> bytes:
    return frame(encode(list(fields)))


class AnsweringTests(SynchronousTestCase):
    """What a driver may do with an ask."""

    def test_an_answer(self) -> None:
        """Once; what is said after it is not sent."""
        end = conversation()
        (message,) = end.receive(ask(5, {"a": [1]}))
        assert isinstance(message, Ask)
        self.assertEqual((message.tag, message.command, message.arguments), (5, "call", {"a": [1]}))
        self.assertEqual((message.timeout, message.options), (None, {}))
        self.assertEqual(message.size, len(ask(5, {"a": [1]})) - 5)
        end.answer(5, {"b": 2})
        end.answer(5, "again")
        end.fail(5, NotFound())
        self.assertEqual(sent(end), [[1, 5, {"b": 2}]])
        self.assertEqual(end.answering, {})

    def test_a_flat_answer(self) -> None:
        """The short way writes what the long one does, and leaves the rest: what is large, or to be compressed."""
        for value, limits in (
            (None, {}),
            ("done", {}),
            ({"text": "hello", "sent": True}, {}),
            ([1], {}),
            ({"text": "\ud800"}, {}),
            ("x" * 200, {"send_limit": 100}),
        ):
            short, long = conversation(**limits), conversation(**limits)
            for end in (short, long):
                end.receive(ask(5))
            if short.answer_flat(short.answering[5], value):
                long.answer(5, value)
                self.assertEqual((short.output, short.output_size), (long.output, long.output_size))
                self.assertEqual((short.answering, short._in_flight_size), ({}, 0))
            else:
                self.assertIn(value, ([1], {"text": "\ud800"}, "x" * 200))
                self.assertEqual((short.output, list(short.answering)), ([], [5]))
        end = conversation()
        end.compress_from = 100
        end.receive(ask(5))
        self.assertFalse(end.answer_flat(end.answering[5], "x" * 200))
        self.assertTrue(end.answer_flat(end.answering[5], "x" * 50))

    def test_an_answer_with_many_bytes(self) -> None:
        """They leave as they are, behind the rest of their frame; one that is too large becomes an error."""
        end = conversation()
        data = bytes(50_000)
        for tag in (1, 2):
            end.receive(ask(tag))
        end.answer(1, {"name": "a", "data": data})
        self.assertIs(end.output[1], data)
        self.assertEqual(end.output_size, sum(map(len, end.output)))
        end.output[:] = [b"".join(end.output)]
        self.assertEqual(sent(end), [[1, 1, {"name": "a", "data": data}]])
        self.assertRaises(ResourceExhausted, end.answer, 2, {"data": bytes(100_000)})
        self.assertEqual(sent(end)[0][:3], [2, 2, "Unserialisable"])

    def test_a_failure(self) -> None:
        """Code, text and details of the error."""
        end = conversation()
        end.receive(ask())
        end.fail(0, NotFound("no such room", details={"room": 7}))
        self.assertEqual(sent(end), [[2, 0, "NotFound", "no such room", {"room": 7}]])

    def test_an_answer_that_cannot_cross(self) -> None:
        """The asker learns that, the driver gets the reason to log, the connection and the other asks live."""
        circle: list[Any] = []
        circle.append(circle)
        for value in ({1, 2}, object(), circle, {1: 2}, "\ud800"):
            end = conversation()
            end.receive(ask(0) + ask(1))
            self.assertRaises(Unserialisable, end.answer, 0, value)
            end.answer(1, "fine")
            failed, fine = sent(end)
            self.assertEqual(failed[:3], [2, 0, "Unserialisable"])
            self.assertEqual(fine, [1, 1, "fine"])

    def test_an_answer_that_is_too_large(self) -> None:
        """As one that cannot cross; the limit is the other side's, to the byte."""
        end = conversation(send_limit=1_000)
        end.receive(ask(0) + ask(1))
        overhead = len(encode(b"x" * 900)) - 900 + 8
        end.answer(0, b"x" * (1_000 - overhead))
        self.assertEqual(len(end.output[0]) - 4, 1_000)
        sent(end)
        self.assertRaises(ResourceExhausted, end.answer, 1, b"x" * (1_001 - overhead))
        self.assertEqual(sent(end)[0][:3], [2, 1, "Unserialisable"])

    def test_an_answer_without_room(self) -> None:
        """What is too much for a peer that does not read is dropped, and its asker knows that it was carried out."""
        end = conversation()
        for tag, value, room in ((0, "x" * 100, 50), (1, {"data": b"x" * 20_000}, 20_000)):
            end.receive(ask(tag))
            self.assertRaises(OutcomeUnknown, end.answer, tag, value, room)
            self.assertEqual([each[:3] for each in sent(end)], [[2, tag, "OutcomeUnknown"]])
            self.assertEqual(end.working, 0)
        end.receive(ask(2))
        end.answer(2, "x" * 100, 150)
        self.assertEqual(len(sent(end)), 1)

    def test_a_failure_that_cannot_cross(self) -> None:
        """Details or a text that cannot be sent do not cost the asker its answer."""
        for error in (
            NotFound(details={"a": {1}}),
            NotFound("\ud800"),
            NotFound(details={"a": "x" * 200_000}),
            NotFound(details={1: 1}),  # type: ignore[dict-item]
        ):
            end = conversation()
            end.receive(ask())
            end.fail(0, error)
            self.assertEqual(sent(end), [[2, 0, "NotFound", NotFound.default_text, {}]])

    def test_long_texts_are_cut(self) -> None:
        """An error's text is a sentence, not a document."""

        class Long(FluxonError):
            code = "L" * 100

        end = conversation()
        end.receive(ask())
        end.fail(0, Long("é" * 5_000))
        ((_, _, code, text, _),) = sent(end)
        self.assertEqual((len(code), len(text)), (64, MAX_TEXT))


class InFlightTests(SynchronousTestCase):
    """How many asks are worked on at once."""

    def test_the_cap(self) -> None:
        """Each one too many is answered at once, the connection lives, and a place that is free is used again."""
        end = conversation(in_flight=3)
        received = end.receive(b"".join(ask(tag) for tag in range(6)))
        self.assertEqual([message.tag for message in received], [0, 1, 2])
        self.assertEqual([each[:3] for each in sent(end)], [[2, tag, "ResourceExhausted"] for tag in (3, 4, 5)])
        end.answer(1, None)
        self.assertEqual([message.tag for message in end.receive(ask(3))], [3])

    def test_cancel_frees_no_place(self) -> None:
        """A stream of ask and Cancel is no way around the cap: the place is free when the work has ended."""
        end = conversation(in_flight=1)
        end.receive(ask(0))
        (message,) = end.receive(write_cancel(0))
        assert isinstance(message, Cancel)
        self.assertEqual(message.tag, 0)
        self.assertEqual(end.receive(ask(1)), [])
        end.fail(0, NotFound())
        self.assertEqual(len(end.receive(ask(2))), 1)

    def test_lingering_work(self) -> None:
        """Nor is a deadline: after its answer an ask holds its place until its work has ended."""
        end = conversation(in_flight=1)
        (first,) = end.receive(ask(0))
        assert isinstance(first, Ask)
        end.fail(0, NotFound(), linger=True)
        self.assertEqual(end.receive(ask(0)), [])
        end.release(first)
        self.assertEqual(len(end.receive(ask(0))), 1)

    def test_bytes_in_flight(self) -> None:
        """Asks in flight may together be as large as eight of the largest; what is answered makes room again."""
        end = conversation(in_flight=100, receive_limit=1_000)
        large = [write_ask(tag, "call", {"payload": b"x" * 900}, None, {}) for tag in range(10)]
        taken = [len(end.receive(each)) for each in large]
        self.assertEqual(taken, [1] * 8 + [0] * 2)
        end.answer(0, None)
        self.assertEqual(len(end.receive(large[8])), 1)
        end.fail(1, NotFound())
        self.assertEqual(len(end.receive(large[9])), 1)

    def test_what_is_worked_on(self) -> None:
        """Asks count from their arrival until their answer, or until the work that outlives it has ended."""
        end = conversation()
        first, _ = end.receive(ask(0) + ask(1))
        assert isinstance(first, Ask)
        self.assertEqual(end.working, 2)
        end.fail(0, NotFound(), linger=True)
        end.answer(1, None)
        self.assertEqual(end.working, 1)
        end.release(first)
        self.assertEqual(end.working, 0)

    def test_an_ask_that_is_not_answered(self) -> None:
        """Nobody hears of it, and its place is free; to forget what has its answer already changes nothing."""
        end = conversation(in_flight=1)
        (first,) = end.receive(ask(0))
        assert isinstance(first, Ask)
        end.forget(first)
        self.assertEqual(sent(end), [])
        (second,) = end.receive(ask(0))
        assert isinstance(second, Ask)
        end.answer(0, None)
        end.forget(second)
        self.assertEqual(len(end.receive(ask(0))), 1)
        self.assertEqual(end.receive(ask(1)), [])

    def test_lingering_counts_once(self) -> None:
        """What has its answer already does not linger a second time."""
        end = conversation(in_flight=1)
        end.receive(ask(0))
        end.answer(0, None)
        end.fail(0, NotFound(), linger=True)
        self.assertEqual(len(end.receive(ask(0))), 1)

    def test_control_is_always_read(self) -> None:
        """At the cap, answers, Cancel and Ping still pass: two full ends cannot wait for each other."""
        end = conversation(in_flight=1)
        end.receive(ask(0))
        end.ask("call", {}, waiter="w")
        sent(end)
        received = end.receive(ask(1) + frame(encode([1, 0, 7])) + write_ping(3) + write_cancel(0))
        self.assertEqual([type(message) for message in received], [Answer, Cancel])
        self.assertEqual(sent(end)[1], [7, 3])

    def test_two_full_ends(self) -> None:
        """Both ask to the cap and beyond, neither has answered yet: everything is answered in the end."""
        ends = [conversation(in_flight=2, ask_limit=2) for _ in range(2)]
        for end in ends:
            for number in range(10):
                end.ask("call", {"n": number}, waiter=number)
        heard: list[list[Any]] = [[], []]
        for _ in range(12):
            for here, there, answers in ((*ends, heard[1]), (*ends[::-1], heard[0])):
                data = b"".join(here.output)
                here.output.clear()
                for message in there.receive(data):
                    if isinstance(message, Ask):
                        there.answer(message.tag, message.arguments["n"])
                    else:
                        answers.append((message.waiter, message.value))
        self.assertEqual(heard, [[(number, number) for number in range(10)]] * 2)


class OffenceTests(SynchronousTestCase):
    """What ends a connection, and what does not."""

    def test_one_tag_twice(self) -> None:
        """The asker is told, with the tag in question, and the connection ends."""
        end = conversation()
        end.receive(ask(4))
        self.assertRaises(ProtocolError, end.receive, ask(4))
        self.assertEqual([each[:3] for each in sent(end)], [[2, 4, OutcomeUnknown.code]])
        end = conversation()
        self.assertRaises(ProtocolError, end.receive, ask(4) + ask(4))
        end = conversation()
        end.receive(ask(4))
        self.assertRaises(ProtocolError, end.receive, body(0, 4))

    def test_a_tag_is_free_after_its_answer(self) -> None:
        """Then, and not before."""
        end = conversation()
        for _ in range(3):
            (message,) = end.receive(ask(4))
            end.answer(message.tag, None)

    def test_wrong_envelopes(self) -> None:
        """An ask whose tag can be read is answered ``InvalidPayload``, and the connection lives."""
        wrong = [
            [0, 9],
            [0, 9, "call"],
            [0, 9, "call", {}],
            [0, 9, "call", {}, None],
            [0, 9, "call", {}, None, {}, 1],
            [0, 9, 5, {}, None, {}],
            [0, 9, None, {}, None, {}],
            [0, 9, b"call", {}, None, {}],
            [0, 9, "x" * 256, {}, None, {}],
            [0, 9, "call", [], None, {}],
            [0, 9, "call", None, None, {}],
            [0, 9, "call", {}, None, None],
            [0, 9, "call", {}, None, []],
        ]
        wrong += [
            [0, 9, "call", {}, timeout, {}] for timeout in (0, -1, 86_401, "1", True, float("nan"), float("inf"), [])
        ]
        for fields in wrong:
            with self.subTest(fields=fields):
                end = conversation()
                self.assertEqual(end.receive(body(*fields)), [])
                self.assertEqual([each[:3] for each in sent(end)], [[2, 9, "InvalidPayload"]])
                self.assertEqual(len(end.receive(ask(9))), 1)

    def test_timeouts(self) -> None:
        """Seconds, whole or not, up to a day."""
        for timeout in (1, 0.001, 86_400, 86_400.0, None):
            (message,) = conversation().receive(body(0, 9, "call", {}, timeout, {}))
            self.assertEqual(message.timeout, timeout)

    def test_messages_that_are_none(self) -> None:
        """No tag that could be answered, an unknown kind, a wrong shape: the connection ends."""
        none = [
            None,
            0,
            "x",
            {},
            [],
            ["0"],
            [None],
            [True, 1],
            [0.0, 1],
            [8, 1],
            [-1],
            [0],
            [0, -1],
            [0, 2**32],
            [0, "1"],
        ]
        none += [[0, True], [0, 1.0], [1], [1, 2], [1, 2, 3, 4], [1, -1, None], [1, "1", None], [2, 1, "C", "t"]]
        none += [
            [2, 1, 5, "t", {}],
            [2, 1, "C", None, {}],
            [2, 1, "C", "t", []],
            [2, 1, "C" * 65, "t", {}],
            [3],
            [3, "1"],
        ]
        none += [
            [3, 1, 2],
            [4, 1],
            [4, 1, 0],
            [4, 1, -1],
            [4, 1, 2**32],
            [4, 1, True],
            [4, 1, 1.0],
            [5, 1],
            [5, 1, 5, {}],
        ]
        none += [[5, 1, None, None], [5, 1, "C" * 65, {}], [6], [6, None], [6, 2**32], [7], [7, -1], [2**63 - 1, 1]]
        for value in none:
            with self.subTest(value=value):
                self.assertRaises(ProtocolError, conversation().receive, frame(encode(value)))

    def test_keys_and_simple_values_inside(self) -> None:
        """In what an application would see, they end the connection, in every message that has such a place."""
        for unfit in (b"\xa1\x41a\x01", b"\xa1\x61a\xf7", b"\xa1\x61a\x81\xe0", b"\xa1\x61a\xa1\x41a\x01"):
            for envelope in (
                b"\x86\x00\x01\x61c" + unfit + b"\xf6\xa0",
                b"\x86\x00\x01\x61c\xa0\xf6" + unfit,
                b"\x83\x01\x01" + unfit,
                b"\x83\x01\x01\x81" + unfit,
                b"\x85\x02\x01\x61c\x61t" + unfit,
                b"\x84\x05\x01\xf6" + unfit,
            ):
                self.assertRaises(ProtocolError, conversation().receive, frame(envelope))
        self.assertRaises(ProtocolError, conversation().receive, frame(b"\x83\x01\x01\xf7"))

    def test_flags(self) -> None:
        """Only the two that exist, and not both at once."""
        for flags in range(256):
            if flags not in (0, 1, 2):
                self.assertRaises(ProtocolError, conversation().receive, frame(b"\x82\x07\x01", flags))

    def test_no_streams(self) -> None:
        """A chunk, Credit or End where no stream was ever opened, and a chunk without a byte."""
        for data in (
            frame(b"\x00\x00\x01\x02bytes", RAW),
            write_credit(258, 99),
            write_end(258),
            write_end(3, "x", {}),
        ):
            self.assertRaises(ProtocolError, conversation().receive, ask(0) + data)
        for short in (b"\x00", b"\x00\x00\x00\x01"):
            self.assertRaises(ProtocolError, conversation().receive, frame(short, RAW))

    def test_ping_and_pong(self) -> None:
        """A ping is answered with its number; a pong needs nobody's attention: it was heard."""
        end = conversation()
        self.assertEqual(end.receive(write_ping(77)), [])
        self.assertEqual(sent(end), [[7, 77]])
        self.assertEqual(end.receive(write_pong(5)), [])
        self.assertEqual(sent(end), [])
        end.ping(6)
        self.assertEqual(sent(end), [[6, 6]])

    def test_cancel_of_what_is_not_there(self) -> None:
        """Late, and no offence."""
        self.assertEqual(conversation().receive(write_cancel(3)), [])

    def test_failed_is_cut(self) -> None:
        """A text longer than the protocol's is not believed in full."""
        end = conversation()
        end.ask("call", {}, waiter="w")
        (failed,) = end.receive(body(2, 0, "NotFound", "x" * 5_000, {}))
        assert isinstance(failed, Failed)
        self.assertEqual(len(failed.text), MAX_TEXT)

    def test_nothing_is_read_after_an_offence(self) -> None:
        """A refused frame smuggles no other: what follows it, now or later, is never taken for a message."""
        hidden = ask(7)
        for offence in (
            b"\x00\x00\x00\x00",
            b"\x7f\xff\xff\xff",
            frame(b"\xff"),
            frame(b"\x82\x07\x01", 9),
            body(8, 1),
        ):
            end = conversation()
            self.assertRaises(ProtocolError, end.receive, offence + hidden)
            end.receive_limit = 50_000
            self.assertEqual(end.held, 0)
            for _ in range(2):
                self.assertRaises(ProtocolError, end.receive, hidden)
            self.assertEqual(end.answering, {})

    def test_limits_can_change(self) -> None:
        """``receive_limit`` after hello and login; ``held`` and ``incomplete`` tell of an unfinished frame."""
        end = conversation(receive_limit=1_000)
        self.assertRaises(ProtocolError, end.receive, ask(0, {"a": "x" * 2_000}))
        end = conversation(receive_limit=1_000)
        end.receive_limit = 5_000
        self.assertEqual(end.receive_limit, 5_000)
        self.assertEqual(len(end.receive(ask(0, {"a": "x" * 2_000}))), 1)
        end.receive(ask(1)[:-1])
        self.assertEqual((end.held, end.incomplete), (len(ask(1)) - 1, (1, len(ask(1)) - 1)))
        end.receive(ask(1)[-1:])
        self.assertEqual((end.held, end.incomplete), (0, None))
