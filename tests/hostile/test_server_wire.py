"""A real server and bytes that break the wire's rules: each ends as the protocol says, and nobody else notices."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import lz4.block
import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire import COMPRESSED, RAW, encode, frame
from fluxon.wire.messages import write_answer, write_ask, write_cancel, write_end

MIB = 1024 * 1024


def call(tag: int, payload: bytes, view: bytes = b"echo") -> bytes:
    """The body of a call whose payload is that CBOR."""
    head = b"\x86\x00\x1a" + tag.to_bytes(4, "big") + b"\x64call\xa2\x64view\x64"
    return head + view + b"\x67payload" + payload + b"\xf6\xa0"


def compressed(size: int, body: bytes) -> bytes:
    return frame(size.to_bytes(4, "big") + lz4.block.compress(body, store_size=False), COMPRESSED)


#: What nobody may say, greeted or not.
OFFENCES = {
    "length zero": b"\0\0\0\0\0",
    "length one": b"\0\0\0\1\0",
    "top bit": b"\x80\0\0\5\0abcd",
    "all bits": b"\xff" * 10,
    "over the largest limit": (64 * MIB).to_bytes(4, "big") + b"\0",
    "unknown flag": frame(b"\x82\x06\x01", 0x80),
    "two flags": frame(b"\x82\x06\x01", 0x03),
    "no CBOR": frame(b"\xff"),
    "cut CBOR": frame(b"\x86\x00"),
    "trailing byte": frame(b"\x82\x06\x01\x00"),
    "declared 2**64": frame(b"\x82\x06\x9b" + b"\xff" * 8),
    "no array": frame(b"\x01"),
    "empty array": frame(b"\x80"),
    "unknown kind": frame(b"\x82\x18\x63\x01"),
    "no tag": frame(b"\x86\x00\xf6\x64call\xa0\xf6\xa0"),
    "bad UTF-8": frame(call(1, b"\x61\xff")),
    "lone surrogate": frame(call(1, b"\x63\xed\xa0\x80")),
    "bad date": frame(call(1, b"\xc0\x74" + b"2024-02-30T12:00:00Z")),
    "date that is no text": frame(call(1, b"\xc0\x01")),
    "unknown tag": frame(call(1, b"\xd9\xff\xff\x01")),
    "bignum": frame(call(1, b"\xc2\x41\x01")),
    "regular expression": frame(call(1, b"\xd8\x23\x61a")),
    "reference": frame(call(1, b"\xd8\x1c\x81\xd8\x1d\x00")),
    "huge decimal": frame(call(1, b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01")),
    "indefinite length": frame(call(1, b"\x9f\x01\xff")),
    "duplicate key": frame(call(1, b"\xa2\x61a\x01\x61a\x02")),
    "key that is no text": frame(call(1, b"\xa1\x01\x02")),
    "undefined": frame(call(1, b"\xf7")),
    "65 bits": frame(call(1, b"\x1b" + b"\xff" * 8)),
    "too deep": frame(call(1, b"\x81" * 200 + b"\x01")),
    "lz4 that is none": frame(b"\0\0\0\x10" + b"\xf0" * 20, COMPRESSED),
    "lz4 of another size": compressed(99, b"\x82\x06\x01" * 30),
    "lz4 that claims 1 GiB": compressed(2**30, b"\0" * 1000),
    "lz4 bomb": compressed(16_000, b"\x80" * 16_000),
    "lz4 of nothing": frame(b"\0\0\0\0", COMPRESSED),
    "chunk of no stream": frame(b"\0\0\0\1data", RAW),
    "end of no stream": write_end(1),
    "pickle": pickle.dumps({"view": "echo"}),
    "the original's frame": b"00015" + b'{"view":"echo"}',
    "the original's digits": "²²²²²{}".encode(),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
}


@pytest.mark.usefixtures("server")
class WireCase(SynchronousTestCase):
    server: Any

    def assert_served(self) -> None:
        """Whoever was there before is served."""
        self.assertEqual(self.server.result("echo", "still"), "still")


class OffenceTests(WireCase):
    """What ends the connection it came by."""

    def test_each(self) -> None:
        """Each offence, before hello and after it, whole: an abort, promptly, and only of its own connection."""
        for name, data in OFFENCES.items():
            for greeted in (False, True):
                with self.subTest(f"{name}, greeted {greeted}"), self.server.visit() as visitor:
                    if greeted:
                        visitor.greet()
                    visitor.send(data)
                    self.assertTrue(visitor.ends())
        self.assert_served()

    def test_byte_by_byte(self) -> None:
        """The same, a byte a packet: nothing depends on how a stream is cut."""
        for name in ("length zero", "top bit", "trailing byte", "lz4 bomb", "the original's digits", "HTTP"):
            with self.subTest(name), self.server.visit() as visitor:
                visitor.greet()
                try:
                    for byte in OFFENCES[name]:
                        visitor.send(bytes([byte]))
                except ConnectionError:
                    continue  # its first bytes were enough
                self.assertTrue(visitor.ends())

    def test_limits(self) -> None:
        """16 KiB before hello, 256 KiB after it as a stranger: one byte more ends it, at its header."""
        for greeted, limit in ((False, 16 * 1024), (True, 256 * 1024)):
            with self.server.visit() as visitor:
                if greeted:
                    visitor.greet()
                visitor.send((limit + 1).to_bytes(4, "big"))
                self.assertTrue(visitor.ends())
            with self.server.visit() as visitor:
                if greeted:
                    visitor.greet()
                size = limit - 1 - len(call(1, b"\x5a\0\0\0\0"))
                visitor.conversation.asked[1] = _asked()
                visitor.send(frame(call(1, b"\x5a" + size.to_bytes(4, "big") + b"x" * size)))
                if greeted:
                    self.assertEqual(len(visitor.outcome(1)), size)
                else:
                    self.assertEqual(visitor.code(1), "Unauthenticated")

    def test_memory(self) -> None:
        """All bombs, 20 times over, leave the server's memory where it was."""
        bombs = [OFFENCES[name] for name in ("lz4 bomb", "lz4 that claims 1 GiB", "declared 2**64", "huge decimal")]
        bombs.append(frame(call(1, b"\x9a\0\3\0\0" + b"\x80" * 0x30000, view=b"none")))
        self._throw(bombs, 5)
        before = self.server.state(collect=True)["resident"]
        self._throw(bombs, 20)
        self.assertLess(self.server.state(collect=True)["resident"] - before, 20 * MIB)

    def _throw(self, bombs: list[bytes], times: int) -> None:
        for _ in range(times):
            for bomb in bombs:
                with self.server.visit() as visitor:
                    visitor.greet()
                    visitor.send(bomb)
                    visitor.say_no_more()
                    self.assertTrue(visitor.ends())

    def test_duplicate_tag(self) -> None:
        """A tag that is in use: the outcome is unknown, as far as that can be said, and the end."""
        with self.server.visit() as visitor:
            visitor.greet()
            tag = visitor.call("hang")
            visitor.send(write_ask(tag, "call", {"view": "echo", "payload": 1}, None, {}))
            self.assertIn(visitor.code(tag), ("OutcomeUnknown", "Ellipsis"))
            self.assertTrue(visitor.ends())

    def test_unsolicited_answers(self) -> None:
        """Nine answers to nothing are ignored; the tenth ends it."""
        with self.server.visit() as visitor:
            visitor.greet()
            visitor.send(b"".join(write_answer(1_000 + number, b"\x01") for number in range(9)))
            self.assertEqual(visitor.result("echo", 1), 1)
            visitor.send(write_answer(5_000, b"\x01"))
            self.assertTrue(visitor.ends())


class RefusalTests(WireCase):
    """What is wrong and forgiven: a Failed answer, and the connection lives."""

    def ask_raw(self, visitor: Any, body: bytes, tag: int) -> Any:
        visitor.conversation.asked[tag] = _asked()
        visitor.send(frame(body))
        return visitor.outcome(tag)

    def test_envelopes(self) -> None:
        """An ask whose tag can be read and whose rest is wrong is InvalidPayload."""
        bodies = (
            b"\x82\x00\x05",
            b"\x83\x00\x05\x64call",
            b"\x86\x00\x05\x01\xa0\xf6\xa0",
            b"\x86\x00\x05\x64call\x80\xf6\xa0",
            b"\x86\x00\x05\x64call\xa0\x00\xa0",
            b"\x86\x00\x05\x64call\xa0\xfb\x7f\xf8\0\0\0\0\0\0\xa0",
            b"\x86\x00\x05\x64call\xa0\xf6\xf6",
            b"\x87\x00\x05\x64call\xa0\xf6\xa0\x01",
            b"\x86\x00\x05\x79\x01\x2c" + b"x" * 300 + b"\xa0\xf6\xa0",
        )
        with self.server.visit() as visitor:
            visitor.greet()
            for body in bodies:
                self.assertEqual(self.ask_raw(visitor, body, 5).code, "InvalidPayload", body)
            self.assertEqual(visitor.result("echo", 1), 1)

    def test_arguments(self) -> None:
        """Commands with missing, surplus, wrong arguments: InvalidPayload. NaN where an integer belongs, too."""
        cases: list[tuple[str, dict[str, Any]]] = [
            ("call", {}),
            ("call", {"view": 1, "payload": 1}),
            ("call", {"view": "", "payload": 1}),
            ("call", {"view": "x" * 256, "payload": 1}),
            ("call", {"view": "echo", "payload": 1, "more": 1}),
            ("hello", {"version": math.nan, "token": None, "seen": 0, "features": []}),
            ("hello", {"version": 99, "token": None, "seen": 0, "features": []}),
            ("hello", {"version": True, "token": None, "seen": 0, "features": []}),
            ("hello", {"version": 1, "token": "x" * 300, "seen": 0, "features": []}),
            ("hello", {"version": 1, "token": None, "seen": -1, "features": []}),
            ("hello", {"version": 1, "token": None, "seen": 0, "features": ["x"] * 40}),
        ]
        with self.server.visit() as visitor:
            visitor.greet()
            for command, arguments in cases:
                self.assertEqual(visitor.code(visitor.ask_command(command, arguments)), "InvalidPayload", arguments)

    def test_numbers_that_are_none(self) -> None:
        """NaN and the infinities are floats, and pass as such."""
        with self.server.visit() as visitor:
            visitor.greet()
            self.assertEqual(visitor.result("echo", [math.inf, -math.inf]), [math.inf, -math.inf])
            self.assertTrue(math.isnan(visitor.result("echo", math.nan)))

    def test_unknown(self) -> None:
        """An unknown command is NotFound, an unknown view UnknownView; before hello everything is Unauthenticated."""
        with self.server.visit() as visitor:
            self.assertEqual(visitor.code(visitor.call("echo", 1)), "Unauthenticated")
            visitor.greet()
            self.assertEqual(visitor.code(visitor.ask_command("drop", {})), "NotFound")
            self.assertEqual(visitor.code(visitor.call("__import__")), "UnknownView")
            self.assertEqual(visitor.result("echo", 1), 1)

    def test_forged_tokens(self) -> None:
        """A token that is none gets a new session like any stranger, and is told so."""
        for token in ("", "x", "v1.k.a.b", "v1.." + "A" * 80, "é" * 100):
            with self.server.visit() as visitor:
                tag = visitor.ask_command("hello", {"version": 1, "token": token, "seen": 0, "features": []})
                answer = visitor.outcome(tag)
                self.assertEqual((answer["authenticated"], answer["fresh"]), (False, True))

    def test_cancel_storm(self) -> None:
        """10,000 cancels of something that does not stop, and of nothing: answered requests go on."""
        with self.server.visit() as visitor:
            visitor.greet()
            hung = visitor.call("hang_stubbornly", None, 5)
            visitor.send(b"".join(write_cancel(tag) for tag in (hung, hung + 50)) * 5_000)
            self.assertEqual(visitor.result("echo", "after"), "after")
            self.assertGreaterEqual(self.server.state()["working"], 1)


class OriginalTests(WireCase):
    """Bugs of the program that this one follows, each as it was seen there."""

    def test_pickle(self) -> None:
        """A pickle that runs code when it is loaded: it is never loaded, as a frame or inside of one."""
        marker = f"{self.mktemp()}-ran"

        class Evil:
            def __reduce__(self) -> Any:
                return (open, (marker, "w"))

        evil = pickle.dumps(Evil())
        for data in (evil, frame(evil), frame(evil, COMPRESSED)):
            with self.server.visit() as visitor:
                visitor.send(data)
                visitor.say_no_more()
                self.assertTrue(visitor.ends())
        with self.server.visit() as visitor:
            self.assertEqual(visitor.greet().result("echo", evil), evil)
        self.assertFalse(Path(marker).exists())

    def test_split_header(self) -> None:
        """A header in several packets is a header; the request is answered."""
        data = write_ask(77, "call", {"view": "echo", "payload": "split"}, None, {})
        for cut in range(1, 8):
            with self.server.visit() as visitor:
                visitor.greet()
                visitor.conversation.asked[77] = _asked()
                visitor.send(data[:cut])
                self.assertEqual(self.server.result("echo", cut), cut)
                visitor.send(data[cut:])
                self.assertEqual(visitor.outcome(77), "split")

    def test_large_reply(self) -> None:
        """120,000 bytes, and 5 MiB, do not desynchronise what comes after them."""
        with self.server.visit() as visitor:
            visitor.greet()
            for size in (99_999, 100_000, 120_000, 5 * MIB):
                tags = [visitor.put_call("make", size), visitor.put_call("echo", size)]
                visitor.flush()
                self.assertEqual((len(visitor.outcome(tags[0])), visitor.outcome(tags[1])), (size, size))

    def test_smuggled_frame(self) -> None:
        """What looks like a frame inside a payload is payload."""
        inner = write_ask(78, "call", {"view": "echo", "payload": "smuggled"}, None, {})
        with self.server.visit() as visitor:
            visitor.greet()
            payload = b"x" * 99_990 + inner * 10
            self.assertEqual(visitor.result("echo", payload), payload)
            self.assertEqual(visitor.result("echo", 1), 1)
            self.assertNotIn(78, visitor.outcomes)

    def test_unserialisable_reply(self) -> None:
        """A reply that cannot be sent is that request's error, and the connection lives."""
        with self.server.visit() as visitor:
            visitor.greet()
            self.assertEqual(visitor.code(visitor.call("an_object")), "Unserialisable")
            self.assertEqual(visitor.result("echo", encode([1])), encode([1]))


def _asked() -> Any:
    from fluxon.wire.conversation import Asked

    return Asked(None, None, None)
