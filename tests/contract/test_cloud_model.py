"""Any calls of several users, in any order, on the storage and on a naive one: nothing may differ."""

from __future__ import annotations

from typing import Any

from cloud_calls import BEGINNING, Chance
from cloud_cases import MySQLCloud, PostgreSQLCloud, SQLiteCloud
from cloud_walk import Walk, shortest
from effort import times

from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)
from fluxon.cloud.entries import CloudOptions
from fluxon.cloud.memo import Memos
from fluxon.cloud.storage import Storage
from fluxon.database.apis import SQLiteDatabase


class Open(RoleBasedAccessControl):
    """Everybody may see something, and there is a role for each right that is seldom given alone."""

    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    class keeper(RoleBasedAccessControl.Role):
        permissions = [Permissions.DELETE_FILE, Permissions.DELETE_SUB_DIRECTORY, Permissions.MOVE]

    class maker(RoleBasedAccessControl.Role):
        permissions = [Permissions.CREATE_FILE, Permissions.CREATE_SUB_DIRECTORY, Permissions.READ_TREE_DIRECTORY]

    class writer(RoleBasedAccessControl.Role):
        permissions = [Permissions.WRITE_FILE, Permissions.READ_METADATA]

    class giver(RoleBasedAccessControl.Role):
        permissions = [Permissions.ASSIGN_ROLES, Permissions.READ_FILE]

    class guest(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_TREE_DIRECTORY]

    DefaultRole(guest)
    AnonymousPermissions(permissions=[Permissions.READ_METADATA])
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])


class Naively:
    """The suite; a class at the end joins it with a database."""

    options = CloudOptions(versions=2, keep_days=1, user_quota=60)
    walks, length = 12, 120

    def second_storage(self: Any) -> Any:
        """As another process has it."""
        return self.make_storage(versions=2, keep_days=1, user_quota=60)

    def runTest(self: Any) -> None:
        """One storage of many."""

    def walk(self: Any, calls: list[Any], seed: Any = None) -> None:
        """Carry calls out on a storage of their own; with a ``seed`` more are drawn, and added to them."""
        case = type(self)()
        case.setUp()
        try:
            both = Walk(case)
            for call in [*BEGINNING, *calls]:
                both.go(call)
            chance = Chance(seed, both.model)
            for _ in range(0 if seed is None else self.length):
                calls.append(chance.call())
                both.go(calls[-1])
            both.finish()
        finally:
            case.doCleanups()

    def test_as_the_naive_one(self: Any) -> None:
        """Answers, errors, items, contents, counts, rights, the log and what watchers hear are the same."""
        for number in range(times(self.walks)):
            calls: list[Any] = []
            try:
                self.walk(calls, f"{type(self).__name__}-{number}")
            except Exception as error:
                kind = type(error)

                def fails(fewer: list[Any], kind: type[Exception] = kind) -> bool:
                    try:
                        self.walk(fewer)
                    except kind:
                        return True
                    return False

                fewest = shortest(fails, calls)
                print(f"walk {number} fails with these calls:", *fewest, sep="\n")
                self.walk(fewest)
                raise


class SQLiteNaively(Naively, SQLiteCloud):
    """On SQLite, with the seed's roles."""

    def second_storage(self) -> Storage:
        database = SQLiteDatabase(self.folder / "database.sqlite3")
        self.addCleanup(database.close)
        storage = Storage.__new__(Storage)
        storage.__dict__.update(self.storage.__dict__, database=database, memos=Memos())
        return storage


class SQLiteOpen(SQLiteNaively):
    """On SQLite, where everybody may see something."""

    model = Open


class PostgreSQLNaively(Naively, PostgreSQLCloud):
    """On PostgreSQL."""

    walks, length = 2, 60


class MySQLNaively(Naively, MySQLCloud):
    """On MariaDB or MySQL."""

    walks, length = 2, 60
