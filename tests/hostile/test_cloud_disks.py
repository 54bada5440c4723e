"""Failing disks under the cloud's objects: every call fails, in every way, and nothing that was promised is lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import failing_disk
from descriptors import open_below
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from upload_threads import UploadThreads

from fluxon.cloud import folder, shelves, sweep
from fluxon.cloud.objects import Objects, Stored
from fluxon.errors import ConfigurationError, FluxonError, NotFound, ResourceExhausted, Unavailable

OLD = b"what was there before" * 100
NEW = os.urandom(100_000)
PIECE = os.urandom(256 * 1024)


class EveryCall(SynchronousTestCase):
    """One operation at a time, on a folder with an object in it."""

    def setUp(self) -> None:
        if not os.path.isdir("/proc/self/fd"):
            self.skipTest("counts descriptors in /proc")
        self.threads = UploadThreads()
        self.folder = Path(tempfile.mkdtemp()) / "cloud"
        self.addCleanup(shutil.rmtree, self.folder.parent)
        # What is told of what is left behind is told to the operator, at length.
        quiet = list(globalLogPublisher._observers)
        for observer in quiet:
            globalLogPublisher.removeObserver(observer)
            self.addCleanup(globalLogPublisher.addObserver, observer)
        objects = self.opened()
        self.old = objects.store(OLD)
        objects.close()

    def few_folders(self) -> None:
        """What looks at all the folders of objects finds two of them."""
        for room in (folder, shelves, sweep):
            self.patch(room, "SHELVES", ("00", "7f"))

    def opened(self) -> Objects:
        objects = Objects(self.folder)
        objects.open()
        return objects

    def files(self) -> set[str]:
        """The names of all files but the lock."""
        return {
            path.name for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(("lock", "key"))
        }

    def every_failure(
        self, operation: Callable[[Objects], Any], content: bytes | None, minimum: int, errors: Any = None
    ) -> None:
        """Run it with every failure. What it returns are objects with this content; what it raises, leaves nothing."""
        seen: dict[str, int] = {}
        for lasting in (False, True):
            for failing in failing_disk.failures(lasting):
                objects = self.opened()
                before = len(open_below(self.folder))
                named = {self.old.name: OLD}
                error: FluxonError | None = None
                try:
                    with failing_disk.through(failing):
                        stored = operation(objects)
                        if isinstance(stored, Stored):
                            assert content is not None
                            named[stored.name] = content
                            self.assertEqual(stored.size, len(content))
                            self.assertEqual(stored.sha256, hashlib.sha256(content).hexdigest())
                except FluxonError as raised:
                    error = raised
                    self.assertIsInstance(error, errors or (ResourceExhausted, Unavailable))
                    self.assertNotIn(str(self.folder.parent), str(error))
                    self.assertNotIn(self.old.name, str(error))
                    if failing._code == 28 and not isinstance(error, NotFound):
                        self.assertIn("disk is full", str(error))
                # Closing what is synced, and removing, may fail without telling the one who asked.
                self.assertEqual(error is None, failing.failed in (None, "close", "unlink"), failing.failed)
                objects.close()
                self.threads.wait()
                self.assertLessEqual(len(open_below(self.folder)), before)
                if failing.failed is not None:
                    seen[failing.failed] = seen.get(failing.failed, 0) + 1
                    if failing.failed != "unlink":
                        self.assertEqual(self.files(), set(named), failing.failed)
                self.check(named)
        self.assertGreaterEqual(sum(seen.values()), minimum, seen)

    def check(self, named: dict[str, bytes]) -> None:
        """After the sweep of the next start the named objects are there, whole, and nothing else."""
        objects = self.opened()
        swept = objects.sweep(lambda names: set(names) & set(named))
        self.assertEqual(swept.young, 0)
        self.assertEqual(self.files(), set(named))
        for name, content in named.items():
            self.assertEqual(objects.verify(name).sha256, hashlib.sha256(content).hexdigest())
            if name != self.old.name:
                objects.remove([name])
        objects.close()

    def test_store(self) -> None:
        """Storing: opening the folder and the file, writing, syncing both, closing."""
        self.every_failure(lambda objects: objects.store(NEW), NEW, 20)

    def test_copy(self) -> None:
        """Copying, by the system."""
        self.every_failure(lambda objects: objects.copy(self.old.name), OLD, 30)

    def test_small_upload(self) -> None:
        """An upload that no thread follows."""

        def operation(objects: Objects) -> Stored:
            upload = objects.begin()
            upload.append(NEW[:50_000])
            upload.append(NEW[50_000:])
            return upload.finish()

        self.every_failure(operation, NEW, 30)

    def test_large_upload(self) -> None:
        """An upload that a thread follows while it comes, and for which there is a pause now and then."""
        pieces = 20

        def operation(objects: Objects) -> Stored:
            go_on = threading.Event()
            upload = objects.begin(go_on.set)
            for _ in range(pieces):
                go_on.clear()
                if not upload.append(PIECE):
                    go_on.wait(30)
            return upload.finish()

        self.every_failure(operation, PIECE * pieces, 60)

    def test_discard(self) -> None:
        """Giving an upload up."""

        def operation(objects: Objects) -> None:
            upload = objects.begin()
            try:
                upload.append(NEW)
            finally:
                upload.discard()

        self.every_failure(operation, None, 5)

    def test_open(self) -> None:
        """Opening a folder, and making it: refused, and no descriptor kept; the next time it opens."""
        self.few_folders()
        for new in (True, False):
            for failing in failing_disk.failures():
                if new:
                    shutil.rmtree(self.folder)
                objects = Objects(self.folder)
                before = len(open_below(self.folder))
                try:
                    with failing_disk.through(failing):
                        objects.open("a database")
                except ConfigurationError as error:
                    self.assertNotIn(str(self.folder.parent), str(error))
                    self.assertEqual(len(open_below(self.folder)), before)
                else:
                    # A folder that is there is there, whatever would have come after making it.
                    self.assertIn(failing.failed, (None, "close") if new else (None, "close", "mkdir"))
                objects.close()
                objects = self.opened()
                objects.remove([objects.store(NEW).name])
                objects.close()

    def test_sweep(self) -> None:
        """A sweep that fails has removed nothing that is named; the next one does the rest."""
        self.few_folders()
        objects = self.opened()
        objects.remove([self.old.name])
        objects.close()
        for failing in failing_disk.failures():
            objects = self.opened()
            named = {objects.store(b"%d" % number).name: b"%d" % number for number in range(3)}
            unnamed = {objects.store(NEW).name for _ in range(3)}
            objects.close()
            upload = self.folder / "uploads" / ("0" * 32)
            upload.write_bytes(b"half")
            objects = self.opened()
            before = len(open_below(self.folder))
            try:
                with failing_disk.through(failing):
                    objects.sweep(lambda names, named=named: set(names) & set(named))
            except (ResourceExhausted, Unavailable):
                self.assertNotIn(failing.failed, (None, "close"))
            else:
                self.assertEqual(self.files(), set(named))
            self.assertEqual(len(open_below(self.folder)), before)
            self.assertLessEqual(self.files(), {*named, *unnamed, upload.name})
            objects.close()
            self.check(named)

    def test_reading(self) -> None:
        """What cannot be read is an error, never other bytes; and it can be read when the disk has recovered."""
        for failing in failing_disk.failures():
            objects = self.opened()
            try:
                with failing_disk.through(failing):
                    self.assertEqual(objects.size(self.old.name), len(OLD))
                    self.assertEqual(objects.verify(self.old.name), self.old)
            except (ResourceExhausted, Unavailable):
                self.assertNotIn(failing.failed, (None, "close"))
            self.assertEqual(objects.verify(self.old.name), self.old)
            objects.close()
