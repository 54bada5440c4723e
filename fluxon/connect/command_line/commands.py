"""The commands: each takes the place, what was typed, and where its result goes; its exit status, None for 0."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fluxon.connect.cloud.items import CloudChange, CloudItem
from fluxon.connect.command_line.folders import get, put
from fluxon.connect.command_line.output import Output, moment, size
from fluxon.connect.command_line.place import Place
from fluxon.connect.command_line.statuses import NO_CONNECTION, NOT_PERMITTED, status_of
from fluxon.errors import ConfigurationError, FluxonError, InvalidPayload, NotFound, UnknownView

Command = Callable[[Place, argparse.Namespace, Output], int | None]

#: What a view may be sent from standard input: more than any server takes.
_MAX_INPUT = 64 * 1024 * 1024


def _login(place: Place, options: argparse.Namespace, output: Output) -> int | None:
    server = place.main  # which connects while the password is typed
    password = _password(f"password of {options.user} at {place.saved.host}: ")
    server.when_connected()
    before = place.session.public_id
    answer = server.send_request(options.view, {"username": options.user, "password": password})
    # Somebody may have been logged in already, and still is: it is a login that makes another session of it.
    if not place.session.authenticated or place.session.public_id == before:
        said = answer.get("response") if isinstance(answer, dict) else answer
        output.complaint(f"not logged in as {options.user}; the server said: {said}")
        return NOT_PERMITTED
    place.remember(options.user)
    output.result({"user": options.user, "server": place.saved.host}, [f"logged in as {options.user}"])
    return None


def _password(prompt: str) -> str:
    """What is typed, or comes in the first line of standard input where that is no terminal."""
    try:
        if sys.stdin.isatty():
            return getpass.getpass(prompt)
        line = sys.stdin.readline()
    except EOFError:  # Ctrl+D, or no terminal either
        line = ""
    if not line:
        raise ConfigurationError("no password was given: it is typed, or is the first line of standard input")
    return line.rstrip("\r\n")


def _logout(place: Place, options: argparse.Namespace, output: Output) -> None:
    if place.saved.token is None:
        output.said("nobody was logged in")
        return
    try:
        place.main.send_request(options.view)
    except UnknownView:
        output.complaint(
            f"the server has no view {options.view!r}: the session is forgotten here, and ends by itself there "
            "(--view names another)"
        )
    except FluxonError as error:
        output.complaint(f"the server was not told: {error.text}; the session is forgotten here")
    place.forget()
    output.said("logged out")


def _whoami(place: Place, options: argparse.Namespace, output: Output) -> None:
    saved = place.saved
    state = {
        "server": f"{saved.host}:{saved.port}",
        "cloud_port": saved.cloud_port,
        "secure": saved.secure,
        "user": saved.user,
        "logged_in": saved.token is not None,
    }
    who = saved.user or ("somebody" if saved.token is not None else "nobody")
    output.result(state, [f"{who} at {saved.host}:{saved.port}{' (TLS)' if saved.secure else ''}"])


def _call(place: Place, options: argparse.Namespace, output: Output) -> None:
    text = sys.stdin.read(_MAX_INPUT) if options.payload == "-" else options.payload
    try:
        payload = None if text is None else json.loads(text)
    except ValueError as error:
        raise InvalidPayload(f"the payload is no JSON: {error}") from None
    output.value(place.main.send_request(options.view, payload))


# --- items ------------------------------------------------------------------------------------------------------------


def _ls(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.stat(options.path) if options.path.strip("/") else None
    items = [found] if found is not None and found.is_file else place.cloud.list_directory(options.path)
    output.result(items, (_long(each) if options.long else _name(each) for each in items))


def _tree(place: Place, options: argparse.Namespace, output: Output) -> None:
    items = place.cloud.read_tree_directory(options.path)
    above = len([each for each in options.path.split("/") if each])
    output.result(items, ("  " * (each.path.count("/") - 1 - above) + _name(each) for each in _in_order(items)))


def _in_order(items: list[CloudItem]) -> list[CloudItem]:
    """What is in a directory right behind it."""
    return sorted(items, key=lambda each: each.path.split("/"))


def _find(place: Place, options: argparse.Namespace, output: Output) -> None:
    items = place.cloud.find(options.path, options.pattern)
    output.result(items, (each.path for each in items))


def _stat(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.stat(options.path)
    output.result(
        found,
        [
            f"{found.path}  ({found.type})",
            f"size     {found.size:,} bytes",
            f"version  {found.version}",
            f"sha256   {found.sha256 or '-'}",
            f"creator  {found.creator or '-'}",
            f"created  {moment(found.created_at)}",
            f"changed  {moment(found.modified_at)}",
        ],
    )


def _mkdir(place: Place, options: argparse.Namespace, output: Output) -> None:
    made = place.cloud.create_directory(options.path, parents=options.parents)
    output.result(made, ())


def _rm(place: Place, options: argparse.Namespace, output: Output) -> int | None:
    status: int | None = None
    for path in options.paths:
        try:
            _delete(place, path, options.recursive)
        except FluxonError as error:
            # One that cannot be deleted does not keep the others.
            if len(options.paths) == 1 or status_of(error) == NO_CONNECTION:
                raise
            output.complaint(f"{path}: {error.text}")
            status = status or status_of(error)
        else:
            output.said(f"deleted {path}")
    return status


def _delete(place: Place, path: str, recursive: bool) -> None:
    if recursive and _is_directory(place, path):
        place.cloud.delete_directory(path)
    else:
        _delete_file(place, path)


def _delete_file(place: Place, path: str) -> None:
    try:
        place.cloud.delete_file(path)
    except InvalidPayload as error:
        if _is_directory(place, path):
            raise InvalidPayload(f"{path} is a directory: -r deletes it, with all that is in it") from error
        raise


def _is_directory(place: Place, path: str) -> bool:
    return place.cloud.stat(path).is_directory


def _mv(place: Place, options: argparse.Namespace, output: Output) -> None:
    output.result(place.cloud.move(options.path, options.to), ())


def _cp(place: Place, options: argparse.Namespace, output: Output) -> None:
    output.result(place.cloud.copy(options.path, options.to), ())


def _name(each: CloudItem) -> str:
    return f"{each.name}/" if each.is_directory else each.name


def _long(each: CloudItem) -> str:
    amount = "" if each.is_directory else size(each.size)
    return f"{amount:>10}  {moment(each.modified_at)}  {each.creator or '-':<12}  {_name(each)}"


# --- roles and history ------------------------------------------------------------------------------------------------


def _share(place: Place, options: argparse.Namespace, output: Output) -> None:
    summary = place.cloud.assign_role(
        options.path,
        options.user,
        options.role,
        expires_at=_time(options.expires),
        valid_from=options.valid_from,
        valid_until=options.valid_until,
    )
    output.result(summary, [f"{options.user} is {summary['role']} of {summary['cloud_relative_path']}"])


def _unshare(place: Place, options: argparse.Namespace, output: Output) -> None:
    removed = place.cloud.remove_role(options.path, options.user, options.role)
    if not removed:
        raise NotFound(f"{options.user} has no such role at {options.path} itself; roles shows what is assigned there")
    output.result({"removed": removed}, [f"{removed} taken from {options.user}"])


def _roles(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.roles(options.path)
    output.result(
        found,
        (
            f"{each.user:<20}  {each.role:<12}"
            + (f"  until {moment(each.expires_at)}" if each.expires_at else "")
            + (f"  {each.valid_from or '00:00'} to {each.valid_until or '24:00'} UTC" if _part_of_day(each) else "")
            for each in found
        ),
    )


def _part_of_day(each: Any) -> bool:
    return each.valid_from is not None or each.valid_until is not None


def _permissions(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = sorted(place.cloud.permissions(options.path))
    output.result(found, found)


def _log(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.log(options.path, user=options.user, since=_time(options.since), limit=options.number)
    output.result(
        found,
        (
            f"{moment(each.timestamp)}  {each.user:<12}  {each.action_type:<14}  "
            f"{'' if each.allowed else 'DENIED  '}{each.path}"
            for each in found
        ),
    )


def _versions(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.versions(options.path)
    output.result(
        found, (f"{each.version:>5}  {size(each.size):>10}  {moment(each.at)}  {each.by or '-'}" for each in found)
    )


def _deleted(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.deleted(options.path)
    output.result(
        found, (f"{each.id}  {moment(each.deleted_at)}  {each.deleted_by or '-':<12}  {each.path}" for each in found)
    )


def _restore(place: Place, options: argparse.Namespace, output: Output) -> None:
    found = place.cloud.restore(options.path, version=options.version, deleted=options.deleted)
    output.result(found, [f"{found.path} is as it was"])


def _watch(place: Place, options: argparse.Namespace, output: Output) -> None:
    over = threading.Event()

    def show(change: CloudChange) -> None:
        source = f"  from {change.source}" if change.source else ""
        try:
            output.result(
                change, [f"{moment(change.at)}  {change.user:<12}  {change.action:<10}  {change.path}{source}"]
            )
            output.flush()
        except OSError:  # nobody reads it any more
            over.set()
        if change.action == "ended":
            over.set()

    place.cloud.watch(options.path, show)
    output.note(f"watching {options.path}; Ctrl+C ends it")
    while not over.wait(0.5):
        pass


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidPayload(f"{text!r} is no time like 2027-01-31 or 2027-01-31T18:00") from None
    return found.astimezone()  # without an offset: this machine's time


COMMANDS: dict[str, Command] = {
    "login": _login,
    "logout": _logout,
    "whoami": _whoami,
    "call": _call,
    "ls": _ls,
    "tree": _tree,
    "find": _find,
    "stat": _stat,
    "mkdir": _mkdir,
    "rm": _rm,
    "mv": _mv,
    "cp": _cp,
    "get": get,
    "put": put,
    "share": _share,
    "unshare": _unshare,
    "roles": _roles,
    "permissions": _permissions,
    "log": _log,
    "versions": _versions,
    "deleted": _deleted,
    "restore": _restore,
    "watch": _watch,
}
