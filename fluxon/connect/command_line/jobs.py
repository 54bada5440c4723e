"""The files that one command transfers, several at once.

Rules of this module: one that cannot be transferred does not keep the others; the command then fails at its end, and
says how many. Ctrl+C ends those under way at once, and what they have is kept for the next time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import define

from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.command_line.output import Output, printable, size
from fluxon.connect.command_line.place import Place
from fluxon.connect.command_line.progress import Bar
from fluxon.connect.command_line.statuses import FAILED
from fluxon.errors import FluxonError

#: Longest single wait for transfers: short enough that Ctrl+C is answered at once everywhere.
_SLICE = 0.5


@define
class Job:
    """One file: its local path, its path in the cloud, and what is there."""

    local: Path
    remote: str
    size: int
    #: What the cloud has under that path.
    item: CloudItem | None
    #: Why it cannot be transferred.
    trouble: FluxonError | OSError | None = None


def run(
    place: Place,
    jobs: list[Job],
    transfer: Callable[[Job, Bar], CloudItem | None],
    at_once: int,
    output: Output,
    verb: str,
    name: Callable[[Job], str],
) -> int | None:
    """Have ``jobs`` done, ``at_once`` at a time."""
    items: list[CloudItem] = []
    skipped = failed = 0
    total = sum(job.size for job in jobs)
    what = printable(jobs[0].local.name) if len(jobs) == 1 else f"{len(jobs)} files"
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
                text = error.text if isinstance(error, FluxonError) else error.strerror or str(error)
                output.complaint(f"{name(job)}: {text}")
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
    place: Place, jobs: list[Job], work: Callable[[Job], Any], at_once: int
) -> Iterator[tuple[Job, Future[Any]]]:
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
    running: dict[Future[Any], Job] = {}
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


def is_same(local: Path, item: CloudItem) -> bool:
    """Whether a file of this machine is there and has the content of one in the cloud."""
    if not local.is_file() or local.stat().st_size != item.size:
        return False
    with open(local, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == item.sha256
