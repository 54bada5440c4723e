"""A process with all its descendants, as /proc shows them: a server may be several processes, and start more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

#: The one that starts the kernel's threads.
_KERNEL = 2

#: How often memory is looked at; a process of the benchmark's own does it, at less than a hundredth of a core.
INTERVAL = 0.02


def processes(root: int) -> Iterator[int]:
    """The ids of a process and its descendants, as far as they live."""
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:
            pass  # it ended meanwhile


def _fields(pid: int) -> list[str]:
    """Those of its stat, from the third on: they are counted from behind the bracket of its name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def seconds(root: int) -> float:
    """CPU time of all of them, of all threads, and of those that ended and were waited for."""
    ticks = 0
    for pid in processes(root):
        try:
            ticks += sum(map(int, _fields(pid)[11:15]))
        except OSError:
            pass
    return ticks / _TICKS


def kernel_seconds() -> float:
    """CPU time of the kernel's threads."""
    try:
        return seconds(_KERNEL)
    except OSError:
        return 0.0  # not to be seen from within a container


def resident(root: int) -> float:
    """MiB of memory that all of them have, apart from what they mapped of files."""
    pages = 0
    for pid in processes(root):
        try:
            _, all_of_it, of_files, *_ = Path(f"/proc/{pid}/statm").read_text().split()
            pages += int(all_of_it) - int(of_files)
        except (OSError, ValueError):
            pass
    return pages * _PAGE / 2**20


class MemoryPeak:
    """The most that a server had while this was open, in ``mib``."""

    def __init__(self, root: int) -> None:
        self._root, self._closed = root, threading.Event()
        self.mib = resident(root)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._closed.wait(INTERVAL):
            self.mib = max(self.mib, resident(self._root))

    def __enter__(self) -> MemoryPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self.mib = max(self.mib, resident(self._root))
