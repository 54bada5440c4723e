"""What child processes do to a cloud until they are killed, and what must be true of it afterwards.

Each of a child's threads works below a directory of its own, and writes to a file what it is about to do, and that it
was done. So there is one thing at most per thread of which it is not known whether it was done.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import traceback
from pathlib import Path
from typing import Any

import sqlalchemy

from fluxon.cloud.agent import ADMIN
from fluxon.cloud.authorization_models import AnonymousPermissions, Permissions, RoleBasedAccessControl
from fluxon.cloud.entries import CloudOptions
from fluxon.cloud.objects import Objects
from fluxon.cloud.storage import Storage
from fluxon.cloud.tables import ITEMS, VERSIONS
from fluxon.connect import CloudStorageConnector
from fluxon.database import apis, models
from fluxon.errors import FluxonError, OutcomeUnknown

#: Threads that work at once.
WRITERS = 8

SIZES = (0, 1, 900, 65_536, 65_536, 300_000)

#: Files by path, as texts that say what was written.
State = dict[str, str]

ModelType = type(models.Model)


class Roles(RoleBasedAccessControl):
    """In the process the administration acts, and over a connection a stranger who may do the same."""

    AnonymousPermissions(permissions=list(Permissions))


def person() -> Any:
    """A model of users."""
    fields = {"username": models.CharField(max_length=40, unique=True), "password": models.PasswordField()}
    return ModelType("Person", (models.AuthenticatedUser,), fields)


def database_of(folder: Path) -> Any:
    """The database of a cloud."""
    database = apis.SQLiteDatabase(str(folder / "data.sqlite3"))
    database.bind([person()])
    return database


def storage_of(folder: Path, database: Any, versions: int) -> Storage:
    """The cloud in a folder, opened; ``versions`` are kept of each file, and what is deleted if there are any."""
    options = CloudOptions(versions=versions, keep_days=30 if versions else 0)
    storage = Storage(database, Objects(folder / "cloud"), Roles, options)
    storage.open()
    return storage


def content_of(told: str) -> bytes:
    """The bytes that a text stands for."""
    seed, size = told.split(":")
    return random.Random(seed).randbytes(int(size))


def sha256_of(told: str) -> str:
    """The hash of those."""
    return hashlib.sha256(content_of(told)).hexdigest()


class Writer:
    """One thread: what it has made, and the next thing it does."""

    def __init__(self, name: str, state: State, seed: int | None = None) -> None:
        self.top = f"/{name}"
        self.state = state
        self.random = random.Random(seed)
        self._made = 0

    def plan(self) -> list[str]:
        """Something to do: what, and with which paths or contents."""
        files = sorted(self.state)
        kind = self.random.choice(["write", "upload", "overwrite", "overwrite", "move", "copy", "delete"])
        if kind in ("write", "upload") or not files:
            return [kind if kind == "upload" else "write", self.new_path(), self.new_content()]
        path = self.random.choice(files)
        if kind == "overwrite":
            return ["write", path, self.new_content()]
        if kind == "delete":
            return [kind, path]
        return [kind, path, self.new_path()]

    def new_path(self) -> str:
        self._made += 1
        return f"{self.top}/{self.random.choice(['a', 'b'])}/{self._made}-{self.random.getrandbits(32):08x}"

    def new_content(self) -> str:
        return f"{self.random.getrandbits(64)}:{self.random.choice(SIZES)}"


def after(state: State, plan: list[str]) -> State:
    """What there is when this was done."""
    changed = dict(state)
    kind, path = plan[:2]
    if kind in ("write", "upload"):
        changed[path] = plan[2]
    elif kind == "delete":
        del changed[path]
    elif kind == "copy":
        changed[plan[2]] = changed[path]
    else:
        changed[plan[2]] = changed.pop(path)
    return changed


def carry_out(storage: Storage, plan: list[str]) -> None:
    """Do it."""
    kind, path = plan[:2]
    if kind == "write":
        storage.write(ADMIN, path, content_of(plan[2]))
    elif kind == "upload":
        storage.begin_upload(ADMIN, path)
        upload = storage.objects.begin()
        content = content_of(plan[2])
        for start in range(0, len(content), 100_000):
            upload.append(content[start : start + 100_000])
        storage.finish_upload(ADMIN, path, upload.finish())
    elif kind == "delete":
        storage.delete(ADMIN, path)
    elif kind == "copy":
        storage.copy(ADMIN, path, plan[2])
    else:
        storage.move(ADMIN, path, plan[2])


def ask(client: CloudStorageConnector, plan: list[str]) -> None:
    """Have a server do it."""
    kind, path = plan[:2]
    if kind in ("write", "upload"):  # what is small is sent in one piece, the rest as a stream
        client.write_file(path, content_of(plan[2]))
    elif kind == "delete":
        client.delete_file(path)
    elif kind == "copy":
        client.copy(path, plan[2])
    else:
        client.move(path, plan[2])


#: What a child does once, one thing after the other; ``START`` is there before.
START = {f"/0/a/{number}": f"{number}:{size}" for number, size in enumerate(SIZES)}
PLANS = [
    ["write", "/0/b/new", "n:70000"],
    ["write", "/0/a/1", "w:1000"],
    ["upload", "/0/a/2", "u:2500000"],
    ["move", "/0/a/3", "/0/b/3"],
    ["copy", "/0/a/4", "/0/b/4"],
    ["delete", "/0/a/5"],
    ["write", "/0/a/1", "x:10"],
    ["delete", "/0/b/new"],
]


def work_once(folder: str, versions: int, diary: str) -> None:
    """Carry out ``PLANS``, whatever comes of each; lines in ``diary`` as ``promised`` reads them."""
    storage = storage_of(Path(folder), database_of(Path(folder)), versions)
    told = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for plan in PLANS:
        # Not write(): which may be what is made to fail.
        os.writev(told, [json.dumps([0, plan]).encode() + b"\n"])
        try:
            carry_out(storage, plan)
            code = None
        except FluxonError as error:
            code = error.code
        os.writev(told, [json.dumps([0, code]).encode() + b"\n"])


def begin(storage: Storage, diary: Path) -> None:
    """Make what is there before ``work_once``."""
    for part in ("a", "b"):
        storage.make_directory(ADMIN, f"/0/{part}", parents=True)
    with diary.open("a") as told:
        for path, content in START.items():
            carry_out(storage, ["write", path, content])
            told.write(json.dumps([0, ["write", path, content]]) + "\n" + json.dumps([0, None]) + "\n")


def work_for_ever(folder: str, versions: int, name: str, diary: str, ready: str) -> None:
    """Open the cloud as a server does, and work with all threads; a line in ``diary`` before and after each thing."""
    os.close(os.open(ready, os.O_WRONLY | os.O_CREAT))
    storage = storage_of(Path(folder), database_of(Path(folder)), versions)
    storage.sweep()
    told = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def work(number: int) -> None:
        writer = Writer(f"{name}-{number}", {})
        for part in ("a", "b"):
            storage.make_directory(ADMIN, f"{writer.top}/{part}", parents=True)
        while True:
            plan = writer.plan()
            os.write(told, json.dumps([number, plan]).encode() + b"\n")
            carry_out(storage, plan)
            os.write(told, json.dumps([number, None]).encode() + b"\n")
            writer.state = after(writer.state, plan)

    def work_or_end(number: int) -> None:
        try:
            work(number)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # which is not how the one who watches expects it to end

    for number in range(WRITERS):
        threading.Thread(target=work_or_end, args=(number,), daemon=True).start()
    threading.Event().wait()


def promised(diary: Path) -> dict[int, list[State]]:
    """By writer: what there may be, after what it was told was done, was not, or may have been."""
    states: dict[int, list[State]] = {}
    plans: dict[int, list[str]] = {}
    for line in diary.read_text().splitlines():
        number, told = json.loads(line)
        known = states.setdefault(number, [{}])
        if told is None:
            states[number] = _done(known, plans.pop(number))
        elif isinstance(told, list):
            plans[number] = told
        elif told == OutcomeUnknown.code:
            known += _done(known, plans.pop(number))
        else:
            del plans[number]
    for number, plan in plans.items():  # killed over it
        states[number] += _done(states[number], plan)
    return states


def _done(states: list[State], plan: list[str]) -> list[State]:
    # Where it could not be done, it was not.
    return [after(state, plan) for state in states if plan[0] in ("write", "upload") or plan[1] in state]


def hashes(state: State) -> dict[str, str]:
    """What ``listed`` finds of it."""
    return {path: sha256_of(told) for path, told in state.items()}


def listed(storage: Storage, path: str) -> dict[str, str]:
    """The files below a path, with the hashes of what can be read there."""
    found: dict[str, str] = {}
    cursor = None
    while True:
        page = storage.tree(ADMIN, path, after=cursor)
        for entry in page.entries:
            if entry.type == "file":
                content = storage.read(ADMIN, entry.path)
                found[entry.path] = hashlib.sha256(content).hexdigest()
                if (found[entry.path], len(content)) != (entry.sha256, entry.size):
                    found[entry.path] = "not whole"
        cursor = page.next
        if cursor is None:
            return found


_NAMED = [
    sqlalchemy.select(table.c.object, table.c.size, table.c.sha256).where(table.c.object.is_not(None))
    for table in (ITEMS, VERSIONS)
]


def wrong(storage: Storage) -> list[str]:
    """What is wrong after a sweep: an object without a row, a row without an object, or one that is not whole."""

    def rows(connection: Any) -> list[Any]:
        return [row for statement in _NAMED for row in connection.rows(statement, {})]

    named = {row.object: row for row in storage.database.read_blocking(rows)}
    folder = storage.objects._path
    there = {path.name for path in folder.rglob("*") if path.is_file()} - {"lock", "backup-lock", "key"}
    problems = [f"{name} has no row" for name in there - set(named)]
    for name, row in named.items():
        try:
            stored = storage.objects.verify(name)
        except FluxonError as error:
            problems.append(f"{name}: {error}")
            continue
        if (stored.size, stored.sha256) != (row.size, row.sha256):
            problems.append(f"{name} is not whole")
    return [*problems, *storage.check()]
