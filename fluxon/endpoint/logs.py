"""The server's log as files: ``fluxon.log`` in the logs folder, rotated."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

#: With ten files kept, a log that runs away fills 110 MiB and no more.
_ROTATE_AT = 10 * 1024 * 1024
_KEEP = 10


class LogFiles:
    """Writes what is logged from ``open`` to ``close``, at ``info`` and above."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: LogFile | None = None
        self._observer: ILogObserver | None = None

    def open(self) -> None:
        """Make the folder if it is missing, and begin."""
        self._directory.mkdir(parents=True, exist_ok=True)
        # Who connected, when, and what failed is the operator's to read.
        self._file = LogFile(
            "fluxon.log", str(self._directory), rotateLength=_ROTATE_AT, defaultMode=0o640, maxRotatedFiles=_KEEP
        )
        levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
        self._observer = FilteringLogObserver(textFileLogObserver(cast(IO[Any], _Text(self._file))), [levels])
        globalLogPublisher.addObserver(self._observer)

    def close(self) -> None:
        """Write no more."""
        if self._observer is not None:
            globalLogPublisher.removeObserver(self._observer)
            self._observer = None
        if self._file is not None:
            self._file.close()
            self._file = None


class _Text:
    """``LogFile`` as the text file that the observer wants."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def write(self, text: str) -> Any:
        self._file.write(text)

    def flush(self) -> None:
        self._file.flush()
