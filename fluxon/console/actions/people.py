"""Who is there: sessions, connections, users; and their ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fluxon.console import people
from fluxon.console.console import Run
from fluxon.console.output import Lines, Output, Record, Table
from fluxon.console.served import Served
from fluxon.errors import NotFound, Unavailable
from fluxon.routing import Delivery
from fluxon.rpc import Peer
from fluxon.sessions import Session
from fluxon.sessions.session import public_id

#: Rows that are shown unless more are asked for.
_ROWS = 100


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _who(session: Session | None) -> str | None:
    return None if session is None or session.user is None else people.name_of(session.user)


async def sessions(served: Served, run: Run) -> Output:
    """Those with a connection here; or all of one user, of every process."""
    if run["user"] is not None:
        user = await people.find_user(served, run["user"])
        records = await served.sessions.list_user(user.id)
        connected = {each.key: len(each.connections) for each in served.sessions.connected()}
        rows = [
            (public_id(each.key), _moment(each.created), _moment(each.used), connected.get(each.key, 0))
            for each in records
        ]
        return Table(("session", "since", "used", "connections"), rows, empty="the user is logged in nowhere")
    found = sorted(served.sessions.connected(), key=lambda each: each.created)[: run["limit"] or _ROWS]
    rows_here = [
        (each.public_id, each.user_id, _who(each), len(each.connections), _moment(each.created)) for each in found
    ]
    return Table(("session", "id", "user", "connections", "since"), rows_here, empty="nobody is connected")


async def session(served: Served, run: Run) -> Output:
    """One session."""
    found = people.find_session(served, run["session"])
    if found is None:
        raise NotFound(f"no session with a connection here is called {run['session']!r}; see sessions")
    about = Record(
        {
            "session": found.public_id,
            "id": found.user_id,
            "user": _who(found),
            "since": _moment(found.created),
            "read again": _moment(found.verified_at),
        },
        "session",
    )
    attached = {each for each in found.connections if isinstance(each, Peer)}
    return [about, _connections(served, [each for each in people.peers(served) if each[1] in attached], "connections")]


async def connections(served: Served, run: Run) -> Output:
    """All of every port."""
    found = people.peers(served)
    found.sort(key=lambda each: (-len(each[1].conversation.answering), -each[1].protocol.backlog, each[1].number))
    return _connections(served, found[: run["limit"] or _ROWS])


def _connections(served: Served, found: list[Any], title: str | None = None) -> Table:
    rows = [
        (
            peer.number,
            port.name,
            people.address_of(peer),
            None if peer.session is None else peer.session.public_id,
            _who(peer.session),
            _moment(peer.since),
            len(peer.conversation.answering),
            peer.protocol.backlog,
        )
        for port, peer in found
    ]
    columns = ("number", "port", "address", "session", "user", "since", "requests", "unsent")
    return Table(columns, rows, title, empty="there are no connections")


async def users(served: Served, run: Run) -> Output:
    """Those who are connected; or everybody."""
    by_user: dict[int, list[Session]] = {}
    for each in served.sessions.connected():
        if each.user_id is not None:
            by_user.setdefault(each.user_id, []).append(each)
    columns = ("id", "user", "sessions", "connections", "since")
    if not run["all"]:
        rows: list[Any] = [_user_row(each[0].user, each) for each in by_user.values()]
        return Table(columns, sorted(rows)[: run["limit"] or _ROWS], empty="no user is connected")
    database = served.database
    if database is None or database.user_model is None:
        raise NotFound("this server has no users: its setup has no model of them")
    model, key = database.user_model, database.user_model.declaration.key.name
    stored = await model.Check(fetch=run["limit"] or _ROWS, order_by=key)
    rows = [_user_row(each, by_user.get(getattr(each, key), []), key) for each in stored]
    shown: Output = Table(columns, rows, empty="there are no users")
    total = await model.Count()
    if total > len(stored) and not run.as_json:
        return [shown, Lines([f"{len(stored)} of {total:,}; --limit shows more"])]  # type: ignore[list-item]
    return shown


def _user_row(row: Any, found: list[Session], key: str = "id") -> tuple[Any, ...]:
    since = min((each.created for each in found), default=None)
    number = getattr(row, key, None)
    count = sum(len(each.connections) for each in found)
    return (number, people.name_of(row), len(found), count, None if since is None else _moment(since))


async def groups(served: Served, run: Run) -> Output:
    """All of them, the largest first; or the members of one."""
    limit = run["limit"] or _ROWS
    if run["group"] is None:
        counting: Any = served.groups.names()
        largest = sorted((await counting).items(), key=lambda each: (-each[1], each[0]))[:limit]
        return Table(("group", "members"), largest, empty="there are no groups")
    looking: Any = served.groups.members(run["group"])
    rows = [
        (each.session, each.user_id, None if each.user is None else people.name_of(each.user), each.online)
        for each in (await looking)[:limit]
    ]
    # A user is a member on every device, and has no session here.
    return Table(("session", "id", "user", "online"), rows, empty="nobody is in a group of that name")


async def kick(served: Served, run: Run) -> Output:
    """End a connection, or a session with all its connections."""
    target = run["target"]
    if target.isascii() and target.isdigit() and len(target) < 12:
        peer = people.find_peer(served, int(target))
        if peer is not None:
            where = people.address_of(peer)
            peer.protocol.abort(f"an operator ended it: {run.operator}")
            return Lines([f"ended connection {target} from {where}; its client may connect again"])
    session = people.find_session(served, target)
    if session is None:
        raise NotFound(f"neither a connection nor a session is called {target!r}; see connections and sessions")
    count = len(session.connections)
    await served.sessions.revoke(session)
    return Lines([f"ended session {session.public_id}; its {count} connections go on as strangers"])


async def logout(served: Served, run: Run) -> Output:
    """End every session of a user."""
    user = await people.find_user(served, run["user"])
    count = await served.sessions.revoke_user(user.id)
    return Lines([f"ended {count} sessions of {people.name_of(user)}; other processes notice within seconds"])


async def push(served: Served, run: Run) -> Output:
    """A reverse request."""
    user = await people.find_user(served, run["user"])
    asked: Any = served.reverse.reverse_request(user.id, run["function"], run["json"], None)
    delivery: Delivery = await asked
    name = people.name_of(user)
    if not delivery:
        raise Unavailable(f"no client of {name} ran {run['function']!r}: {_why(delivery)}")
    rows = [(each.session, each.state, None if each.error is None else each.error.text) for each in delivery]
    return Table(("session", "result", "why"), rows, f"{run['function']} in the clients of {name}")


def _why(delivery: Delivery) -> str:
    if not len(delivery):
        return "none is connected"
    return "; ".join(
        f"{each.session} {each.state}" + (f" ({each.error.text})" if each.error else "") for each in delivery
    )
