"""The threads that follow uploads and write their blocks."""

from __future__ import annotations

import threading

_NAMES = ("fluxon-upload", "fluxon-write")


class UploadThreads:
    """Those that are started from now on: others are of a folder that somebody else has open."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def wait(self) -> None:
        """Until all of them have ended, as they do when their folder is closed; one may start another before that."""
        while new := {each for each in threading.enumerate() if each.name.startswith(_NAMES)} - self._before:
            for each in new:
                each.join(30)
                assert not each.is_alive(), f"{each.name} does not end"
