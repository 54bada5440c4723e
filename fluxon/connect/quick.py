"""Waiting for an answer that is probably a moment away, and reading it.

A call over loopback takes some 80 microseconds, and a thread that sleeps through them costs it as much again: its core
goes idle, wakes late and finds its caches cold. (Measured, one call at a time: 134 microseconds asleep, 82 awake, with
60 and 82 of CPU time.) So a thread that waits alone stays awake for a moment first, as a lock of the system does.

Rules of this module:

- Nobody stays awake longer than ``WATCH``, nor while other threads wait, too. Once that was in vain, the next waits
  sleep at once: twice as many each time. A server that is far, slow or short of a core costs next to nothing.
- Waiting, reading and noting what was read is one call of C, so that an interrupt (Ctrl+C) loses nothing.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from time import perf_counter

#: ``wait`` waits so long, in seconds: most answers are there by then, and a heartbeat can wait for it.
QUICK = 0.05

#: Seconds that a thread stays awake for: a call over loopback takes 80 to 200 microseconds, whatever the day's speed of
#: the machine. What takes longer was watched for in vain, and is not watched for again soon.
WATCH = 0.000_25

#: How many waits sleep at once after one that stayed awake in vain: the first time, and at most.
_REST = 8
_LONGEST_REST = 1_024

#: Bytes read at once. Larger buffers come from mmap and cost more than the system calls that they save.
READ = 64 * 1024
_ONE_READ = (READ,)

#: For calls on the socket that must not wait. Where the system has no such flag, its sockets never wait.
AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)


class QuickReads:
    """A second handle on ``connected``, which from here on waits in no call that says ``AT_ONCE``."""

    def __init__(self, connected: socket.socket, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        #: What was read and not taken yet.
        self.arrived: deque[bytes] = deque()
        self._socket = connected.dup()
        self._resting = 0
        self._rest = _REST
        if AT_ONCE:
            # Both handles share one flag, so it is each call that says what it wants; and the kernel does the waiting,
            # in the same system call that reads.
            connected.setblocking(True)
            self._socket.setblocking(True)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, int(QUICK * 1e6)))
        else:
            connected.setblocking(False)
            self._socket.settimeout(QUICK)
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(connected, select.POLLIN)

    def wait(self, *, alone: bool) -> bool:
        """Whether something came within ``QUICK`` seconds; it is in ``arrived``. Raises ``OSError``.

        ``alone``: no other thread waits for the same connection.
        """
        if self._resting:
            self._resting -= 1
        elif alone and self._poll is not None:
            self._watch(self._poll.poll)
        try:
            self.arrived.extend(map(self._socket.recv, _ONE_READ))
        except (TimeoutError, BlockingIOError):
            return False
        return True

    def _watch(self, look: Callable[[int], list[tuple[int, int]]]) -> None:
        clock = self._clock
        until = clock() + WATCH
        while not look(0):
            if clock() >= until:
                self._resting = self._rest
                self._rest = min(2 * self._rest, _LONGEST_REST)
                return
        self._rest = _REST

    def close(self) -> None:
        self._socket.close()
