"""Failing disks: what was acknowledged is kept, and nobody is told what is not so."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]

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


class Crashes(SynchronousTestCase):
    """Child processes whose disk lets them down."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "data.sqlite3"

    def child(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A process that runs ``script`` on the database."""
        return subprocess.Popen(
            [sys.executable, "-c", script, str(self.path), *arguments], stdout=subprocess.PIPE, cwd=ROOT
        )

    def rows(self, query: str) -> list[tuple[int]]:
        """Read the database as another program would, after looking at its health."""
        raw = sqlite3.connect(self.path)
        try:
            self.assertEqual(raw.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            return raw.execute(query).fetchall()
        finally:
            raw.close()

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
