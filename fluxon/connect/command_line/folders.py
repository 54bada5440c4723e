"""``get`` and ``put``: files, and whole folders with several transfers at once.

Rules of this module:

- What is there already with the same size and hash is not sent again: so a command that was interrupted is typed again.
- What a server calls its files decides where they land below the given folder, and never anywhere else.
- One file that cannot be transferred does not keep the others; the command then fails at its end, and says how many.
  Nothing is left out without a word.
"""

from __future__ import annotations

import argparse
import os
import sys
import unicodedata
from pathlib import Path

from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.command_line.jobs import Job, is_same, run
from fluxon.connect.command_line.output import Output
from fluxon.connect.command_line.place import Place
from fluxon.connect.command_line.progress import Bar
from fluxon.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    NotFound,
    PermissionDenied,
    ProtocolError,
    Unavailable,
    UntrustedServer,
)

#: Of a folder that cannot be made in the cloud: what the others would meet as well.
_NO_CONNECTION = (Unavailable, UntrustedServer, ProtocolError, DeadlineExceeded)


# --- put --------------------------------------------------------------------------------------------------------------


def put(place: Place, options: argparse.Namespace, output: Output) -> int | None:
    """Upload what is named."""
    target = _remote(options.path)
    several = len(options.local) > 1 or options.path.endswith("/")
    jobs: list[Job] = []
    for local in map(Path, options.local):
        if not local.exists():
            raise FileNotFoundError(2, "there is no such file", str(local))
        into = several or (not local.is_dir() and _is_directory(place, target))
        remote = f"{target.rstrip('/')}/{local.resolve().name}" if into else target
        jobs += _put_folder(place, local, remote, output) if local.is_dir() else [_file_to_put(place, local, remote)]

    def transfer(job: Job, bar: Bar) -> CloudItem | None:
        part = bar.part()
        if job.trouble is not None:
            raise job.trouble
        if job.item is not None and is_same(job.local, job.item):
            part(job.size, job.size)
            return None
        return place.cloud.upload_file(job.remote, job.local, progress=part)

    return run(place, jobs, transfer, options.jobs, output, "sent", lambda job: job.remote)


def _put_folder(place: Place, folder: Path, remote: str, output: Output) -> list[Job]:
    there = _tree(place, remote)
    if remote.strip("/"):
        _make(place, remote, there)
    jobs: list[Job] = []

    def above(parent: str) -> str:
        return "/".join((remote.rstrip("/"), *Path(parent).relative_to(folder).parts))

    def unreadable(error: OSError) -> None:
        jobs.append(Job(Path(error.filename), _remote(above(error.filename)), 0, None, error))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in list(folders):
            local, path = Path(parent, name), _remote(f"{above(parent)}/{name}")
            if local.is_symlink():
                output.complaint(f"{local}: a link to a folder; it was left out")
                folders.remove(name)
                continue
            try:
                _make(place, path, there)
            except (FluxonError, OSError) as error:
                if isinstance(error, _NO_CONNECTION):
                    raise
                jobs.append(Job(local, path, 0, None, error))
                folders.remove(name)  # nothing can be put into it
        for name in sorted(files):
            local, path = Path(parent, name), _remote(f"{above(parent)}/{name}")
            if local.is_file():
                jobs.append(Job(local, path, local.stat().st_size, there.get(path)))
            else:
                output.complaint(f"{local}: no regular file; it was left out")
    return jobs


def _make(place: Place, path: str, there: dict[str, CloudItem]) -> None:
    if path in there:
        return
    try:
        place.cloud.create_directory(path)
    except AlreadyExists:
        pass


def _file_to_put(place: Place, local: Path, remote: str) -> Job:
    try:
        item = place.cloud.stat(remote)
    except (NotFound, PermissionDenied):
        item = None
    return Job(local, remote, local.stat().st_size, item)


# --- get --------------------------------------------------------------------------------------------------------------


def get(place: Place, options: argparse.Namespace, output: Output) -> int | None:
    """Download what is named."""
    path = _remote(options.path)
    item = place.cloud.stat(path) if path.strip("/") else None
    name = "" if item is None else _local_name(item.name)
    target = Path(options.local) if options.local is not None else Path(name or ".")
    if options.local is not None and name and _is_into(options.local, target, item):
        target = target / name
    if item is not None and item.is_file:
        jobs = [Job(target, path, item.size, item)]
    else:
        jobs = _get_folder(place, path if item is None else item.path, target)

    def transfer(job: Job, bar: Bar) -> CloudItem | None:
        part = bar.part()
        if job.trouble is not None:
            raise job.trouble
        assert job.item is not None
        if is_same(job.local, job.item):
            part(job.size, job.size)
            return None
        return place.cloud.download_file(job.remote, job.local, progress=part)

    return run(place, jobs, transfer, options.jobs, output, "received", lambda job: str(job.local))


def _is_into(local: str, target: Path, item: CloudItem | None) -> bool:
    """Whether ``local`` is where the new one lies, and not the new one itself.

    A folder that is there is the new one, begun by the same command before.
    """
    if local.endswith(("/", os.sep)) or target.name in ("", "..", "."):
        return True
    return item is not None and item.is_file and target.is_dir()


def _get_folder(place: Place, path: str, target: Path) -> list[Job]:
    target.mkdir(parents=True, exist_ok=True)
    jobs = []
    above = path.rstrip("/")
    seen: set[str] = set()
    for each in place.cloud.read_tree_directory(path):
        if not each.path.startswith(f"{above}/"):
            raise InvalidPayload("the server listed something that is not in the directory that was asked for")
        names = each.path[len(above) + 1 :].split("/")
        for name in names:
            _check_name(name)
        job = Job(target.joinpath(*names), each.path, each.size, each)
        try:
            _check_names_here(names)
            if (key := unicodedata.normalize("NFC", each.path).casefold()) in seen:
                raise AlreadyExists(
                    "the server listed another item of this name, which may be one file on this machine"
                )
            seen.add(key)
            if each.is_directory:
                job.local.mkdir(exist_ok=True)
                continue
        except (FluxonError, OSError) as error:
            job.size, job.trouble = 0, error
        jobs.append(job)
    return jobs


def _local_name(name: str) -> str:
    """``name``, if it can be that of one local file."""
    _check_name(name)
    _check_names_here([name])
    return name


def _check_name(name: str) -> None:
    """A name that leads somewhere else is none that a cloud has: nothing of such a server is taken."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InvalidPayload(f"the server listed {name!r}, which can be no file's name")


def _check_names_here(names: list[str]) -> None:
    """What a name of the cloud would mean more to this machine's system is refused."""
    for name in names:
        if sys.platform == "win32" and (name[-1] in ". " or any(each in '\\:*?"<>|' for each in name)):
            raise InvalidPayload(f"{name!r} can be no file's name on this machine")


# --- both ------------------------------------------------------------------------------------------------------------


def _tree(place: Place, path: str) -> dict[str, CloudItem]:
    """What is below a directory, if it is there and may be listed."""
    try:
        return {each.path: each for each in place.cloud.read_tree_directory(path)}
    except (NotFound, PermissionDenied):
        return {}


def _is_directory(place: Place, path: str) -> bool:
    if not path.strip("/"):
        return True
    try:
        return place.cloud.stat(path).is_directory
    except (NotFound, PermissionDenied):
        return False


def _remote(path: str) -> str:
    """As the cloud writes it."""
    path = unicodedata.normalize("NFC", path)
    return path if path.startswith("/") else f"/{path}"
