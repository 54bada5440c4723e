"""Child processes whose output is awaited line by line, and which never outlive the demonstration."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

#: Seconds in which a process writes down its threads, and lines of that which are told: some thirty threads.
_LAST_WORDS = 5.0
_TOLD = 300


class Failed(Exception):
    """The demonstration did not go as told; the text says where."""


class Child:
    """One child process. ``transcript`` holds every line that it has printed, errors included."""

    def __init__(self, name: str, command: Sequence[str | Path], folder: Path) -> None:
        self.name = name
        self.transcript: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # A session of its own: no terminal that it could ask for a password, and no Ctrl+C that reaches it before us.
        self._process = subprocess.Popen(
            [str(each) for each in command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
            # One that hangs says where, before it is killed.
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )
        self._reader = threading.Thread(target=self._read, name=f"{name}'s output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.transcript.append(line.rstrip("\n"))
            self._lines.put(self.transcript[-1])
        self._lines.put(None)

    def say(self, line: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} has ended and cannot be told {line!r}") from error

    def expect(self, pattern: str, timeout: float = 20) -> re.Match[str]:
        """The next line in which ``pattern`` is found; lines before it are passed over."""
        end = time.monotonic() + timeout
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise Failed(f"{self.name} did not print {pattern!r} within {timeout} s, only {seen}") from None
            if line is None:
                raise Failed(f"{self.name} ended without printing {pattern!r}, only {seen}")
            if match := re.search(pattern, line):
                return match
            seen.append(line)

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self._process.kill()
        self._process.wait()

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM, as a service manager sends it; the exit code. One that does not end in time is killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._hangs(f"did not end within {timeout} s of SIGTERM") from None

    def end_of_input(self, timeout: float = 20) -> int:
        """Close its input, as Ctrl+D does, and wait for it to end by itself; the exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._hangs(f"did not end within {timeout} s of the end of its input") from None

    def _hangs(self, what: str) -> Failed:
        """Kill it; what it was doing, thread by thread if it is a Python."""
        self._process.send_signal(signal.SIGABRT)
        try:
            self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(_LAST_WORDS)
        said = "\n".join(self.transcript[-_TOLD:])
        return Failed(f"{self.name} {what}; the end of what it said:\n{said}")

    def discard(self) -> None:
        """Whatever its state: afterwards the process is gone."""
        if self._process.poll() is None:
            self.kill()
