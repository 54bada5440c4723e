"""A logger for Conch, which tells every step of every stranger."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger, LogLevel


class QuietLogger(Logger):
    """Tells of faults of the engine's own (``failure``) alone: what strangers send must not fill a log."""

    def emit(self, level: Any, format: str | None = None, **kwargs: object) -> None:
        """One event."""
        if level is LogLevel.critical:
            super().emit(level, format, **kwargs)
