"""Frames: the stream is cut where the sender cut it, however it arrives, and nothing illegal is held."""

from __future__ import annotations

import tracemalloc
from typing import Any

import lz4.block
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ProtocolError
from fluxon.wire import COMPRESSED, RAW, Splitter, frame
from fluxon.wire.frames import LARGE, Part, compress, decompress

bodies = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0, COMPRESSED, 0xFF]), st.binary(min_size=1, max_size=60)),
        st.tuples(st.just(RAW), st.binary(min_size=5, max_size=300)),
    ),
    max_size=8,
)


def whole(frames: list[tuple[int, Any]]) -> list[tuple[int, bytes]]:
    """``frames`` with the parts of each chunk put together again."""
    joined: list[tuple[int, bytes]] = []
    for flags, body in frames:
        if not isinstance(body, Part):
            joined.append((flags, body))
        elif body.size:
            joined.append((flags, body.stream.to_bytes(4, "big") + bytes(body.data)))
        else:
            joined[-1] = (flags, joined[-1][1] + bytes(body.data))
    return joined


def chopped(stream: bytes, cuts: list[int]) -> list[bytes]:
    """``stream`` in pieces, cut at ``cuts`` (taken modulo its length)."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


class SplitterTests(SynchronousTestCase):
    """Lengths and limits."""

    @settings(max_examples=400, deadline=None)
    @given(bodies, st.lists(st.integers(0, 2_000), max_size=12))
    def test_chopping_changes_nothing(self, wanted: list[tuple[int, bytes]], cuts: list[int]) -> None:
        """Whatever a network does to a stream, the same frames come out in the same order."""
        stream = b"".join(frame(body, flags) for flags, body in wanted)
        splitter = Splitter(100)
        splitter.chunk_limit = 301
        got = [each for piece in chopped(stream, cuts) for each in splitter.feed(piece)]
        self.assertEqual(whole(got), wanted)
        self.assertEqual((splitter.held, splitter.progress), (0, None))

    def test_byte_by_byte(self) -> None:
        """A header that arrives in four reads is a header: the original lost its place there."""
        wanted = [(0, b"abc"), (RAW, b"d" * 300), (0, b"e")]
        splitter = Splitter(1_000)
        got = []
        for byte in b"".join(frame(body, flags) for flags, body in wanted):
            got += splitter.feed(bytes([byte]))
        self.assertEqual(whole(got), wanted)

    def test_held(self) -> None:
        """``held`` is what an unfinished frame costs: a driver sees from it whether a sender stalls."""
        splitter = Splitter(1_000)
        splitter.feed(frame(b"abc") + b"\x00\x00")
        self.assertEqual(splitter.held, 2)
        splitter.feed(b"\x00\x09\x00xy")
        self.assertEqual(splitter.held, 7)
        self.assertEqual(splitter.feed(b"z" * 6), [(0, b"xyzzzzzz")])
        self.assertEqual(splitter.held, 0)

    def test_refused_from_four_bytes(self) -> None:
        """Zero, one (no body), above the limit, and with the top bit set: refused before a byte of it is held."""
        for length in (0, 1, 101, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0010, 0xFFFF_FFFF):
            head = length.to_bytes(4, "big")
            for pieces in ([head], [head + b"\x00"], [bytes([byte]) for byte in head], [head + b"\x00" * 200]):
                with self.subTest(length=length, pieces=len(pieces)):
                    splitter = Splitter(100)
                    for piece in pieces[:-1]:
                        self.assertEqual(splitter.feed(piece), [])
                    self.assertRaises(ProtocolError, splitter.feed, pieces[-1])

    def test_chunks_are_not_held(self) -> None:
        """Their bytes are handed on as they come, as views of what was read; only a header is kept."""
        splitter = Splitter(100)
        splitter.chunk_limit = 2_000
        data = frame(b"\x00\x00\x00\x07" + b"x" * 1_500, RAW)
        self.assertEqual(splitter.feed(data[:8]), [])
        self.assertEqual((splitter.held, splitter.progress), (8, (1, 8)))
        ((_, first),) = splitter.feed(data[8:500])
        self.assertEqual((first.stream, first.size, bytes(first.data)), (7, 1_500, b"x" * 491))
        self.assertEqual((splitter.held, splitter.progress), (0, (2, 491)))
        read = data[500:] + frame(b"next")
        (_, second), following = splitter.feed(read)
        self.assertEqual((second.stream, second.size, len(second.data)), (7, 0, 1_009))
        self.assertIs(second.data.obj, read)
        self.assertEqual(following, (0, b"next"))

    def test_limit_of_chunks(self) -> None:
        """They may be larger than other frames, which may not be; a length that is too long for either goes at once."""
        for make in (lambda: Splitter(100), lambda: Splitter(3_000)):
            splitter = make()
            splitter.chunk_limit = 2_000
            longest = max(splitter.limit, 2_000)
            splitter.feed(longest.to_bytes(4, "big") + b"\x02\x00")
            splitter = make()
            splitter.chunk_limit = 2_000
            self.assertRaises(ProtocolError, splitter.feed, (longest + 1).to_bytes(4, "big"))
            splitter = make()
            splitter.chunk_limit = 2_000
            self.assertRaises(ProtocolError, splitter.feed, frame(b"x" * longest, RAW))
        for pieces in ([b"\x00\x00\x04\x00\x00"], [b"\x00\x00\x04\x00", b"\x00"], [b"\x00\x00\x04\x00", b"\x01\x00"]):
            splitter = Splitter(100)
            splitter.chunk_limit = 2_000
            for piece in pieces[:-1]:
                self.assertEqual(splitter.feed(piece), [])
            self.assertRaises(ProtocolError, splitter.feed, pieces[-1])

    def test_the_limit_itself(self) -> None:
        """A frame of exactly the limit is taken, one byte more is not."""
        self.assertEqual(Splitter(100).feed(frame(b"x" * 99)), [(0, b"x" * 99)])
        self.assertRaises(ProtocolError, Splitter(100).feed, frame(b"x" * 100))

    def test_the_limit_can_be_raised(self) -> None:
        """After hello a connection takes more, from the next frame on."""
        splitter = Splitter(10)
        splitter.feed(frame(b"abc")[:6])
        splitter.take(1_000, 1_000)
        self.assertEqual(splitter.feed(b"bc" + frame(b"x" * 900)), [(0, b"abc"), (0, b"x" * 900)])

    def test_large_frames_are_marked(self) -> None:
        """What has room for more items than are taken comes with a mark, compressed or not; the rest does not."""
        splitter = Splitter(100, item_limit=10)
        small, large = b"x" * 10, b"x" * 11
        stream = frame(small) + frame(large) + frame(large, COMPRESSED)
        self.assertEqual(splitter.feed(stream), [(0, small), (LARGE, large), (LARGE | COMPRESSED, large)])
        splitter.take(100, 50)
        self.assertEqual(splitter.feed(frame(large)), [(0, large)])

    def test_a_long_reply_keeps_the_stream(self) -> None:
        """120,000 bytes, the size that desynchronised the original's client, and what follows it, both arrive."""
        splitter = Splitter(1_000_000)
        stream = frame(b"a" * 120_000) + frame(b"next")
        got = [each for start in range(0, len(stream), 1_460) for each in splitter.feed(stream[start : start + 1_460])]
        self.assertEqual(got, [(0, b"a" * 120_000), (0, b"next")])

    def test_work_is_linear(self) -> None:
        """A large frame in network-sized pieces is not copied again for each: 16 MiB hold 16 MiB, not their square."""
        splitter = Splitter(32 << 20)
        stream = frame(b"\x00" * (16 << 20))
        tracemalloc.start()
        try:
            for start in range(0, len(stream), 65_536):
                splitter.feed(stream[start : start + 65_536])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 80 << 20)


class CompressionTests(SynchronousTestCase):
    """lz4 blocks that say their size first."""

    @settings(max_examples=200, deadline=None)
    @given(st.binary(min_size=1, max_size=3_000))
    def test_round_trip(self, raw: bytes) -> None:
        """What is packed is smaller and unpacks to itself; what would not be smaller is not packed."""
        packed = compress(raw)
        if packed is not None:
            self.assertLess(len(packed), len(raw))
            self.assertEqual(decompress(packed, 3_000), raw)

    def test_declared_size(self) -> None:
        """More than the limit, zero, or not the size it has: refused."""
        raw = b"".join(b"%d," % number for number in range(255))[:1_000].ljust(1_000)
        block = lz4.block.compress(raw, store_size=False)
        self.assertEqual(decompress((1_000).to_bytes(4, "big") + block, 1_000), raw)
        for claimed in (0, 1, 999, 1_001, 0x7FFF_FFFF, 0xFFFF_FFFF):
            with self.subTest(claimed=claimed):
                self.assertRaises(ProtocolError, decompress, claimed.to_bytes(4, "big") + block, 1_000)
        self.assertRaises(ProtocolError, decompress, (1_000).to_bytes(4, "big") + block, 999)

    def test_without_content(self) -> None:
        """Fewer than five bytes cannot be a compressed body."""
        for size in range(1, 5):
            self.assertRaises(ProtocolError, decompress, b"\x00" * size, 1_000)

    def test_a_bomb_is_cheap(self) -> None:
        """A claim of 4 GiB, and a block that would unpack to far more than it claims, allocate next to nothing."""
        bomb = lz4.block.compress(b"\x00" * (32 << 20), store_size=False)
        tracemalloc.start()
        try:
            for claimed in (0xFFFF_FFFF, 32 << 20, 1_000):
                self.assertRaises(ProtocolError, decompress, claimed.to_bytes(4, "big") + bomb, 64 << 10)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 1 << 20)

    def test_ratio(self) -> None:
        """What lz4 would shrink to less than a sixteenth goes as it is, and is refused if it comes all the same."""
        zeros = b"\x00" * 4_000
        self.assertIsNone(compress(zeros))
        packed = (4_000).to_bytes(4, "big") + lz4.block.compress(zeros, store_size=False)
        self.assertRaises(ProtocolError, decompress, packed, 4_000)
        mixed = zeros[:2_000] + bytes(range(256)) * 4
        packed_mixed = compress(mixed)
        assert packed_mixed is not None
        self.assertEqual(decompress(packed_mixed, 4_000), mixed)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(min_size=1, max_size=200), st.integers(0, 300))
    def test_noise(self, noise: bytes, claimed: int) -> None:
        """Damaged blocks are ``ProtocolError`` or, by luck, exactly the claimed size; nothing else ever comes out."""
        for body in (noise, claimed.to_bytes(4, "big") + noise):
            try:
                raw = decompress(body, 200)
            except ProtocolError:
                continue
            self.assertEqual(len(raw), int.from_bytes(body[:4], "big"))
