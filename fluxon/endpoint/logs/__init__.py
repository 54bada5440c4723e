"""The server's log as files in the logs folder, rotated: ``fluxon.log`` to be read, ``fluxon.jsonl`` for programs.

Rules kept here: what is logged from ``open`` to ``close`` is written, at ``info`` and above until somebody says
otherwise; what an operator may read nobody else may; a process has files of its own, since two that rotate one file
would each take it away from the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
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


class LogFiles:
    """The log's files in ``directory``; ``name`` says of which kind of process."""

    def __init__(self, directory: Path, name: str = "fluxon") -> None:
        self._directory = directory
        self._name = name
        self._files: list[LogFile] = []
        self._observer: ILogObserver | None = None
        #: Which events are written; ``setLogLevelForNamespace`` changes it.
        self.levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)

    def open(self) -> None:
        """Make the folder if it is missing, and begin."""
        self._directory.mkdir(parents=True, exist_ok=True)
        text = textFileLogObserver(cast(IO[Any], _Text(self._file(f"{self._name}.log"))))
        lines = _Text(self._file(f"{self._name}.jsonl"))

        def write(event: LogEvent) -> None:
            text(event)
            lines.write(json_line(event))
            lines.flush()

        # Any function of an event observes; the interface is there for zope to ask for.
        self._observer = FilteringLogObserver(cast(ILogObserver, write), [self.levels])
        globalLogPublisher.addObserver(self._observer)

    def _file(self, name: str) -> LogFile:
        file = LogFile(name, str(self._directory), rotateLength=_ROTATE_AT, defaultMode=0o640, maxRotatedFiles=_KEEP)
        self._files.append(file)
        return file

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


class _Text:
    """``LogFile`` as the text file that the observer wants."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def write(self, text: str) -> Any:
        self._file.write(text)

    def flush(self) -> None:
        self._file.flush()
