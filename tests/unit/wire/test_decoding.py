"""Strict CBOR, arriving: every form that is not the one form is ``ProtocolError``, and nothing else is ever raised."""

from __future__ import annotations

import decimal
import time as clock
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ProtocolError
from fluxon.wire import decode, decode_all
from fluxon.wire.decoding import SUSPECT, check_value


def head(major: int, number: int) -> bytes:
    """A CBOR head in its shortest form."""
    for width, mark in ((0, 0), (1, 24), (2, 25), (4, 26), (8, 27)):
        if number < (24 if width == 0 else 256**width):
            return bytes([major << 5 | (mark if width else number)]) + (number.to_bytes(width, "big") if width else b"")
    raise ValueError(number)


def text(value: str) -> bytes:
    return head(3, len(value.encode())) + value.encode()


def tagged(number: int, content: bytes) -> bytes:
    return head(6, number) + content


#: name -> a body that must be refused.
ILLEGAL = {
    "nothing": "",
    "trailing byte": "0000",
    "two values": "8000",
    "cut integer": "18",
    "cut array": "8201",
    "cut text": "6261",
    "cut map": "a16161",
    "array of 2^64 - 1": "9bffffffffffffffff",
    "text of 2^63": "7b8000000000000000",
    "bytes of 2^32": "5b0000000100000000",
    "map of 2^62": "bb4000000000000000",
    "reserved head 28": "1c",
    "reserved head 29": "3d",
    "reserved head 30": "5e",
    "break alone": "ff",
    "break in array": "81ff",
    "indefinite array": "9f01ff",
    "indefinite map": "bf616101ff",
    "indefinite text": "7f6161ff",
    "indefinite bytes": "5f4161ff",
    "duplicate key": "a2616101616102",
    "duplicate key in other forms": "a261610178016102",
    "list as key": "a1800101",
    "map as key": "a1a00101",
    "null as key": "a1f601",
    "integer as key": "a10101",
    "float as key": "a1fb3ff000000000000001",
    "tag as key": "a1c07319",
    "bad UTF-8": "61ff",
    "overlong UTF-8": "62c080",
    "surrogate in UTF-8": "63eda080",
    "cut UTF-8": "62c3",
    "2^63": "1b8000000000000000",
    "-2^63 - 1": "3b8000000000000000",
    "2^64 - 1 in a list in a map": "a161618181" + "1bffffffffffffffff",
    "bignum": "c249010000000000000000",
    "negative bignum": "c349010000000000000000",
    "cycle": "d81c81d81d00",
    "simple value, reserved": "f8",
    "simple value below 32 in two bytes": "f814",
    "half a float": "f93c",
}

#: name -> a value that decodes and that no application may see.
UNFIT = {
    "undefined": "f7",
    "undefined in a list": "81f7",
    "undefined in a map": "a16161f7",
    "simple value 0": "e0",
    "simple value 19": "f3",
    "simple value 255": "81f8ff",
    "bytes as key": "a1416101",
    "bytes as key, deep": "81a1616181a1416101",
}


class DecodingTests(SynchronousTestCase):
    """One frame at a time, and many in one go."""

    def strict(self, body: bytes) -> Any:
        """What an application would get."""
        value = decode(body)
        if type(value) in SUSPECT:
            check_value(value)
        return value

    def assert_refused(self, body: bytes) -> None:
        self.assertRaises(ProtocolError, self.strict, body)

    def test_illegal_forms(self) -> None:
        """Each is refused by ``decode``, alone and between frames that are good."""
        for name, body in ILLEGAL.items():
            with self.subTest(name):
                self.assertRaises(ProtocolError, decode, bytes.fromhex(body))
                for bodies in (
                    [b"\x01", bytes.fromhex(body)],
                    [bytes.fromhex(body), b"\x01"],
                    [bytes.fromhex(body)] * 2,
                ):
                    self.assertRaises(ProtocolError, decode_all, bodies)

    def test_unfit_values(self) -> None:
        """``check_value`` refuses what cbor2 has no switch against."""
        for name, body in UNFIT.items():
            with self.subTest(name):
                self.assert_refused(bytes.fromhex(body))

    def test_any_form_of_a_number_is_read(self) -> None:
        """Longer heads than needed, and half, single and double floats, are legal: other libraries write them."""
        cases = {"1801": 1, "190001": 1, "1a00000001": 1, "1b0000000000000001": 1, "f93e00": 1.5, "fa3fc00000": 1.5}
        cases |= {"fb3ff8000000000000": 1.5, "780161": "a", "9801f5": [True], "b80161610a": {"a": 10}}
        for body, value in cases.items():
            self.assertEqual(self.strict(bytes.fromhex(body)), value)

    def test_every_other_tag(self) -> None:
        """Of the tags 0 to 70,000 and the largest, none but the five is read, whatever it holds."""
        allowed = {0, 4, 37, 1004, 61888}
        contents = [b"\x00", text("2024-01-01"), b"\x50" + b"x" * 16, b"\x82\x01\x02", b"\xa0", text("a")]
        for number in [*range(70_001), 2**32 - 1, 2**32, 2**64 - 1]:
            if number not in allowed:
                body = tagged(number, contents[number % len(contents)])
                with self.subTest(number):
                    self.assert_refused(body)
        for number in [*range(300), 1_001, 43_000, 55_799, 61_887, 61_889]:
            for content in contents:
                if number not in allowed:
                    self.assert_refused(tagged(number, content))

    def test_tags_with_the_wrong_content(self) -> None:
        """The five refuse every type but their own, bounded before anything is computed with it."""
        contents = [b"\x00", b"\xf6", b"\xf7", b"\x80", b"\xa0", b"\xfb" + b"\x00" * 8, b"\x4f" + b"x" * 15]
        contents += [
            b"\x51" + b"x" * 17,
            b"\x83\x01\x02\x03",
            b"\x81\x01",
            text(""),
            text("x" * 100),
            b"\x50" + b"x" * 15,
        ]
        for number in (0, 4, 37, 1004, 61888):
            for content in contents:
                with self.subTest(number=number, content=content):
                    self.assert_refused(tagged(number, content))

    def test_datetime_forms(self) -> None:
        """RFC 3339 with capitals and an offset; anything else that Python's parser takes is refused."""
        noon = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
        for good in ("2024-05-06T12:00:00Z", "2024-05-06T14:00:00+02:00", "2024-05-06T12:00:00.000Z"):
            self.assertEqual(self.strict(tagged(0, text(good))), noon)
        self.assertEqual(self.strict(tagged(0, text("2024-05-06T12:00:00.5Z"))), noon.replace(microsecond=500_000))
        for bad in (
            "2024-05-06T12:00:00",
            "2024-05-06 12:00:00Z",
            "2024-05-06t12:00:00z",
            "2024-W19-1T12:00:00Z",
            "20240506T120000Z",
            "2024-05-06T12:00:00,5Z",
            "2024-05-06T12Z",
            "2024-05-06T12:00:00+02:00:01",
            "2024-05-06T12:00:00+24:00",
            "2024-13-06T12:00:00Z",
            "2024-02-30T12:00:00Z",
            "2024-05-06T25:00:00Z",
            "2024-05-06T12:00:60Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "\uff12\uff10\uff12\uff14-05-06T12:00:00Z",
            "2024-05-06T12:00:00Z\n",
        ):
            with self.subTest(bad):
                self.assert_refused(tagged(0, text(bad)))

    def test_date_and_time_forms(self) -> None:
        """One form each; an offset cannot hide in a time."""
        self.assertEqual(self.strict(tagged(1004, text("2024-02-29"))), date(2024, 2, 29))
        self.assertEqual(self.strict(tagged(61888, text("23:59:59.000001"))), time(23, 59, 59, 1))
        for bad in (
            "2023-02-29",
            "20240229",
            "2024-2-029",
            "2024-W09-4",
            "0000-01-01",
            "\uff12\uff10\uff12\uff14-02-29",
            "2024-02-29\n",
        ):
            self.assert_refused(tagged(1004, text(bad)))
        for bad in (
            "24:00:00.000000",
            "12:00:00",
            "123456.123456+0",
            "123456+00:00:00",
            "T12:34:56.12345",
            "12:00:00,000000",
        ):
            self.assert_refused(tagged(61888, text(bad)))

    def test_decimals(self) -> None:
        """Exact up to 18 digits, also where the program rounds to fewer; more is refused."""
        body = tagged(4, b"\x82\x21" + head(0, 10**18 - 1))
        with decimal.localcontext(decimal.Context(prec=3, Emax=9, Emin=-9, traps=[])):
            self.assertEqual(self.strict(body), Decimal("9999999999999999.99"))
        self.assertEqual(self.strict(tagged(4, b"\x82\x01\x20")), Decimal("-10"))
        for exponent, coefficient in ((1_000, 1), (0, 10**18), (0, 2**63), (2**63, 1)):
            self.assert_refused(tagged(4, b"\x82" + head(0, exponent) + head(0, coefficient)))
            self.assert_refused(tagged(4, b"\x82" + head(1, exponent) + head(1, coefficient)))
        for inner in ("82f500", "8200f5", "82f90000" + "00", "8200c24101", "82c2410100", "82006130"):
            self.assert_refused(tagged(4, bytes.fromhex(inner)))

    def test_uuid(self) -> None:
        """Sixteen bytes and not one fewer."""
        self.assertEqual(self.strict(tagged(37, b"\x50" + b"\x01" * 16)), UUID(bytes=b"\x01" * 16))

    def test_depth(self) -> None:
        """Some levels above the 32 of a value are room for its envelope; a bomb of any kind is refused."""
        self.strict(b"\x81" * 33 + b"\x80")
        for bomb in (
            b"\x81" * 5_000 + b"\x00",
            b"\xa1\x61a" * 5_000 + b"\x00",
            b"\xc0" * 5_000 + b"\x00",
            b"\x81" * 60 + b"\x80",
        ):
            self.assert_refused(bomb)

    def test_bombs_are_cheap(self) -> None:
        """Bignums in tags 2 to 5 and 30, colliding keys, great claims: they cost neither time nor memory."""
        number = b"\x5a" + (60_000).to_bytes(4, "big") + b"\xff" * 60_000
        bombs = [tagged(2, number), tagged(3, number)]
        bombs += [tagged(tag, b"\x82\x01" + tagged(2, number)) for tag in (4, 5)]
        bombs += [tagged(30, b"\x82" + tagged(2, number) + tagged(2, number))]
        bombs += [head(5, 20_000) + b"".join(head(0, i * (2**61 - 1) % 2**64) + b"\x00" for i in range(20_000))]
        bombs += [
            b"\x9b" + b"\x7f" * 8,
            b"\xbb" + b"\x7f" * 8,
            b"\x5b" + b"\x7f" * 8,
            b"\x9a\x7f\xff\xff\xff" + b"\x80" * 60_000,
        ]
        for bomb in bombs:
            tracemalloc.start()
            started = clock.process_time()
            self.assert_refused(bomb)
            spent = clock.process_time() - started
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(spent, 1.0, bomb[:8])  # unbounded, each takes 1.5 to 40 s
            self.assertLess(peak, 20 << 20, bomb[:8])

    def test_a_pickle_is_only_noise(self) -> None:
        """The original unpickled what strangers sent. Here the same bytes are refused, and nothing runs."""
        import pickle

        class Bomb:
            def __reduce__(self) -> Any:
                return (DecodingTests.fired.append, (1,))

        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.assert_refused(pickle.dumps(Bomb(), protocol))
        self.assertEqual(self.fired, [])

    fired: list[int] = []

    def test_bodies_cannot_share_a_value(self) -> None:
        """A value that begins in one frame and ends in another is refused, however the two are matched."""
        whole = b"\x83\x01\x43abc\x02"
        for cut in range(1, len(whole)):
            self.assertRaises(ProtocolError, decode_all, [whole[:cut], whole[cut:]])
        # Claims that would swallow what stands between two bodies, with as many values left over as there should be.
        for size in range(1, 40):
            for rest in (b"", b"\x00", b"\x00\x00", b"\x00\x00\x00"):
                self.assertRaises(ProtocolError, decode_all, [head(2, size), b"\x00" * size + rest])
        self.assertRaises(ProtocolError, decode_all, [b"\x00\x00", b""])
        self.assertRaises(ProtocolError, decode_all, [b"\x00\x50" + b"x" * 16 + b"\x00", b""])

    @settings(max_examples=2_000, deadline=None)
    @given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5))
    def test_many_are_as_one_by_one(self, bodies: list[bytes]) -> None:
        """All at once gives what each gives alone; one bad one refuses them all; noise raises nothing undeclared."""
        try:
            expected = [decode(body) for body in bodies]
        except ProtocolError:
            self.assertRaises(ProtocolError, decode_all, bodies)
        else:
            self.assertEqual(repr(decode_all(bodies)), repr(expected))

    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.binary(max_size=20) | st.sampled_from((b"\x82\x01", b"\x01\x02", b"\x63abc", b"\xa1\x61a\x01"))))
    def test_one_after_the_other(self, bodies: list[bytes]) -> None:
        """Nothing of a body that was refused, or that had too much, is left for those that follow in its thread."""
        for body in bodies:
            try:
                value = decode(body)
            except ProtocolError:
                value = ProtocolError
            self.assertEqual(repr(value), repr(_alone(body)))
            self.assertEqual(decode(b"\x63abc"), "abc")

    def test_threads(self) -> None:
        """Threads that decode at the same time do not meet."""
        bodies = [cbor2.dumps([number, "x" * number]) for number in range(40)]

        def decoded(number: int) -> bool:
            return all(decode(bodies[number]) == [number, "x" * number] for _ in range(200))

        with ThreadPoolExecutor(8) as pool:
            self.assertTrue(all(pool.map(decoded, range(40))))


def _alone(body: bytes) -> Any:
    """What is made of ``body`` by a decoder of its own."""
    try:
        return decode_all([body, b"\x00"])[0]
    except ProtocolError:
        return ProtocolError
