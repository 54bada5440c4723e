"""Objects: bytes on the disk under names of the engine's, durable when they are named."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

from descriptors import open_below
from pytest import MonkeyPatch
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import objects as room
from fluxon.cloud.objects import Objects
from fluxon.errors import NotFound, Unavailable


class Stored(SynchronousTestCase):
    """What is stored can be read, copied and removed."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp()) / "cloud"
        self.addCleanup(shutil.rmtree, self.folder.parent)
        self.objects = Objects(self.folder)
        self.objects.open()
        self.addCleanup(self.objects.close)

    def read(self, name: str) -> bytes:
        """The whole object."""
        with open(self.objects.reader(name), "rb") as file:
            return file.read()

    def files(self) -> list[Path]:
        """Every file in the folder but the locks."""
        return [path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(("lock", "key"))]

    def test_store(self) -> None:
        """Bytes of any kind come back, with their size and hash."""
        for data in (b"", b"x", bytearray(b"abc"), memoryview(os.urandom(3_000_000))):
            stored = self.objects.store(data)
            self.assertEqual(self.read(stored.name), bytes(data))
            self.assertEqual(stored.size, len(data))
            self.assertEqual(stored.sha256, hashlib.sha256(data).hexdigest())
            self.assertEqual(self.objects.size(stored.name), len(data))
            self.assertEqual(self.objects.verify(stored.name), stored)

    def test_names(self) -> None:
        """A name is random, never made of the content, and lies in the folder of its first two digits; all private."""
        one, other = self.objects.store(b"same"), self.objects.store(b"same")
        self.assertNotEqual(one.name, other.name)
        self.assertRegex(one.name, r"\A[0-9a-f]{32}\Z")
        path = self.folder / "objects" / one.name[:2] / one.name
        self.assertEqual(path.read_bytes(), b"same")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_any_umask(self) -> None:
        """Files are private, and writable to their owner, whatever the process's umask is."""
        self.addCleanup(os.umask, os.umask(0))
        stored = self.objects.store(b"x")
        (path,) = self.files()
        self.assertEqual((path.name, stat.S_IMODE(path.stat().st_mode)), (stored.name, 0o600))

    def test_folders_grow_alike(self) -> None:
        """Objects do not all go to one folder."""
        self.patch(room.os, "fsync", lambda descriptor: None)
        names = {self.objects.store(b"").name for _ in range(2_000)}
        self.assertEqual(len(names), 2_000)
        self.assertGreater(len({name[:2] for name in names}), 3)

    def test_copy(self) -> None:
        """A copy has the same bytes, and lives on its own."""
        data = os.urandom(2_500_001)
        stored = self.objects.store(data)
        copied = self.objects.copy(stored.name)
        self.assertEqual((copied.size, copied.sha256), (stored.size, stored.sha256))
        self.objects.remove([stored.name])
        self.assertEqual(self.read(copied.name), data)

    def test_copy_where_the_system_cannot(self) -> None:
        """Without copy_file_range, or where it fails midway, the bytes are read and written."""
        data = os.urandom(2_500_001)
        stored = self.objects.store(data)
        calls = []

        def copy_file_range(source: int, target: int, count: int, *offsets: int) -> int:
            calls.append(offsets)
            if len(calls) > 1:
                raise OSError(18, "EXDEV")
            return real(source, target, 1_000_000, *offsets)

        real = os.copy_file_range
        self.patch(room.os, "copy_file_range", copy_file_range)
        self.assertEqual(self.read(self.objects.copy(stored.name).name), data)
        self.assertEqual(len(calls), 2)

    def test_copy_on_a_system_without_the_call(self) -> None:
        """As on others than Linux: the bytes are read and written."""
        data = os.urandom(2_500_001)
        stored = self.objects.store(data)
        with MonkeyPatch.context() as system:
            system.delattr(room.os, "copy_file_range")
            copied = self.objects.copy(stored.name)
        self.assertEqual((self.read(copied.name), copied.sha256), (data, stored.sha256))

    def test_a_system_that_copies_less_than_it_says(self) -> None:
        """No object comes of it: the copy would end before its size."""
        stored = self.objects.store(b"x" * 1_000)
        said = iter((1_000, 0))
        self.patch(room.os, "copy_file_range", lambda *_: next(said))
        self.assertRaises(Unavailable, self.objects.copy, stored.name)
        self.assertEqual([path.name for path in self.files()], [stored.name])

    def test_remove(self) -> None:
        """A removed object is gone; a reader keeps what it opened; removing what is gone is no error."""
        stored = self.objects.store(b"kept by its reader")
        descriptor = self.objects.reader(stored.name)
        self.assertEqual(self.objects.remove([stored.name, stored.name]), 1)
        with open(descriptor, "rb") as file:
            self.assertEqual(file.read(), b"kept by its reader")
        self.assertEqual(self.files(), [])
        self.assertIsNone(self.objects.size(stored.name))
        for call in (self.objects.reader, self.objects.copy, self.objects.verify):
            with self.assertRaises(NotFound):
                call(stored.name)

    def test_no_other_paths(self) -> None:
        """What is no name of ours never becomes a path."""
        for name in ("", "../../../etc/passwd", "a" * 31, "A" * 32, "/" * 32, "a" * 32 + "\n", "aa/" + "a" * 29):
            for call in (
                self.objects.reader,
                self.objects.size,
                self.objects.copy,
                lambda it: self.objects.remove([it]),
            ):
                with self.assertRaises(ValueError):
                    call(name)

    def test_a_link_is_not_followed(self) -> None:
        """An object that somebody replaced by a link is not read."""
        stored = self.objects.store(b"x")
        (path,) = self.files()
        path.unlink()
        path.symlink_to("/etc/passwd")
        with self.assertRaises(Unavailable):
            self.objects.reader(stored.name)

    def test_many_threads(self) -> None:
        """Threads that store at once share the fsync of a folder, and every object is whole."""
        folders = []
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                folders.append(descriptor)
            real(descriptor)

        self.patch(room.os, "fsync", fsync)
        stored: list[room.Stored] = []

        def work(number: int) -> None:
            for turn in range(10):
                stored.append(self.objects.store(b"%d %d" % (number, turn)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len({each.name for each in stored}), 160)
        for each in stored:
            self.assertEqual(self.objects.verify(each.name), each)
        self.assertLess(len(folders), 160)

    def test_closed(self) -> None:
        """After close nothing is stored or read; close again does nothing; it can be opened again."""
        stored = self.objects.store(b"x")
        before = open_below(self.folder)
        self.objects.close()
        self.objects.close()
        for call in (lambda: self.objects.store(b"y"), self.objects.begin, lambda: self.objects.reader(stored.name)):
            with self.assertRaises(Unavailable):
                call()
        # What was committed is committed: to remove what it replaced is the next sweep's then.
        self.assertEqual(self.objects.remove([stored.name]), 0)
        self.objects.open()
        self.assertEqual(self.read(stored.name), b"x")
        self.assertLessEqual(len(open_below(self.folder)), len(before))
