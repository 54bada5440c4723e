"""Killed processes and failing disks: what was acknowledged is kept, and nobody is told what is not so."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]

#: Eight threads insert; a key is printed once its insert was answered, so one write of the pipe is one promise.
INSERTS = """
import os, sys, threading
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase

class Note(models.Model):
    text = models.CharField(max_length=200)

database = SQLiteDatabase(sys.argv[1], models=[Note])
schema.create_tables(database)
os.write(1, b"ready\\n")

def insert():
    while True:
        key = Note.Insert(text="x" * 150)
        os.write(1, b"%d\\n" % key)

for _ in range(8):
    threading.Thread(target=insert, daemon=True).start()
threading.Event().wait()
"""

#: The file may grow to half a MiB: beyond that the system refuses writes, at whatever moment.
LIMITED = """
import resource, signal, sys
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import OutcomeUnknown, ResourceExhausted, Unavailable

class Note(models.Model):
    text = models.CharField(max_length=16000)

database = SQLiteDatabase(sys.argv[1], models=[Note])
schema.create_tables(database)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
failed = 0
for number in range(200):
    try:
        key = Note.Insert(text="x" * 16000)
    except (OutcomeUnknown, ResourceExhausted, Unavailable) as error:
        failed += 1
        if failed == 1:
            print(type(error).__name__, flush=True)
        continue
    assert key is not False, "a full disk is no constraint violation"
    print(key, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print("after", Note.Insert(text="y"), flush=True)
"""

#: Inserts until the disk is full, makes room, and inserts again.
FILLED = """
import os, sys
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import ResourceExhausted

class Note(models.Model):
    text = models.CharField(max_length=16000)

database = SQLiteDatabase(sys.argv[1], models=[Note])
schema.create_tables(database)
while True:
    try:
        print(Note.Insert(text="x" * 16000), flush=True)
    except ResourceExhausted:
        print("ResourceExhausted", flush=True)
        break
os.unlink(sys.argv[2])
print("after", flush=True)
print(Note.Insert(text="x" * 16000), flush=True)
"""

#: Updates the schema up and down, for ever.
UPDATES = """
import os, sys
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase

ModelType = type(models.Model)
path, files = sys.argv[1:3]

def use(**fields):
    database = SQLiteDatabase(path)
    database.bind([ModelType("Note", (models.Model,), {"text": models.CharField(), **fields})])
    return database

for database in (use(), use(size=models.IntegerField(default=1))):
    schema.save_schema(database, files)
if "fill" in sys.argv:
    schema.update_schema(database, files, 2)
    database.models[0].Insert([{"text": str(n)} for n in range(2000)])
os.write(1, b"ready\\n")
while True:
    now = 2 if "00002" in [line for line in schema.schemas(database, files) if "<-" in line][0] else 1
    drop = ["Note.size"] if now == 2 else []
    backup = schema.update_schema(database, files, 3 - now, drop=drop).backup
    os.unlink(backup)
    os.write(1, b"updated\\n")
"""


class Crashes(SynchronousTestCase):
    """Child processes that end in the middle of their work."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "data.sqlite3"
        self.random = random.Random(20)

    def child(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A process that runs ``script`` on the database."""
        return subprocess.Popen(
            [sys.executable, "-c", script, str(self.path), *arguments], stdout=subprocess.PIPE, cwd=ROOT
        )

    def killed_after(self, process: subprocess.Popen[bytes], lines: int) -> list[bytes]:
        """Kill the process once it has printed so many lines; everything that it had printed by then."""
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if len(told) > lines:
                break
        os.kill(process.pid, signal.SIGKILL)
        told += process.stdout.readlines()
        process.stdout.close()
        process.wait()
        return told

    def rows(self, query: str) -> list[tuple[int]]:
        """Read the database as another program would, after looking at its health."""
        raw = sqlite3.connect(self.path)
        try:
            self.assertEqual(raw.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            return raw.execute(query).fetchall()
        finally:
            raw.close()

    def test_acknowledged_rows_survive_a_kill(self) -> None:
        """Ten kills at random moments of eight inserting threads: every key that was answered is there."""
        promised: set[int] = set()
        for _ in range(10):
            told = self.killed_after(self.child(INSERTS), self.random.randrange(5, 400))
            # The last line may be cut by the kill.
            promised |= {int(line) for line in told if line.endswith(b"\n") and line != b"ready\n"}
            kept = {row[0] for row in self.rows("SELECT id FROM note")}
            self.assertEqual(promised - kept, set())
        self.assertGreater(len(promised), 50)

    def test_a_killed_update_leaves_one_schema_whole(self) -> None:
        """Five kills during updates: the old schema or the new, all rows, and the update runs again."""
        files = str(self.folder / "database_schema")
        for attempt in range(5):
            fill = ["fill"] if attempt == 0 else []
            process = self.child(UPDATES, files, *fill)
            assert process.stdout is not None
            self.killed_after(process, self.random.randrange(1, 12))
            columns = [row[1] for row in self.rows("PRAGMA table_info(note)")]  # type: ignore[misc]
            self.assertIn(columns, (["id", "text"], ["id", "text", "size"]))
            number = self.rows("SELECT number FROM fluxon_schema")[0][0]
            self.assertEqual(number, len(columns) - 1)
            self.assertEqual(self.rows("SELECT count(*) FROM note"), [(2000,)])

    def test_a_disk_that_takes_no_more(self) -> None:
        """Refused writes raise, never answer False; what was answered is there; with room again, writing goes on."""
        process = self.child(LIMITED)
        out, _ = process.communicate(timeout=60)
        lines = out.decode().split("\n")
        keys = {int(line) for line in lines if line.isdigit()}
        self.assertEqual(process.returncode, 0, out)
        self.assertTrue({"OutcomeUnknown", "ResourceExhausted", "Unavailable"} & set(lines), lines)
        kept = {row[0] for row in self.rows("SELECT id FROM note")}
        self.assertTrue(keys)
        self.assertEqual(keys - kept, set())
        self.assertTrue(any(line.startswith("after ") for line in lines))

    def test_a_disk_that_is_full(self) -> None:
        """On a disk of two MiB: ResourceExhausted, exactly the answered rows are kept, and room made is used."""
        if os.geteuid() != 0 or shutil.which("mount") is None:
            self.skipTest("mounting a small disk needs root")
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode:
            self.skipTest("a small disk cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        self.path = disk / "data.sqlite3"
        filler = disk / "filler"
        filler.write_bytes(bytes(1024 * 1024))
        out, _ = self.child(FILLED, str(filler)).communicate(timeout=60)
        lines = out.decode().split("\n")
        self.assertIn("ResourceExhausted", lines)
        self.assertEqual({line for line in lines if not line.isdigit()}, {"ResourceExhausted", "after", ""})
        promised = {int(line) for line in lines if line.isdigit()}
        self.assertEqual({row[0] for row in self.rows("SELECT id FROM note")}, promised)
