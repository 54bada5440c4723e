"""What a disk says, in Fluxon's errors; and several contents of which some fail."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import disk, storing
from fluxon.cloud.shelves import Shelf
from fluxon.cloud.storing import New
from fluxon.cloud.syncing import Syncs
from fluxon.errors import ResourceExhausted, Unavailable


class ErrorTests(SynchronousTestCase):
    """Who is to do something about it."""

    def test_kinds(self) -> None:
        """A full disk is made room on, files that are open close again, and anything else is looked into."""
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            self.assertIn("made room", disk.disk_error(OSError(number, "secret")).text)
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            told = disk.disk_error(OSError(number, "secret"))
            self.assertIsInstance(told, ResourceExhausted)
            self.assertIn("in a moment", told.text)
        for error in (OSError(errno.EIO, "secret"), OSError(None, "secret"), OSError()):
            told = disk.disk_error(error)
            self.assertIsInstance(told, Unavailable)
            self.assertNotIn("secret", told.text)

    def test_a_file_system_that_writes_out_by_itself(self) -> None:
        """It need not know the call that hurries it: a pipe does not. What is no file at all is an error."""
        reading, writing = os.pipe()
        for function in (disk.start_writing_out, disk.wait_written_out):
            function(writing, 0, 10)
        for each in (reading, writing):
            os.close(each)
        for function in (disk.start_writing_out, disk.wait_written_out):
            error = self.assertRaises(OSError, function, writing, 0, 10)
            self.assertEqual(error.errno, errno.EBADF)


class SeveralTests(SynchronousTestCase):
    """Contents that are made durable together, in two folders."""

    def setUp(self) -> None:
        base = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, base)
        self.folders = {name: base / name for name in ("00", "ff")}
        self.shelves = {}
        for name, path in self.folders.items():
            path.mkdir()
            self.shelves[name] = Shelf(name, os.open(path, os.O_RDONLY))
            self.addCleanup(os.close, self.shelves[name].descriptor)

    def written(self, *shelves: str) -> list[New]:
        """Contents that lie in these folders, not synced yet."""
        found = [New(b"%d" % number) for number in range(len(shelves))]
        for each, name in zip(found, shelves, strict=True):
            each.write(lambda name=name: self.shelves[name])
        return found

    def test_a_folder_that_cannot_be_synced(self) -> None:
        """What lies in it is given up, each with its first error; what lies elsewhere is stored."""
        new = self.written("00", "ff", "00", "ff")
        broken = {new[2].descriptor: errno.ENOSPC, self.shelves["00"].descriptor: errno.EIO}
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if descriptor in broken:
                raise OSError(broken[descriptor], "broken")
            real(descriptor)

        self.patch(storing.os, "fsync", fsync)
        storing.sync(new, Syncs())
        kinds = [None, None, None, None]
        kinds = [type(error) if error is not None else None for _, error in (each.outcome for each in new)]
        self.assertEqual(kinds, [Unavailable, None, ResourceExhausted, None])
        self.assertEqual(os.listdir(self.folders["00"]), [])
        self.assertEqual(len(os.listdir(self.folders["ff"])), 2)
