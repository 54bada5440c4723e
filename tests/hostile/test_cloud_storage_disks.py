"""Failing disks under the whole storage: nothing is answered that is not so, and old contents stay.

What fails are the calls of the rooms of objects, one at a time; the power; and with ``strace``, where there is one,
calls of the whole process, those of SQLite included.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloud_writers
import failing_disk
import power_loss
from cloud_writers import Writer, after, carry_out, content_of, hashes, listed
from twisted.logger import globalLogPublisher
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import folder as folder_room
from fluxon.cloud import shelves, sweep
from fluxon.cloud.agent import ADMIN
from fluxon.cloud.storage import Storage
from fluxon.database import schema
from fluxon.errors import DeadlineExceeded, FluxonError, OutcomeUnknown, ResourceExhausted, Unavailable

#: Calls of the system.
SYNC = "fsync,fdatasync"
WRITE = "pwrite64,write,copy_file_range"
NAME = "rename,renameat,renameat2,unlink,unlinkat,sync_file_range"

#: Losses of power, and calls of each kind of which one is made to fail by strace.
LOSSES = int(os.environ.get("FLUXON_TEST_POWER_LOSSES", "300")) // 10
INJECTIONS = int(os.environ.get("FLUXON_TEST_INJECTIONS", "1"))


class Disks(SynchronousTestCase):
    """A cloud on a disk that fails."""

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        for observer in list(globalLogPublisher._observers):  # the operator is told, at length
            globalLogPublisher.removeObserver(observer)
            self.addCleanup(globalLogPublisher.addObserver, observer)
        self.base = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.base)

    def few_folders(self) -> None:
        """What looks at all the folders of objects finds three."""
        for room in (folder_room, shelves, sweep):
            self.patch(room, "SHELVES", ("00", "7f", "ff"))

    def opened(self, folder: Path, versions: int) -> Storage:
        """The cloud in a folder; made if it is not there."""
        folder.mkdir(exist_ok=True)
        database = cloud_writers.database_of(folder)
        self.addCleanup(database.unbind)
        self.addCleanup(database.close)
        if not (folder / "data.sqlite3").exists():
            schema.create_tables(database)
        storage = cloud_writers.storage_of(folder, database, versions)
        self.addCleanup(storage.close)
        return storage

    def done_with(self, storage: Storage) -> None:
        """Close it."""
        storage.close()
        storage.database.close()
        storage.database.unbind()


class EveryCall(Disks):
    """Each operation with each failure, with versions and without."""

    def setUp(self) -> None:
        super().setUp()
        self.few_folders()

    def every_failure(self, prepare: list[list[str]], plan: list[str]) -> None:
        """What ``plan`` answers is so, and when it raises, all is as before; ``{}`` in paths is another each time."""
        for versions in (3, 0):
            folder = self.base / str(versions)
            storage = self.opened(folder, versions)
            for part in ("a", "b"):
                storage.make_directory(ADMIN, f"/{part}")
            failed = []
            for number, failing in enumerate(failing_disk.failures()):
                now, *before = [[part.format(number) for part in each] for each in (plan, *prepare)]
                state: cloud_writers.State = {}
                for each in before:
                    carry_out(storage, each)
                    state = after(state, each)
                try:
                    with failing_disk.through(failing):
                        carry_out(storage, now)
                except (ResourceExhausted, Unavailable) as error:
                    self.assertEqual(isinstance(error, ResourceExhausted), failing._code == 28, error)
                    failed.append(failing.failed)
                else:
                    state = after(state, now)
                self.assertEqual(listed(storage, "/"), hashes(state), failing.failed)
                for path, told in state.items():
                    self.assertEqual(storage.read(ADMIN, path), content_of(told))
                    carry_out(storage, ["delete", path])
            self.assertTrue(failed or plan[0] in ("delete", "move"), "nothing failed")
            self.done_with(storage)
            storage = self.opened(folder, versions)
            storage.sweep()
            self.assertEqual(cloud_writers.wrong(storage), [])
            self.done_with(storage)
            shutil.rmtree(folder)

    def test_write(self) -> None:
        """A new file."""
        self.every_failure([], ["write", "/a/{}", "w:5000"])

    def test_overwrite(self) -> None:
        """A file that has been written before."""
        self.every_failure([["write", "/a/{}", "o:3000"]], ["write", "/a/{}", "w:5000"])

    def test_upload(self) -> None:
        """Bit by bit, over something."""
        self.every_failure([["write", "/a/{}", "o:3000"]], ["upload", "/a/{}", "w:250000"])

    def test_copy(self) -> None:
        """A copy."""
        self.every_failure([["write", "/a/{}", "o:3000"]], ["copy", "/a/{}", "/b/{}"])

    def test_move_and_delete(self) -> None:
        """They need no disk but the database's, except to remove what is kept no longer; that may fail unnoticed."""
        self.every_failure([["write", "/a/{}", "o:3000"]], ["move", "/a/{}", "/b/{}"])
        self.every_failure([["write", "/a/{}", "o:3000"]], ["delete", "/a/{}"])

    def test_restore(self) -> None:
        """An older version, and what was deleted."""
        storage = self.opened(self.base / "restored", 3)
        for told in ("o:3000", "w:5000"):
            storage.write(ADMIN, "/f", content_of(told))
        failed = 0
        for failing in failing_disk.failures():
            number, before = storage.stat(ADMIN, "/f").version, listed(storage, "/")
            (old,) = [each for each in storage.versions(ADMIN, "/f") if each.version == number - 1]
            try:
                with failing_disk.through(failing):
                    storage.restore_version(ADMIN, "/f", number - 1)
            except (ResourceExhausted, Unavailable):
                failed += 1
                self.assertEqual(listed(storage, "/"), before)
                self.assertEqual(storage.versions(ADMIN, "/f")[1].version, number - 1)
            else:
                self.assertEqual(listed(storage, "/"), {"/f": old.sha256})
            with failing_disk.through(failing):
                storage.delete(ADMIN, "/f")
                (deleted,) = storage.deleted(ADMIN, "/").entries
                storage.restore_deleted(ADMIN, "/f", deleted.id)
        self.assertGreater(failed, 10)
        self.done_with(storage)
        storage = self.opened(self.base / "restored", 3)
        storage.sweep()
        self.assertEqual(cloud_writers.wrong(storage), [])


class Commits(Disks):
    """A database that fails when what is stored is to be named."""

    PLANS = (
        ["write", "/a/new", "n:100"],
        ["write", "/a/old", "w:100"],
        ["upload", "/a/old", "u:200000"],
        ["copy", "/a/old", "/b/copy"],
    )

    def setUp(self) -> None:
        super().setUp()
        self.few_folders()

    def carried_out(self, plan: list[str], error: FluxonError, is_kept: bool) -> tuple[Storage, bool]:
        """A storage of which the transaction failed so, and whether it had been committed all the same."""
        storage = self.opened(Path(tempfile.mkdtemp(dir=self.base)), 0)
        for part in ("a", "b"):
            storage.make_directory(ADMIN, f"/{part}")
        carry_out(storage, ["write", "/a/old", "o:300"])
        database: Any = storage.database
        write = database.write_all_blocking

        def write_all_blocking(works: list[Any]) -> list[Any]:
            if is_kept:
                write(works)
            return [(None, error)] * len(works)

        self.patch(database, "write_all_blocking", write_all_blocking)
        with self.assertRaises(type(error)):
            carry_out(storage, plan)
        self.patch(database, "write_all_blocking", write)
        return storage, is_kept

    def test_outcome_unknown(self) -> None:
        """Whichever it was, what the rows name is there: it was not removed on a suspicion."""
        for plan in self.PLANS:
            for is_kept in (True, False):
                storage, is_kept = self.carried_out(plan, OutcomeUnknown(), is_kept)
                state = {"/a/old": "o:300"}
                self.assertEqual(listed(storage, "/"), hashes(after(state, plan) if is_kept else state), plan)
                self.done_with(storage)
                storage = self.opened(storage.objects._path.parent, 0)
                storage.sweep()
                self.assertEqual(cloud_writers.wrong(storage), [], plan)

    def test_certainly_failed(self) -> None:
        """What was stored for it is removed at once."""
        for plan in self.PLANS:
            for error in (Unavailable(), ResourceExhausted(), DeadlineExceeded()):
                storage, _ = self.carried_out(plan, error, False)
                self.assertEqual(cloud_writers.wrong(storage), [], plan)
                self.assertEqual(listed(storage, "/"), hashes({"/a/old": "o:300"}))


class Power(Disks):
    """The power goes: the database is as it was committed, the objects as they were synced."""

    def setUp(self) -> None:
        super().setUp()
        self.few_folders()

    def test_power(self) -> None:
        """What was answered is there, and nothing else but what was being done; every file is whole."""
        answered = 0
        for seed in range(LOSSES):
            answered += self.lose_power(seed, threads=1 + 3 * (seed % 2), versions=seed % 3)
        self.assertGreater(answered, LOSSES)

    def lose_power(self, seed: int, threads: int, versions: int) -> int:
        """How much was answered before."""
        chance = random.Random(seed)
        before, later = self.base / f"{seed} before", self.base / f"{seed} after"
        before.mkdir()
        storage = self.opened(before, versions)
        writers = [Writer(str(number), {}, seed + number) for number in range(threads)]
        for writer in writers:
            for part in ("a", "b"):
                storage.make_directory(ADMIN, f"{writer.top}/{part}", parents=True)
        storage.close()
        disk = power_loss.Disk(before, 20 + chance.randrange(300))
        self.commit_to(storage, disk)
        states: list[list[cloud_writers.State]] = [[] for _ in writers]
        answers = [0] * threads

        def work(number: int) -> None:
            writer = writers[number]
            while not disk.ended:
                plan = writer.plan()
                states[number] = [writer.state, after(writer.state, plan)]
                try:
                    carry_out(storage, plan)
                except FluxonError:
                    continue  # who led the fsync of a folder did not come back
                except power_loss.PowerLoss:
                    return
                answers[number] += 1
                writer.state = after(writer.state, plan)
                states[number] = [writer.state]

        with failing_disk.through(disk):
            try:
                storage.objects.open()
                started = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
                for thread in started:
                    thread.start()
                for thread in started:
                    thread.join(60)
            except power_loss.PowerLoss:
                pass
        self.assertTrue(disk.ended)
        disk.after(later, chance, chance.choice([0.0, 0.5, 1.0]))
        self.done_with(storage)
        # The database is what it was at the last commit; that this holds for SQLite is SQLite's to show.
        for path in later.glob("data.sqlite3*"):
            path.unlink()
        for path in before.glob("data.sqlite3*"):
            shutil.copy(path, later)
        storage = self.opened(later, versions)
        storage.sweep()
        self.assertEqual(cloud_writers.wrong(storage), [], seed)
        for writer, possible in zip(writers, states, strict=True):
            if possible:
                self.assertIn(listed(storage, writer.top), [hashes(state) for state in possible], seed)
        self.done_with(storage)
        return sum(answers)

    def commit_to(self, storage: Storage, disk: power_loss.Disk) -> None:
        """Each transaction comes before the power goes, or does not."""
        database: Any = storage.database

        def stepping(write: Callable[..., Any]) -> Callable[..., Any]:
            def stepped(*args: Any) -> Any:
                disk.step()
                result = write(*args)
                disk.step()
                return result

            return stepped

        for name in ("write_blocking", "write_all_blocking"):
            self.patch(database, name, stepping(getattr(database, name)))


class Injected(Disks):
    """A child process whose calls of the system strace makes fail, or dies at."""

    #: What a child that nothing happens to does; found once.
    log = ""

    def setUp(self) -> None:
        super().setUp()
        if shutil.which("strace") is None:
            self.skipTest("needs strace")
        self.chance = random.Random()
        self.made = self.base / "made"
        storage = self.opened(self.made, 2)
        cloud_writers.begin(storage, self.made / "diary")
        self.done_with(storage)
        if not Injected.log:
            Injected.log = (self.run_child(",".join((SYNC, WRITE, NAME)), None) / "strace").read_text()

    def inject(self, way: str, calls: str) -> None:
        """Have some of these calls end so, one in each run."""
        # How often the thread that does it most makes them: a count is a thread's own.
        counts = Counter(re.findall(rf"^(\d+) +(?:{calls.replace(',', '|')})\(", self.log, re.MULTILINE))
        ((_, every),) = counts.most_common(1)
        self.assertGreater(every, 2, calls)
        for number in sorted(self.chance.sample(range(1, every + 1), min(INJECTIONS, every))):
            where = f"{calls}: {way} at {number} of {every}"
            self.check(self.run_child(calls, f"{way}:when={number}"), where)

    def test_syncs(self) -> None:
        """What cannot be synced was not answered, or is there."""
        self.inject("error=EIO", SYNC)

    def test_writes(self) -> None:
        """Nor what cannot be written."""
        self.inject("error=EIO", WRITE)

    def test_full(self) -> None:
        """Nor what there is no room for."""
        self.inject("error=ENOSPC", WRITE)

    def test_names(self) -> None:
        """Nor what cannot be named."""
        self.inject("error=EIO", NAME)

    def test_killed(self) -> None:
        """Whatever call is the last."""
        self.inject("signal=SIGKILL", ",".join((SYNC, WRITE, NAME)))

    def run_child(self, calls: str, inject: str | None) -> Path:
        """Work on a copy; the folder that it leaves."""
        folder = self.base / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.made, folder)
        words = ["strace", "-f", "--seccomp-bpf", "-o", str(folder / "strace"), "-e", f"trace={calls}"]
        if inject is not None:
            words += ["-e", f"inject={calls}:{inject}"]
        script = "import sys, cloud_writers; cloud_writers.work_once(sys.argv[1], 2, sys.argv[2])"
        words += [sys.executable, "-c", script, str(folder), str(folder / "diary")]
        paths = os.pathsep.join([str(Path(cloud_writers.__file__).parent), str(Path(__file__).parents[2])])
        done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, timeout=60)
        if inject is None:
            self.assertEqual(done.returncode, 0, done.stderr.decode())
        if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
            self.skipTest("strace may not trace here")
        return folder

    def check(self, folder: Path, where: str) -> None:
        storage = self.opened(folder, 2)
        storage.sweep()
        self.assertEqual(cloud_writers.wrong(storage), [], where)
        possible = cloud_writers.promised(folder / "diary")[0]
        self.assertIn(listed(storage, "/0"), [hashes(state) for state in possible], where)
        self.done_with(storage)
