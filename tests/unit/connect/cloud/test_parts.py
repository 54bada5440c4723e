"""What a download leaves on the disk, and what becomes of it."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud import hashes, parts
from fluxon.connect.cloud.hashes import FileHash, RunningHash
from fluxon.connect.cloud.parts import PartFile
from fluxon.connect.cloud.uploads import LocalFile
from fluxon.errors import InvalidPayload

SHA, OTHER = "a" * 64, "b" * 64


class PartFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.target = self.folder / "file.bin"

    def part(self) -> PartFile:
        part = PartFile(str(self.target))
        self.addCleanup(part.close)
        return part

    def test_whole_file_appears_at_once(self) -> None:
        """What was there stays until the new one is complete."""
        self.target.write_bytes(b"old")
        part = self.part()
        self.assertEqual(part.open(SHA), 0)
        part.write(b"ne")
        part.write(memoryview(b"w"))
        self.assertEqual(self.target.read_bytes(), b"old")
        part.complete()
        self.assertEqual(os.listdir(self.folder), ["file.bin"])
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_restarted(self) -> None:
        """What came is void; before anything was begun there is nothing to forget."""
        part = self.part()
        part.restart()
        self.assertEqual(os.listdir(self.folder), [])
        part.open(SHA)
        part.write(b"wrong")
        part.restart()
        part.write(b"right")
        part.complete()
        self.assertEqual(self.target.read_bytes(), b"right")

    def test_next_one_goes_on(self) -> None:
        """A part that was left is found by the same content, and read for its hash."""
        first = self.part()
        first.open(SHA)
        first.write(b"abc")
        first.close()
        second = self.part()
        self.assertEqual(second.open(SHA), 3)
        self.assertEqual(second.read(0), b"abc")
        self.assertEqual(second.read(3), b"")
        second.write(b"def")
        second.complete()
        self.assertEqual(self.target.read_bytes(), b"abcdef")

    def test_part_of_another_content(self) -> None:
        """It is of no use any more, and removed."""
        first = self.part()
        first.open(OTHER)
        first.write(b"abc")
        first.close()
        second = self.part()
        self.assertEqual(second.open(SHA), 0)
        self.assertEqual(len(os.listdir(self.folder)), 1)

    def test_two_at_once(self) -> None:
        """Each writes its own; the last one to end is what is there."""
        first, second = self.part(), self.part()
        first.open(SHA)
        first.write(b"first")
        self.assertEqual(second.open(SHA), 0)
        second.write(b"second")
        first.complete()
        second.complete()
        self.assertEqual(self.target.read_bytes(), b"second")
        self.assertEqual(os.listdir(self.folder), ["file.bin"])

    def meanwhile(self, owner: Callable[[], None]) -> None:
        """``owner`` does it when the next part has been opened, before its lock is asked for."""
        really = parts._lock

        def lock(descriptor: int) -> bool:
            self.patch(parts, "_lock", really)
            owner()
            return really(descriptor)

        self.patch(parts, "_lock", lock)

    def test_completed_while_it_is_opened(self) -> None:
        """What was a part when it was opened is the whole file when it is locked: it is not written to."""
        first, second = self.part(), self.part()
        first.open(SHA)
        first.write(b"first")
        self.meanwhile(first.complete)
        self.assertEqual(second.open(SHA), 0)
        second.restart()
        self.assertEqual(self.target.read_bytes(), b"first")
        second.write(b"second")
        second.complete()
        self.assertEqual(self.target.read_bytes(), b"second")

    def test_removed_while_it_is_opened(self) -> None:
        """Its owner had no use for it, and removes it: it is made anew."""
        first, second = self.part(), self.part()
        first.open(SHA)
        self.meanwhile(first.remove)
        second.open(SHA)
        second.write(b"second")
        second.complete()
        self.assertEqual(self.target.read_bytes(), b"second")

    def test_taken_for_one_that_was_left(self) -> None:
        """Another download removes what nobody seems to write: a new part that is not locked yet is made anew."""

        def tidy() -> None:
            for path in self.folder.glob(".fluxon-*"):
                path.unlink()

        part = self.part()
        self.meanwhile(tidy)
        part.open_new()
        part.write(b"small")
        part.complete()
        self.assertEqual(self.target.read_bytes(), b"small")

    def test_small_ones_are_locked(self) -> None:
        """A download of another content, in a stream, leaves the part of a small one alone."""
        small, large = self.part(), self.part()
        small.open_new()
        small.write(b"small")
        large.open(SHA)
        small.complete()
        self.assertEqual(self.target.read_bytes(), b"small")

    def test_link_of_its_name(self) -> None:
        """Somebody else put a link, a folder or a pipe there: nothing is done to what it leads to."""
        first = self.part()
        first.open(SHA)
        first.write(b"abc")
        first.close()
        [name] = os.listdir(self.folder)
        precious = self.folder / "precious"
        (self.folder / name).unlink()
        for make, remove in (
            (lambda path: path.symlink_to(precious), Path.unlink),
            (os.mkfifo, Path.unlink),
            (Path.mkdir, Path.rmdir),
        ):
            precious.write_bytes(b"precious")
            make(self.folder / name)
            part = self.part()
            self.assertEqual(part.open(SHA), 0)
            part.restart()
            part.write(b"abc")
            part.complete()
            self.assertEqual((self.target.read_bytes(), precious.read_bytes()), (b"abc", b"precious"))
            if os.path.lexists(self.folder / name):  # a pipe is removed as a part that was left
                remove(self.folder / name)

    def test_permissions(self) -> None:
        """The new file has those of the one that it replaces, and nobody else can read it before."""
        self.target.write_bytes(b"old")
        for mode in (0o600, 0o755, 0o444):
            self.target.chmod(mode)
            part = self.part()
            part.open(SHA)
            part.write(b"new")
            [path] = self.folder.glob(".fluxon-*")
            self.assertEqual(path.stat().st_mode & 0o777 & ~(mode | 0o600), 0)
            part.complete()
            self.assertEqual(self.target.stat().st_mode & 0o777, mode)

    def test_target_that_is_a_folder(self) -> None:
        """It cannot be replaced. A part that was whole is kept for the next time, a small one is not."""
        whole, small = self.part(), self.part()
        whole.open(SHA)
        small.open_new()
        self.target.mkdir()
        error = self.assertRaises(IsADirectoryError, self.part().open, SHA)
        self.assertEqual(error.filename, str(self.target))
        for part in (whole, small):
            part.write(b"abc")
            self.assertRaises(OSError, part.complete)
            part.close()
        self.assertEqual(len(list(self.folder.glob(".fluxon-*"))), 1)

    def test_no_locks(self) -> None:
        """Where the file system has no locks each download has a part of its own, and none is gone on with."""

        def none(descriptor: int) -> bool:
            raise OSError(errno.ENOLCK, "no locks available")

        self.patch(parts, "_lock", none)
        for data in (b"first", b"second"):
            part = self.part()
            self.assertEqual(part.open(SHA), 0)
            part.write(data)
            part.complete()
            self.assertEqual(self.target.read_bytes(), data)

    def test_nothing_is_left_of_nothing(self) -> None:
        """An empty part, a small file that failed, and one that was thrown away leave no file."""
        empty, small, bad = self.part(), self.part(), self.part()
        empty.open(SHA)
        small.open_new()
        small.write(b"abc")
        bad.open(OTHER)
        bad.write(b"abc")
        bad.remove()
        empty.close()
        small.close()
        self.assertEqual(os.listdir(self.folder), [])

    def test_long_names(self) -> None:
        """A name that is as long as the system allows leaves room for its part's."""
        self.target = self.folder / ("x" * 255)
        part = self.part()
        part.open(SHA)
        part.complete()
        self.assertTrue(self.target.exists())

    def test_no_folder(self) -> None:
        """The system's own error says what is wrong here."""
        self.target = self.folder / "missing" / "file"
        self.assertRaises(FileNotFoundError, self.part().open, SHA)


class HashTests(SynchronousTestCase):
    """Hashes that are computed beside."""

    def setUp(self) -> None:
        self.path = self.mktemp()
        self.data = os.urandom(3 * 2**20 + 5)
        Path(self.path).write_bytes(self.data)

    def opened(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def test_of_a_file(self) -> None:
        """Of its first bytes, so many as it had when it was opened."""
        for size in (0, 1, 4_096, 2**20, len(self.data)):
            expected = hashlib.sha256(self.data[:size]).hexdigest()
            self.assertEqual(FileHash(self.opened(), size).wait(), expected)

    def test_of_a_file_that_became_shorter(self) -> None:
        """There is none."""
        self.assertIsNone(FileHash(self.opened(), len(self.data) + 1).wait())

    def test_of_what_cannot_be_read(self) -> None:
        """The system's error comes to the one who waits."""
        found = FileHash(os.open(".", os.O_RDONLY), 2**20)
        self.assertRaises(IsADirectoryError, found.wait)

    def test_of_a_file_that_is_replaced(self) -> None:
        """It is that of the file that was opened, and is sent, not of another one that has its name by now."""
        with LocalFile(self.path) as local:
            Path(f"{self.path}.new").write_bytes(bytes(len(self.data)))
            os.replace(f"{self.path}.new", self.path)
            self.assertEqual(local.sha256(), hashlib.sha256(self.data).hexdigest())

    def test_of_a_pipe(self) -> None:
        """It is refused, and not waited for until somebody writes to it."""
        pipe = f"{self.path}.pipe"
        os.mkfifo(pipe)
        refused: list[BaseException] = []

        def open_it() -> None:
            try:
                LocalFile(pipe)
            except InvalidPayload as error:
                refused.append(error)

        thread = threading.Thread(target=open_it, daemon=True)
        thread.start()
        thread.join(10)
        self.assertEqual(len(refused), 1)

    def test_of_pieces(self) -> None:
        """However they are cut, and however many."""
        for step in (1_000, 65_536, 2**20):
            running = RunningHash()
            for start in range(0, len(self.data), step):
                running.update(memoryview(self.data)[start : start + step])
            self.assertEqual(running.hexdigest(), hashlib.sha256(self.data).hexdigest())
            running.close()

    def test_waits_for_the_hash(self) -> None:
        """Who hands on pieces faster than they are hashed is held up, so that memory has a bound."""
        self.patch(hashes, "_SMALL", 0)
        self.patch(hashes, "_BEHIND", 1_000)
        go_on, handed, real = threading.Event(), threading.Event(), hashlib.sha256(b"")
        expected = hashlib.sha256(b"x" * 3_000).hexdigest()

        class Slow:
            def update(self, piece: bytes) -> None:
                go_on.wait(10)
                real.update(piece)

            def hexdigest(self) -> str:
                return real.hexdigest()

        self.patch(hashes.hashlib, "sha256", Slow)
        running = RunningHash()
        self.addCleanup(running.close)

        def hand_on() -> None:
            for _ in range(3):
                running.update(b"x" * 1_000)
            handed.set()

        thread = threading.Thread(target=hand_on)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(go_on.set)
        self.assertFalse(handed.wait(0.1))
        go_on.set()
        self.assertTrue(handed.wait(10))
        self.assertEqual(running.hexdigest(), expected)

    def test_of_nothing(self) -> None:
        """That of no bytes."""
        self.assertEqual(RunningHash().hexdigest(), hashlib.sha256(b"").hexdigest())
