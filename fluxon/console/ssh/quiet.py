"""A logger for Conch, which tells every step of every stranger."""

from __future__ import annotations

from typing import Any

from twisted.conch.error import ConchError
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure


class QuietLogger(Logger):
    """Tells of faults of the engine's own (``failure``) alone: what strangers send must not fill a log.

    What is refused by a ``ConchError``, such as a forwarding, is no fault; Conch would show its traceback.
    """

    def emit(self, level: Any, format: str | None = None, **kwargs: object) -> None:
        """One event."""
        failure = kwargs.get("log_failure")
        refused = isinstance(failure, Failure) and failure.check(ConchError)
        if level is LogLevel.critical and not refused:
            super().emit(level, format, **kwargs)
