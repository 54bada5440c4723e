"""The audit log, on every database: every action is in it, allowed or not, and nobody changes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cloud_cases import BEGIN, MySQLCloud, PostgreSQLCloud, SQLiteCloud

from fluxon.cloud import audit
from fluxon.errors import FluxonError, InvalidPayload, PermissionDenied


class Audit:
    """The suite; a class at the end joins it with a database."""

    def rows(self: Any, path: Any = "/", **search: Any) -> list[tuple[Any, ...]]:
        found = self.storage.log(self.admin, path, **search).entries
        return [(each.user, each.action_type, each.path, each.outcome) for each in reversed(found)]

    def attempt(self: Any, call: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except FluxonError as error:
            return error.code

    def test_every_action(self: Any) -> None:
        """One row each, with who, what, where and what came of it."""
        storage, jane = self.storage, self.jane
        storage.make_directory(jane, "/d")
        item = storage.stat(self.admin, "/d")
        self.assign("/d", jane, "owner")
        calls: list[tuple[str, Any, tuple[Any, ...]]] = [
            ("create", storage.make_file, ("/d/f",)),
            ("write", storage.write, ("/d/f", b"x")),
            ("read", storage.read, ("/d/f",)),
            ("stat", storage.stat, ("/d/f",)),
            ("list", storage.listing, ("/d",)),
            ("tree", storage.tree, ("/d",)),
            ("find", storage.find, ("/d", "*")),
            ("versions", storage.versions, ("/d/f",)),
            ("restore", storage.restore_version, ("/d/f", 1)),
            ("lock", storage.lock, ("/d/f", 9)),
            ("copy", storage.copy, ("/d/f", "/d/g")),
            ("move", storage.move, ("/d/g", "/d/h")),
            ("delete", storage.delete, ("/d/h",)),
            ("deleted", storage.deleted, ("/d",)),
            ("log", storage.log, ("/d",)),
            ("usage", lambda agent, path: storage.usage(agent, path=path), ("/d",)),
        ]
        for number, (action, call, args) in enumerate(calls):
            self.clock.advance(1)
            call(jane, *args)
            (row,) = storage.log(self.admin, since=BEGIN + timedelta(seconds=number + 1), user=jane.user_id).entries
            self.assertEqual((row.user, row.action_type, row.path, row.outcome), ("Jane", action, args[0], "ok"))
            self.assertEqual((row.user_id, row.address, row.allowed), (jane.user_id, "192.0.2.1", True))
            self.assertEqual(row.timestamp, BEGIN + timedelta(seconds=number + 1))
        for number, (action, call, args) in enumerate(calls):
            self.clock.advance(1)
            seconds = len(calls) + number + 1
            self.assertEqual(self.attempt(call, self.mike, *args), "PermissionDenied", action)
            (row,) = storage.log(self.admin, since=BEGIN + timedelta(seconds=seconds), user="Mike").entries
            self.assertEqual((row.action_type, row.path, row.outcome), (action, args[0], "PermissionDenied"))
            self.assertFalse(row.allowed)
        self.assertEqual(self.rows(item_id=item.id)[0], ("Jane", "create", "/d", "ok"))

    def test_what_is_hidden(self: Any) -> None:
        """Whoever tries something that they may not know of is told that nothing is there; the log says what it was."""
        storage, jane, mike = self.storage, self.jane, self.mike
        storage.make_directory(self.admin, "/d")
        self.assign("/d", jane, "owner")
        self.assign("/d", mike, "viewer")
        storage.make_directory(jane, "/d/open")
        storage.make_directory(jane, "/d/open/secret")
        storage.write(jane, "/d/open/secret/f", b"x")
        self.assign("/d/open/secret", mike, "nothing")
        for path in ("/d/open/secret", "/d/open/secret/f", "/d/open/secret/none", "/d/open/none"):
            self.assertEqual(self.attempt(storage.read, mike, path), "NotFound", path)
        found = {each.path: (each.outcome, each.allowed) for each in storage.log(self.admin, user="Mike").entries}
        denied = ("PermissionDenied", False)
        for path in ("/d/open/secret", "/d/open/secret/f", "/d/open/secret/none"):
            self.assertEqual(found[path], denied)
        self.assertEqual(found["/d/open/none"], ("NotFound", True))

    def test_failures(self: Any) -> None:
        """What was allowed and failed says why; a path that is none is no action."""
        self.storage.write(self.admin, "/f", b"x")
        self.attempt(self.storage.make_file, self.admin, "/F")
        self.attempt(self.storage.write, self.admin, "/f", b"y", if_version=7)
        self.attempt(self.storage.move, self.admin, "/nothing", "/x")
        self.attempt(self.storage.read, self.admin, "/../etc/passwd")
        self.assertEqual(
            [row for row in self.rows() if row[3] != "ok"],
            [
                ("Admin", "create", "/f", "AlreadyExists"),
                ("Admin", "write", "/f", "Conflict"),
                ("Admin", "move", "/nothing", "NotFound"),
            ],
        )

    def test_it_outlives_what_it_tells_of(self: Any) -> None:
        """Users and items go, and what they did and were stays."""
        self.storage = self.make_storage(versions=0)
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.storage.write(self.jane, "/d/f", b"x")
        self.storage.delete(self.jane, "/d")
        self.User.Delete(self.User.username == "Jane")
        rows = [row for row in self.rows() if row[0] == "Jane"]
        self.assertEqual(
            rows,
            [
                ("Jane", "create", "/d", "ok"),
                ("Jane", "write", "/d/f", "ok"),
                ("Jane", "delete", "/d", "ok"),
            ],
        )
        # By the key that she had.
        self.assertEqual(self.rows(user=self.jane.user_id), rows)
        self.assertIsNone(self.storage.log(self.admin, user=self.jane.user_id).entries[0].user_id)

    def test_search(self: Any) -> None:
        """By path and below, whatever the case and length of it; by user; by time; in pages."""
        long = "/" + "/".join(["x" * 100] * 3)
        paths = ["/a", "/a/b", "/A/c", "/ab", "/a-b", "/a0", long, long + "/y"]
        for path in paths:
            self.clock.advance(1)
            self.storage.make_directory(self.admin, path, parents=True)

        def created(path: str, **search: Any) -> list[str]:
            return [row[2] for row in self.rows(path, **search) if row[1] == "create"]

        self.assertEqual(created("/a"), ["/a", "/a/b", "/a/c"])
        self.assertEqual(created("/A/"), ["/a", "/a/b", "/a/c"])
        self.assertEqual(created("/a/c"), ["/a/c"])
        self.assertEqual(created("/a0"), ["/a0"])
        self.assertEqual(created(long), [long, long + "/y"])
        self.assertEqual(created("/" + "/".join(["X" * 100] * 2)), [long, long + "/y"])
        self.assertEqual(created(long + "z"), [])
        self.assertEqual(created("/", since=BEGIN + timedelta(seconds=7)), paths[6:])
        self.assertEqual(created("/", until=BEGIN + timedelta(seconds=2)), ["/a"])
        self.assertEqual(created("/", user=self.jane.user_id), [])
        found, after = [], None
        while True:
            page = self.storage.log(self.admin, "/a", until=BEGIN + timedelta(seconds=9), after=after, limit=2)
            found += [each.path for each in page.entries if each.action_type == "create"]
            after = page.next
            if after is None:
                break
        self.assertEqual(found, ["/a/c", "/a/b", "/a"])
        for wrong in ({"after": "x"}, {"after": "9" * 30}, {"limit": 0}, {"since": BEGIN.replace(tzinfo=None)}):
            self.refused(InvalidPayload, self.storage.log, self.admin, **wrong)

    def test_what_nobody_has(self: Any) -> None:
        """Times before and after all rows, and names and cursors that none can be: answers, not failures."""
        self.storage.write(self.admin, "/f", b"x")
        first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
        self.assertEqual(len(self.storage.log(self.admin, since=first, until=last).entries), 1)
        self.assertEqual(self.storage.log(self.admin, since=last).entries, [])
        self.assertEqual(self.storage.log(self.admin, until=first).entries, [])
        for nobody in ("\0", "a\0", "\ud800", "x" * 10_000, 2**70):
            self.assertEqual(self.storage.log(self.admin, user=nobody).entries, [])
        for nowhere in ("/\0", "/a\0/b", "/\ud800"):
            self.refused(InvalidPayload, self.storage.listing, self.admin, "/", nowhere)
            self.refused(InvalidPayload, self.storage.tree, self.admin, "/", nowhere)

    def test_who_may_see_it(self: Any) -> None:
        """Those who may assign roles; and not what is below an item where they may not, nor what is not there."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.storage.write(self.jane, "/d/f", b"x")
        self.storage.write(self.admin, "/d/secret", b"x")
        self.storage.write(self.jane, "/d/read-only", b"x")
        self.assign("/d/read-only", self.jane, "viewer")
        self.attempt(self.storage.read, self.mike, "/d/guess")
        shown = {each.path for each in self.storage.log(self.jane, "/d").entries}
        self.assertEqual(shown, {"/d", "/d/f"})
        self.refused(PermissionDenied, self.storage.log, self.mike, "/d")
        self.refused(PermissionDenied, self.storage.log, self.jane, "/")
        self.assign("/d", self.mike, "viewer")
        self.refused(PermissionDenied, self.storage.log, self.mike, "/d")

    def test_where_it_went(self: Any) -> None:
        """A path to which something was moved or copied is shown to those who may see the log there."""
        for agent, path in ((self.jane, "/d"), (self.mike, "/m")):
            self.storage.make_directory(agent, path)
            self.assign(path, agent, "owner")
        self.assign("/d", self.mike, "owner")
        self.storage.write(self.jane, "/d/f", b"x")
        self.storage.copy(self.mike, "/d/f", "/m/hidden-plan")
        self.storage.copy(self.mike, "/d/f", "/d/g")
        self.attempt(self.storage.copy, self.mike, "/d/f", "/m/hidden-plan")
        self.attempt(self.storage.move, self.mike, "/d/f", "/m/none/f")

        def told(agent: Any) -> list[tuple[str, Any]]:
            entries = [each for each in self.storage.log(agent, "/d/f").entries if each.action_type in ("copy", "move")]
            return [(each.outcome, each.details and json.loads(each.details)["to"]) for each in entries]

        done = [("ok", "/d/g"), ("ok", "/m/hidden-plan")]
        everything = [("NotFound", "/m/none/f"), ("AlreadyExists", "/m/hidden-plan"), *done]
        self.assertEqual((told(self.admin), told(self.mike)), (everything, everything))
        self.assertEqual(told(self.jane), [("NotFound", None), ("AlreadyExists", None), ("ok", "/d/g"), ("ok", None)])

    def test_what_waits_for_the_disk(self: Any) -> None:
        """Whoever changes something, and whoever asks for it; a look is in the log at once, and synced later."""
        asked: list[str] = []
        for name in ("write_blocking", "write_relaxed_blocking", "write_all_blocking"):
            real = getattr(self.database, name)
            self.patch(self.database, name, lambda *args, real=real, name=name: (asked.append(name), real(*args))[1])
        storage = self.make_storage()
        asked.clear()
        storage.write(self.admin, "/f", b"x")
        self.assertNotIn("write_relaxed_blocking", asked)
        asked.clear()
        storage.read(self.admin, "/f")
        self.attempt(storage.read, self.mike, "/f")
        self.assertEqual(asked[0], "write_relaxed_blocking")
        self.assertEqual(asked.count("write_relaxed_blocking"), 2)
        self.assertEqual(
            self.rows("/f")[-2:], [("Admin", "read", "/f", "ok"), ("Mike", "read", "/f", "PermissionDenied")]
        )
        patient = self.make_storage(reads_synced=True)
        asked.clear()
        patient.read(self.admin, "/f")
        self.assertEqual(asked, ["write_blocking"])

    def test_details(self: Any) -> None:
        """What belongs to some actions, as JSON."""
        self.storage.write(self.admin, "/f", b"x")
        self.storage.move(self.admin, "/f", "/g")
        self.storage.read(self.admin, "/g", version=1)
        details = [each.details for each in self.storage.log(self.admin).entries]
        self.assertEqual([json.loads(each) for each in details if each], [{"version": 1}, {"to": "/g"}])

    def test_nobody_changes_it(self: Any) -> None:
        """There is no statement for it in the room, and no operation that leads to one."""
        statements = [each for each in vars(audit).values() if getattr(each, "is_dml", False)]
        self.assertEqual([each.is_insert for each in statements], [True])


class SQLiteAudit(Audit, SQLiteCloud):
    """On SQLite."""


class PostgreSQLAudit(Audit, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLAudit(Audit, MySQLCloud):
    """On MariaDB or MySQL."""
