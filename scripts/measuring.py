"""A plugin of coverage: a process that ends itself by a signal hands on what was measured in it.

twistd does that after SIGTERM, so that whoever waits for it sees why it ended; what happens at the end of an
interpreter does not happen then, and a server's whole life would count for nothing.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import coverage


def coverage_init(registry: Any, options: Any) -> None:
    """Called by coverage, in each process that is measured."""
    kill = os.kill

    def save_and_kill(process: int, number: int) -> None:
        measured = coverage.Coverage.current()
        if process == os.getpid() and measured is not None and signal.getsignal(number) is signal.SIG_DFL:
            measured.stop()
            measured.save()
        kill(process, number)

    os.kill = save_and_kill
