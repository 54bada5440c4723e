"""Uploads: bytes that come bit by bit, hashed and written out while they come."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from upload_threads import UploadThreads

from fluxon.cloud import disk, uploads
from fluxon.cloud.objects import Objects
from fluxon.errors import ResourceExhausted, Unavailable

MIB = 1024 * 1024
PIECE = 256 * 1024


class Uploads(SynchronousTestCase):
    """One at a time, and many."""

    def setUp(self) -> None:
        self.threads = UploadThreads()
        self.folder = Path(tempfile.mkdtemp()) / "cloud"
        self.addCleanup(shutil.rmtree, self.folder.parent)
        self.objects = Objects(self.folder)
        self.objects.open()
        self.addCleanup(self.objects.close)

    def files(self) -> list[Path]:
        """Every file in the folder but the lock."""
        return [path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(("lock", "key"))]

    def read(self, name: str) -> bytes:
        """The whole object."""
        with open(self.objects.reader(name), "rb") as file:
            return file.read()

    def test_sizes(self) -> None:
        """Of any size, the object has what was appended, and its hash."""
        for size in (0, 1, PIECE, MIB, MIB + 1, 40 * MIB + 77):
            data = os.urandom(size)
            upload = self.objects.begin()
            for start in range(0, size, PIECE):
                upload.append(data[start : start + PIECE])
            self.assertEqual(upload.size, size)
            stored = upload.finish()
            self.assertEqual((stored.size, stored.sha256), (size, hashlib.sha256(data).hexdigest()))
            self.assertEqual(self.read(stored.name), data)
        self.assertEqual(os.listdir(self.folder / "uploads"), [])

    def test_pause(self) -> None:
        """When the thread that follows does not keep up, a pause is asked for, and ended when it has caught up."""
        go, resumed = threading.Event(), threading.Event()
        self.patch(uploads, "start_writing_out", lambda *_: go.wait(30))
        upload = self.objects.begin(resumed.set)
        piece = bytes(PIECE)
        while upload.append(piece):
            self.assertLess(upload.size, 64 * MIB)
        self.assertFalse(resumed.is_set())
        go.set()
        self.assertTrue(resumed.wait(30))
        self.assertTrue(upload.append(piece))
        upload.finish()

    def test_what_is_appended_in_a_pause(self) -> None:
        """It does not end the pause: whoever was told of it is told of its end."""
        steps, resumed = threading.Semaphore(0), threading.Event()
        self.patch(uploads, "start_writing_out", lambda *_: steps.acquire(timeout=30))
        upload = self.objects.begin(resumed.set)
        while upload.append(bytes(MIB)):
            pass
        hashed = upload._hashed
        steps.release(2)
        while upload._hashed < hashed + 2 * MIB:  # the thread has caught up a little, and not enough
            time.sleep(0.001)
        self.assertFalse(upload.append(b"x"))
        self.assertFalse(resumed.is_set())
        steps.release(100)
        self.assertTrue(resumed.wait(30))
        upload.finish()

    def test_discard(self) -> None:
        """A discarded upload leaves nothing, at whatever size, and takes no more."""
        for size in (0, PIECE, 20 * MIB):
            upload = self.objects.begin()
            upload.append(bytes(size))
            upload.discard()
            upload.discard()
            with self.assertRaises(Unavailable):
                upload.append(b"x")
            with self.assertRaises(Unavailable):
                upload.finish()
        self.objects.close()  # the last thread that followed one is through
        self.threads.wait()
        self.assertEqual(self.files(), [])

    def test_discard_after_finish(self) -> None:
        """What is an object stays one."""
        upload = self.objects.begin()
        upload.append(b"abc")
        stored = upload.finish()
        upload.discard()
        self.assertEqual(self.read(stored.name), b"abc")
        with self.assertRaises(Unavailable):
            upload.finish()

    def test_close_discards(self) -> None:
        """An upload that nobody finished is gone when the folder is closed."""
        self.objects.begin().append(b"abc")
        upload = self.objects.begin()
        upload.append(bytes(30 * MIB))
        self.objects.close()
        self.threads.wait()
        self.assertEqual(self.files(), [])

    def test_short_writes(self) -> None:
        """Bytes that the system does not take at once are written in the next call."""
        real, real_pieces = os.write, os.pwritev
        self.patch(disk.os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:1_000]))
        self.patch(disk.os, "pwritev", lambda to, pieces, at: real_pieces(to, [b"".join(pieces)[:1_000]], at))
        data = os.urandom(100_001)
        upload = self.objects.begin()
        for start in range(0, len(data), 30_000):
            upload.append(data[start : start + 30_000])
        self.assertEqual(self.read(upload.finish().name), data)
        self.assertEqual(self.read(self.objects.store(data).name), data)

    def test_disk_full_midway(self) -> None:
        """An upload that found the disk full says so, and again when it is finished; nothing is left."""

        def pwritev(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            go.wait(30)
            raise OSError(28, "No space left on device")

        go, full = threading.Event(), threading.Event()
        self.patch(disk.os, "pwritev", pwritev)
        upload = self.objects.begin(full.set)
        while upload.append(bytes(PIECE)):
            pass
        go.set()
        self.assertTrue(full.wait(30))
        for piece in (b"y", b"z"):
            with self.assertRaisesRegex(ResourceExhausted, "disk is full"):
                upload.append(piece)
        with self.assertRaisesRegex(ResourceExhausted, "disk is full"):
            upload.finish()
        self.assertEqual(self.files(), [])

    def test_failure_while_paused(self) -> None:
        """A disk that fails while a pause lasts ends the pause, and the upload."""
        go, resumed = threading.Event(), threading.Event()

        def start_writing_out(*_: int) -> None:
            go.wait(30)
            raise OSError(5, "Input/output error")

        self.patch(uploads, "start_writing_out", start_writing_out)
        upload = self.objects.begin(resumed.set)
        while upload.append(bytes(PIECE)):
            pass
        go.set()
        self.assertTrue(resumed.wait(30))
        with self.assertRaisesRegex(Unavailable, "Input/output error"):
            upload.append(b"x")
        with self.assertRaisesRegex(Unavailable, "Input/output error"):
            upload.finish()
        self.assertEqual(self.files(), [])

    def test_never_far_ahead_of_the_disk(self) -> None:
        """What is not on the disk is bounded: each piece of the file is waited for, in order, with either call."""
        self.patch(uploads, "WINDOW", 2 * MIB)
        data = os.urandom(10 * MIB)
        for has in (True, False):
            if not has:
                self.patch(disk, "_sync_file_range", None)
            waited: list[tuple[int, int]] = []

            def wait(descriptor: int, offset: int, length: int, waited: list[tuple[int, int]] = waited) -> None:
                disk.wait_written_out(descriptor, offset, length)
                waited.append((offset, length))

            self.patch(uploads, "wait_written_out", wait)
            upload = self.objects.begin()
            for start in range(0, len(data), MIB):
                upload.append(data[start : start + MIB])
            while upload._followed:  # what is left when it is finished is synced as a whole
                time.sleep(0.001)
            self.assertEqual(upload.finish().sha256, hashlib.sha256(data).hexdigest())
            self.assertEqual([offset for offset, _ in waited], [number * MIB for number in range(len(waited))])
            self.assertGreaterEqual(sum(length for _, length in waited), 8 * MIB)

    def without_memory(self) -> None:
        """Have whatever is appended be written at once, and read back to be hashed."""
        self.objects.close()
        self.patch(uploads, "HELD", 0)
        self.objects = Objects(self.folder)
        self.objects.open()
        self.addCleanup(self.objects.close)

    def test_a_file_that_somebody_cut_off(self) -> None:
        """What arrived is not there any more: no object is made of the rest."""
        self.without_memory()
        upload = self.objects.begin()
        upload.append(b"x" * 1_000)
        (path,) = (self.folder / "uploads").iterdir()
        os.truncate(path, 10)
        self.assertRaises(Unavailable, upload.finish)
        self.assertEqual(self.files(), [])

    def test_the_first_of_two_errors(self) -> None:
        """Whatever fails afterwards, what ended the upload is what is told."""
        self.without_memory()
        writing = threading.Event()

        def start_writing_out(*_: int) -> None:
            writing.wait(30)
            raise OSError(5, "Input/output error")

        real = os.pwritev

        def pwritev(descriptor: int, pieces: list[memoryview], offset: int) -> int:
            if offset == 0:
                return real(descriptor, pieces, offset)
            writing.set()
            while upload._error is None:
                time.sleep(0.001)
            raise OSError(28, "No space left on device")

        self.patch(uploads, "start_writing_out", start_writing_out)
        self.patch(disk.os, "pwritev", pwritev)
        upload = self.objects.begin()
        upload.append(bytes(MIB))
        for call in (lambda: upload.append(b"x"), upload.finish):
            self.assertIn("Input/output error", self.assertRaises(Unavailable, call).text)
        self.assertEqual(self.files(), [])

    def test_without_sync_file_range(self) -> None:
        """Systems that do not have it write out with fdatasync."""
        self.patch(disk, "_sync_file_range", None)
        data = os.urandom(40 * MIB)
        upload = self.objects.begin()
        for start in range(0, len(data), MIB):
            upload.append(data[start : start + MIB])
        self.assertEqual(upload.finish().sha256, hashlib.sha256(data).hexdigest())

    def test_many_at_once(self) -> None:
        """Uploads side by side do not mix."""
        running = [self.objects.begin() for _ in range(20)]
        pieces = [bytes([number]) * PIECE for number in range(20)]
        for _ in range(9):
            for upload, piece in zip(running, pieces, strict=True):
                upload.append(piece)
        for upload, piece in zip(running, pieces, strict=True):
            self.assertEqual(upload.finish().sha256, hashlib.sha256(piece * 9).hexdigest())

    def test_held_together(self) -> None:
        """What uploads hold in memory has a bound for all of them; beyond it nothing is lost, and later it is free."""
        go = threading.Event()
        self.patch(uploads, "start_writing_out", lambda *_: go.wait(30))
        budget = self.objects._pace.budget
        contents = [os.urandom(5 * MIB) for _ in range(10)]
        running = [self.objects.begin() for _ in contents]
        for start in range(0, 5 * MIB, PIECE):
            for upload, content in zip(running, contents, strict=True):
                upload.append(memoryview(content[start : start + PIECE]))
        self.assertGreaterEqual(budget.left, 0)
        self.assertLess(budget.left, MIB)
        go.set()
        running.pop().discard()
        for upload, content in zip(running, contents, strict=False):
            stored = upload.finish()
            self.assertEqual(stored.sha256, hashlib.sha256(content).hexdigest())
            self.assertEqual(self.read(stored.name), content)
        self.objects.close()
        self.threads.wait()
        self.assertEqual(budget.left, uploads.HELD)

    def test_what_changes_after_it_was_appended(self) -> None:
        """The caller's buffer is its own again."""
        buffer = bytearray(os.urandom(PIECE))
        data = bytes(buffer)
        upload = self.objects.begin()
        upload.append(buffer)
        upload.append(memoryview(buffer)[:100_000])
        buffer[:] = bytes(PIECE)
        stored = upload.finish()
        self.assertEqual(self.read(stored.name), data + data[:100_000])
        self.assertEqual(stored.sha256, hashlib.sha256(data + data[:100_000]).hexdigest())
