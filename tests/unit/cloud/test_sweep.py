"""The sweep: what no row names is removed, and nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud.objects import Objects, Swept


class Sweeps(SynchronousTestCase):
    """Alone in the folder, and not."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp()) / "cloud"
        self.addCleanup(shutil.rmtree, self.folder.parent)

    def opened(self) -> Objects:
        """The folder, as one more process has it."""
        objects = Objects(self.folder)
        objects.open()
        self.addCleanup(objects.close)
        return objects

    def left(self) -> set[str]:
        """The names of all files but the locks."""
        return {
            path.name for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(("lock", "key"))
        }

    def rest(self) -> tuple[list[str], list[str]]:
        """Objects that were stored, and what a killed process left of two uploads."""
        first = self.opened()
        names = [first.store(b"%d" % number).name for number in range(10)]
        first.close()
        uploads = ["0" * 32, "f" * 32]
        for name in uploads:
            (self.folder / "uploads" / name).write_bytes(b"half")
        return names, uploads

    def two_days_later(self) -> None:
        """By the clock of the sweep: when a file changed last cannot be set back."""
        self.patch(time, "time", lambda now=time.time: now() + 2 * 86_400)

    def test_a_backup(self) -> None:
        """While another program copies the folder nothing is removed, by a sweep or by name; afterwards it goes."""
        names, _ = self.rest()
        objects = self.opened()
        with open(self.folder / "backup-lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(objects.remove(names), 0)
            self.assertEqual(objects.sweep(lambda batch: set()), Swept(put_off=1))
            self.assertEqual(len(self.left()), 12)
        self.assertEqual(objects.remove(names[:1]), 1)
        self.assertEqual(objects.sweep(lambda batch: set()).removed_objects, 9)
        self.assertEqual(self.left(), set())

    def test_a_backup_waits(self) -> None:
        """What copies the folder begins when what is being removed is gone."""
        objects = self.opened()
        self.rest()

        def is_named(batch: list[str]) -> set[str]:
            with open(self.folder / "backup-lock") as lock, self.assertRaises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return set(batch)

        self.assertEqual(objects.sweep(is_named).objects, 10)
        with open(self.folder / "backup-lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_alone(self) -> None:
        """At a start everything that is unnamed goes, and what is named stays; and it is counted."""
        names, _ = self.rest()
        asked: list[str] = []

        def is_named(batch: list[str]) -> set[str]:
            asked.extend(batch)
            return set(names[:6]) & set(batch)

        swept = self.opened().sweep(is_named)
        self.assertEqual(sorted(asked), sorted(names))
        self.assertEqual(self.left(), set(names[:6]))
        self.assertEqual(swept, Swept(objects=10, removed_objects=4, removed_uploads=2, freed=4 + 8))

    def test_beside_another(self) -> None:
        """While somebody else has the folder open, what is young stays, and what is older than a day goes."""
        names, uploads = self.rest()
        self.opened()
        second = self.opened()
        swept = second.sweep(lambda batch: set(names[:6]) & set(batch))
        self.assertEqual(swept, Swept(objects=10, young=6))
        self.assertEqual(self.left(), {*names, *uploads})
        self.two_days_later()
        swept = second.sweep(lambda batch: set(names[:6]) & set(batch))
        self.assertEqual(swept, Swept(objects=10, removed_objects=4, removed_uploads=2, freed=12))
        self.assertEqual(self.left(), set(names[:6]))

    def test_after_storing(self) -> None:
        """Who has stored something since it opened the folder keeps what is young: its row may be about to come."""
        objects = self.opened()
        stored = objects.store(b"not yet in any row")
        self.assertEqual(objects.sweep(lambda batch: set()), Swept(objects=1, young=1))
        self.assertEqual(self.left(), {stored.name})

    def test_an_upload_under_way(self) -> None:
        """However old, it is not taken from who is at it."""
        objects = self.opened()
        upload = objects.begin()
        self.two_days_later()
        objects.sweep(lambda batch: set())
        upload.append(b"abc")
        stored = upload.finish()
        self.assertEqual(self.left(), {stored.name})

    def test_the_lock_is_shared_again(self) -> None:
        """After a sweep others may open the folder, and are not swept under."""
        names, _ = self.rest()
        first = self.opened()
        first.sweep(set)
        self.assertEqual(self.left(), set(names))
        second = self.opened()
        stored = second.store(b"x")
        second.sweep(set)
        third = self.opened()
        third.sweep(lambda batch: set())
        self.assertIn(stored.name, self.left())

    def test_nobody_opens_it_meanwhile(self) -> None:
        """While somebody sweeps alone, another waits to open the folder."""
        self.rest()
        first, seen = self.opened(), []

        def is_named(batch: list[str]) -> set[str]:
            if not seen:
                seen.append(os.spawnlp(os.P_WAIT, "flock", "flock", "-n", "-s", str(self.folder / "lock"), "true"))
            return set()

        if shutil.which("flock") is None:
            self.skipTest("needs the program flock")
        first.sweep(is_named)
        self.assertEqual(seen, [1])
        self.assertEqual(os.spawnlp(os.P_WAIT, "flock", "flock", "-n", "-s", str(self.folder / "lock"), "true"), 0)

    def test_what_is_not_ours(self) -> None:
        """Files and folders that are no objects by their names are counted, and stay."""
        self.rest()
        strange = [
            self.folder / "uploads" / "notes.txt",
            self.folder / "objects" / "ab" / "README",
            self.folder / "objects" / "ab" / ("cd" + "0" * 30),
        ]
        for path in strange:
            path.write_bytes(b"")
        (self.folder / "objects" / "ab" / "lost+found").mkdir()
        swept = self.opened().sweep(lambda batch: set())
        self.assertEqual((swept.strange, swept.removed_objects), (4, 10))
        self.assertEqual(self.left(), {path.name for path in strange})

    def test_a_database_that_fails(self) -> None:
        """When the rows cannot be asked, nothing is removed, and the folder can be used."""
        names, _ = self.rest()

        def is_named(batch: list[str]) -> set[str]:
            raise RuntimeError("no database")

        objects = self.opened()
        with self.assertRaisesRegex(RuntimeError, "no database"):
            objects.sweep(is_named)
        self.assertLessEqual(set(names), self.left())
        objects.store(b"x")
