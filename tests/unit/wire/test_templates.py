"""Asks that are recognised by their bytes are what decoding all of their bytes makes of them, or are left to that."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from fluxon.errors import FluxonError, ProtocolError
from fluxon.limits import MAX_DEPTH
from fluxon.wire import Ask, Conversation, Templates
from fluxon.wire.encoding import encode
from fluxon.wire.frames import frame
from fluxon.wire.messages import write_ask, write_ping

#: The last ones have the mark of the last argument in them, and are left to the general way.
_VIEWS = ("echo", "say", "ü", "payload", "gpayload")

#: Bytes that mean something where an ask ends, or that are refused.
_TELLING = (b"\xf6", b"\xa0", b"\xfb", b"\xf7", b"\xc2")

_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_timeouts = st.none() | st.floats(0.001, 86_400)
_asks = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([*_VIEWS, "unknown"]), _values, _timeouts)


def _templates() -> Templates:
    templates = Templates("call", "payload")
    for name in _VIEWS:
        templates.add({"view": name}, f"the meaning of {name}")
    return templates


def _write(tag: int, view: str, payload: Any, timeout: float | None = None) -> bytes:
    return write_ask(tag, "call", {"view": view, "payload": payload}, timeout, {})


def _outcome(reads: tuple[bytes, ...], templates: Templates | None) -> Any:
    """Everything that tells one reading from another."""
    conversation = Conversation(receive_limit=100_000, send_limit=100_000, templates=templates)
    error: str | None = None
    received: list[Any] = []
    try:
        received = [
            (each.tag, each.command, repr(each.arguments), each.timeout, dict(each.options), each.size)
            if isinstance(each, Ask)
            else type(each)
            for data in reads
            for each in conversation.receive(data)
        ]
    except FluxonError as problem:
        error = f"{problem.code} {problem.text}"
    return received, error, conversation.output, list(conversation.answering)


class TemplatesTests(TestCase):
    def same(self, *reads: bytes) -> None:
        self.assertEqual(_outcome(reads, _templates()), _outcome(reads, None))

    def recognised(self, data: bytes) -> list[Ask]:
        conversation = Conversation(receive_limit=100_000, send_limit=100_000, templates=_templates())
        received = conversation.receive(data)
        assert all(isinstance(each, Ask) and each.template is not None for each in received), received
        return received  # type: ignore[return-value]

    def test_what_is_recognised(self) -> None:
        """Known asks, one or many in a read, with and without a timeout, have their meaning and their one value."""
        (ask,) = self.recognised(_write(7, "echo", {"text": "hello"}))
        self.assertEqual((ask.tag, ask.given, ask.timeout), (7, {"text": "hello"}, None))
        self.assertEqual(ask.arguments, {"view": "echo", "payload": {"text": "hello"}})
        assert ask.template is not None
        self.assertEqual(ask.template.meaning, "the meaning of echo")
        several = self.recognised(b"".join(_write(n, _VIEWS[n % 3], [n], 2.5) for n in range(9)))
        self.assertEqual([each.given for each in several], [[n] for n in range(9)])
        self.assertEqual({each.timeout for each in several}, {2.5})
        self.assertEqual([each.arguments["view"] for each in several], [_VIEWS[n % 3] for n in range(9)])

    def test_what_is_not(self) -> None:
        """One frame of another kind or form in a read, and all of it is read the general way."""
        known = _write(1, "echo", 1)
        for other in (
            _write(2, "unknown", 1),
            write_ping(1),
            frame(encode([0, 2, "call", {"payload": 1, "view": "echo"}, None, {}])),
            frame(encode([0, 2, "call", {"view": "echo", "payload": 1}, None, {}])),  # a tag of one byte
            # The kind and the tag in other forms that together are as long as the known one.
            frame(b"\x86\x19\x00\x00\x19\x00\x02" + _write(2, "echo", 1)[5 + 7 :]),
            frame(encode([0, 2, "call", {"view": "echo"}, None, {}])),
            write_ask(2, "call", {"view": "echo", "payload": 1}, None, {"x": 1}),
            write_ask(2, "call", {"view": "echo", "payload": 1}, 7, {}),
            write_ask(2, "hello", {}, None, {}),
        ):
            self.same(known + other)
            self.same(other + known)
            conversation = Conversation(receive_limit=100_000, send_limit=100_000, templates=_templates())
            asks = [each for each in conversation.receive(known + other) if isinstance(each, Ask)]
            self.assertTrue(asks and all(each.template is None for each in asks))

    def test_nothing_is_recognised_after_an_offence(self) -> None:
        """What follows a broken frame is no ask, however well known it looks."""
        known = _write(1, "echo", 1)
        for data in (known, b"\x00\x00\x00\x00", b"\x00\x00\x00\x02\x00\xff"):
            conversation = Conversation(receive_limit=100_000, send_limit=100_000, templates=_templates())
            if data is known:
                conversation.receive(data)
            else:
                self.assertRaises(ProtocolError, conversation.receive, data + known)
                self.assertRaises(ProtocolError, conversation.receive, known)
            self.assertEqual(list(conversation.answering), [1] if data is known else [])

    def test_depth(self) -> None:
        """A value that is nested too deeply for an ask is so, too, when it is read alone."""
        for depth in range(MAX_DEPTH - 3, MAX_DEPTH + 6):
            body = b"\x86\x00\x1a\x00\x00\x00\x05" + encode("call") + b"\xa2" + encode("view") + encode("echo")
            self.same(frame(body + encode("payload") + b"\x81" * depth + b"\x01" + b"\xf6\xa0"))

    @settings(deadline=None)
    @given(st.lists(_asks, min_size=1, max_size=6))
    def test_any_asks(self, asks: list[tuple[int, str, Any, float | None]]) -> None:
        """Whatever is asked, with tags that meet by chance."""
        self.same(b"".join(_write(*each) for each in asks))

    @settings(deadline=None)
    @given(st.lists(_asks, min_size=1, max_size=3), st.data())
    def test_any_damage(self, asks: list[tuple[int, str, Any, float | None]], data: st.DataObject) -> None:
        """Bytes changed, left out or put in between inside of frames whose lengths are right."""
        frames = []
        for each in asks:
            body = bytearray(_write(*each)[5:])
            for _ in range(data.draw(st.integers(0, 3))):
                at = data.draw(st.integers(0, len(body) - 1))
                piece = data.draw(st.binary(max_size=3) | st.sampled_from(_TELLING))
                body[at : at + data.draw(st.integers(0, 2))] = piece
                if not body:
                    body = bytearray(b"\x00")
            frames.append(frame(bytes(body)))
        self.same(b"".join(frames))

    @settings(deadline=None)
    @given(st.lists(_asks, min_size=1, max_size=4), st.data())
    def test_any_reads(self, asks: list[tuple[int, str, Any, float | None]], data: st.DataObject) -> None:
        """A read that ends within a frame is gone on with by the next, and whatever comes behind is read as well."""
        stream = b"".join(_write(*each) for each in asks) + data.draw(
            st.sampled_from((b"", write_ping(1), b"\x00\x00", b"\xff" * 9, b"\x00\x00\x00\x09\x02\x00"))
        )
        cut = data.draw(st.integers(0, len(stream)))
        self.same(stream[:cut], stream[cut:])
        self.same(stream)
