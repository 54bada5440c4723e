"""Power lost at any moment: what was named after it was stored is whole afterwards, and nothing else is left.

``FLUXON_TEST_POWER_LOSSES`` says how many times; a few hundred by default.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import failing_disk
import power_loss
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import folder, objects, shelves, storing, sweep, syncing, uncached, uploads
from fluxon.cloud.followers import Followers, Following
from fluxon.cloud.objects import Objects
from fluxon.errors import FluxonError

LOSSES = int(os.environ.get("FLUXON_TEST_POWER_LOSSES", "300"))

#: Calls of the system that a run has, about; the power goes at one of them.
CALLS = 400


#: A line that makes something durable.
SYNC = re.compile(r"\s+(os\.fsync\([\w.\[\]]+\)|shelf\.sync\(\)|_sync_parent\(path\))")

#: What ``Objects`` is made of, by the names that it knows them by.
PARTS = ("Shelves", "Syncs", "open_folder", "sync")


#: Of memory, and of a file: what goes past the cache is a block of one here, so that there are many of them.
PAGE = 4096


class AtOnce(Followers):
    """In place of threads, which would not hear of the end of the power."""

    def put(self, work: Following) -> None:
        work.follow()


class Rows:
    """What a database has: names of objects, committed in an instant, and what must be in them."""

    def __init__(self, disk: power_loss.Disk) -> None:
        self._disk = disk
        self.contents: dict[str, bytes] = {}
        self._mutex = threading.Lock()

    def commit(self, named: str | None, content: bytes, unnamed: str | None = None) -> None:
        """One transaction, which is durable when this returns."""
        self._disk.step()
        with self._mutex:
            if named is not None:
                self.contents[named] = content
            if unnamed is not None:
                del self.contents[unnamed]
        self._disk.step()

    def of(self, names: list[str]) -> set[str]:
        return set(names) & set(self.contents)


def work(cloud: Objects, rows: Rows, chance: random.Random, mine: list[str]) -> None:
    """One operation of a random kind."""
    kind = chance.choice(["store", "store", "upload", "large upload", "copy", "overwrite", "delete"])
    old = chance.choice(mine) if mine and kind not in ("store", "upload", "large upload") else None
    if kind == "delete" and old is not None:
        rows.commit(None, b"", old)
        mine.remove(old)
        cloud.remove([old])
        return
    content = chance.randbytes(chance.choice([0, 10, 5_000]))
    if kind == "upload":
        upload = cloud.begin()
        upload.append(content[:9])
        upload.append(content[9:])
        name = upload.finish().name
    elif kind == "large upload":
        content = chance.randbytes(chance.choice([4 * PAGE, 20_000]))
        upload = cloud.begin()
        for start in range(0, len(content), 3_000):
            upload.append(content[start : start + 3_000])
        name = upload.finish().name
    elif kind == "copy" and old is not None:
        name, content = cloud.copy(old).name, rows.contents[old]
    else:
        name = cloud.store(content).name
    rows.commit(name, content, old if kind == "overwrite" else None)
    mine.append(name)
    if kind == "overwrite" and old is not None:
        mine.remove(old)
        cloud.remove([old])


class Power(SynchronousTestCase):
    """Random operations, by one thread and by several."""

    cloud_class = Objects
    rooms = failing_disk.ROOMS

    def setUp(self) -> None:
        for room in (folder, shelves, sweep):
            self.patch(room, "SHELVES", ("00", "7f", "ff"))
        self.patch(shelves, "BATCH", 4)
        for room, name, value in (
            (uncached, "BLOCK", PAGE),
            (uploads, "BLOCK", PAGE),
            (uploads, "STEP", 2 * PAGE),
            (uncached, "Followers", AtOnce),
            (uploads, "Followers", AtOnce),
        ):
            self.patch(room, name, value)
        self.base = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.base)

    def violations(self, seed: int, threads: int) -> list[str]:
        """What is wrong after a loss of power."""
        chance = random.Random(seed)
        root, found = self.base / "before", self.base / "after"
        for path in (root, found):
            shutil.rmtree(path, ignore_errors=True)
        root.mkdir(mode=0o700)
        # Often soon, where the folder is being made.
        soon = chance.random() < 0.3
        disk = power_loss.Disk(root, chance.randrange(80 if soon else CALLS))
        rows = Rows(disk)
        ends = [self.one_process(disk, rows, seed, threads)]
        if chance.random() < 0.3:  # that one was only killed
            disk.go_on(chance.randrange(CALLS))
            ends.append(self.one_process(disk, rows, seed + 1, threads))
        disk.after(found, chance, chance.choice([0.0, 0.3, 0.7, 1.0]))
        for end in ends:
            end()
        self.flushLoggedErrors(power_loss.PowerLoss)
        return self.check(Objects(found / "cloud"), rows)

    def one_process(self, disk: power_loss.Disk, rows: Rows, seed: int, threads: int) -> Callable[[], None]:
        """Open the folder, sweep it, and work until the end; what is to be done about its descriptors later."""
        cloud = self.cloud_class(disk.root / "cloud")
        with failing_disk.through(disk, self.rooms):
            try:
                cloud.open()
                cloud.sweep(rows.of)
                mine = list(rows.contents)
                self.run_threads(
                    lambda number: self.run_until_the_end(cloud, rows, seed + number, mine[number::threads]), threads
                )
            except power_loss.PowerLoss:
                pass
        self.assertTrue(disk.ended)
        if cloud._folder is not None:
            fcntl.flock(cloud._folder._lock, fcntl.LOCK_UN)
        return cloud.close

    def run_threads(self, run: Callable[[int], None], threads: int) -> None:
        if threads == 1:
            run(0)
            return
        started = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join(30)

    def run_until_the_end(self, cloud: Objects, rows: Rows, seed: int, mine: list[str]) -> None:
        chance = random.Random(seed)
        try:
            while True:
                try:
                    work(cloud, rows, chance, mine)
                except FluxonError:
                    # Another thread was about to sync the folder when the power went.
                    pass
        except power_loss.PowerLoss:
            pass

    def check(self, cloud: Objects, rows: Rows) -> list[str]:
        try:
            cloud.open()
        except FluxonError as error:
            return [str(error)]
        try:
            cloud.sweep(rows.of)
            wrong = []
            for name, content in rows.contents.items():
                try:
                    with open(cloud.reader(name), "rb") as file:
                        if file.read() != content:
                            wrong.append(f"{name} is not whole")
                except FluxonError as error:
                    wrong.append(f"{name}: {error}")
            left = {path.name for path in cloud._path.rglob("*") if path.is_file()} - {"lock", "backup-lock", "key"}
            return [*wrong, *(f"{name} is left" for name in left - set(rows.contents))]
        finally:
            cloud.close()

    def test_one_writer(self) -> None:
        """0 violations."""
        for seed in range(LOSSES):
            self.assertEqual(self.violations(seed, 1), [], seed)

    def test_writers_that_share(self) -> None:
        """0 violations where threads share the fsync of a folder."""
        for seed in range(LOSSES // 3):
            self.assertEqual(self.violations(seed, 4), [], seed)

    def test_every_fsync_is_needed(self) -> None:
        """Without any single one of them, in whatever line it is, something is lost."""
        tried = []
        for room in (objects, storing, syncing, shelves, folder):
            source = Path(str(room.__file__)).read_text().split("\n")
            for number, line in enumerate(source):
                if SYNC.fullmatch(line):
                    without = [*source[:number], re.sub(r"\S.*", "pass", line), *source[number + 1 :]]
                    tried.append(f"{room.__name__}:{number + 1}: {line.strip()}")
                    self.assertTrue(self.caught(room, "\n".join(without)), tried[-1])
        self.assertEqual(len(tried), 11, tried)

    def caught(self, room: ModuleType, source: str) -> bool:
        """Whether some loss of power shows what is wrong with a module."""
        made = ModuleType(room.__name__)
        exec(compile(source, str(room.__file__), "exec"), made.__dict__)
        for name in ("SHELVES", "BATCH"):
            if hasattr(room, name):
                setattr(made, name, getattr(room, name))
        # Where the rooms are put together.
        if room is objects:
            self.cloud_class = made.Objects
        patches = [
            self.patch(objects, name, getattr(made, name))
            for name in PARTS
            if room is not objects and hasattr(made, name)
        ]
        self.rooms = (*failing_disk.ROOMS, made)
        try:
            return any(self.violations(seed, 1) for seed in range(200))
        finally:
            self.cloud_class, self.rooms = Objects, failing_disk.ROOMS
            for patch in patches:
                patch.restore()
