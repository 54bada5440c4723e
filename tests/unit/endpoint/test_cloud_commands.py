"""Every command of the cloud's port, asked once and answered as it is declared: the asking side checks each answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cloud_serving import CloudTestCase

from fluxon.cloud import tree
from fluxon.commands import Command, cloud
from fluxon.errors import Conflict, DeadlineExceeded, InvalidPayload, Locked, NotFound, PermissionDenied

USER = {"name": "bob"}


class CommandTests(CloudTestCase):
    """Ann, who owns /ann; Bob, who is given something there."""

    async def setUp(self) -> None:  # type: ignore[override]
        server = await self.serve_cloud()
        self.ann = await self.user(server, 1, "/ann")
        self.bob = await self.user(server, 2)

    async def paths(self, command: type[Command], path: str, **more: Any) -> list[str]:
        """All pages of a listing, of one entry each."""
        found: list[str] = []
        after = None
        while True:
            page = await self.ann.do(command, path=path, limit=1, after=after, **more)
            found += [each["path"] for each in page["items"]]
            after = page["next"]
            if after is None:
                return found

    async def test_listings(self) -> None:
        """In pages, each going on where the one before it ended."""
        await self.ann.do(cloud.MakeDirectory, path="/ann/x/y", parents=True)
        await self.ann.do(cloud.MakeFile, path="/ann/x/y/b.txt")
        await self.ann.write("/ann/a.txt", b"1")
        self.assertEqual(await self.paths(cloud.List, "/ann"), ["/ann/a.txt", "/ann/x"])
        self.assertEqual(await self.paths(cloud.Tree, "/ann"), ["/ann/a.txt", "/ann/x", "/ann/x/y", "/ann/x/y/b.txt"])
        self.assertEqual(await self.paths(cloud.Find, "/ann", pattern="*.TXT"), ["/ann/a.txt", "/ann/x/y/b.txt"])

    async def test_what_was(self) -> None:
        """Versions, deleted items, and both restored; the log of all of it."""
        for data in (b"1", b"22"):
            await self.ann.write("/ann/a", data)
        versions = (await self.ann.do(cloud.Versions, path="/ann/a"))["versions"]
        self.assertEqual(
            [(each["version"], each["size"], each["by"]) for each in versions], [(2, 2, "ann"), (1, 1, "ann")]
        )
        restored = await self.ann.do(cloud.Restore, path="/ann/a", version=1)
        self.assertEqual((restored["item"]["version"], restored["item"]["size"]), (3, 1))
        await self.fails(InvalidPayload, self.ann.do(cloud.Delete, path="/ann/a", type="directory"))
        await self.ann.do(cloud.Delete, path="/ann/a", type="file")
        (deleted,) = (await self.ann.do(cloud.Deleted, path="/ann"))["items"]
        self.assertEqual((deleted["path"], deleted["deleted_by"], deleted["type"]), ("/ann/a", "ann", "file"))
        await self.ann.do(cloud.Restore, path="/ann/b", deleted=deleted["id"])
        self.assertEqual(await self.ann.read("/ann/b"), b"1")
        actions = (await self.ann.do(cloud.Log, path="/ann", user={"id": 1}))["actions"]
        self.assertEqual({each["user"] for each in actions}, {"ann"})
        self.assertLessEqual({"write", "delete", "restore", "read"}, {each["action_type"] for each in actions})
        since = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
        self.assertEqual((await self.ann.do(cloud.Log, path="/ann", since=since))["actions"], [])

    async def test_moving_and_copying(self) -> None:
        """To a path of another name, case only, and with what is inside."""
        await self.ann.make("/ann/d")
        await self.ann.write("/ann/d/a", b"1")
        self.assertEqual((await self.ann.do(cloud.Move, path="/ann/d", to="/ann/D"))["item"]["path"], "/ann/D")
        self.assertEqual((await self.ann.do(cloud.Copy, path="/ann/D", to="/ann/copy"))["item"]["type"], "directory")
        self.assertEqual(await self.ann.read("/ann/copy/a"), b"1")

    async def test_a_database_without_time(self) -> None:
        """Work that the database undid, since it took too long, is told as that, and is no fault of the server's."""

        def overdue(*_: Any) -> None:
            raise DeadlineExceeded("the work in the database took too long and was undone")

        self.patch(tree, "take_turn", overdue)
        await self.fails(DeadlineExceeded, self.ann.do(cloud.MakeDirectory, path="/ann/x", parents=False))

    async def test_roles(self) -> None:
        """Given with limits, by name and by key; listed, held, and taken."""
        expires = datetime(2100, 1, 1, tzinfo=UTC)
        status = await self.ann.do(
            cloud.Assign, path="/ann", user=USER, role="viewer", expires_at=expires, valid_from="00:00"
        )
        self.assertEqual((status["role"], status["cloud_relative_path"]), ("viewer", "/ann"))
        roles = (await self.ann.do(cloud.Roles, path="/ann"))["roles"]
        by_user = {each["user"]: each for each in roles}
        self.assertEqual(set(by_user), {"ann", "bob"})
        self.assertEqual(
            [by_user["bob"][key] for key in ("role", "expires_at", "valid_from", "valid_until")],
            ["viewer", expires, "00:00:00", None],
        )
        own = (await self.bob.do(cloud.OwnPermissions, path="/ann"))["permissions"]
        self.assertEqual(own, ["READ_FILE", "READ_TREE_DIRECTORY"])
        await self.fails(PermissionDenied, self.bob.do(cloud.Roles, path="/ann"))
        await self.fails(PermissionDenied, self.bob.do(cloud.Assign, path="/ann", user=USER, role="owner"))
        await self.fails(NotFound, self.ann.do(cloud.Assign, path="/ann", user={"name": "nobody"}, role="viewer"))
        self.assertEqual((await self.ann.do(cloud.Unassign, path="/ann", user={"id": 2}))["removed"], 1)
        await self.fails(PermissionDenied, self.bob.do(cloud.Stat, path="/ann"))

    async def test_locks(self) -> None:
        """Held against others, renewed, and let go; its name opens it."""
        await self.ann.write("/ann/a", b"1")
        await self.ann.do(cloud.Assign, path="/ann/a", user=USER, role="owner")
        lease = await self.ann.do(cloud.Lock, path="/ann/a", seconds=60)
        await self.fails(Locked, self.bob.write("/ann/a", b"2"))
        await self.fails(Locked, self.bob.begin("/ann/a"))
        again = await self.ann.do(cloud.Lock, path="/ann/a", seconds=120, lock=lease["lock"])
        self.assertEqual(again["lock"], lease["lock"])
        self.assertGreater(again["until"], lease["until"])
        await self.ann.write("/ann/a", b"3", lock=lease["lock"])
        await self.ann.do(cloud.Unlock, path="/ann/a", lock=lease["lock"])
        error = await self.fails(Conflict, self.bob.write("/ann/a", b"4", if_version=1))
        self.assertEqual(error.details, {"expected": 1, "version": 2})
        await self.bob.write("/ann/a", b"4", if_version=2)
