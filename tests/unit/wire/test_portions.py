"""Reading in portions: the same messages in the same order as at once, and nothing yet of what is heavy."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ProtocolError, ResourceExhausted
from fluxon.wire import COMPRESSED, RAW, Ask, Conversation, Templates, frame
from fluxon.wire.frames import Splitter, compress
from fluxon.wire.messages import write_ask, write_ping
from fluxon.wire.portions import HEAVY, PORTION, Portions


def ask(tag: int, payload: Any, view: str = "echo") -> bytes:
    return write_ask(tag, "call", {"view": view, "payload": payload}, None, {})


def packed(written: bytes) -> bytes:
    body = compress(written[5:])
    assert body is not None
    return frame(body, COMPRESSED)


def conversation(**limits: int) -> Conversation:
    templates = Templates("call", "payload")
    templates.add({"view": "echo"}, "echo")
    return Conversation(receive_limit=2**20, send_limit=2**20, in_flight=10_000, templates=templates, **limits)


#: What compresses, but not too well.
WORDS = " ".join(f"hello {number}" for number in range(100))

#: Known asks, others, some that are compressed, large or both, and pings, which are no messages.
MIXED = b"".join(
    (
        *(ask(tag, "x" * 300) for tag in range(100)),
        *(ask(tag, {"n": tag}, f"other {tag % 3}") + write_ping(tag) for tag in range(100, 400)),
        ask(400, "y" * 50_000),
        packed(ask(401, [f"hello {number}" for number in range(2_000)])),
        *(packed(ask(tag, WORDS)) for tag in range(402, 450)),
        ask(450, [[]] * 12_000),
        *(ask(tag, "x" * 300) for tag in range(451, 500)),
    )
)


class PortionsTests(SynchronousTestCase):
    """One conversation."""

    def read(self, end: Conversation, data: bytes, weigh: bool = False) -> list[list[int]]:
        """The tags of each portion."""
        portions = [end.receive(data, in_portions=True, weigh=weigh)]
        while end.more:
            portions.append(end.go_on())
        return [[each.tag for each in portion if isinstance(each, Ask)] for portion in portions]

    def test_the_same(self) -> None:
        """Whatever is read, weighed or not, and however it is cut into reads."""
        at_once = conversation()
        expected = [each.tag for each in at_once.receive(MIXED) if isinstance(each, Ask)]
        self.assertEqual(expected, list(range(500)))
        for weigh in (False, True):
            for size in (len(MIXED), 65_536, 10_007, 977):
                end = conversation()
                reads = [MIXED[at : at + size] for at in range(0, len(MIXED), size)]
                tags = [tag for each in reads for portion in self.read(end, each, weigh) for tag in portion]
                self.assertEqual(tags, expected)
                self.assertEqual(b"".join(end.output), b"".join(at_once.output))

    def test_so_much_at_a_time(self) -> None:
        """A portion has so many bytes, or is one frame; of known asks, too."""
        for view in ("echo", "other"):
            size = len(ask(0, "x" * 1_000, view))
            portions = self.read(conversation(), b"".join(ask(tag, "x" * 1_000, view) for tag in range(60)))
            self.assertGreater(len(portions), 2)
            self.assertLessEqual(max(map(len, portions)), PORTION // size + 1)
        large = b"".join(ask(tag, "x" * 2 * PORTION) for tag in range(3))
        self.assertEqual(self.read(conversation(), large), [[0], [1], [2]])

    def test_weighed(self) -> None:
        """What has many items, in one frame or in many, is put off before any of it; a long text is not."""
        heavy = {
            "one": ask(1, [[]] * HEAVY),
            "many": b"".join(ask(tag, [[]] * 400) for tag in range(12)),
            "unpacked": packed(ask(1, Random(1).choices(range(8), k=2 * HEAVY))),
        }
        for data in heavy.values():
            end = conversation()
            self.assertEqual((end.receive(data, in_portions=True, weigh=True), end.more), ([], True))
            self.assertEqual(end.answering, {})
        end = conversation()
        self.assertEqual(len(end.receive(ask(1, "x" * 100_000), in_portions=True, weigh=True)), 1)
        self.assertFalse(end.more)

    def test_behind_it(self) -> None:
        """What comes while something is put off goes behind it."""
        end = conversation()
        end.receive(ask(1, [[]] * HEAVY), in_portions=True, weigh=True)
        self.assertEqual(end.receive(ask(2, "small")), [])
        self.assertEqual([each.tag for each in end.go_on() if isinstance(each, Ask)], [1, 2])
        self.assertFalse(end.more)

    def test_refused(self) -> None:
        """An ask that is put off is answered without being looked into; what is none is read."""
        end = conversation()
        end.receive(ask(1, [[]] * HEAVY) + ask(2, 2), in_portions=True, weigh=True)
        self.assertEqual(end.go_on(ResourceExhausted("later")), [])
        self.assertIn(b"later", b"".join(end.output))
        self.assertEqual([each.tag for each in end.go_on(ResourceExhausted("later")) if isinstance(each, Ask)], [])
        self.assertFalse(end.more)
        end.receive(write_ping(7) * HEAVY, in_portions=True, weigh=True)
        before = len(end.output)
        while end.more:
            end.go_on(ResourceExhausted("later"))
        self.assertEqual(len(end.output), before + HEAVY)

    def test_an_offence(self) -> None:
        """Ends it when its turn comes, and nothing behind it is ever read."""
        end = conversation()
        end.receive(ask(1, [[]] * 20_000) + ask(1, [[]] * 20_000) + ask(3, 3), in_portions=True, weigh=True)
        self.assertEqual(len(end.go_on()), 1)
        self.assertRaises(ProtocolError, end.go_on)
        self.assertFalse(end.more)
        self.assertRaises(ProtocolError, end.receive, ask(4, 4))


class FramesTests(SynchronousTestCase):
    """``Portions`` by itself, with frames that conversations have in it seldom."""

    def setUp(self) -> None:
        self.splitter = Splitter(2**20, item_limit=1_000)
        self.splitter.chunk_limit = 2**20
        self.portions = Portions()

    def test_bytes_of_streams(self) -> None:
        """Count for no portion and weigh nothing, however many there are; they stand where they stood."""
        chunk = frame(b"\x00\x00\x00\x01" + b"x" * 2 * PORTION, RAW)
        frames = self.splitter.feed(chunk + frame(b"\x00") + chunk + frame(b"\x80" * 3))
        for weigh in (False, True):
            self.assertEqual(self.portions.take(list(frames), self.splitter, weigh), frames)
        heavy = [*self.splitter.feed(chunk), *[(0, b"\x99\x02\xbc" + b"\x00" * 700)] * (HEAVY // 700 + 1)]
        self.assertEqual(self.portions.take(heavy, self.splitter, True), [])
        self.assertIsNone(self.portions.first(self.splitter))
        self.portions.drop_first()
        self.assertEqual(self.portions.first(self.splitter), heavy[0][1])

    def test_what_is_refused_weighs_nothing(self) -> None:
        """More items than a frame may hold are not decoded, so nothing has to wait for them."""
        refused = [(0, b"\x99\x13\x88" + b"\x00" * 5_000)] * 3
        self.assertEqual(self.portions.take(list(refused), self.splitter, True), refused)

    def test_nothing_is_put_off(self) -> None:
        """Then there is no first one, and nothing to drop."""
        self.assertFalse(self.portions)
        self.portions.drop_first()
        self.assertIsNone(self.portions.first(self.splitter))
        self.assertEqual(self.portions.next(), [])
