"""What a storage remembers: every decision is the one that it would make if it remembered nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Any

from cloud_cases import SQLiteCloud

from fluxon.cloud import acts, assignments, memo
from fluxon.cloud.acts import Act
from fluxon.cloud.constraints import ALWAYS
from fluxon.cloud.memo import Memo, Memos
from fluxon.cloud.operation import Operation
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.storage import Storage
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import FluxonError, NotFound, PermissionDenied
from fluxon.outcomes import Outcome

SEED = 11
CHANGES = 200
#: Questions after each change: the first ones make what the later ones find.
QUESTIONS = 16

DIRECTORIES = ["/a", "/a/b", "/a/b/c", "/d", "/d/e"]
ROLES = ["owner", "collaborator", "viewer", "dropbox", "nothing"]


READ = Permissions.READ_FILE

TAKE_AWAY = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=30) as database:
    database.execute("DELETE FROM filesystem_assigned_roles")
"""


def give_role(storage: Storage, connection: Any, item_id: int, user_id: Any) -> None:
    assignments.assign(connection, storage.draw, item_id, user_id, "owner", ALWAYS, storage.now())


class Forgetful(Memos):
    """Remembers nothing."""

    def of(self, connection: Any) -> Memo:
        return Memo()


class Remembering(SQLiteCloud):
    def setUp(self) -> None:
        super().setUp()
        self.plain = self.make_storage()
        self.plain.memos = Forgetful()
        self.found = 0
        known = Memo.known

        def counted(of: Memo, *key: Hashable) -> Any:
            value = known(of, *key)
            self.found += value is not None
            return value

        self.patch(Memo, "known", counted)

    def answer(self, question: Callable[..., Any], *args: Any) -> Any:
        try:
            return question(*args)
        except FluxonError as error:
            return error.code, error.text, error.details

    def from_elsewhere(self) -> Storage:
        """The same storage in another process, as far as the database is concerned."""
        database = SQLiteDatabase(self.folder / "database.sqlite3")
        storage = Storage.__new__(Storage)
        storage.__dict__.update(self.plain.__dict__)
        storage.database = database
        self.addCleanup(database.close)
        return storage

    def test_as_if_nothing_were_remembered(self) -> None:
        """Rights come and go, directories too, here and in another process; time passes; the answers are the same."""
        chance = random.Random(SEED)
        storages = [self.storage, self.plain, self.from_elsewhere()]
        different, seen = [], set()
        for number in range(CHANGES):
            self.answer(self.change, chance, chance.choice(storages))
            for _ in range(QUESTIONS):
                agent = chance.choice([self.jane, self.mike, self.mike, self.stranger, self.admin])
                path = chance.choice(DIRECTORIES) + chance.choice(["", "/f", "/f", "/none"])
                expected = self.decided(acts.look, self.plain, agent, path)
                for how in (acts.carry_out, acts.look):
                    if self.decided(how, self.storage, agent, path) != expected:
                        different.append((number, how, agent, path))
                seen.add(str(expected))
                self.clock.advance(chance.choice([0, 0, 1, 100]))
            if number % 50 == 49:
                self.jane = self.replaced(self.jane)
        self.assertEqual(different, [])
        self.assertGreater(len(seen), 100)
        self.assertGreater(self.found, CHANGES * QUESTIONS // 2)

    def decided(self, how: Callable[..., list[Outcome]], storage: Storage, agent: Any, path: str) -> Any:
        """What there is at a path and on the way to it, and what ``agent`` may do there, and why."""

        def work(op: Operation) -> Any:
            place = op.locate(op.path)
            return place.path, place.ids, [(each.permissions, each.reason) for each in place.grants]

        return how(storage, [Act(storage, agent, "stat", path, work)])[0]

    def replaced(self, agent: Any) -> Any:
        """Somebody of the same name, once the user is no more; what was theirs is the administration's."""
        self.User.Delete(self.User.id == agent.user_id)
        self.assertEqual(self.answer(self.storage.stat, agent, "/")[0], "Unauthenticated")
        return self.add_user(agent.name)

    def change(self, chance: random.Random, storage: Storage) -> None:
        """Something happens, by ``storage``; often enough it cannot be done."""
        path, agent = chance.choice(DIRECTORIES), chance.choice([self.jane, self.mike])
        kind = chance.randrange(10)
        if kind < 3:
            ends = chance.choice([None, self.storage.now() + timedelta(seconds=chance.choice([50, 200]))])
            storage.assign(self.admin, path, chance.choice(ROLES), agent.user_id, expires_at=ends)
        elif kind < 5:
            storage.unassign(self.admin, path, agent.user_id)
        elif kind < 8:
            maker = chance.choice([self.admin, agent])
            storage.make_directory(maker, path, parents=True)
            storage.write(maker, f"{path}/f", b"1")
        elif kind < 9:
            storage.move(self.admin, path, chance.choice(DIRECTORIES))
        else:
            storage.delete(self.admin, path)

    def test_what_was_undone(self) -> None:
        """A role that was seen in a transaction which was undone is none."""
        self.storage.make_directory(self.admin, "/d")
        self.assign("/d", self.mike, "owner")
        self.storage.write(self.mike, "/d/f", b"1")
        item_id = self.storage.stat(self.admin, "/d").id
        tries = []

        def give(connection: Any) -> None:
            tries.append(1)
            if len(tries) == 1:
                give_role(self.storage, connection, item_id, self.jane.user_id)

        def lose(connection: Any) -> None:
            if len(tries) == 1:
                connection.raw.execute("ROLLBACK")  # as SQLite itself does when a disk fails
                raise NotFound("the transaction is lost")

        seen = []

        def look(connection: Any) -> Any:
            seen.append(act(connection).refused)

        act = Act(self.storage, self.jane, "read", "/d/f", lambda op: op.require(op.locate(op.path), READ))
        self.database.write_all_blocking([give, look, lose])
        self.assertIsNone(seen[0])
        self.assertRaises(PermissionDenied, self.storage.read, self.jane, "/d/f")

        def give_and_fail(connection: Any) -> None:
            give_role(self.storage, connection, item_id, self.jane.user_id)
            act(connection)
            raise NotFound("undo this")

        for works in ([give_and_fail], [give_and_fail, give_and_fail]):
            self.database.write_all_blocking(works)
            self.assertRaises(PermissionDenied, self.storage.read, self.jane, "/d/f")

    def test_another_process(self) -> None:
        """A role that another process takes away is gone for the next decision, of what reads and of what writes."""
        self.storage.make_directory(self.admin, "/d")
        self.assign("/d", self.jane, "owner")
        for number in range(3):
            self.storage.write(self.jane, f"/d/{number}", b"1")
            self.storage.begin_upload(self.jane, f"/d/{number}")
        command = [sys.executable, "-c", TAKE_AWAY, str(self.folder / "database.sqlite3")]
        subprocess.run(command, check=True, timeout=60)
        self.assertRaises(PermissionDenied, self.storage.begin_upload, self.jane, "/d/1")
        self.assertRaises(PermissionDenied, self.storage.read, self.jane, "/d/2")
        self.assertRaises(PermissionDenied, self.storage.write, self.jane, "/d/3", b"1")

    def test_how_much(self) -> None:
        """It forgets rather than grow; who has many roles is looked up for what is asked."""
        self.patch(memo, "MOST", 5)
        for number in range(40):
            self.storage.make_directory(self.admin, f"/{number}")
            self.assign(f"/{number}", self.jane, "viewer")
            self.assign(f"/{number}", self.mike, "owner")
            self.storage.write(self.mike, f"/{number}/f", b"%d" % number)
        for number in range(40):
            self.assertEqual(self.storage.read(self.jane, f"/{number}/f"), b"%d" % number)
            self.assertRaises(PermissionDenied, self.storage.write, self.jane, f"/{number}/f", b"x")
