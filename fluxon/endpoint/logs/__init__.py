"""The server's log as files in the logs folder, rotated: ``fluxon.log`` to be read, ``fluxon.jsonl`` for programs.

Rules kept here:

- What is logged from ``open`` to ``close`` is written, at ``info`` and above until somebody says otherwise.
- What an operator may read nobody else may. What root makes in another user's folder is that user's: root may have
  tried a start that failed, and must not shut the server out.
- A process has files of its own, since two that rotate one file would each take it away from the other: the second
  server that runs in a folder writes ``fluxon-2.log``, and so on. A number is held through ``flock``.
- Files that cannot be written, as on a full disk, fail nobody: it is told once to whoever else sees the log (the
  terminal, the journal), and when there is room again the files say how many lines are missing there.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from pathlib import Path
from typing import IO, Any, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

from fluxon.endpoint.logs.lines import json_line

__all__ = ["LogFiles"]

#: With ten files kept of each kind, a log that runs away fills 220 MiB and no more.
_ROTATE_AT = 10 * 1024 * 1024
_KEEP = 10

#: Seconds between two tries to write files that could not be written: a full disk has room for a line now and then.
_TRY_EVERY = 1.0

#: Seconds between two words about files that cannot be written.
_TELL_EVERY = 60.0

_log = Logger(namespace="fluxon.server")


class LogFiles:
    """The log's files in ``directory``; ``name`` says of which kind of process."""

    def __init__(self, directory: Path, name: str = "fluxon") -> None:
        self._directory = directory
        self._name = name
        self._lock = -1
        self._files: list[LogFile] = []
        self._observer: ILogObserver | None = None
        self._lost = 0
        self._try_at = 0.0
        self._told = float("-inf")
        #: Which events are written; ``setLogLevelForNamespace`` changes it.
        self.levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)

    def open(self) -> None:
        """Make the folder if it is missing, and begin."""
        self._directory.mkdir(parents=True, exist_ok=True)
        name = self._take_name()
        self._text = textFileLogObserver(cast(IO[Any], _Text(self._file(f"{name}.log"))))
        self._lines = _Text(self._file(f"{name}.jsonl"))
        # Any function of an event observes; the interface is there for zope to ask for.
        self._observer = FilteringLogObserver(cast(ILogObserver, self._write_or_lose), [self.levels])
        globalLogPublisher.addObserver(self._observer)

    def _take_name(self) -> str:
        """The first name that no other process writes to."""
        for number in itertools.count(1):
            name = self._name if number == 1 else f"{self._name}-{number}"
            path = self._directory / f".{name}.lock"
            lock = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._give(path)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                self._lock = lock
                return name
        raise AssertionError("numbers do not end")

    def _write_or_lose(self, event: LogEvent) -> None:
        if self._lost and time.monotonic() < self._try_at:
            self._lost += 1
            return
        try:
            if self._lost:
                self._go_on()
            self._write(event)
        except OSError as error:
            self._lost += 1
            self._try_at = time.monotonic() + _TRY_EVERY
            if time.monotonic() - self._told >= _TELL_EVERY:
                self._told = time.monotonic()
                text = "the log's files cannot be written ({reason}); what is logged until they can is not in them"
                _log.error(text, reason=error.strerror or "no reason given")

    def _write(self, event: LogEvent) -> None:
        self._text(event)
        self._lines.write(json_line(event))
        self._lines.flush()

    def _go_on(self) -> None:
        """Say what is missing. Raises ``OSError`` while the files still cannot be written."""
        for file in self._files:
            with open(file.path, "rb") as written:
                if written.seek(0, os.SEEK_END) and (written.seek(-1, os.SEEK_END), written.read(1))[1] != b"\n":
                    file.write("\n")  # behind a line that was cut off
        text = "the log's files could not be written; lines that are missing here: {skipped}"
        fields = {"log_time": time.time(), "log_level": LogLevel.error, "log_namespace": _log.namespace}
        self._write({**fields, "log_format": text, "skipped": self._lost})
        self._lost = 0

    def _file(self, name: str) -> LogFile:
        file = LogFile(name, str(self._directory), rotateLength=_ROTATE_AT, defaultMode=0o640, maxRotatedFiles=_KEEP)
        self._files.append(file)
        self._give(file.path)
        return file

    def _give(self, path: str | Path) -> None:
        if os.geteuid() == 0:
            folder = self._directory.stat()
            os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)

    def reopen(self) -> None:
        """Write to new files if somebody moved the present ones away."""
        for file in self._files:
            file.reopen()

    def close(self) -> None:
        """Write no more."""
        if self._observer is not None:
            globalLogPublisher.removeObserver(self._observer)
            self._observer = None
        while self._files:
            self._files.pop().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class _Text:
    """``LogFile`` as the text file that the observer wants."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def write(self, text: str) -> Any:
        self._file.write(text)

    def flush(self) -> None:
        self._file.flush()
