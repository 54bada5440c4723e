"""``PartFile``: what a download writes to, beside where the whole file will be.

Rules of this module:

- The file appears under its own name whole, or not at all: what is there already stays until then.
- What has come is kept when a download ends early, and the next one of the same content goes on from there. The name
  says of which target and of which content it is a part.
- One download writes to it at a time; a second one of the same file has a part of its own. A part that was named or
  removed by its owner while somebody else opened it is nobody's: its name is looked at again under the lock.
- Where somebody else may write to the folder, a link of the part's name is not followed.
- A file that is replaced lends the new one its permissions: what was private is not published by a download.
- It blocks. What the operating system refuses is an ``OSError``: no server has anything to do with it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Whether nobody else writes to it. Raises ``OSError`` where that cannot be known: there are no locks."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _give(descriptor: int, mode: int) -> None:
        """Its permissions, where the file system has any."""
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, mode)

else:  # pragma: no cover

    def _lock(descriptor: int) -> bool:
        return True

    def _give(descriptor: int, mode: int) -> None:
        return


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is (still) the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


#: A link is not followed, and a pipe not waited for.
_FLAGS = (
    os.O_RDWR
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)

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
        self._check_target()
        if not self._take_left(self._target.with_name(f"{self._prefix}{sha256[:16]}.part")):
            self._take_new()
        self._worth_keeping = True
        self._remove_others()
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def open_new(self) -> None:
        """Begin to write a content that comes at once, of which no part is worth keeping."""
        self.close()
        self._check_target()
        self._take_new()
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
        if (mode := self._mode()) is not None:
            _give(self._descriptor, mode)
        if sys.platform == "win32":  # pragma: no cover (an open file gets no other name there)
            os.close(self._descriptor)
            self._descriptor = -1
        os.replace(self._path, self._target)
        self._path = None
        self.close()

    def remove(self) -> None:
        """It is good for nothing."""
        self._worth_keeping = False
        self.close()

    def close(self) -> None:
        """Leave it as it is, for the next download. Closing twice is no error."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                if self._path is not None and not (self._worth_keeping and os.fstat(descriptor).st_size):
                    self._path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)

    def _check_target(self) -> None:
        """Raise in the name of the file that somebody wants, before all of it has come: nobody knows its part."""
        folder = self._target.parent
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(folder))
        if self._target.is_dir() and not self._target.is_symlink():
            raise IsADirectoryError(errno.EISDIR, "a folder has this name", str(self._target))

    def _mode(self) -> int | None:
        """The permissions of the file that will be replaced, if there is one."""
        try:
            there = os.lstat(self._target)
        except OSError:
            return None
        return stat.S_IMODE(there.st_mode) & 0o777 if stat.S_ISREG(there.st_mode) else None

    def _mode_meanwhile(self) -> int:
        mode = self._mode()
        return 0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR

    def _take_left(self, path: Path) -> bool:
        """Open the part at ``path``, or make it; whether it is ours: not somebody else's, nor a link or a folder."""
        while True:
            try:
                descriptor = os.open(path, _FLAGS | os.O_CREAT, self._mode_meanwhile())
            except OSError:
                return False
            try:
                ours = _lock(descriptor) and stat.S_ISREG(os.fstat(descriptor).st_mode)
            except OSError:
                ours = False
            if ours and _is_at(descriptor, path):
                self._path, self._descriptor = path, descriptor
                return True
            os.close(descriptor)
            if not ours:
                return False
            # Its owner gave it the file's name, or removed it, since it was opened: look again.

    def _take_new(self) -> None:
        """Make a part that nobody else knows of."""
        while True:
            path = self._target.with_name(f"{self._prefix}{secrets.token_hex(8)}.part")
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, self._mode_meanwhile())
            with contextlib.suppress(OSError):
                _lock(descriptor)
            if _is_at(descriptor, path):
                self._path, self._descriptor = path, descriptor
                return
            os.close(descriptor)  # somebody took it for one that was left, and removed it

    def _others(self) -> list[Path]:
        folder = self._target.parent
        return [folder / name for name in os.listdir(folder) if name.startswith(self._prefix)]

    def _remove_others(self) -> None:
        """Parts of contents that the file no longer has, unless somebody still writes them."""
        for path in self._others():
            if path != self._path:
                with contextlib.suppress(OSError):
                    self._remove_left(path)

    def _remove_left(self, path: Path) -> None:
        descriptor = os.open(path, _FLAGS)
        try:
            if _lock(descriptor) and _is_at(descriptor, path):
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
