"""``get`` and ``put``: files, and whole folders with several transfers at once.

Rules of this module:

- What is there already with the same size and hash is not sent again: so a command that was interrupted is typed again.
- What a server calls its files decides where they land below the given folder, and never anywhere else.
- One file that cannot be transferred does not keep the others; the command then fails at its end, and says how many.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import define

from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.command_line.output import Output, size
from fluxon.connect.command_line.place import Place
from fluxon.connect.command_line.progress import Bar
from fluxon.connect.command_line.statuses import FAILED
from fluxon.errors import AlreadyExists, FluxonError, InvalidPayload, NotFound, PermissionDenied

#: Longest single wait for transfers: short enough that Ctrl+C is answered at once everywhere.
_SLICE = 0.5


@define
class _Job:
    """One file: its local path, its path in the cloud, and what is there."""

    local: Path
    remote: str
    size: int
    #: What the cloud has under that path.
    item: CloudItem | None


# --- put --------------------------------------------------------------------------------------------------------------


def put(place: Place, options: argparse.Namespace, output: Output) -> int | None:
    """Upload what is named."""
    target = _remote(options.path)
    several = len(options.local) > 1 or options.path.endswith("/")
    jobs: list[_Job] = []
    for local in map(Path, options.local):
        if not local.exists():
            raise FileNotFoundError(2, "there is no such file", str(local))
        into = several or (not local.is_dir() and _is_directory(place, target))
        remote = f"{target.rstrip('/')}/{local.resolve().name}" if into else target
        jobs += _put_folder(place, local, remote, output) if local.is_dir() else [_file_to_put(place, local, remote)]

    def transfer(job: _Job, bar: Bar) -> CloudItem | None:
        part = bar.part()
        if job.item is not None and _is_same(job.local, job.item):
            part(job.size, job.size)
            return None
        return place.cloud.upload_file(job.remote, job.local, progress=part)

    return _run(place, jobs, transfer, options.jobs, output, "sent", lambda job: job.remote)


def _put_folder(place: Place, folder: Path, remote: str, output: Output) -> list[_Job]:
    there = _tree(place, remote)
    if remote.strip("/"):
        _make(place, remote, there)
    jobs = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        above = "/".join((remote.rstrip("/"), *Path(parent).relative_to(folder).parts))
        for name in folders:
            _make(place, _remote(f"{above}/{name}"), there)
        for name in sorted(files):
            local, path = Path(parent, name), _remote(f"{above}/{name}")
            if local.is_file():
                jobs.append(_Job(local, path, local.stat().st_size, there.get(path)))
            else:
                print(f"{local}: no regular file; it was left out", file=output.err)
    return jobs


def _make(place: Place, path: str, there: dict[str, CloudItem]) -> None:
    if path in there:
        return
    try:
        place.cloud.create_directory(path)
    except AlreadyExists:
        pass


def _file_to_put(place: Place, local: Path, remote: str) -> _Job:
    try:
        item = place.cloud.stat(remote)
    except (NotFound, PermissionDenied):
        item = None
    return _Job(local, remote, local.stat().st_size, item)


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
        jobs = [_Job(target, path, item.size, item)]
    else:
        jobs = _get_folder(place, path if item is None else item.path, target)

    def transfer(job: _Job, bar: Bar) -> CloudItem | None:
        part = bar.part()
        assert job.item is not None
        if _is_same(job.local, job.item):
            part(job.size, job.size)
            return None
        return place.cloud.download_file(job.remote, job.local, progress=part)

    return _run(place, jobs, transfer, options.jobs, output, "received", lambda job: str(job.local))


def _is_into(local: str, target: Path, item: CloudItem | None) -> bool:
    """Whether ``local`` is where the new one lies, and not the new one itself.

    A folder that is there is the new one, begun by the same command before.
    """
    if local.endswith(("/", os.sep)) or target.name in ("", "..", "."):
        return True
    return item is not None and item.is_file and target.is_dir()


def _get_folder(place: Place, path: str, target: Path) -> list[_Job]:
    target.mkdir(parents=True, exist_ok=True)
    jobs = []
    above = path.rstrip("/")
    for each in place.cloud.read_tree_directory(path):
        if not each.path.startswith(f"{above}/"):
            raise InvalidPayload("the server listed something that is not in the directory that was asked for")
        local = target.joinpath(*map(_local_name, each.path[len(above) + 1 :].split("/")))
        if each.is_directory:
            local.mkdir(exist_ok=True)
        else:
            jobs.append(_Job(local, each.path, each.size, each))
    return jobs


def _local_name(name: str) -> str:
    """``name`` as that of one local file. What it would mean more to the local system is refused."""
    bad = "/\\\0" + (':*?"<>|' if sys.platform == "win32" else "")
    if name in ("", ".", "..") or any(each in bad for each in name):
        raise InvalidPayload(f"{name!r} can be no file's name on this machine")
    return name


# --- both -------------------------------------------------------------------------------------------------------------


def _run(
    place: Place,
    jobs: list[_Job],
    transfer: Callable[[_Job, Bar], CloudItem | None],
    at_once: int,
    output: Output,
    verb: str,
    name: Callable[[_Job], str],
) -> int | None:
    """Have ``jobs`` done, ``at_once`` at a time."""
    items: list[CloudItem] = []
    skipped = failed = 0
    total = sum(job.size for job in jobs)
    what = jobs[0].local.name if len(jobs) == 1 else f"{len(jobs)} files"
    with Bar(total, what, output.err, quiet=output.quiet or output.as_json) as bar:
        for job, done in _results(place, jobs, lambda job: transfer(job, bar), at_once):
            error = done.exception()
            if error is None:
                item = done.result()
                if item is None:
                    skipped += 1
                else:
                    items.append(item)
            elif len(jobs) == 1 or not isinstance(error, (FluxonError, OSError)):
                raise error
            else:
                failed += 1
                text = error.text if isinstance(error, FluxonError) else str(error)
                print(f"{name(job)}: {text}", file=output.err)
    sent = sum(each.size for each in items)
    summary = {verb: len(items), "bytes": sent, "skipped": skipped, "failed": failed, "items": items}
    words = f"{len(items)} {verb} ({size(sent)})"
    if skipped:
        words += f", {skipped} there already"
    if failed:
        words += f", {failed} failed"
    if output.as_json:
        output.value(summary)
    else:
        output.said(words)
    return FAILED if failed else None


def _results(
    place: Place, jobs: list[_Job], work: Callable[[_Job], Any], at_once: int
) -> Iterator[tuple[_Job, Future[Any]]]:
    if len(jobs) <= 1:  # no thread: Ctrl+C comes to the transfer itself
        for job in jobs:
            future: Future[Any] = Future()
            try:
                future.set_result(work(job))
            except (FluxonError, OSError) as error:
                future.set_exception(error)
            yield job, future
        return
    waiting = iter(jobs)
    running: dict[Future[Any], _Job] = {}
    pool = ThreadPoolExecutor(at_once)
    try:
        while True:
            for job in islice(waiting, at_once - len(running)):
                running[pool.submit(work, job)] = job
            if not running:
                return
            done, _ = wait(running, timeout=_SLICE, return_when=FIRST_COMPLETED)
            for each in done:
                yield running.pop(each), each
    except BaseException:
        place.cloud.close()  # those under way end at once; what they have is kept for the next time
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _is_same(local: Path, item: CloudItem) -> bool:
    """Whether a file of this machine is there and has the content of one in the cloud."""
    if not local.is_file() or local.stat().st_size != item.size:
        return False
    with open(local, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == item.sha256


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
