"""Whether something is there is not to be guessed: not by the answer, nor by the work it takes, nor by time.

Each question is asked of a path at which there is something that the asker may not know of, and of one at which there
is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import thread_time
from typing import Any

from cloud_cases import CloudCase, MySQLCloud, PostgreSQLCloud

from fluxon.database.apis import SQLiteDatabase
from fluxon.database.servers.connection import ServerConnection
from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.errors import FluxonError

#: What is there, as a file or a directory, and what is not: of the same length.
_PAIRS = [
    ("/closed", "/absent"),
    ("/closed/secret", "/closed/absent"),
    ("/closed/secret/file", "/closed/secret/none"),
    ("/closed/secret/file", "/absent/secret/file"),
    ("/open/secret", "/open/absent"),
    ("/open/secret/file", "/open/secret/none"),
    ("/open/secret/file", "/open/absent/file"),
    ("/open/secret/file/x", "/open/absent/file/x"),
    ("/hers/closed", "/hers/absent"),
    ("/hers/closed/file", "/hers/absent/file"),
]


class Guessing:
    """The suite; a class at the end joins it with a database."""

    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        for path in ("/closed/secret", "/open/secret"):
            self.storage.make_directory(self.admin, path, parents=True)
            self.storage.write(self.admin, f"{path}/file", b"secret")
        self.storage.make_directory(self.jane, "/hers")
        self.assign("/hers", self.jane, "owner")
        self.storage.make_directory(self.admin, "/hers/closed")
        self.storage.write(self.admin, "/hers/closed/file", b"secret")
        self.assign("/open", self.jane, "viewer")
        self.assign("/open", self.mike, "dropbox")
        self.statements = 0
        for kind in (SQLiteConnection, ServerConnection):
            for name in ("rows", "run"):
                self.patch(kind, name, self.counted(getattr(kind, name)))

    def counted(self: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.statements += 1
            return function(*args)

        return call

    def questions(self: Any, agent: Any) -> dict[str, Callable[[str], Any]]:
        storage = self.storage
        return {
            "stat": lambda path: storage.stat(agent, path),
            "list": lambda path: storage.listing(agent, path),
            "tree": lambda path: storage.tree(agent, path),
            "find": lambda path: storage.find(agent, path, "*"),
            "read": lambda path: storage.read(agent, path),
            "read a version": lambda path: storage.read(agent, path, version=1),
            "overwrite": lambda path: storage.write(agent, path, b"x", create=False),
            "overwrite a version": lambda path: storage.write(agent, path, b"x", create=False, if_version=1),
            "upload": lambda path: storage.begin_upload(agent, path, size=5, create=False),
            "delete": lambda path: storage.delete(agent, path),
            "delete a file": lambda path: storage.delete(agent, path, type="file"),
            "move": lambda path: storage.move(agent, path, "/hers/moved"),
            "copy": lambda path: storage.copy(agent, path, "/hers/copied"),
            "versions": lambda path: storage.versions(agent, path),
            "restore a version": lambda path: storage.restore_version(agent, path, 1),
            "deleted": lambda path: storage.deleted(agent, path),
            "lock": lambda path: storage.lock(agent, path, 60),
            "unlock": lambda path: storage.unlock(agent, path, "0" * 32),
            "log": lambda path: storage.log(agent, path),
            "usage": lambda path: storage.usage(agent, path=path),
            "make in it": lambda path: storage.make_file(agent, f"{path}/x"),
            "move into it": lambda path: storage.move(agent, "/hers/own", f"{path}/x"),
        }

    def answer(self: Any, question: Callable[[str], Any], path: str) -> tuple[Any, ...]:
        before = self.statements
        try:
            question(path)
        except FluxonError as error:
            return error.code, error.text, error.details, self.statements - before
        return ("done", path)

    def test_answers_and_work(self: Any) -> None:
        """The same error in the same words after as many statements, for a stranger and for users with some rights."""
        self.storage.write(self.jane, "/hers/own", b"x")
        for agent in (self.stranger, self.mike, self.jane):
            for name, question in self.questions(agent).items():
                for there, absent in _PAIRS:
                    with self.subTest(agent=agent.name, question=name, path=there):
                        self.answer(question, absent)  # once before: now the way there is known, or is not
                        expected = self.answer(question, absent)
                        self.assertNotEqual(expected[0], "done")
                        self.assertEqual(self.answer(question, there), expected)

    def test_making_with_parents(self: Any) -> None:
        """Who may make no directory there learns nothing by trying, whatever of the way there is."""
        pairs = [*_PAIRS[1:8], ("/open/secret/file", "/open/absent"), ("/open/secret/x/y", "/open/x/y")]
        for agent in (self.stranger, self.mike, self.jane):

            def make(path: str, agent: Any = agent) -> Any:
                return self.storage.make_directory(agent, path, parents=True)

            for there, absent in pairs:
                for end in ("", "/x"):
                    with self.subTest(agent=agent.name, path=there + end):
                        expected = self.answer(make, absent + end)[:3]
                        self.assertNotEqual(expected[0], "done")
                        self.assertEqual(self.answer(make, there + end)[:3], expected)

    def test_by_the_log(self: Any) -> None:
        """Who reads the log of a directory, and has something tried in it, finds the same of either."""
        for agent in (self.jane, self.mike):
            for path in ("/hers/closed", "/hers/closed/file", "/hers/absent", "/hers/closed/none", "/hers/absent/none"):
                for name, question in self.questions(agent).items():
                    if name not in ("make in it", "move into it", "log"):
                        self.answer(question, path)
        shown = {each.path for each in self.storage.log(self.jane, "/hers").entries}
        self.assertEqual(shown, {"/hers"})
        self.assertIn("/hers/absent", {each.path for each in self.storage.log(self.admin, "/hers").entries})

    def test_log(self: Any) -> None:
        """Each leaves one row, and the row of what was hidden is for those who might know anyway."""
        before = len(self.storage.log(self.admin).entries)
        for path in ("/closed/secret", "/closed/absent"):
            self.answer(self.questions(self.mike)["stat"], path)
        self.assertEqual(len(self.storage.log(self.admin).entries), before + 3)

    def test_making(self: Any) -> None:
        """Who may make a file somewhere learns that a name is taken, and nothing else of what is there."""
        one = self.answer(lambda path: self.storage.write(self.mike, path, b"x"), "/open/secret")
        self.assertEqual(one[:3], ("PermissionDenied", "you may not do this at this path", {}))
        self.storage.write(self.mike, "/open/absent", b"x")


class SQLiteGuessing(Guessing, CloudCase):
    """On SQLite in memory: there the time is that of the work alone."""

    def make_database(self, declared: Any) -> Any:
        return SQLiteDatabase(":memory:", models=declared)

    def test_time(self: Any) -> None:
        """The medians of many questions, asked by turns, differ by less than 50 microseconds, or a tenth.

        On a quiet machine it is 2 to 8; a sync or a commit of one alone would be hundreds.
        """
        for agent, there, absent in (
            (self.stranger, "/closed/secret", "/closed/absent"),
            (self.mike, "/closed/secret/file", "/closed/secret/none"),
            (self.mike, "/closed/secret/file", "/absent/secret/file"),
            (self.jane, "/open/secret/file", "/open/absent/file"),
        ):
            for name in ("stat", "read", "list"):
                question = self.questions(agent)[name]
                times: dict[str, list[float]] = {there: [], absent: []}
                for _ in range(300):
                    for path, spent in times.items():
                        begin = thread_time()
                        self.answer(question, path)
                        spent.append(thread_time() - begin)
                one, other = median(times[there][20:]), median(times[absent][20:])
                with self.subTest(agent=agent.name, question=name, path=there):
                    self.assertLess(abs(one - other), max(0.1 * other, 50e-6), (one, other))


class PostgreSQLGuessing(Guessing, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLGuessing(Guessing, MySQLCloud):
    """On MariaDB or MySQL."""
