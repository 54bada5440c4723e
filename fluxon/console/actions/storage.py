"""The cloud storage, as its administration sees it.

Rules of this module:

- Everything goes through ``fluxon.cloud``: what an operator does is in the audit log like what anybody does, under the
  name ``Admin`` with the key's.
- The storage blocks, so each call runs in a thread of the console.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs

from fluxon.cloud import roles
from fluxon.cloud.agent import Agent
from fluxon.cloud.entries import Page
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.storage import Storage
from fluxon.cloud.users import Named
from fluxon.console import people
from fluxon.console.command import WrongUsage
from fluxon.console.console import Run
from fluxon.console.output import Lines, Output, Record, Table
from fluxon.console.served import Served
from fluxon.errors import NotFound

T = TypeVar("T")

#: What is shown unless more is asked for, and in one call of the storage.
_ROWS = 200
_PAGE = 1_000

#: How a stranger is named.
_ANONYMOUS = "anonymous"
#: Of an operator's name, what the audit log has room for.
_LONGEST_NAME = 100


def _storage(served: Served) -> Storage:
    if served.storage is None:
        raise NotFound("this server's setup has no cloud storage")
    return served.storage


def _agent(run: Run) -> Agent:
    return Agent(None, f"Admin: {run.operator}"[:_LONGEST_NAME], admin=True)


async def _named(served: Served, who: str) -> Named | None:
    if who == _ANONYMOUS:
        return None
    return Named(id=(await people.find_user(served, who)).id)


async def _pages(run: Run, ask: Callable[[str | None, int], Page[Any]]) -> tuple[list[Any], bool]:
    """As many entries as are wanted, page by page, and whether there are more."""
    wanted: int = run["limit"] or _ROWS
    found: list[Any] = []
    after: str | None = None
    while len(found) < wanted:
        page = await run.in_thread(ask, after, min(_PAGE, wanted - len(found)))
        found += page.entries
        after = page.next
        if after is None:
            return found, False
    return found, True


def _listed(run: Run, shown: Table | Lines, more: bool, count: int) -> Output:
    if not more or run.as_json:
        return shown
    return [shown, Lines([f"these are the first {count:,}; --limit shows more"])]


# --- the tree ---------------------------------------------------------------------------------------------------------


async def ls(served: Served, run: Run) -> Output:
    """A directory."""
    storage, agent, path = _storage(served), _agent(run), run["path"] or "/"
    found, more = await _pages(run, lambda after, limit: storage.listing(agent, path, after, limit))
    return _listed(run, _entries(found, lambda each: each.name), more, len(found))


async def tree(served: Served, run: Run) -> Output:
    """A directory and all that is below it."""
    storage, agent, path = _storage(served), _agent(run), run["path"] or "/"
    found, more = await _pages(run, lambda after, limit: storage.tree(agent, path, after, limit))
    if run.as_json:
        return _entries(found, lambda each: each.path)
    above = path.strip("/").count("/") + 1 if path.strip("/") else 0
    lines = []
    for each in found:
        depth = each.path.count("/") - 1 - above
        kind = "/" if each.type == "directory" else f"  {each.size:,} bytes"
        lines.append(f"{'    ' * depth}{each.name}{kind}")
    return _listed(run, Lines(lines or ["nothing"]), more, len(found))


def _entries(found: list[Any], name: Callable[[Any], str]) -> Table:
    rows = [
        (name(each), each.type, each.size, each.version, each.creator_name or "Admin", each.modified_at)
        for each in found
    ]
    return Table(("name", "type", "size", "version", "of", "modified"), rows, empty="nothing")


# --- rights -----------------------------------------------------------------------------------------------------------


async def roles_(served: Served, run: Run) -> Output:
    """Assignments at an item."""
    found = await run.in_thread(_storage(served).roles, _agent(run), run["path"])
    rows = [(each.user, each.role, each.expires_at, each.valid_from, each.valid_until) for each in found]
    return Table(("user", "role", "expires", "from", "until"), rows, empty="no role is assigned here")


async def assign(served: Served, run: Run) -> Output:
    """Give a user a role."""
    user = await people.find_user(served, run["user"])
    expires = _moment(run["expires"])

    def work() -> dict[str, str]:
        return _storage(served).assign(
            _agent(run),
            run["path"],
            run["role"],
            user.id,
            expires_at=expires,
            valid_from=run["from"],
            valid_until=run["until"],
        )

    return Record(await run.in_thread(work))


async def unassign(served: Served, run: Run) -> Output:
    """Take roles from a user."""
    user = await people.find_user(served, run["user"])
    count = await run.in_thread(_storage(served).unassign, _agent(run), run["path"], user.id, run["role"])
    if not count:
        raise NotFound(f"{people.name_of(user)} has no such role at {run['path']}")
    return Lines([f"took {count} roles at {run['path']} from {people.name_of(user)}"])


async def explain(served: Served, run: Run) -> Output:
    """What somebody may do at an item, and why."""
    storage, user = _storage(served), await _named(served, run["user"])
    asked = None if run["permission"] is None else _permission(run["permission"])
    found = await run.in_thread(roles.explain, storage, run["path"], user, asked)
    facts = attrs.asdict(found)
    if asked is None:
        del facts["permission"], facts["allowed"]
    return Record({name.replace("_", " "): value for name, value in facts.items()})


async def who_can(served: Served, run: Run) -> Output:
    """Who has a permission at an item."""
    asked = _permission(run["permission"])
    found = await run.in_thread(roles.who_can, _storage(served), run["path"], asked)
    return Record({name.replace("_", " "): value for name, value in attrs.asdict(found).items()})


def _permission(name: str) -> Permissions:
    try:
        return Permissions(name.upper())
    except ValueError:
        names = ", ".join(each.value for each in Permissions)
        raise WrongUsage(f"there is no permission {name[:40]!r}; there are {names}") from None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage(f"{text[:40]!r} is no time; write for example 2027-01-31T18:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


# --- what was ---------------------------------------------------------------------------------------------------------


async def audit(served: Served, run: Run) -> Output:
    """The audit log, the newest first."""
    storage, agent, path = _storage(served), _agent(run), run["path"] or "/"
    user = None if run["user"] is None else (await people.find_user(served, run["user"])).id
    since = _moment(run["since"])

    def ask(after: str | None, limit: int) -> Page[Any]:
        return storage.log(agent, path, user=user, since=since, after=after, limit=limit)

    found, more = await _pages(run, ask)
    rows = [
        (each.timestamp, each.user, each.action_type, each.path, each.outcome, each.address, each.details)
        for each in found
    ]
    table = Table(("time", "user", "action", "path", "outcome", "address", "details"), rows, empty="nothing")
    return _listed(run, table, more, len(found))


async def versions(served: Served, run: Run) -> Output:
    """Contents of a file that are kept."""
    found = await run.in_thread(_storage(served).versions, _agent(run), run["path"])
    return Table(("version", "size", "at", "by", "sha256"), [(e.version, e.size, e.at, e.by, e.sha256) for e in found])


async def restore(served: Served, run: Run) -> Output:
    """Make an older content the present one; without a version, bring back what was deleted last at the path."""
    storage, agent, path = _storage(served), _agent(run), run["path"]
    if run["version"] is not None:
        entry = await run.in_thread(storage.restore_version, agent, path, run["version"])
        return Lines([f"{entry.path} has the content of version {run['version']} again, as version {entry.version}"])

    def bring_back() -> Any:
        above = path.rstrip("/").rpartition("/")[0] or "/"
        wanted, after = "/" + path.strip("/"), None
        while True:
            page = storage.deleted(agent, above, after)
            for each in page.entries:
                if each.path == wanted:
                    return storage.restore_deleted(agent, path, each.id)
            after = page.next
            if after is None:
                raise NotFound(f"nothing that was deleted at {path} is kept; see storage deleted")

    entry = await run.in_thread(bring_back)
    return Lines([f"{entry.path} is back"])


async def deleted(served: Served, run: Run) -> Output:
    """What was deleted and is kept."""
    storage, agent, path = _storage(served), _agent(run), run["path"] or "/"
    found, more = await _pages(run, lambda after, limit: storage.deleted(agent, path, after, limit))
    rows = [(each.path, each.type, each.size, each.deleted_at, each.deleted_by) for each in found]
    return _listed(run, Table(("path", "type", "size", "deleted", "by"), rows, empty="nothing"), more, len(found))


# --- care -------------------------------------------------------------------------------------------------------------


async def usage(served: Served, run: Run) -> Output:
    """What a user, or a directory, keeps."""
    storage, agent = _storage(served), _agent(run)
    if run["user"] is not None:
        user = (await people.find_user(served, run["user"])).id
        found = await run.in_thread(lambda: storage.usage(agent, user=user))
    else:
        found = await run.in_thread(lambda: storage.usage(agent, path=run["path"] or "/"))
    return Record({"bytes": found.used, "of them in versions": found.versions, "limit": found.limit})


async def sweep(served: Served, run: Run) -> Output:
    """Purge what is kept for too long, and remove what no row names."""
    run.progress("looking at every object; this may take a while")
    found = await run.in_thread(_storage(served).sweep)
    return Record({name.replace("_", " "): value for name, value in attrs.asdict(found).items()})


async def check(served: Served, run: Run) -> Output:
    """Compare rows and objects."""
    run.progress("comparing every row with its object; this may take a while")
    problems = await run.in_thread(_storage(served).check)
    if problems:
        run.write(Lines(problems))
        raise NotFound(f"{len(problems)} things are wrong")
    return Lines(["rows and objects agree"])
