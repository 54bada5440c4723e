"""A second, naive cloud storage: what the documents say of items, rights, versions, locks and quotas, in plain Python.

``Naive`` shares nothing with ``fluxon.cloud``: items are objects in lists, each question goes through all of them, and
nothing is remembered. Tests carry the same calls out on it and on the engine, and compare. Times are POSIX seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DAY = 86_400
ADMIN, STRANGER = "Admin", "anonymous"
KNOWING = {"READ_METADATA", "READ_FILE", "READ_TREE_DIRECTORY", "WRITE_FILE"}
DELETES = {"file": "DELETE_FILE", "directory": "DELETE_SUB_DIRECTORY"}
READS = {"file": "READ_FILE", "directory": "READ_TREE_DIRECTORY"}
CREATES = {"file": "CREATE_FILE", "directory": "CREATE_SUB_DIRECTORY"}


class No(Exception):
    """Refused: the code of the error, and what the log says if that is another one."""

    def __init__(self, code: str, logged: str | None = None) -> None:
        super().__init__(code)
        self.code, self.logged = code, logged or code


@dataclass(eq=False)
class Role:
    user: str
    name: str
    expires: float | None = None
    begin: int | None = None  # seconds of the day
    end: int | None = None

    def counts(self, now: float) -> bool:
        if self.expires is not None and self.expires <= now:
            return False
        if self.begin is None and self.end is None:
            return True
        begin, end = self.begin or 0, self.end or 0
        return (now % DAY - begin) % DAY < ((end - begin) % DAY or DAY)


@dataclass(eq=False)
class Thing:
    """An item: ``contents`` are (version, bytes, who, since, replaced at), the present one last."""

    name: str
    kind: str
    maker: str | None
    above: Thing | None
    contents: list[tuple[int, bytes, str | None, float, float]] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    lock: tuple[str, str, float] | None = None  # token, holder, until
    quota: int | None = None
    deleted: float | None = None
    deleted_by: str | None = None
    order: int = 0  # of deletions

    @property
    def way(self) -> list[Thing]:
        """It and what it is in, up to ``/``."""
        return [self] if self.above is None else [self, *self.above.way]

    @property
    def path(self) -> str:
        return "/" + "/".join(each.name for each in self.way[-2::-1])

    @property
    def present(self) -> bytes:
        return self.contents[-1][1] if self.contents else b""

    @property
    def version(self) -> int:
        return self.contents[-1][0] if self.contents else 0


class Naive:
    """The storage. Whoever acts is a name; ``self.now`` is to be set before each call."""

    def __init__(self, rules: Any, users: list[str], versions: int, keep_days: float, user_quota: int | None) -> None:
        self.rules = {name: {each.name for each in granted} for name, granted in rules.roles.items()}
        self.default = set() if rules.default is None else self.rules[rules.default]
        self.anonymous = {each.name for each in rules.anonymous}
        self.at_root = {each.name for each in rules.root}
        self.versions, self.keep_days, self.user_quota = versions, keep_days, user_quota
        self.users = list(users)
        self.quotas: dict[str, int] = {}
        self.root = Thing("", "directory", None, None)
        self.things = [self.root]
        self.now = 0.0
        self.deletions = 0
        self.about: tuple[str, Thing | None] = ("/", None)

    # --- the tree and the rights --------------------------------------------------------------------------------

    def inside(self, top: Thing) -> list[Thing]:
        return [each for each in self.things if each.above is top and each.deleted is None]

    def below(self, top: Thing, deleted: bool = False) -> list[Thing]:
        """It and all that is in it; with ``deleted`` what was, too."""
        under = [each for each in self.things if each.above is top and (deleted or each.deleted is None)]
        return [top, *(each for thing in under for each in self.below(thing, deleted))]

    def along(self, path: str) -> list[Thing | None]:
        """What is at ``/`` and at each step of a path."""
        found: list[Thing | None] = [self.root]
        for name in [each for each in path.split("/") if each]:
            above = found[-1]
            same = [] if above is None else [t for t in self.inside(above) if t.name.lower() == name.lower()]
            found.append(same[0] if same else None)
        return found

    def rights(self, who: str, thing: Thing, roles: list[Role] | None = None, start: Thing | None = None) -> set[str]:
        """``roles`` in place of those at ``start``."""
        if who == ADMIN:
            return {*KNOWING, *DELETES.values(), *READS.values(), *CREATES.values(), "MOVE", "ASSIGN_ROLES"}
        if who == STRANGER:
            return self.anonymous
        granted = self.default
        for each in thing.way:
            all_here = each.roles if roles is None or each is not start else roles
            here = [role.name for role in all_here if role.user == who and role.counts(self.now)]
            if here:
                granted = {right for name in here for right in self.rules[name]}
                break
            if each.maker is None:
                break
        return granted | (self.at_root if thing is self.root else set())

    def look(self, who: str, path: str) -> Thing | None:
        """What somebody finds at a path, also what they may not know of; and what the log says it was about."""
        found = self.along(path)
        names = [each for each in path.split("/") if each]
        shown = [name if thing is None else thing.name for name, thing in zip(names, found[1:], strict=True)]
        self.about = ("/" + "/".join(shown), found[-1])
        return found[-1]

    def sees(self, who: str, thing: Thing | None) -> bool:
        return thing is not None and bool(self.rights(who, thing))

    def unknown(self, who: str, path: str) -> No:
        found = self.along(path)
        there = [each for each in found if each is not None]
        for each in reversed([each for each in found[:-1] if each is not None]):
            if each.kind == "directory" and self.rights(who, each):
                if "READ_TREE_DIRECTORY" in self.rights(who, each):
                    return No("NotFound", None if self.rights(who, there[-1]) else "PermissionDenied")
                break
        return No("PermissionDenied")

    def require(self, who: str, path: str, *rights: str) -> Thing:
        thing = self.along(path)[-1]
        if thing is None or not self.sees(who, thing):
            raise self.unknown(who, path)
        if not self.rights(who, thing) & set(rights):
            raise No("PermissionDenied")
        return thing

    def require_directory(self, who: str, path: str, right: str) -> Thing:
        thing = self.along(path)[-1]
        if thing is not None and self.sees(who, thing) and thing.kind != "directory":
            raise No("InvalidPayload")
        return self.require(who, path, right)

    def require_file(self, who: str, path: str, right: str) -> Thing:
        thing = self.require(who, path, right)
        if thing.kind != "file":
            raise No("InvalidPayload")
        return thing

    def require_free(self, who: str, path: str, right: str) -> Thing:
        if path == "/":
            raise No("AlreadyExists")
        directory = self.require_directory(who, above(path), right)
        if self.along(path)[-1] is not None:
            raise No("AlreadyExists")
        return directory

    def require_below(self, who: str, top: Thing, rights: dict[str, str]) -> None:
        if who != ADMIN and any(rights[each.kind] not in self.rights(who, each) for each in self.below(top)):
            raise No("PermissionDenied")

    def of_new(self, who: str, directory: Thing) -> set[str]:
        """What somebody may do at what they make there."""
        return self.rights(who, Thing("", "directory", self.maker(who), directory))

    def maker(self, who: str) -> str | None:
        return who if who in self.users else None

    def locked(self, thing: Thing, token: str | None) -> bool:
        return thing.lock is not None and thing.lock[2] > self.now and thing.lock[0] != token

    def no_user(self) -> Any:
        raise No("Unauthenticated")

    # --- quotas ---------------------------------------------------------------------------------------------------

    def used(self, things: list[Thing]) -> int:
        return sum(len(content[1]) for each in things for content in each.contents)

    def used_by(self, user: str) -> int:
        return self.used([each for each in self.things if each.maker == user])

    def fit(self, maker: str | None, directories: list[Thing], more: int) -> None:
        if more <= 0:
            return
        if maker is not None:
            limit = self.quotas.get(maker, self.user_quota)
            if limit is not None and self.used_by(maker) + more > limit:
                raise No("ResourceExhausted")
        for each in directories:
            if each.quota is not None and self.used(self.below(each, True)) + more > each.quota:
                raise No("ResourceExhausted")

    def carry(self, thing: Thing, to: Thing) -> None:
        """The quotas of directories that it comes into."""
        for each in to.way:
            if each in thing.way or each.quota is None:
                continue
            if self.used(self.below(each, True)) + self.used(self.below(thing, True)) > each.quota:
                raise No("ResourceExhausted")

    # --- looking --------------------------------------------------------------------------------------------------

    def stat(self, who: str, path: str) -> Any:
        return self.require(who, path, *KNOWING)

    def list(self, who: str, path: str) -> Any:
        top = self.require_directory(who, path, "READ_TREE_DIRECTORY")
        return [each.path for each in in_order(self.inside(top)) if self.sees(who, each)]

    def tree(self, who: str, path: str) -> Any:
        return [each.path for each in self.walk(who, self.require_directory(who, path, "READ_TREE_DIRECTORY"))]

    def find(self, who: str, path: str, letter: str) -> Any:
        top = self.require_directory(who, path, "READ_TREE_DIRECTORY")
        return [each.path for each in self.walk(who, top) if each.name.lower().startswith(letter)]

    def walk(self, who: str, top: Thing) -> list[Thing]:
        found = []
        for each in in_order(self.inside(top)):
            if self.sees(who, each):
                found.append(each)
                if each.kind == "directory" and "READ_TREE_DIRECTORY" in self.rights(who, each):
                    found += self.walk(who, each)
        return found

    def read(self, who: str, path: str, version: int | None, offset: int) -> Any:
        file = self.require_file(who, path, "READ_FILE")
        found = [each[1] for each in file.contents if version in (None, each[0])]
        if not found:
            raise No("NotFound")
        if offset > len(found[-1]):
            raise No("InvalidPayload")
        return found[-1][offset:]

    def list_versions(self, who: str, path: str) -> Any:
        file = self.require_file(who, path, "READ_FILE")
        by = {None: None, **{each: each for each in self.users}}
        return [(each[0], len(each[1]), by.get(each[2])) for each in reversed(file.contents)]

    def list_deleted(self, who: str, path: str) -> Any:
        top = self.require_directory(who, path, "READ_TREE_DIRECTORY")
        places = [top, *(each for each in self.open_below(who, top) if each.kind == "directory")]
        gone = [each for each in self.things if self.is_kept(each) and each.above in places]
        gone = sorted((each for each in gone if self.sees(who, each)), key=lambda each: -each.order)
        return [(each.path, each.kind, len(each.present), each.deleted_by) for each in gone]

    def open_below(self, who: str, top: Thing) -> list[Thing]:
        return [each for each in self.walk(who, top) if "READ_TREE_DIRECTORY" in self.rights(who, each)]

    def is_kept(self, thing: Thing) -> bool:
        return thing.deleted is not None and thing.deleted > 0 and thing.deleted > self.now - self.keep_days * DAY

    def usage(self, who: str, user: str | None, path: str | None) -> Any:
        if user is not None:
            if who not in (ADMIN, user):
                raise No("PermissionDenied")
            if user not in self.users:
                raise No("NotFound")
            return self.used_by(user)
        return self.used(self.below(self.require_directory(who, path or "", "ASSIGN_ROLES"), True))

    def permissions(self, who: str, path: str) -> Any:
        thing = self.along(path)[-1]
        if thing is None or not self.sees(who, thing):
            raise self.unknown(who, path)
        return self.rights(who, thing)

    # --- making and writing ---------------------------------------------------------------------------------------

    def add(self, name: str, kind: str, who: str, directory: Thing) -> Thing:
        made = Thing(name, kind, self.maker(who), directory)
        self.things.append(made)
        self.about = (made.path, made)
        return made

    def make_directory(self, who: str, path: str, parents: bool) -> Any:
        name = path.rsplit("/", 1)[-1]
        if not parents:
            return self.add(name, "directory", who, self.require_free(who, path, "CREATE_SUB_DIRECTORY"))
        found = self.along(path)
        thing = found[-1]
        if thing is not None and self.sees(who, thing):
            if thing.kind == "directory":
                return thing
            raise No("AlreadyExists")
        seen = [number for number, each in enumerate(found) if self.sees(who, each)]
        if not seen:
            raise self.unknown(who, path)
        nearest = found[seen[-1]]
        assert nearest is not None
        if nearest.kind != "directory":
            raise No("InvalidPayload")
        if "CREATE_SUB_DIRECTORY" not in self.rights(who, nearest):
            raise No("PermissionDenied")
        missing = [each for each in path.split("/") if each][seen[-1] :]
        if len(missing) > 1 and "CREATE_SUB_DIRECTORY" not in self.of_new(who, nearest):
            raise No("PermissionDenied")
        if found[seen[-1] + 1] is not None:
            raise self.unknown(who, path)
        for each in missing:
            nearest = self.add(each, "directory", who, nearest)
        return nearest

    def make_file(self, who: str, path: str) -> Any:
        made = self.add(path.rsplit("/", 1)[-1], "file", who, self.require_free(who, path, "CREATE_FILE"))
        made.contents = [(1, b"", made.maker, self.now, 0.0)]
        return made

    def write(self, who: str, path: str, data: bytes, create: bool, if_version: int | None, token: str | None) -> Any:
        thing = self.along(path)[-1]
        if thing is not None and self.sees(who, thing):
            return self.overwrite(who, self.may_write(who, path, len(data), if_version, token), data)
        if path == "/" or not create or not self.sees(who, self.along(above(path))[-1]):
            raise self.unknown(who, path)
        directory = self.require_directory(who, above(path), "CREATE_FILE")
        if thing is not None:
            raise No("PermissionDenied")
        if if_version:
            raise No("Conflict")
        self.fit(self.maker(who), directory.way, len(data))
        made = self.add(path.rsplit("/", 1)[-1], "file", who, directory)
        made.contents = [(1, data, made.maker, self.now, 0.0)]
        return made

    upload = write

    def may_write(self, who: str, path: str, size: int, if_version: int | None, token: str | None) -> Thing:
        file = self.along(path)[-1]
        assert file is not None
        if file.kind != "file":
            raise No("InvalidPayload")
        self.require(who, path, "WRITE_FILE")
        if if_version not in (None, file.version):
            raise No("Conflict")
        if self.locked(file, token):
            raise No("Locked")
        freed = sum(len(each[1]) for each in file.contents[: -self.versions or None])
        self.fit(file.maker, file.way[1:], size - freed)
        return file

    def overwrite(self, who: str, file: Thing, data: bytes) -> Thing:
        last = file.contents[-1]
        kept = [*file.contents[:-1], (*last[:4], self.now)][-self.versions :] if self.versions else []
        file.contents = [*kept, (last[0] + 1, data, self.maker(who), self.now, 0.0)]
        return file

    def restore_version(self, who: str, path: str, version: int) -> Any:
        file = self.require(who, path, "WRITE_FILE")
        if "READ_FILE" not in self.rights(who, file):
            raise No("PermissionDenied")
        if file.kind != "file":
            raise No("InvalidPayload")
        older = [each[1] for each in file.contents[:-1] if each[0] == version]
        if not older:
            raise No("NotFound")
        return self.overwrite(who, self.may_write(who, path, len(older[0]), None, None), older[0])

    # --- changing the tree ----------------------------------------------------------------------------------------

    def delete(self, who: str, path: str, kind: str | None, token: str | None) -> Any:
        if path == "/":
            raise No("InvalidPayload")
        there = self.along(path)[-1]
        thing = self.require(who, path, DELETES["file" if there is None else there.kind])
        if kind not in (None, thing.kind):
            raise No("InvalidPayload")
        if thing.kind == "directory":
            self.require_below(who, thing, DELETES)
        if any(self.locked(each, token) for each in self.below(thing)):
            raise No("Locked")
        thing.lock = None
        self.deletions += 1
        thing.deleted, thing.deleted_by, thing.order = self.now, self.maker(who), self.deletions
        same = [each for each in self.things if each.above is thing.above and self.is_dated(each)]
        same = [each for each in same if each.name.lower() == thing.name.lower()]
        for older in sorted(same, key=lambda each: -each.order)[self.versions :]:
            older.deleted = 0.0
        return None

    def is_dated(self, thing: Thing) -> bool:
        return thing.deleted is not None and thing.deleted > 0

    def move(self, who: str, path: str, to: str, token: str | None) -> Any:
        if path == "/":
            raise No("InvalidPayload")
        thing = self.require(who, path, "MOVE")
        if thing.kind == "directory":
            self.require_below(who, thing, {"file": "MOVE", "directory": "MOVE"})
        target = self.along(to)
        if thing in target[:-1]:
            raise No("InvalidPayload")
        if target[-1] is thing:
            directory = self.require_directory(who, above(to), CREATES[thing.kind])
        else:
            directory = self.require_free(who, to, CREATES[thing.kind])
        if any(self.locked(each, token) for each in self.below(thing)):
            raise No("Locked")
        return self.place(who, thing, directory, to)

    def place(self, who: str, thing: Thing, directory: Thing, to: str) -> Thing:
        if directory is not thing.above:
            there = Thing(thing.name, thing.kind, thing.maker, directory, roles=thing.roles)
            if not self.rights(who, there) <= self.rights(who, thing):
                raise No("PermissionDenied")
            self.carry(thing, directory)
        thing.above, thing.name, thing.deleted = directory, to.rsplit("/", 1)[-1], None
        return thing

    def copy(self, who: str, path: str, to: str) -> Any:
        there = self.along(path)[-1]
        thing = self.require(who, path, READS["file" if there is None else there.kind])
        if thing.kind == "directory":
            self.require_below(who, thing, READS)
        directory = self.require_free(who, to, CREATES[thing.kind])
        things = self.below(thing)
        if not {CREATES[each.kind] for each in things[1:]} <= self.of_new(who, directory):
            raise No("PermissionDenied")
        self.fit(self.maker(who), directory.way, sum(len(each.present) for each in things))
        copies: dict[Thing, Thing] = {}
        about = self.about
        for each in things:
            name = to.rsplit("/", 1)[-1] if each is thing else each.name
            made = copies[each] = self.add(name, each.kind, who, directory if each is thing else copies[each.above])
            if each.kind == "file":
                made.contents = [(1, each.present, made.maker, self.now, 0.0)]
        self.about = about
        return copies[thing]

    def restore_deleted(self, who: str, path: str, thing: Thing | None) -> Any:
        if thing is None or not self.is_kept(thing) or not self.sees(who, thing):
            hidden = thing is not None and self.is_kept(thing)
            raise No("NotFound", "PermissionDenied" if hidden else None)
        if DELETES[thing.kind] not in self.rights(who, thing):
            raise No("PermissionDenied")
        directory = self.require_free(who, path, CREATES[thing.kind])
        self.place(who, thing, directory, path)
        self.about = (thing.path, thing)
        return thing

    # --- locks, quotas, roles -------------------------------------------------------------------------------------

    def lock(self, who: str, path: str, seconds: float, token: str | None) -> Any:
        file = self.require_file(who, path, "WRITE_FILE")
        if self.locked(file, token):
            raise No("Locked")
        file.lock = (token or "", who, self.now + seconds)

    def unlock(self, who: str, path: str, token: str | None) -> Any:
        thing = self.along(path)[-1]
        if thing is None or not self.sees(who, thing):
            raise self.unknown(who, path)
        if not (who == ADMIN and token is None) and self.locked(thing, token):
            raise No("Locked")
        thing.lock = None

    def set_quota(self, who: str, user: str | None, path: str | None, limit: int | None) -> Any:
        if who != ADMIN:
            raise No("PermissionDenied")
        if user is not None:
            if user not in self.users:
                raise No("NotFound")
            self.quotas.pop(user, None)
            if limit is not None:
                self.quotas[user] = limit
        else:
            self.require_directory(who, path or "", "READ_TREE_DIRECTORY").quota = limit

    def assign(self, who: str, path: str, role: Role) -> Any:
        thing = self.require(who, path, "ASSIGN_ROLES")
        if role.name not in self.rules:
            raise No("InvalidPayload")
        others = [each for each in thing.roles if (each.user, each.name) != (role.user, role.name)]
        # Whether it counts now or not: as if it did.
        self.must_hold(who, thing, role.user, [*thing.roles, Role(role.user, role.name)], {role.name})
        thing.roles = [*others, role]

    def unassign(self, who: str, path: str, user: str, name: str | None) -> Any:
        thing = self.require(who, path, "ASSIGN_ROLES")
        taken = [each for each in thing.roles if each.user == user and name in (None, each.name)]
        left = [each for each in thing.roles if each not in taken]
        self.must_hold(who, thing, user, left, {each.name for each in taken})
        thing.roles = left
        return len(taken)

    def must_hold(self, who: str, thing: Thing, user: str, roles: list[Role], names: set[str]) -> None:
        if user not in self.users:
            raise No("NotFound")
        needed = {right for name in names for right in self.rules[name]}
        needed |= self.rights(user, thing) ^ self.rights(user, thing, roles, thing)
        if not needed <= self.rights(who, thing):
            raise No("PermissionDenied")

    # --- time -----------------------------------------------------------------------------------------------------

    def purge(self) -> None:
        keeps = self.versions > 0 and self.keep_days > 0
        until = self.now - (self.keep_days if keeps else 0) * DAY
        for each in self.things:
            each.contents = [*(old for old in each.contents[:-1] if old[4] > until), *each.contents[-1:]]
        for each in [each for each in self.things if each.deleted is not None and each.deleted <= until]:
            gone = self.below(each, True)
            self.things = [thing for thing in self.things if thing not in gone]

    def leave(self, user: str) -> None:
        """Somebody is no user any more."""
        self.users.remove(user)
        self.quotas.pop(user, None)
        for each in self.things:
            each.maker = None if each.maker == user else each.maker
            each.deleted_by = None if each.deleted_by == user else each.deleted_by
            each.roles = [role for role in each.roles if role.user != user]
            if each.lock is not None and each.lock[1] == user:
                each.lock = None


def above(path: str) -> str:
    return path.rsplit("/", 1)[0] or "/"


def in_order(things: list[Thing]) -> list[Thing]:
    return sorted(things, key=lambda each: each.name.lower())
