"""Any calls on a storage, carried out on the engine and on ``cloud_model.Naive``, and everything compared after each.

Compared are answers and codes of errors, the rows of the audit log, all items with their contents, what is counted for
quotas, what everybody may do at every item, and what those who watch are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy
from cloud_model import ADMIN, KNOWING, STRANGER, Naive, No, Role, Thing
from sqlalchemy import bindparam

from fluxon.cloud import acts
from fluxon.cloud.acts import Act
from fluxon.cloud.agent import Agent
from fluxon.cloud.entries import Entry
from fluxon.cloud.operation import Operation
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.serving.news import CHANGES, News, place_of
from fluxon.cloud.storage import Storage
from fluxon.cloud.tables import AUDIT_LOGS, ITEMS, QUOTAS, VERSIONS
from fluxon.errors import FluxonError
from fluxon.outcomes import result_of

_LOGGED = sqlalchemy.select(AUDIT_LOGS).where(AUDIT_LOGS.c.id > bindparam("after")).order_by(AUDIT_LOGS.c.id)
_ALL = {name: sqlalchemy.select(table) for name, table in (("i", ITEMS), ("v", VERSIONS), ("q", QUOTAS))}


#: What the log calls them.
ACTIONS = {
    "list_versions": "versions",
    "list_deleted": "deleted",
    "make_directory": "create",
    "make_file": "create",
    "upload": "write",
    "restore_version": "restore",
    "restore_deleted": "restore",
    "assign": "assign_role",
    "unassign": "remove_role",
}


class _Engine:
    """Calls on a storage as the model has them."""

    def __init__(self, storage: Storage, agents: dict[str, Agent]) -> None:
        self.storage, self.agents = storage, agents

    def list(self, agent: Agent, path: str) -> Any:
        return self.storage.listing(agent, path)

    def find(self, agent: Agent, path: str, letter: str) -> Any:
        return self.storage.find(agent, path, letter + "*")

    def read(self, agent: Agent, path: str, version: int | None, offset: int) -> Any:
        return self.storage.read(agent, path, version=version, offset=offset)

    def list_versions(self, agent: Agent, path: str) -> Any:
        return [(each.version, each.size, each.by) for each in self.storage.versions(agent, path)]

    def list_deleted(self, agent: Agent, path: str) -> Any:
        entries = self.storage.deleted(agent, path).entries
        return [(each.path, each.type, each.size, each.deleted_by) for each in entries]

    def usage(self, agent: Agent, user: str | None, path: str | None) -> Any:
        return self.storage.usage(agent, user=self.key(user), path=path).used

    def set_quota(self, agent: Agent, user: str | None, path: str | None, limit: int | None) -> None:
        self.storage.set_quota(agent, limit, user=self.key(user), path=path)

    def write(
        self, agent: Agent, path: str, data: bytes, create: bool, if_version: int | None, lock: str | None
    ) -> Any:
        return self.storage.write(agent, path, data, create=create, if_version=if_version, lock=lock)

    def upload(
        self, agent: Agent, path: str, data: bytes, create: bool, if_version: int | None, lock: str | None
    ) -> Any:
        how: dict[str, Any] = {"create": create, "if_version": if_version, "lock": lock}
        self.storage.begin_upload(agent, path, size=len(data), **how)
        upload = self.storage.objects.begin()
        upload.append(data)
        return self.storage.finish_upload(agent, path, upload.finish(), **how)

    def delete(self, agent: Agent, path: str, kind: str | None, lock: str | None) -> None:
        self.storage.delete(agent, path, type=kind, lock=lock)

    def move(self, agent: Agent, path: str, to: str, lock: str | None) -> Any:
        return self.storage.move(agent, path, to, lock=lock)

    def lock(self, agent: Agent, path: str, seconds: float, token: str) -> None:
        self.storage.lock(agent, path, seconds, token)

    def assign(self, agent: Agent, path: str, role: Role) -> None:
        self.storage.assign(
            agent,
            path,
            role.name,
            self.key(role.user),
            expires_at=None if role.expires is None else datetime.fromtimestamp(role.expires, UTC),
            valid_from=moment(role.begin),
            valid_until=moment(role.end),
        )

    def unassign(self, agent: Agent, path: str, user: str, role: str | None) -> int:
        return self.storage.unassign(agent, path, self.key(user), role)

    def key(self, name: str | None) -> Any:
        return None if name is None else self.agents[name].user_id


class Walk:
    """One engine and one model, alike at first: ``case`` is a ``CloudCase`` with users Jane and Mike."""

    def __init__(self, case: Any) -> None:
        self.case, self.storage = case, case.storage
        #: Two processes, as far as the database is concerned: they take turns.
        self.storages = [case.storage, case.second_storage()]
        options = self.storage.options
        self.model = Naive(
            self.storage.rules, ["Jane", "Mike"], options.versions, options.keep_days, options.user_quota
        )
        self.agents = {ADMIN: case.admin, STRANGER: case.stranger, "Jane": case.jane, "Mike": case.mike}
        self.ids: dict[Thing, int] = {self.model.root: self.storage.root.id}
        self.last = max([row.id for row in self.rows(_LOGGED, after=0)], default=0)
        self.news = News(self.storage, case.clock.seconds)
        self.news.begin()

    def rows(self, statement: Any, **parameters: Any) -> list[Any]:
        found: list[Any] = self.storage.database.read_blocking(
            lambda connection: connection.rows(statement, parameters)
        )
        return found

    def go(self, call: tuple[Any, ...]) -> None:
        """Carry one out on both, and compare."""
        kind, *arguments = call
        model = self.model
        self.storages.reverse()
        self.storage = self.storages[0]
        self.case.clock.advance(1 / 512)  # no two things happen in one millisecond: keys have the order of time
        if kind == "pass":
            self.case.clock.advance(arguments[0])
            model.now = self.case.clock.seconds()
            self.compare(call)
            return
        model.now = self.case.clock.seconds()
        if kind == "leave":
            if arguments[0] in model.users:
                self.case.User.Delete(self.case.User.id == self.key(arguments[0]))
                model.leave(arguments[0])
            self.compare(call)
            return
        if kind == "purge":
            self.storage.purge()
            model.purge()
            self.compare(call)
            return
        agent = arguments[0]
        gone = sorted((each for each in model.things if model.is_dated(each)), key=lambda each: -each.order)
        real, naive = self.both(kind, arguments, gone)
        acted = next((each for each in arguments[1:2] if isinstance(each, str) and each.startswith("/")), "/")
        if kind in ("usage", "set_quota"):
            acted = arguments[2] or "/"
        model.look(agent, acted)
        if kind in ("usage", "set_quota") and arguments[2] is None:
            model.about = ("/", None)
        if agent not in (ADMIN, STRANGER, *model.users):
            model.about = (acted, None)
            naive = model.no_user
        expected, outcome = attempt(naive)
        answered, code = attempt(real)
        self.case.assertEqual((code, shown(answered)), (outcome.code if outcome else None, shown(expected)), call)
        self.learn_ids()
        self.compare_log(call, agent, ACTIONS.get(kind, kind), "ok" if outcome is None else outcome.logged)
        self.compare(call)

    def both(self, kind: str, arguments: list[Any], gone: list[Thing]) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """The call on the engine, and on the model."""
        name, *rest = arguments
        real_rest = rest
        if kind == "restore_deleted":
            path, number = rest
            thing = gone[number] if number < len(gone) else None
            rest, real_rest = [path, thing], [path, 5 if thing is None else self.ids[thing]]
        elif kind == "assign":
            path, whom, role, seconds, begin, end = rest
            given = Role(whom, role, None if seconds is None else self.model.now + seconds, begin, end)
            given.end = None if begin == end else end
            rest = real_rest = [path, given]
        engine = _Engine(self.storage, self.agents)
        real = getattr(engine, kind, None) or getattr(self.storage, kind)
        return partial(real, self.agents[name], *real_rest), partial(getattr(self.model, kind), name, *rest)

    def key(self, name: str) -> Any:
        return self.agents[name].user_id

    # --- comparing ------------------------------------------------------------------------------------------------

    def learn_ids(self) -> None:
        """Which rows the model's items have: by what they are in, and by name."""
        items = {(row.parent_id, row.name_key): row.id for row in self.rows(_ALL["i"])}
        for each in self.model.things:
            if each not in self.ids:
                assert each.above is not None
                self.ids[each] = items.get((self.ids[each.above], each.name.lower()), -1)

    def compare_log(self, call: Any, name: str, action: str, outcome: str) -> None:
        rows = self.rows(_LOGGED, after=self.last)
        path, thing = self.model.about
        item = None if thing is None else self.ids[thing]
        found = [(row.user_name, row.action, row.path, row.item_id, row.outcome) for row in rows]
        self.case.assertEqual(found, [(name, action, path, item, outcome)], call)
        self.last = rows[-1].id
        self.compare_news(call, rows[0])

    def compare_news(self, call: Any, row: Any) -> None:
        names = [*self.model.users, STRANGER, ADMIN]
        events = self.news.read(True)
        told = [self.news.as_seen([(self.agents[name], (), event) for name in names]) for event in events]
        if row.outcome != "ok" or row.action not in CHANGES:
            self.case.assertEqual(events, [], call)
            return
        thing = self.model.about[1]
        if row.action == "copy":
            thing = self.model.along(call[3])[-1]
        assert thing is not None
        expected = []
        for name in names:
            source = row.path if row.action == "move" and self.lists(name, row.path) else None
            if self.model.rights(name, thing) & KNOWING:
                expected.append((row.action, place_of(thing.path), source))
            else:
                expected.append(None if source is None else ("delete", place_of(source), None))
        seen = [None if each is None else (each["action"], place_of(each["path"]), each["source"]) for each in told[0]]
        self.case.assertEqual(seen, expected, call)

    def lists(self, name: str, path: str) -> bool:
        directory = self.model.along(path)[-2]
        return directory is not None and "READ_TREE_DIRECTORY" in self.model.rights(name, directory)

    def compare(self, call: Any) -> None:
        """Everything that is there."""
        case, model = self.case, self.model
        items = {row.id: row for row in self.rows(_ALL["i"])}
        older: dict[int, list[Any]] = {}
        for row in sorted(self.rows(_ALL["v"]), key=lambda each: each.version):
            older.setdefault(row.item_id, []).append(row)
        case.assertEqual(set(items), {self.ids[each] for each in model.things}, call)
        keys = {None: None, **{name: agent.user_id for name, agent in self.agents.items()}}
        for each in model.things:
            row = items[self.ids[each]]
            is_gone = each.deleted is not None
            expected = (each.name, each.kind, keys[each.maker], None if each.above is None else self.ids[each.above])
            case.assertEqual((row.name, row.type, row.creator_id, row.parent_id), expected, call)
            case.assertEqual((row.name_key is None, row.deleted_at is not None), (is_gone, is_gone), (call, each.path))
            contents = [(old.version, old.size, old.sha256) for old in older.get(row.id, [])]
            contents += [(row.version, row.size, row.sha256)] if row.type == "file" else []
            wanted = [(old[0], len(old[1]), hashlib.sha256(old[1]).hexdigest()) for old in each.contents]
            case.assertEqual(contents, wanted, (call, each.path))
        self.compare_counts(call)
        there = [each for each in model.things if all(thing.deleted is None for thing in each.way)]
        asked = [(name, each) for name in (*model.users, STRANGER) for each in there]
        for (name, each), found in zip(asked, self.rights(asked), strict=True):
            case.assertEqual(found, model.rights(name, each), (call, name, each.path))

    def rights(self, asked: list[tuple[str, Thing]]) -> list[set[str]]:
        """What somebody may do at an item, of each of several."""

        def look(op: Operation) -> frozenset[Permissions]:
            return op.locate(op.path).grant.permissions

        made = [Act(self.storage, self.agents[name], "stat", each.path, look) for name, each in asked]
        return [{each.value for each in result_of(outcome)} for outcome in acts.look(self.storage, made)]

    def compare_counts(self, call: Any) -> None:
        model = self.model
        names = {agent.user_id: name for name, agent in self.agents.items() if agent.user_id is not None}
        things = {self.ids[each]: each for each in model.things}
        counted = set()
        for row in self.rows(_ALL["q"]):
            if row.user_id is not None:
                counted.add(names[row.user_id])
                kept = [each for each in model.things if each.maker == names[row.user_id]]
            else:
                counted.add(row.item_id)
                kept = model.below(things[row.item_id], deleted=True)
            old = sum(len(content[1]) for each in kept for content in each.contents[:-1])
            self.case.assertEqual((row.used, row.replaced), (model.used(kept), old), call)
        due = {name for name in model.users if model.used_by(name)}
        due |= {self.ids[each] for each in model.things if each.quota is not None}
        self.case.assertEqual(due - counted, set(), call)

    def finish(self) -> None:
        """Every content is on the disk, byte by byte, and nothing else."""
        case = self.case
        case.assertEqual(self.storage.check(), [])
        names = {row.object: row.sha256 for kind in "iv" for row in self.rows(_ALL[kind]) if row.object is not None}
        for name, sha256 in names.items():
            case.assertEqual(self.storage.objects.verify(name).sha256, sha256)
        case.assertEqual(case.objects_on_disk(), len(names))
        case.assertEqual(list((case.folder / "cloud" / "uploads").iterdir()), [])


def attempt(work: Callable[[], Any]) -> tuple[Any, Any]:
    try:
        return work(), None
    except No as no:
        return None, no
    except FluxonError as error:
        return None, error.code


def shown(result: Any) -> Any:
    """An answer of either, to be compared."""
    if isinstance(result, Thing | Entry):
        return result.path
    if isinstance(result, frozenset):
        return {each.value for each in result}
    if hasattr(result, "entries"):
        return [each.path for each in result.entries]
    return result


def moment(seconds: int | None) -> str | None:
    return None if seconds is None else str(timedelta(seconds=seconds)).zfill(8)


def shortest(fails: Callable[[list[Any]], bool], calls: list[Any]) -> list[Any]:
    """``calls`` that fail, without those that they fail without."""
    size = len(calls) // 2
    while size:
        for start in range(len(calls) - size, -1, -size):
            fewer = calls[:start] + calls[start + size :]
            if fails(fewer):
                calls = fewer
        size //= 2
    return calls
