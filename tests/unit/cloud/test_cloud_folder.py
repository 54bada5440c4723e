"""The cloud's folder: private, real, and held as long as somebody uses it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from descriptors import open_below
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import folder as room
from fluxon.cloud.objects import Objects
from fluxon.errors import ConfigurationError, Locked, Unavailable


class Folders(SynchronousTestCase):
    """What is accepted, and what is refused with what to type."""

    def setUp(self) -> None:
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.folder = self.parent / "cloud"

    def refused(self, pattern: str) -> None:
        """Opening raises, names no path, and leaves no descriptor open."""
        with self.assertRaisesRegex(ConfigurationError, pattern) as caught:
            Objects(self.folder).open()
        self.assertNotIn(str(self.parent), str(caught.exception))
        self.assertEqual(open_below(self.parent), {})

    def made(self) -> None:
        """The folder, as an earlier run left it."""
        objects = Objects(self.folder)
        objects.open()
        objects.close()

    def test_made_private(self) -> None:
        """Every folder is 0700 and the lock 0600, whatever the umask is."""
        for umask in (0o000, 0o777):
            self.addCleanup(os.umask, os.umask(umask))
            self.made()
            os.umask(0o022)
            for path in (self.folder, *self.folder.rglob("*")):
                wanted = 0o700 if path.is_dir() else 0o600
                if path.name == "lock":
                    wanted &= ~umask
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), wanted, path)
            shutil.rmtree(self.folder)

    def test_closed_while_it_is_used(self) -> None:
        """Its descriptors stay until the last user leaves, however often it is closed; nobody new comes in."""
        folder = room.open_folder(self.folder)
        with folder.used():
            for _ in range(2):
                folder.close()
            self.assertRaises(Unavailable, folder.enter)
            self.assertIn("00", os.listdir(folder.objects))
        self.assertRaises(OSError, os.listdir, folder.objects)

    def test_opened_again(self) -> None:
        """What is there is taken as it is."""
        self.made()
        self.made()

    def test_open_to_others(self) -> None:
        """A folder that others can read, enter or write in is refused, with what to type; so are those in it."""
        self.made()
        for path in ("", "objects", "objects/7f", "uploads"):
            for mode in (0o710, 0o704, 0o702, 0o777):
                (self.folder / path).chmod(mode)
                self.refused(rf"open to other users .* chmod 700 cloud{'/' + path if path else ''}$")
            (self.folder / path).chmod(0o700)
        self.made()

    def test_links(self) -> None:
        """A symbolic link is refused, wherever it leads."""
        self.made()
        for path in ("", "objects", "objects/7f", "uploads"):
            at, aside = self.folder / path, self.parent / "aside"
            at.rename(aside)
            at.symlink_to(aside)
            self.refused("is a symbolic link")
            at.unlink()
            aside.rename(at)
        self.made()

    def test_a_linked_lock(self) -> None:
        """The lock is no link either: locking would be elsewhere, and a file made there."""
        self.folder.mkdir(mode=0o700)
        (self.folder / "lock").symlink_to(self.parent / "elsewhere")
        self.refused("cannot be used")
        self.assertFalse((self.parent / "elsewhere").exists())

    def test_files_in_the_way(self) -> None:
        """A file where a folder has to be is refused."""
        self.made()
        shutil.rmtree(self.folder / "objects" / "7f")
        (self.folder / "objects" / "7f").write_bytes(b"")
        self.refused("is no folder")
        shutil.rmtree(self.folder)
        self.folder.write_bytes(b"")
        self.refused("cannot be used")

    def test_no_parent(self) -> None:
        """A folder whose parent is missing is not made somewhere by mistake."""
        self.folder = self.parent / "mounted" / "cloud"
        self.refused("parent")

    def test_anothers(self) -> None:
        """Somebody else's folder is refused."""
        self.made()
        self.patch(room.os, "geteuid", lambda: os.getuid() + 1)
        self.refused(r"belongs to another user \(.+\) .* run it as .* chown")

    def test_another_database(self) -> None:
        """A folder is its first database's; another one, to which all in it would be nobody's, is refused."""
        objects = Objects(self.folder)
        objects.open("one")
        stored = objects.store(b"x")
        objects.close()
        with self.assertRaisesRegex(ConfigurationError, "belongs to another database") as caught:
            Objects(self.folder).open("other")
        self.assertNotIn(str(self.parent), str(caught.exception))
        for owner in ("one", None):
            objects.open(owner)
            self.assertEqual(objects.size(stored.name), 1)
            objects.close()

    def test_a_mark_cut_off(self) -> None:
        """What its first user could not write to the end is written by the next one."""
        self.made()
        for content in (b"", b"of the datab"):
            (self.folder / "lock").write_bytes(content)
            objects = Objects(self.folder)
            objects.open("one")
            objects.close()
            self.assertEqual((self.folder / "lock").read_bytes(), b"of the database one\n")

    def opened(self) -> Objects:
        objects = Objects(self.folder)
        objects.open()
        self.addCleanup(objects.close)
        return objects

    def test_its_secret(self) -> None:
        """All who open the folder have the same one, which is made anew if it was cut off; nobody else may read it."""
        first = self.opened()
        self.assertEqual((len(first.key), first.key), (32, self.opened().key))
        self.assertEqual(stat.S_IMODE((self.folder / "key").stat().st_mode), 0o600)
        for content in (b"", b"half"):
            (self.folder / "key").write_bytes(content)
            later = self.opened()
            self.assertEqual((len(later.key), later.key), (32, self.opened().key))
            self.assertNotEqual(later.key, first.key)
        first.close()
        self.assertRaises(Unavailable, lambda: first.key)

    def test_swept_by_another(self) -> None:
        """Opening waits for a sweep, and says so when it takes too long."""
        self.made()
        self.patch(room, "_PATIENCE", 0.0)
        first = Objects(self.folder)
        first.open()
        self.addCleanup(first.close)

        def is_named(batch: list[str]) -> set[str]:
            with self.assertRaisesRegex(Locked, "sweeping"):
                Objects(self.folder).open()
            return set()

        (self.folder / "objects" / "ab" / ("ab" + "0" * 30)).write_bytes(b"")
        self.assertEqual(first.sweep(is_named).removed_objects, 1)

    def test_closed_under_a_user(self) -> None:
        """The lock and the descriptors last until the last user has left; nobody enters after the close."""
        opened = room.open_folder(self.folder)
        with opened.used():
            opened.close()
            os.fstat(opened.objects)
            with self.assertRaises(Unavailable):
                opened.enter()
        with self.assertRaises(OSError):
            os.fstat(opened.objects)
