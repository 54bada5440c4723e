"""Operations side by side: they share transactions and syncs, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import failing_disk
from cloud_cases import SQLiteCloud

from fluxon.cloud import contents, steps, syncing, writing
from fluxon.cloud.writing import Wanted
from fluxon.errors import Conflict, NotFound, PermissionDenied, ResourceExhausted, Unavailable
from fluxon.outcomes import Outcome


class Together(SQLiteCloud):
    """Jane owns a directory; Mike has no rights anywhere."""

    def setUp(self) -> None:
        super().setUp()
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.groups: list[int] = []
        write = self.database.write_all_blocking

        def counted(works: Sequence[Any]) -> list[Outcome]:
            self.groups.append(len(works))
            return write(works)

        self.database.write_all_blocking = counted

    def write(self, agent: Any, path: str, data: bytes, if_version: int | None = None) -> Any:
        return writing.write(self.storage, agent, path, data, Wanted(len(data), True, if_version))

    def read(self, agent: Any, path: str) -> Any:
        return contents.read(self.storage, agent, path, 0, None, None)

    def all(self, *operations: Any) -> list[Any]:
        """What became of each: a result, or the class of its error."""
        return [result if error is None else type(error) for result, error in steps.run_all(self.storage, operations)]

    def test_one_transaction(self) -> None:
        """Writes share one, those of the same file too, each with its version; a refusal is one's own, and logged."""
        done = self.all(
            self.write(self.jane, "/d/a", b"1"),
            self.write(self.mike, "/d/b", b"2"),
            self.write(self.jane, "/d/a", b"3"),
            self.write(self.jane, "/d/a", b"4", if_version=7),
            self.write(self.jane, "/d/c", b""),
        )
        self.assertEqual(done[1], PermissionDenied)
        self.assertEqual(done[3], Conflict)
        self.assertEqual([done[0].version, done[2].version, done[4].size], [1, 2, 0])
        self.assertEqual(self.groups, [5])
        self.assertEqual(self.storage.read(self.jane, "/d/a"), b"3")
        self.assertEqual(self.storage.check(), [])
        outcomes = [(row.user, row.path, row.outcome) for row in self.storage.log(self.admin, "/d").entries]
        self.assertEqual(outcomes.count(("Jane", "/d/a", "ok")), 3)
        self.assertIn(("Mike", "/d/b", "PermissionDenied"), outcomes)
        self.assertIn(("Jane", "/d/a", "Conflict"), outcomes)

    def test_reads(self) -> None:
        """One transaction, a row of the log for each, and each its own bytes or its own error."""
        self.all(*(self.write(self.jane, f"/d/{number}", b"%d" % number) for number in range(5)))
        before = self.database.totals()["commits"]
        done = self.all(
            *(self.read(self.jane, f"/d/{number}") for number in range(5)),
            self.read(self.mike, "/d/1"),
            self.read(self.jane, "/d/none"),
        )
        self.assertEqual([data for _, data in done[:5]], [b"%d" % number for number in range(5)])
        self.assertEqual(done[5:], [PermissionDenied, NotFound])
        self.assertEqual(self.database.totals()["commits"] - before, 1)
        actions = [row.outcome for row in self.storage.log(self.admin, "/d").entries if row.action_type == "read"]
        self.assertEqual(sorted(actions), sorted(["ok"] * 5 + ["PermissionDenied", "NotFound"]))

    def test_a_disk_that_fails_once(self) -> None:
        """Of several writes, exactly the one fails whose call did; nothing is left of it."""
        for call in ("open", "write", "fsync"):
            for which in (1, 2):
                count = 0

                def failing(name: str, real: Any, args: Any, kwargs: Any, call: str = call, which: int = which) -> Any:
                    nonlocal count
                    # The folder that objects are put in is opened, and synced, by no write alone.
                    if name == call and not (call == "open" and args[1] & os.O_DIRECTORY):
                        count += 1
                        if count == which:
                            raise OSError(28, "no space")
                    return real(*args, **kwargs)

                with failing_disk.through(failing):
                    done = self.all(*(self.write(self.jane, f"/d/{call}{which}{each}", b"x") for each in "abc"))
                self.assertEqual(sum(each is ResourceExhausted for each in done), 1, (call, which, done))
                self.assertEqual(self.storage.check(), [])
        self.assertEqual(self.objects_on_disk(), 2 * 2 * 3)

    def test_a_folder_that_cannot_be_synced(self) -> None:
        """All that lie in it are nobody's."""

        def failing(name: str, real: Any, args: Any, kwargs: Any) -> Any:
            if name == "fsync" and os.path.isdir(f"/proc/self/fd/{args[0]}"):
                raise OSError(5, "broken")
            return real(*args, **kwargs)

        with failing_disk.through(failing):
            done = self.all(*(self.write(self.jane, f"/d/{each}", b"x") for each in "abc"))
        self.assertEqual(done, [Unavailable] * 3)
        self.assertEqual((self.objects_on_disk(), self.storage.check()), (0, []))

    def test_a_database_that_is_closed(self) -> None:
        """Each operation hears it, and nothing that was stored for them is left."""
        self.database.write_all_blocking = self.refuse
        done = self.all(*(self.write(self.jane, f"/d/{each}", b"x") for each in "abc"))
        self.assertEqual(done, [Unavailable] * 3)
        self.assertEqual(self.objects_on_disk(), 0)

    def refuse(self, works: Sequence[Any]) -> list[Outcome]:
        raise Unavailable("the database is closed")

    def test_no_thread_to_sync_with(self) -> None:
        """Whoever needs the syncs does them, if the system has no thread left."""

        class NoThread:
            def __init__(self, **options: Any) -> None:
                pass

            def start(self) -> None:
                raise RuntimeError("can't start new thread")

        self.patch(syncing.threading, "Thread", NoThread)
        done = self.all(*(self.write(self.jane, f"/d/{each}", b"x") for each in "abc"))
        self.assertEqual([each.size for each in done], [1, 1, 1])
