"""Whole blocks of a file that go past the page cache: in order, bounded, and never lost where that cannot be done."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path
from unittest.mock import patch

from descriptors import open_below
from twisted.trial.unittest import SynchronousTestCase
from upload_threads import UploadThreads

from fluxon.cloud import uncached
from fluxon.cloud.objects import Objects
from fluxon.cloud.uncached import BLOCK, BLOCKS, Lane, Uncached
from fluxon.cloud.uploads import STEP
from fluxon.errors import ResourceExhausted, Unavailable


def no_thread(_: object) -> None:
    """What a thread's start says when the system allows no more of them."""
    raise RuntimeError("can't start new thread")


class UncachedTests(SynchronousTestCase):
    """A file, and what the system is asked to write of it."""

    def setUp(self) -> None:
        self.threads = UploadThreads()
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "file"
        self.cached = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self.addCleanup(os.close, self.cached)
        self.lane = Lane()
        self.addCleanup(self.lane.threads.stop)
        #: (past the cache, offset, bytes) of each call.
        self.written: list[tuple[bool, int, int]] = []
        self.real = os.pwritev
        self.patch(os, "pwritev", self.pwritev)

    def pwritev(self, descriptor: int, pieces: list[memoryview], offset: int) -> int:
        self.written.append((descriptor != self.cached, offset, sum(map(len, pieces))))
        return self.real(descriptor, pieces, offset)

    def opened(self) -> Uncached:
        """Without the flag: what a file system says of it is this test's to say."""
        return Uncached(self.lane, os.open(self.path, os.O_WRONLY), self.cached)

    def test_blocks_in_order(self) -> None:
        """Of several pieces, whose memory is the caller's again at once."""
        file, content = self.opened(), b""
        for number in range(3 * BLOCKS):
            block = bytearray(os.urandom(BLOCK))
            content += block
            view = memoryview(block)
            file.write([view[:1000], view[1000:]], number * BLOCK)
            view[:] = bytes(BLOCK)
        file.settle()
        self.assertEqual(self.path.read_bytes(), content)
        self.assertEqual(self.written, [(True, number * BLOCK, BLOCK) for number in range(3 * BLOCKS)])
        file.close()
        self.assertEqual(list(open_below(self.folder)), [self.cached])

    def test_two_files(self) -> None:
        """Side by side; the memory of one becomes the other's, and nothing of its bytes."""
        other_path = self.folder / "other"
        other_path.touch()
        files = [(self.opened(), b"a"), (Uncached(self.lane, os.open(other_path, os.O_WRONLY), self.cached), b"b")]
        for number in range(2 * BLOCKS):
            for file, byte in files:
                file.write([memoryview(byte * BLOCK)], number * BLOCK)
        for file, _ in files:
            file.settle()
            file.close()
        self.assertEqual(self.path.read_bytes(), b"a" * BLOCK * 2 * BLOCKS)
        self.assertEqual(other_path.read_bytes(), b"b" * BLOCK * 2 * BLOCKS)

    def test_the_memory_is_bounded(self) -> None:
        """Who finds none waits until the disk has taken a block."""
        go, asked = threading.Event(), threading.Event()
        real = self.real

        def slow(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            asked.set()
            go.wait(30)
            return real(descriptor, pieces, offset)

        self.real = slow
        file = self.opened()
        self.addCleanup(file.close)
        for number in range(BLOCKS):
            file.write([memoryview(bytes(BLOCK))], number * BLOCK)
        late = threading.Thread(target=file.write, args=([memoryview(bytes(BLOCK))], BLOCKS * BLOCK))
        late.start()
        self.assertTrue(asked.wait(30))
        late.join(0.05)
        self.assertTrue(late.is_alive())
        go.set()
        late.join()
        file.settle()
        self.assertEqual(self.path.stat().st_size, (BLOCKS + 1) * BLOCK)

    def test_refused(self) -> None:
        """The block goes through the cache, and the file says so for those to come."""
        real = self.real

        def refuse(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            if descriptor != self.cached:
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(descriptor, pieces, offset)

        self.real = refuse
        file = self.opened()
        for number in range(2):
            file.write([memoryview(b"%d" % number * BLOCK)], number * BLOCK)
        file.settle()
        file.close()
        self.assertTrue(file.refused)
        self.assertEqual(self.path.read_bytes(), b"0" * BLOCK + b"1" * BLOCK)
        self.assertEqual([past for past, *_ in self.written], [True, False, False])

    def test_a_part_of_a_block(self) -> None:
        """What the system does not take at once follows through the cache: its place may not be aligned."""
        real = self.real
        self.real = lambda descriptor, pieces, offset: real(descriptor, [memoryview(pieces[0])[:4097]], offset)
        block = os.urandom(BLOCK)
        file = self.opened()
        file.write([memoryview(block)], 0)
        file.settle()
        file.close()
        self.assertEqual(self.path.read_bytes(), block)
        self.assertEqual(self.written[:2], [(True, 0, BLOCK), (False, 4097, BLOCK - 4097)])

    def test_an_error(self) -> None:
        """It ends the file: nothing that waits is written after it, every call tells it, and its memory is free."""
        go, real = threading.Event(), self.real

        def fail(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            go.wait(30)
            if offset == BLOCK:
                raise OSError(errno.EIO, "Input/output error")
            return real(descriptor, pieces, offset)

        self.real = fail
        file = self.opened()
        for number in range(3):
            file.write([memoryview(bytes(BLOCK))], number * BLOCK)
        go.set()
        self.assertEqual(self.assertRaises(OSError, file.settle).errno, errno.EIO)
        self.assertRaises(OSError, file.write, [memoryview(bytes(BLOCK))], 3 * BLOCK)
        file.close()
        self.assertEqual([offset for _, offset, _ in self.written], [0, BLOCK])
        self.assertEqual(len([self.lane.take() for _ in range(BLOCKS)]), BLOCKS)

    def test_a_fault(self) -> None:
        """Whatever is raised instead of an error of the system: it is in the log, and nobody waits for ever."""

        def fault(*_: object) -> int:
            raise ZeroDivisionError

        self.real = fault
        file = self.opened()
        file.write([memoryview(bytes(BLOCK))], 0)
        self.assertRaises(OSError, file.settle)
        file.close()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_no_thread_left(self) -> None:
        """Whoever brings a block writes it."""
        self.patch(threading.Thread, "start", no_thread)
        file = self.opened()
        file.write([memoryview(b"x" * BLOCK)], 0)
        self.assertEqual(self.written, [(True, 0, BLOCK)])
        file.close()

    def test_stopped_in_between(self) -> None:
        """Blocks that are on their way when the threads are told to end are written all the same."""
        go, real = threading.Event(), self.real

        def slow(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            go.wait(30)
            return real(descriptor, pieces, offset)

        self.real = slow
        file = self.opened()
        for number in range(4):
            file.write([memoryview(bytes(BLOCK))], number * BLOCK)
        self.lane.threads.stop()
        go.set()
        file.settle()
        file.close()
        self.assertEqual(self.path.stat().st_size, 4 * BLOCK)
        self.threads.wait()


class Uploading(SynchronousTestCase):
    """Objects that are made so."""

    def setUp(self) -> None:
        self.threads = UploadThreads()
        self.folder = Path(tempfile.mkdtemp()) / "cloud"
        self.addCleanup(shutil.rmtree, self.folder.parent)
        self.objects = Objects(self.folder)
        self.objects.open()
        self.addCleanup(self.objects.close)
        #: Bytes that went past the cache and through it.
        self.past = self.through = 0
        real = os.pwritev

        def pwritev(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            written = real(descriptor, pieces, offset)
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
                self.past += written
            else:
                self.through += written
            return written

        self.patch(os, "pwritev", pwritev)

    def upload(self, content: bytes, piece: int = 100_000) -> bytes:
        """What became of it."""
        upload = self.objects.begin()
        for start in range(0, len(content), piece):
            upload.append(content[start : start + piece])
        with open(self.objects.reader(upload.finish().name), "rb") as file:
            return file.read()

    def supported(self) -> None:
        """Skip where this machine's file system for temporary files has no such thing."""
        try:
            os.close(os.open(self.folder / "probe", uncached.FLAGS | os.O_CREAT, 0o600))
        except OSError as error:
            if error.errno in uncached.REFUSED:
                self.skipTest("this file system does not write past the cache")
            raise

    def test_large(self) -> None:
        """All but its last, broken block goes past the cache."""
        self.supported()
        content = os.urandom(5 * STEP + 4097)
        self.assertEqual(self.upload(content), content)
        self.assertEqual((self.past, self.through), (5 * STEP, 4097))

    def test_small(self) -> None:
        """It is not worth a second descriptor."""
        content = os.urandom(STEP - 1)
        self.assertEqual(self.upload(content), content)
        self.assertEqual((self.past, self.through), (0, STEP - 1))

    def test_a_file_system_without(self) -> None:
        """Whatever it says when the file is opened so, the upload is as good."""
        real = os.open

        def without(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_DIRECT:
                raise OSError(self.code, os.strerror(self.code))
            return real(path, flags, mode, dir_fd=dir_fd)

        self.patch(os, "open", without)
        content = os.urandom(3 * STEP + 1)
        for self.code in (errno.EINVAL, errno.EMFILE):
            self.assertEqual(self.upload(content), content)
        self.assertEqual((self.past, self.through), (0, 2 * len(content)))
        self.code = errno.EIO
        self.assertRaises(Unavailable, self.upload, content)
        self.assertEqual(os.listdir(self.folder / "uploads"), [])

    def test_a_system_without(self) -> None:
        """That has no such flag at all."""
        self.patch(uncached, "SUPPORTED", False)
        content = os.urandom(3 * STEP + 1)
        self.assertEqual(self.upload(content), content)
        self.assertEqual((self.past, self.through), (0, len(content)))

    def test_full_at_the_end(self) -> None:
        """The last block's error is found out before the file becomes an object; nothing is left."""
        real = os.pwritev

        def full(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            if offset >= 2 * STEP:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, pieces, offset)

        self.patch(os, "pwritev", full)
        self.assertRaises(ResourceExhausted, self.upload, bytes(2 * STEP + BLOCK))
        self.assertEqual(os.listdir(self.folder / "uploads"), [])
        self.assertEqual([file for file in (self.folder / "objects").rglob("*") if file.is_file()], [])

    def test_no_thread_left(self) -> None:
        """An upload that nobody can follow is refused, and leaves nothing; what is already followed goes on."""
        with patch.object(threading.Thread, "start", no_thread):
            upload = self.objects.begin()
            with self.assertRaises(ResourceExhausted):
                upload.append(bytes(2 * STEP))
            self.assertRaises(ResourceExhausted, upload.finish)
        self.assertEqual(os.listdir(self.folder / "uploads"), [])
        upload = self.objects.begin()
        upload.append(bytes(STEP))
        with patch.object(threading.Thread, "start", no_thread):
            content = os.urandom(3 * STEP)
            self.assertEqual(self.upload(content), content)
            stored = self.objects.store_all([b"a", b"b", b"c"])
        self.assertEqual([error for _, error in stored], [None, None, None])
        upload.finish()

    def test_given_up_with_blocks_on_their_way(self) -> None:
        """They are waited for before anything is closed: nothing is written into somebody else's file."""
        go, begun, real = threading.Event(), threading.Event(), os.pwritev

        def slow(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            begun.set()
            go.wait(30)
            return real(descriptor, pieces, offset)

        self.patch(os, "pwritev", slow)
        upload = self.objects.begin()
        while upload.append(bytes(BLOCK)):
            pass
        self.assertTrue(begun.wait(30))
        gone = threading.Thread(target=upload.discard)
        gone.start()
        self.assertEqual(len(os.listdir(self.folder / "uploads")), 1)
        go.set()
        gone.join()
        self.objects.close()
        self.threads.wait()
        self.assertEqual(open_below(self.folder), {})
        self.assertEqual(os.listdir(self.folder / "uploads"), [])
