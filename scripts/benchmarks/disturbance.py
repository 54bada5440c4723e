"""How much of the two cores something else took while a measurement ran: above a little, its figures mean nothing."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from benchmarks.process_tree import kernel_seconds, seconds
from benchmarks.processes import cores

#: Shares of a core: timers and the kernel's own work stay under this on a machine left alone.
TOLERATED = 0.05

_TICKS = os.sysconf("SC_CLK_TCK")


def _busy() -> float:
    """Seconds that both cores worked for anybody, or were taken away by the hypervisor."""
    wanted = {f"cpu{core}" for core in cores()}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *figures = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, figures[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / _TICKS


class Disturbance:
    """Made before a measurement by a child process that ends before ``share`` is asked.

    ``pid`` is the server that it asks, where it does not measure itself. The kernel's own threads are nobody: they
    write to the disk what those who are measured left in memory.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._start, self._before = time.monotonic(), self._others()

    def _others(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
        ours = children.ru_utime + children.ru_stime + own.ru_utime + own.ru_stime
        return _busy() - ours - kernel_seconds() - (0.0 if self._pid is None else seconds(self._pid))

    def share(self) -> float:
        """The part of one core that others took; both cores together can make 2."""
        return max(0.0, (self._others() - self._before) / (time.monotonic() - self._start))
