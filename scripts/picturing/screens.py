"""A terminal that a program runs in, and what can be read on it.

Rules kept here: the program has a real pseudo-terminal, and what stands on the screen is what a terminal would show,
cursor movements carried out; waiting is for something to appear, never for time to pass.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pexpect
import pyte

#: The longest that anything of a first run takes on a slow machine: a virtual environment, or a server's first start.
PATIENCE = 100.0


class Screen:
    """One program, started as ``sh`` would start ``line``."""

    def __init__(self, line: str, folder: Path, columns: int, environment: Mapping[str, str] | None = None) -> None:
        self.line = line
        self._screen = pyte.Screen(columns, 60)
        self._stream = pyte.Stream(self._screen)
        self._program = pexpect.spawn(
            "/bin/sh",
            ["-c", f"exec {line}"],
            cwd=str(folder),
            env=None if environment is None else dict(environment),
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(60, columns),
        )

    @property
    def lines(self) -> list[str]:
        """What stands there, without the empty rest."""
        lines = [each.rstrip() for each in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def type(self, line: str) -> None:
        """As a person does, who sees it on the screen."""
        self._program.sendline(line)
        self.expect(re.escape(line) + "$")

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until a line of the screen has ``pattern``; the last such line's match. Raises ``AssertionError``."""
        end = time.monotonic() + PATIENCE
        while True:
            found = [match for line in self.lines if (match := re.search(pattern, line))]
            if found:
                return found[-1]
            if not self._read() or time.monotonic() > end:
                raise AssertionError(f"{self.line}: no {pattern!r} in {self.lines}")

    def wait(self) -> int:
        """Until the program has ended; its exit code."""
        while self._read():
            pass
        self._program.close()
        status = self._program.exitstatus
        return -1 if status is None else int(status)

    def interrupt(self) -> None:
        """Ctrl+C."""
        self._program.sendintr()

    def discard(self) -> None:
        """Whatever its state: afterwards the program is gone."""
        self._program.close(force=True)

    def _read(self) -> bool:
        """More of what the program prints; False when it has ended, or prints nothing any more."""
        try:
            self._stream.feed(self._program.read_nonblocking(4096, PATIENCE))
        except (pexpect.EOF, pexpect.TIMEOUT):
            return False
        return True
