"""Strict CBOR, leaving: what crosses arrives as it was, what cannot cross is ``Unserialisable``, nothing crashes."""

from __future__ import annotations

import enum
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Generator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address
from typing import Any, NoReturn
from uuid import UUID

from cbor2 import CBORSimpleValue, CBORTag, undefined
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import Unserialisable
from fluxon.limits import MAX_DEPTH, MAX_INT, MIN_INT
from fluxon.wire import Conversation, CrossesAs, Encoded, decode, encode
from fluxon.wire.decoding import SUSPECT, check_value
from fluxon.wire.encoding import encode_apart

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
decimals = st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=18),
    st.integers(-999, 999),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(MIN_INT, MAX_INT),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones),
    st.dates(),
    st.times(),
    decimals,
    st.uuids(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)

Row = namedtuple("Row", "id name")


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Many(int):
    pass


class Kind(enum.StrEnum):
    A = "a"


class Stamp(datetime):
    pass


class Day(date):
    pass


class Hour(time):
    pass


class Money(Decimal):
    pass


class Key(UUID):
    pass


class Ticket(CrossesAs):
    """An object of a program's own, for which a number is sent."""

    @property
    def crosses_as(self) -> int:
        return 42


class Silent(CrossesAs):
    """One that does not say what is sent for it."""


class Promise:
    """What a program that forgot to await has in its hands."""

    def __await__(self) -> Generator[None, None, int]:
        yield
        return 1


class Nowhere(tzinfo):
    """A time zone with a fault of its own."""

    def utcoffset(self, moment: datetime | None) -> NoReturn:
        raise LookupError("no such zone")


def back(value: Any) -> Any:
    """What the other side gets for ``value``."""
    received = decode(encode(value))
    if type(received) in SUSPECT:
        check_value(received)
    return received


def nested(levels: int, innermost: Any, *, maps: bool = False) -> Any:
    """``innermost`` inside ``levels`` lists or dicts."""
    for _ in range(levels):
        innermost = {"a": innermost} if maps else [innermost]
    return innermost


class RoundTripTests(SynchronousTestCase):
    """Everything that crosses."""

    @settings(max_examples=800, deadline=None)
    @given(values)
    def test_every_type(self, value: Any) -> None:
        """Equal, and of the same type, all the way down; and encoded again to the same bytes."""
        received = back(value)
        self.assertEqual(received, value)
        self.assertEqual(encode(received), encode(value))
        self.assert_same_types(received, value)

    def assert_same_types(self, received: Any, sent: Any) -> None:
        self.assertIs(type(received), type(sent))
        if isinstance(sent, datetime):
            self.assertIs(received.tzinfo, UTC)
        elif isinstance(sent, Decimal) and sent:
            self.assertEqual(received.as_tuple(), Decimal(sent).as_tuple())
        elif isinstance(sent, dict):
            self.assertEqual(list(received), list(sent))
            for key in sent:
                self.assert_same_types(received[key], sent[key])
        elif isinstance(sent, list):
            for one, other in zip(received, sent, strict=True):
                self.assert_same_types(one, other)

    def test_numbers_at_their_edges(self) -> None:
        """64 bits signed; floats with all theirs; NaN and the infinities are floats."""
        for value in (MIN_INT, MAX_INT, 0, -1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 5e-324, 1.7e308):
            self.assertEqual(back(value), value)
            self.assertIs(type(back(value)), type(value))
        self.assertEqual(str(back(-0.0)), "-0.0")
        self.assertEqual(back([float("inf"), float("-inf")]), [float("inf"), float("-inf")])
        self.assertNotEqual(*[back(float("nan"))] * 2)

    def test_kinds_of_what_crosses(self) -> None:
        """Tuples and rows arrive as lists, subclasses as what they are a kind of."""
        moment = datetime(2024, 5, 6, 12, tzinfo=UTC)
        for sent, received in (
            ((1, (2,)), [1, [2]]),
            (Row(1, "x"), [1, "x"]),
            ([Row(1, "x")] * 2, [[1, "x"]] * 2),
            (OrderedDict(a=1), {"a": 1}),
            (defaultdict(list, a=[1]), {"a": [1]}),
            (Counter("a"), {"a": 1}),
            (bytearray(b"ab"), b"ab"),
            ([Kind.A, Level.HIGH, {Kind.A: 1}], ["a", 3, {"a": 1}]),
            ([Stamp(2024, 5, 6, 12, tzinfo=UTC)], [moment]),
            (Stamp(2024, 5, 6, 14, tzinfo=timezone(timedelta(hours=2))), moment),
            ({"a": Day(2024, 5, 6)}, {"a": date(2024, 5, 6)}),
            (Hour(1, 2), time(1, 2)),
            (Money("1.50"), Decimal("1.50")),
            (Key(int=7), UUID(int=7)),
        ):
            with self.subTest(sent=sent):
                self.assertEqual(repr(back(sent)), repr(received).replace("datetime.UTC", "datetime.timezone.utc"))

    def test_what_stands_for_a_plain_value(self) -> None:
        """An object that says what it crosses as is sent as that, wherever it is."""
        self.assertEqual(back({"tickets": [Ticket(), Ticket()]}), {"tickets": [42, 42]})
        self.assertEqual(back(Ticket()), 42)

    def test_what_is_encoded_already(self) -> None:
        """A value that is sent more than once is written once: its bytes are taken as they are."""
        for value in (None, 7, "x" * 1_000, {"a": [1, {"b": date(2024, 1, 1)}]}):
            written = encode(value)
            self.assertIs(encode(Encoded(written)), written)

    def test_odd_offsets(self) -> None:
        """An offset of seconds is no trouble: what travels is UTC."""
        odd = datetime(2024, 1, 1, 0, 0, 1, 5, tzinfo=timezone(timedelta(seconds=3_601)))
        self.assertEqual(back(odd), odd)

    def test_one_form_of_a_moment(self) -> None:
        """A moment in UTC, which the codec writes by itself, has the bytes of the same moment in another zone."""
        east = timezone(timedelta(hours=2))
        for moment in (
            datetime(2024, 5, 6, 12, tzinfo=UTC),
            datetime(2024, 10, 27, 0, 30, 0, 250_000, tzinfo=UTC, fold=1),
            datetime(2, 1, 1, tzinfo=UTC),
            datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ):
            with self.subTest(moment=moment):
                self.assertEqual(encode([moment]), encode([moment.astimezone(east)]))
                # Beside something that our encoders have to write.
                beside = encode([moment, time(1)]).removesuffix(encode(time(1)))
                self.assertEqual(beside[1:], encode([moment])[1:])


class RefusalTests(SynchronousTestCase):
    """Everything that does not."""

    def assert_refused(self, value: Any) -> Unserialisable:
        """Alone, and inside each kind of container."""
        for wrapped in (value, [value], (1, value), {"a": value}, {"a": [1, {"b": value}]}):
            error: Unserialisable = self.assertRaises(Unserialisable, encode, wrapped)
        self.assertTrue(error.text)
        return error

    def test_types(self) -> None:
        """The text names the type, so that the view's author finds it."""
        for value in (
            {1, 2},
            frozenset("a"),
            object(),
            RefusalTests,
            len,
            1j,
            range(3),
            memoryview(b"ab"),
            iter([]),
            timedelta(1),
            Colour.RED,
            Fraction(1, 2),
            ip_address("::1"),
            undefined,
            CBORSimpleValue(99),
            CBORTag(0, "2024-01-01T00:00:00Z"),
            Ellipsis,
        ):
            with self.subTest(value=value):
                self.assertIn(type(value).__name__, self.assert_refused(value).text)

    def test_a_promise(self) -> None:
        """What was to be awaited says so, instead of naming a type that its author never typed."""
        self.assertIn("you forgot to await it", self.assert_refused(Promise()).text)

    def test_values_without_a_form(self) -> None:
        """Of types that cross, the values that the other side could not read."""
        for value in (
            MAX_INT + 1,
            MIN_INT - 1,
            10**5_000,
            Level(3) + MAX_INT,
            Many(MAX_INT + 1),
            Silent(),
            "\ud800",
            "a\udfffb",
            datetime(2024, 1, 1),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            datetime(2024, 1, 1, tzinfo=Nowhere()),
            time(1, 2, tzinfo=UTC),
            Decimal("NaN"),
            Decimal("sNaN"),
            Decimal("-Infinity"),
            Decimal(10) ** 1_000,
            Decimal("1E-1000"),
            Decimal("1234567890123456789"),
        ):
            with self.subTest(value=str(type(value))):
                self.assert_refused(value)

    def test_keys(self) -> None:
        """Text only: not numbers, not bytes, not None, at any level."""
        for key in (1, 1.5, b"a", None, True, (1, 2), date(2024, 1, 1), Level.HIGH, "\ud800"):
            self.assert_refused({key: 1})
            self.assert_refused({"a": 1, key: [1]})

    def test_circles(self) -> None:
        """A value that contains itself, once or twice, is refused and ends neither the process nor the patience."""
        single: list[Any] = []
        single.append(single)
        double: list[Any] = []
        double.extend([double, double])
        through: dict[str, Any] = {}
        through["a"] = [(through,)]
        for value in (single, double, through):
            self.assertRaises(Unserialisable, encode, value)

    def test_depth(self) -> None:
        """32 levels, the innermost value one of them; a million are refused as calmly, also on a small stack."""
        for maps in (False, True):
            for innermost in (1, "a", None, Decimal(1), UUID(int=1), datetime(2024, 1, 1, tzinfo=UTC), time(1)):
                deepest = nested(MAX_DEPTH - 1, innermost, maps=maps)
                self.assertEqual(back(deepest), deepest)
                self.assertRaises(Unserialisable, encode, nested(MAX_DEPTH, innermost, maps=maps))
            self.assertEqual(back(nested(MAX_DEPTH - 1, [], maps=maps)), nested(MAX_DEPTH - 1, [], maps=maps))
        outcomes: list[type] = []

        def deep() -> None:
            value = nested(100_000, 1)
            try:
                encode(value)
            except Unserialisable as error:
                outcomes.append(type(error))
            while isinstance(value, list):  # taken apart by hand: freeing it at once would recurse
                value = value.pop()

        previous = threading.stack_size(256 * 1024)
        try:
            thread = threading.Thread(target=deep)
            thread.start()
            thread.join()
        finally:
            threading.stack_size(previous)
        self.assertEqual(outcomes, [Unserialisable])

    @settings(max_examples=300, deadline=None)
    @given(st.integers(20, 36), st.booleans(), scalars | st.just([]) | st.just({}))
    def test_what_is_sent_is_always_taken(self, levels: int, maps: bool, innermost: Any) -> None:
        """At the edge of the depth limit an ask is either refused to its own sender or received: never an offence."""
        here = Conversation(receive_limit=100_000, send_limit=100_000)
        there = Conversation(receive_limit=100_000, send_limit=100_000)
        payload = nested(levels, innermost, maps=maps)
        try:
            here.ask("call", {"view": "echo", "payload": payload}, waiter="w")
        except Unserialisable:
            self.assertGreaterEqual(levels, MAX_DEPTH - 1)
            return
        (ask,) = there.receive(b"".join(here.output))
        there.answer(ask.tag, ask.arguments["payload"])
        (answer,) = here.receive(b"".join(there.output))
        self.assertEqual(answer.value, payload)

    def test_many_items(self) -> None:
        """More items than a frame could hold are refused before they are encoded."""
        row = [0] * 1_000
        self.assertRaises(Unserialisable, encode, [row] * 2_001)

    @settings(max_examples=300, deadline=None)
    @given(
        st.recursive(
            scalars
            | st.complex_numbers()
            | st.integers()
            | st.text(st.characters(categories=["Cs", "L"]), max_size=3)
            | st.sets(st.integers(), max_size=2)
            | st.decimals()
            | st.datetimes()
            | st.timedeltas(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.tuples(inner, inner)
                | st.dictionaries(st.text(max_size=2) | st.integers() | st.none(), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    def test_nothing_else_is_raised(self, value: Any) -> None:
        """Any Python value: encoded to something that is strict, or refused by name."""
        try:
            encode(value)
        except Unserialisable:
            return
        back(value)


class ApartTests(SynchronousTestCase):
    """Many bytes at the end of an answer leave by themselves, so that they are not copied."""

    @given(
        st.dictionaries(st.text(max_size=5), values, max_size=25), st.sampled_from([16_383, 16_384, 65_536, 262_144])
    )
    @settings(max_examples=60, deadline=None)
    def test_the_same_bytes(self, rest: dict[str, Any], size: int) -> None:
        """What leaves is to the byte what one piece would have been; or it is one piece."""
        value = {**rest, "the last one": bytes(size)}
        apart = encode_apart(value)
        if apart is None:
            self.assertTrue(size < 16_384 or len(value) > 23)
        else:
            self.assertIs(apart[1], value["the last one"])
            self.assertEqual(decode(apart[0] + apart[1]), decode(encode(value)))

    def test_what_stays_whole(self) -> None:
        """Bytes that are not the last, not bytes, or too many; and no dict."""
        many = bytes(100_000)
        whole = ({"a": many, "b": 1}, {"a": bytearray(many)}, {"a": bytes(300_000)}, {1: many}, [many], many, {}, None)
        self.assertEqual([encode_apart(value) for value in whole], [None] * len(whole))
        self.assertRaises(Unserialisable, encode_apart, {"a": object(), "b": many})
        self.assertRaises(Unserialisable, encode_apart, {1: "b", "a": many})
