"""Streams as the wire sees them: nothing without credit, one end from each side, and offences told from bad timing."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import Cancelled, Internal, NotFound, ProtocolError, ResourceExhausted
from fluxon.wire import RAW, Answer, Chunk, Conversation, Credit, End, Flow, decode, frame
from fluxon.wire.frames import MAX_CHUNK
from fluxon.wire.messages import MAX_TEXT, write_credit, write_end
from fluxon.wire.streams import MAX_CREDIT, reason


def chunk(stream: int, data: bytes) -> bytes:
    return frame(stream.to_bytes(4, "big") + data, RAW)


class Ends:
    """A server's and a client's end; what one says the other hears at once."""

    def __init__(self, streams: int = 3, limit: int = 2_000) -> None:
        self.server = Conversation(receive_limit=limit, send_limit=limit, stream_limit=streams)
        self.client = Conversation(receive_limit=limit, send_limit=limit)

    def open(self, sending: bool, owner: str = "served") -> tuple[Flow, int]:
        """A stream that the server opens; its flow there, and its tag, which the client has heard."""
        tag = self.client.ask("get", {}, waiter="w", opens=True)
        self.to_server()
        flow = self.server.streams.open(sending, owner)
        self.server.answer(tag, {"stream": flow.tag})
        (answer,) = self.to_client()
        assert isinstance(answer, Answer)
        return flow, answer.value["stream"]

    def pair(self, sending: bool) -> tuple[Flow, Flow]:
        """A stream that both have taken; ``sending``: by the server."""
        flow, tag = self.open(sending)
        return flow, self.client.streams.attach(tag, not sending, "asked")

    def to_client(self) -> list[Any]:
        return self.client.receive(taken(self.server))

    def to_server(self) -> list[Any]:
        return self.server.receive(taken(self.client))


def taken(end: Conversation) -> bytes:
    data = b"".join(end.output)
    end.output.clear()
    end.output_size = 0
    return data


class StreamTests(SynchronousTestCase):
    """What both ends may rely on."""

    def test_a_transfer(self) -> None:
        """Credit, chunks as far as it goes, more credit, the end and its confirmation; then nothing is left."""
        ends = Ends()
        sender, receiver = ends.pair(True)
        self.assertEqual(sender.credit, 0)
        ends.client.streams.grant(receiver, 10)
        (credit,) = ends.to_server()
        assert isinstance(credit, Credit)
        self.assertEqual((credit.owner, credit.count, sender.credit), ("served", 10, 10))
        self.assertRaises(ValueError, ends.server.streams.chunk, sender, 11)
        data = ends.server.streams.chunk(sender, 6) + b"abcdef" + ends.server.streams.chunk(sender, 4) + b"ghij"
        first, second = ends.client.receive(data)
        assert isinstance(first, Chunk)
        self.assertEqual((first.owner, bytes(first.data), bytes(second.data)), ("asked", b"abcdef", b"ghij"))
        self.assertEqual((sender.credit, receiver.credit), (0, 0))
        ends.server.streams.end(sender)
        (end,) = ends.to_client()
        assert isinstance(end, End)
        self.assertEqual((end.owner, end.code), ("asked", None))
        (confirmed,) = ends.to_server()
        self.assertEqual((confirmed.owner, confirmed.code), ("served", None))
        self.assertFalse(ends.server.has_streams or ends.client.has_streams)

    def test_chunks_in_parts(self) -> None:
        """A chunk larger than any other frame may be comes as it arrives, and is judged when it begins."""
        ends = Ends()
        sender, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, MAX_CHUNK + 1)
        ends.to_server()
        data = ends.server.streams.chunk(sender, MAX_CHUNK) + b"x" * MAX_CHUNK
        sizes = []
        for start in range(0, len(data), 100_000):
            sizes += [len(each.data) for each in ends.client.receive(data[start : start + 100_000])]
        self.assertEqual(sum(sizes), MAX_CHUNK)
        self.assertEqual(len(sizes), 11)
        self.assertEqual(ends.client.held, 0)
        with self.assertRaises(ProtocolError):
            ends.client.receive(chunk(receiver.tag, b"xy")[:9])

    def test_early_words(self) -> None:
        """What is said of a stream before the one who asked has taken it is kept: credit, and the end."""
        ends = Ends()
        flow, tag = ends.open(False)
        ends.server.streams.grant(flow, 5)
        ends.server.streams.grant(flow, 6)
        self.assertEqual(ends.to_client(), [])
        self.assertEqual(ends.client.streams.attach(tag, True, "asked").credit, 11)
        flow, tag = ends.open(True)
        ends.server.streams.end(flow, "NotFound", {"text": "gone"})
        self.assertEqual(ends.to_client(), [])
        late = ends.client.streams.attach(tag, False, "asked")
        assert late.end is not None
        self.assertEqual((late.end.code, late.end.details), ("NotFound", {"text": "gone"}))
        (confirmed,) = ends.to_server()
        self.assertEqual(confirmed.code, "NotFound")
        self.assertRaises(NotFound, ends.client.streams.attach, tag, False, "twice")
        self.assertRaises(NotFound, ends.client.streams.attach, 77, False, "never")

    def test_given_up_by_the_receiver(self) -> None:
        """Bytes that were under way are dropped, counted against the credit, and end with the sender's End."""
        ends = Ends()
        sender, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 10)
        ends.to_server()
        under_way = ends.server.streams.chunk(sender, 4) + b"abcd"
        ends.client.streams.end(receiver, "Cancelled")
        self.assertEqual(ends.client.receive(under_way), [])
        self.assertEqual(receiver.credit, 6)
        (end,) = ends.to_server()
        self.assertEqual(end.code, "Cancelled")
        ends.server.streams.end(sender)  # says nothing more
        (end,) = ends.to_client()
        self.assertEqual((end.code, end.owner), ("Cancelled", "asked"))
        self.assertFalse(ends.server.has_streams or ends.client.has_streams)

    def test_given_up_and_flooded(self) -> None:
        """That nobody wants the bytes any more does not make more of them than were granted good manners."""
        ends = Ends()
        _, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 3)
        ends.client.streams.end(receiver, "Cancelled")
        self.assertEqual(ends.client.receive(chunk(receiver.tag, b"abc")), [])
        self.assertRaises(ProtocolError, ends.client.receive, chunk(receiver.tag, b"d"))

    def test_ends_that_cross(self) -> None:
        """Both end it in the same moment: each hears the other's, and it is over."""
        for code in (None, "Cancelled"):
            ends = Ends()
            sender, receiver = ends.pair(True)
            ends.server.streams.end(sender, code)
            ends.client.streams.end(receiver, "Unavailable")
            said = taken(ends.server)
            ends.to_server()
            ends.client.receive(said)
            self.assertFalse(ends.server.has_streams or ends.client.has_streams)

    def test_credit_that_crosses_the_end(self) -> None:
        """The receiver grants while the sender ends: no offence."""
        ends = Ends()
        sender, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 10)
        ends.server.streams.end(sender)
        ends.to_server()
        ends.to_client()
        ends.to_server()
        self.assertFalse(ends.server.has_streams or ends.client.has_streams)

    def test_a_late_answer(self) -> None:
        """A stream for an ask that was given up is given up, and its place comes free."""
        ends = Ends(streams=1)
        tag = ends.client.ask("get", {}, waiter="w", opens=True)
        ends.to_server()
        ends.client.abandon(tag)
        flow = ends.server.streams.open(True, "served")
        ends.server.answer(tag, {"stream": flow.tag})
        self.assertEqual(ends.to_client(), [])
        (end,) = ends.to_server()
        self.assertEqual((end.owner, end.code), ("served", "Cancelled"))
        ends.to_client()
        self.assertFalse(ends.server.has_streams or ends.client.has_streams)

    def test_an_answer_that_nobody_takes(self) -> None:
        """Its stream is given up, once, whether or not the other side has ended it; other answers name none."""
        for ended in (False, True):
            ends = Ends()
            flow, tag = ends.open(True)
            if ended:
                ends.server.streams.end(flow, "NotFound")
                ends.to_client()
            for value in (None, [tag], {"stream": None}, {"stream": 77}, {"stream": str(tag)}):
                ends.client.streams.refuse(value)
            self.assertTrue(ends.client.has_streams)
            ends.client.streams.refuse({"stream": tag})
            (end,) = ends.to_server()
            self.assertEqual((end.owner, end.code), ("served", "NotFound" if ended else "Cancelled"))
            ends.to_client()
            ends.client.streams.refuse({"stream": tag})
            self.assertFalse(ends.server.has_streams or ends.client.has_streams)

    def test_one_that_was_taken_is_not_refused(self) -> None:
        """Whoever has taken a stream is the one to end it."""
        ends = Ends()
        _, receiver = ends.pair(True)
        ends.client.streams.refuse({"stream": receiver.tag})
        self.assertFalse(receiver.ended)
        self.assertEqual(ends.client.output, [])

    def test_why_it_was_given_up(self) -> None:
        """The other side gets the error: code, text and details, unless those cannot cross or are too large."""
        for error, text, details in (
            (NotFound("no such file", details={"path": "/a"}), "no such file", {"path": "/a"}),
            (NotFound("x" * (MAX_TEXT + 1)), "x" * MAX_TEXT, {}),
            (NotFound("gone", details={"path": object()}), "the other side gave the stream up (NotFound)", {}),
            (NotFound("gone", details={"path": "/a" * 1_000}), "the other side gave the stream up (NotFound)", {}),
        ):
            ends = Ends()
            sender, _ = ends.pair(True)
            ends.server.streams.give_up(sender, error)
            (end,) = ends.to_client()
            told = reason(end)
            self.assertIsInstance(told, NotFound)
            self.assertEqual((told.text, told.details), (text, details))

    def test_a_reason_that_is_none(self) -> None:
        """A code that is unknown here, without a text, is an error with both in it."""
        told = reason(End(0, "NoSuchThing", {"text": 7}))
        self.assertIs(type(told), Internal)
        self.assertIn("NoSuchThing", told.text)
        self.assertIs(type(reason(End(0, "Cancelled", {}))), Cancelled)

    def test_only_where_one_is_expected(self) -> None:
        """An answer that happens to have a field of that name opens nothing, nor does one without a tag in it."""
        ends = Ends()
        for opens, value in (
            (False, {"stream": 0}),
            (True, {"stream": None}),
            (True, {}),
            (True, 7),
            (True, {"stream": -1}),
        ):
            tag = ends.client.ask("get", {}, waiter="w", opens=opens)
            ends.to_server()
            ends.server.answer(tag, value)
            (answer,) = ends.to_client()
            self.assertEqual(answer.value, value)
            self.assertFalse(ends.client.has_streams)

    def test_places(self) -> None:
        """As many as the limit; one that the other side has not ended takes its place still."""
        ends = Ends(streams=2)
        first, _ = ends.pair(True)
        ends.pair(True)
        self.assertRaises(ResourceExhausted, ends.server.streams.open, True, "third")
        ends.server.streams.end(first, "Cancelled")
        self.assertRaises(ResourceExhausted, ends.server.streams.open, True, "third")
        ends.to_client()
        ends.to_server()
        ends.pair(True)
        self.assertRaises(ResourceExhausted, ends.client.streams.open, True, "a client opens none")

    def test_withdrawn(self) -> None:
        """A stream whose answer could not be sent leaves no trace."""
        ends = Ends(streams=1)
        ends.server.streams.withdraw(ends.server.streams.open(True, "x"))
        ends.pair(True)

    def test_close(self) -> None:
        """The owners hear of the end of the connection; streams that nobody took have none."""
        ends = Ends()
        ends.pair(True)
        ends.open(True)
        self.assertEqual(ends.client.streams.close(), ["asked"])
        self.assertEqual(ends.server.streams.close(), ["served", "served"])


class OffenceTests(SynchronousTestCase):
    """What ends the connection."""

    def assert_offence(self, end: Conversation, data: bytes) -> None:
        self.assertRaises(ProtocolError, end.receive, data)

    def test_without_credit(self) -> None:
        """Bytes before any credit, more than it, to a stream that nobody has taken, or against its direction."""
        ends = Ends()
        sender, receiver = ends.pair(True)
        self.assert_offence(ends.client, chunk(receiver.tag, b"x"))
        ends = Ends()
        _, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 3)
        self.assert_offence(ends.client, chunk(receiver.tag, b"four"))
        ends = Ends()
        _, tag = ends.open(True)
        self.assert_offence(ends.client, chunk(tag, b"x"))
        ends = Ends()
        sender, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 10)
        ends.to_server()
        self.assert_offence(ends.server, chunk(sender.tag, b"x"))

    def test_of_no_stream(self) -> None:
        """Another tag than one that is open."""
        for data in (chunk(9, b"x"), write_credit(9, 1), write_end(9), write_end(9, "x")):
            ends = Ends()
            ends.pair(True)
            self.assert_offence(ends.client, data)

    def test_after_its_end(self) -> None:
        """Whoever has ended a stream says nothing more of it: no second End, no bytes, no credit."""
        for data in (write_end(0), write_end(0, "Cancelled"), chunk(0, b"x"), write_credit(0, 1)):
            for attached in (True, False):
                ends = Ends()
                sender, tag = ends.open(True)
                if attached:
                    ends.client.streams.grant(ends.client.streams.attach(tag, False, "x"), 10)
                ends.server.streams.end(sender)
                ends.to_client()
                self.assert_offence(ends.client, data)

    def test_credit_of_the_sender(self) -> None:
        """Whoever sends grants nothing."""
        ends = Ends()
        _, receiver = ends.pair(True)
        self.assert_offence(ends.client, write_credit(receiver.tag, 1))

    def test_complete_says_the_receiver(self) -> None:
        """Only the sender knows that these were all bytes."""
        ends = Ends()
        sender, _ = ends.pair(True)
        self.assert_offence(ends.server, write_end(sender.tag))

    def test_endless_credit(self) -> None:
        """There is an end to what may be granted."""
        ends = Ends()
        sender, _ = ends.pair(True)
        ends.server.receive(write_credit(sender.tag, MAX_CREDIT))
        self.assertEqual(sender.credit, MAX_CREDIT)
        self.assert_offence(ends.server, write_credit(sender.tag, 1))

    def test_a_tag_again(self) -> None:
        """Tags ascend: an answer that names an older one could mean either stream. Its asker hears of the end."""
        ends = Ends()
        ends.pair(True)
        tag = ends.client.ask("get", {}, waiter="w", opens=True)
        ends.to_server()
        ends.server.answer(tag, {"stream": 0})
        self.assert_offence(ends.client, taken(ends.server))
        self.assertEqual(ends.client.close(), [("w", True)])

    def test_too_large(self) -> None:
        """A chunk of more than 1 MiB, whatever was granted, from its length alone."""
        ends = Ends()
        _, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 4 * MAX_CHUNK)
        self.assert_offence(ends.client, (MAX_CHUNK + 6).to_bytes(4, "big"))

    def test_what_waits_is_judged(self) -> None:
        """Nothing of a read with an offence is acted on, and the bodies in it are still bodies."""
        ends = Ends()
        _, receiver = ends.pair(True)
        ends.client.streams.grant(receiver, 3)
        self.assert_offence(ends.client, chunk(receiver.tag, b"abc") + chunk(receiver.tag, b"d"))
        self.assertEqual(decode(ends.client.output[-1][5:])[0], 4)
