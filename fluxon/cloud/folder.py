"""The folder that holds the bytes of a cloud: what may be in it, and who may be in it at the same time.

Rules of this module:

- The folder and those in it are 0700 and belong to the user that the server runs as. What is looser, a symbolic link
  or someone else's is refused, never repaired: only the operator can judge who has read or changed what.
- What is opened is checked by its descriptor, and everything later goes through that descriptor, so that nothing can
  be swapped in between.
- Every process that uses the folder holds a shared ``flock`` on it for life. Whoever gets the exclusive one knows that
  nobody else has anything under way there.
- A backup holds ``backup-lock`` exclusively, and whoever removes objects shares it meanwhile. So what a row named when
  the database was copied is there until it is copied, too, however often it is replaced.
- A folder belongs to the database that first used it, whose mark stands in its lock. To another database every object
  in it would be nobody's, and the sweep would remove them all: so that one is refused.
- A secret lies in it, for what all processes that use the folder have to read of each other.
- Descriptors are closed when nobody uses them any more, never under the hands of a thread.
- Error texts name the folder, never its path.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxon.cloud.disk import close
from fluxon.errors import ConfigurationError, Locked, Unavailable
from fluxon.security.owners import anothers

#: Names of the folders in which objects lie: by the first two characters of their names.
SHELVES = tuple(f"{number:02x}" for number in range(256))

_MODE = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_BACKUP_LOCK = "backup-lock"

#: Opening waits so long for a sweep of another process, which takes seconds for a million objects.
_PATIENCE = 120.0
_PAUSE = 0.02

#: Bytes of a database's mark, at most.
_MARK = 200

#: Bytes of the folder's secret.
_KEY = 32


class CloudFolder:
    """An open cloud folder: descriptors of ``objects`` and ``uploads`` in it, and the lock on it."""

    def __init__(self, label: str, folder: int, owner: str | None = None) -> None:
        self.label = label
        self._mutex = threading.Lock()
        self._users = 1  # one is whoever opened it, until close
        self._closed = False
        self._descriptors = [folder]
        try:
            self._lock = self._keep(os.open("lock", _LOCK, 0o600, dir_fd=folder))
            self._folder = folder
            self._make_backup_lock()
            self._share(_PATIENCE)
            if owner is not None:
                self._belong_to(f"of the database {owner}\n".encode())
            self.objects = self._keep(_enter(f"{label}/objects", "objects", folder))
            self.uploads = self._keep(_enter(f"{label}/uploads", "uploads", folder))
            self._make_shelves()
            self.key = _key(folder)
            os.fsync(folder)
        except BaseException:
            self._end()
            raise

    def _make_backup_lock(self) -> None:
        lock = os.open(_BACKUP_LOCK, _LOCK, 0o600, dir_fd=self._folder)
        try:
            os.fchmod(lock, 0o600)  # whatever the umask made of it: it is opened again
        finally:
            close(lock)

    def _keep(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def _belong_to(self, mark: bytes) -> None:
        there = os.pread(self._lock, _MARK, 0)
        if there == mark:
            return
        if there.endswith(b"\n"):
            raise ConfigurationError(
                f"the cloud folder {self.label} belongs to another database than this one, which knows nothing of the "
                f"files in it and would remove them; check database_path and cloud_folder. If that database is gone "
                f"for good, move the folder away to begin with an empty one"
            )
        # New, or its first user was cut off here. It need not be synced: then the next one writes it.
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, mark, 0)

    def _make_shelves(self) -> None:
        there = set(os.listdir(self.objects))
        for name in SHELVES:
            if name not in there:
                _make(name, self.objects)
            _check(f"{self.label}/objects/{name}", os.stat(name, dir_fd=self.objects, follow_symlinks=False))
        os.fsync(self.objects)

    def enter(self) -> None:
        """Until ``leave`` the descriptors stay open. Raises ``Unavailable`` after ``close``."""
        with self._mutex:
            if self._closed:
                raise Unavailable("the cloud storage is closed; try again when the server is up")
            self._users += 1

    def leave(self) -> None:
        """What ``enter`` began is over."""
        with self._mutex:
            self._users -= 1
            ended = self._users == 0
        if ended:
            self._end()

    @contextmanager
    def used(self) -> Iterator[None]:
        """``enter`` and ``leave``."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def close(self) -> None:
        """Take no new users; the last one that leaves closes the descriptors, and with them the lock."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
        self.leave()

    def _end(self) -> None:
        while self._descriptors:
            close(self._descriptors.pop())

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else has the folder open, nor can open it meanwhile. Between ``enter`` and ``leave``."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        try:
            yield alone
        finally:
            # Also after a failure: the system gives the shared lock up before it tries for the exclusive one.
            self._share(_PATIENCE)

    @contextmanager
    def removing(self) -> Iterator[bool]:
        """Whether objects may be removed in the block, as no backup is under way. Between ``enter`` and ``leave``.

        Raises ``OSError`` when that cannot be told.
        """
        # Opened each time: threads that shared a descriptor would let go of each other's locks.
        lock = os.open(_BACKUP_LOCK, _LOCK, 0o600, dir_fd=self._folder)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                may = True
            except BlockingIOError:
                may = False
            yield may
        finally:
            close(lock)

    def _share(self, patience: float) -> None:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Locked(
                        f"another program is sweeping the cloud folder {self.label}; try again when it is done"
                    ) from None
                time.sleep(_PAUSE)


def open_folder(path: Path, owner: str | None = None) -> CloudFolder:
    """The folder at ``path``, made if it is not there, and checked; ``owner`` marks a database.

    Blocks. Raises ``ConfigurationError`` for what is not a private folder of the server's user, or another database's.
    """
    label = path.name or str(path)
    try:
        try:
            path.mkdir(mode=_MODE)
        except FileExistsError:
            pass
        else:
            path.chmod(_MODE)  # whatever the umask made of it
        # Not only by who made it: that one may have been killed before it came to this.
        _sync_parent(path)
        if path.is_symlink():
            raise ConfigurationError(
                f"{label} is a symbolic link; the cloud's files are not followed elsewhere. Name the real folder"
            )
        descriptor = os.open(path, _OPEN)
        try:
            _check(label, os.fstat(descriptor))
            descriptor, kept = -1, descriptor
        finally:
            if descriptor >= 0:
                close(descriptor)
        return CloudFolder(label, kept, owner)
    except OSError as error:
        raise ConfigurationError(
            f"the cloud folder {label} cannot be used ({os.strerror(error.errno or 0)}); it has to be a folder on a "
            f"disk with room, whose parent is there, and the server's user must be able to write in it"
        ) from error


def _sync_parent(path: Path) -> None:
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # a parent that we cannot read is the operator's, made long before
    try:
        os.fsync(parent)
    finally:
        close(parent)


def _key(folder: int) -> bytes:
    descriptor = os.open("key", _LOCK, 0o600, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # of several that open it at first, all get one
        found = os.pread(descriptor, _KEY, 0)
        if len(found) < _KEY:
            os.fchmod(descriptor, 0o600)  # whatever the umask made of it
            found = os.urandom(_KEY)
            os.pwrite(descriptor, found, 0)
        return found
    finally:
        close(descriptor)


def _make(name: str, parent: int) -> None:
    try:
        os.mkdir(name, _MODE, dir_fd=parent)
    except FileExistsError:  # another process that opens the folder was quicker
        return
    os.chmod(name, _MODE, dir_fd=parent)  # whatever the umask made of it


def _enter(label: str, name: str, parent: int) -> int:
    _make(name, parent)
    try:
        descriptor = os.open(name, _OPEN, dir_fd=parent)
    except OSError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise _linked(label) from error
        raise
    try:
        _check(label, os.fstat(descriptor))
    except BaseException:
        close(descriptor)
        raise
    return descriptor


def _linked(label: str) -> ConfigurationError:
    return ConfigurationError(
        f"{label} is a symbolic link; the cloud's files are not followed elsewhere. Put the real folder in its place"
    )


def _check(label: str, facts: os.stat_result) -> None:
    if stat.S_ISLNK(facts.st_mode):
        raise _linked(label)
    if not stat.S_ISDIR(facts.st_mode):
        raise ConfigurationError(f"{label} is no folder; nothing else may be in a cloud's folder: move it elsewhere")
    if facts.st_uid != os.geteuid():
        raise ConfigurationError(anothers(label, facts.st_uid))
    if stat.S_IMODE(facts.st_mode) & _OTHERS:
        raise ConfigurationError(
            f"{label} is open to other users of this machine (mode {stat.S_IMODE(facts.st_mode):04o}); if nobody has "
            f"read or changed what is in it, type: chmod 700 {label}"
        )
