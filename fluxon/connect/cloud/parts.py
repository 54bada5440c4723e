"""``PartFile``: what a download writes to, beside where the whole file will be.

Rules of this module:

- The file appears under its own name whole, or not at all: what is there already stays until then.
- What has come is kept when a download ends early, and the next one of the same content goes on from there. The name
  says of which target and of which content it is a part.
- One download writes to it at a time; a second one of the same file has a part of its own.
- It blocks. What the operating system refuses is an ``OSError``: no server has anything to do with it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

    def _take(descriptor: int) -> bool:
        """Whether nobody else writes to it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

else:  # pragma: no cover

    def _take(descriptor: int) -> bool:
        return True


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

#: Bytes read at once from a part that is there.
_PIECE = 1024 * 1024


class PartFile:
    """A part of the file that will be at ``target``."""

    def __init__(self, target: str) -> None:
        self._target = Path(target)
        self._prefix = (
            f".fluxon-{hashlib.sha256(self._target.name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}-"
        )
        self._path: Path | None = None
        self._descriptor = -1
        self._worth_keeping = True

    def open(self, sha256: str) -> int:
        """Begin to write the content with this hash; how many bytes of it are there."""
        self.close()
        path = self._target.with_name(f"{self._prefix}{sha256[:16]}.part")
        descriptor = os.open(path, _FLAGS, 0o666)
        if not _take(descriptor):
            os.close(descriptor)
            path = self._target.with_name(f"{self._prefix}{secrets.token_hex(8)}.part")
            descriptor = os.open(path, _FLAGS | os.O_EXCL, 0o666)
            _take(descriptor)
        self._path, self._descriptor, self._worth_keeping = path, descriptor, True
        self._remove_others()
        return os.lseek(descriptor, 0, os.SEEK_END)

    def open_new(self) -> None:
        """Begin to write a content that comes at once, of which no part is worth keeping."""
        self.close()
        self._path = self._target.with_name(f"{self._prefix}{secrets.token_hex(8)}.part")
        self._descriptor = os.open(self._path, _FLAGS | os.O_EXCL, 0o666)
        self._worth_keeping = False

    def read(self, offset: int) -> bytes:
        """What is there from ``offset`` on, a piece of it."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, _PIECE)

    def write(self, piece: bytes | memoryview) -> None:
        """Append."""
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def restart(self) -> None:
        """Forget what is there, if anything was begun."""
        if self._descriptor < 0:
            return
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def complete(self) -> None:
        """It is whole: give it its name."""
        assert self._path is not None
        path, self._path = self._path, None
        if sys.platform == "win32":  # pragma: no cover (an open file gets no other name there)
            self.close()
        os.replace(path, self._target)
        self.close()

    def remove(self) -> None:
        """It is good for nothing."""
        self._worth_keeping = False
        self.close()

    def close(self) -> None:
        """Leave it as it is, for the next download. Closing twice is no error."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            if self._path is not None and not (self._worth_keeping and os.fstat(descriptor).st_size):
                self._path.unlink(missing_ok=True)
            os.close(descriptor)

    def _others(self) -> list[Path]:
        folder = self._target.parent
        return [folder / name for name in os.listdir(folder) if name.startswith(self._prefix)]

    def _remove_others(self) -> None:
        """Parts of contents that the file no longer has, unless somebody still writes them."""
        for path in self._others():
            if path != self._path:
                try:
                    descriptor = os.open(path, os.O_RDWR)
                except OSError:
                    continue
                if _take(descriptor):
                    path.unlink(missing_ok=True)
                os.close(descriptor)
