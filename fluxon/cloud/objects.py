"""The bytes of a cloud's files: immutable objects on the disk, under names that the engine makes.

Rules of this module:

- No user's text is in any path: a name is 32 random hexadecimal digits, of which the first two are the folder.
- A name is given away only when the bytes are durable: the file synced and, after it lies in its folder, that folder.
  Until a transaction has put the name into a row, the object is nobody's, so whatever a crash leaves is unnamed, and
  ``sweep`` removes it. That is why ``store`` needs no temporary name: half an object is never named.
- An error of ``fsync`` is never tried again: the object is given up.
- What fails, leaves nothing; where even the removal fails, the sweep has it.
- An object is written once. Nobody opens one for writing again, so a reader keeps what it opened, removed or not.
- Everything here blocks, but ``Upload.append``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from twisted.logger import Logger

from fluxon.cloud import uncached
from fluxon.cloud.disk import close, disk_error, write_all
from fluxon.cloud.folder import CloudFolder, open_folder
from fluxon.cloud.shelves import Shelves
from fluxon.cloud.storing import NEW, New, sync, undo
from fluxon.cloud.sweep import Swept, sweep_objects, sweep_uploads
from fluxon.cloud.syncing import Syncs
from fluxon.cloud.uncached import Uncached
from fluxon.cloud.uploads import STEP, Pace, Stored, Upload
from fluxon.errors import NotFound, Unavailable
from fluxon.outcomes import Outcome, result_of

__all__ = ["Objects", "Stored", "Swept", "Upload"]

_log = Logger()

_NAME = re.compile("[0-9a-f]{32}")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC

#: Copied by the system in one call: large enough to cost nothing, small enough that a thread can be stopped between.
_COPIED = 64 * 1024 * 1024
#: What says that the system cannot copy between these files, or at all.
_UNCOPIED = {errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}


class Objects:
    """The objects in one folder, which several processes may share. Any thread may call any method."""

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder)
        self._mutex = threading.Lock()
        self._folder: CloudFolder | None = None
        self._shelves = Shelves()
        self._pace = Pace()
        self._syncs = Syncs()
        self._uploads: set[Upload] = set()
        self._fresh = True  # nothing was stored since it was opened

    def open(self, owner: str | None = None) -> None:
        """Make the folder if it is not there, check it, and lock it against sweeps of others.

        ``owner`` is a short text that marks the database whose rows name what is in the folder. Raises
        ``ConfigurationError``, with what to do, if the folder is another database's, or not a private one of the
        server's user.
        """
        self._folder = open_folder(self._path, owner)
        self._pace, self._syncs = Pace(), Syncs()
        self._fresh = True

    @property
    def key(self) -> bytes:
        """A secret of the folder's: 32 bytes, the same in every process that has it open. Raises ``Unavailable``."""
        folder = self._used(writing=False)
        folder.leave()
        return folder.key

    def close(self) -> None:
        """Discard the uploads that are under way, and let go of the folder when the last call in it has ended."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        with self._mutex:
            uploads = list(self._uploads)
        for upload in uploads:
            upload.discard()
        self._pace.stop()
        self._syncs.stop()
        self._shelves.close()
        folder.close()

    # -- Storing ---------------------------------------------------------------------------------------------------

    def store(self, data: bytes | bytearray | memoryview) -> Stored:
        """Keep ``data`` as a new object; it is durable when this returns.

        Raises ``ResourceExhausted`` when the disk is full, ``Unavailable`` when it fails: then nothing is kept.
        """
        return result_of(self.store_all([data])[0])  # type: ignore[no-any-return]

    def store_all(self, contents: Sequence[bytes | bytearray | memoryview]) -> list[Outcome]:
        """What became of each of several contents: as ``store``, but they are on their way to the disk together."""
        folder = self._used()
        new: list[New] = []
        try:
            with ExitStack() as shelves:
                for data in contents:
                    new.append(New(data))
                    new[-1].write(lambda: shelves.enter_context(self._shelves.current(folder.objects)))
                sync(new, self._syncs)
        except BaseException:
            for each in new:
                each.give_up()
            raise
        finally:
            folder.leave()
        return [each.outcome for each in new]

    def begin(self, ready: Callable[[], None] | None = None) -> Upload:
        """Begin an upload; ``ready`` is called, in some thread, when a pause that ``append`` asked for is over."""
        folder = self._used()
        name = secrets.token_hex(16)
        try:
            descriptor = os.open(name, NEW, 0o600, dir_fd=folder.uploads)
        except OSError as error:
            folder.leave()
            raise disk_error(error) from error
        upload = Upload(_Home(self, folder), self._pace, name, descriptor, ready)
        with self._mutex:
            self._uploads.add(upload)
        return upload

    def copy(self, name: str) -> Stored:
        """A new object with the same bytes, read back and hashed. Raises as ``store`` and ``reader`` do."""
        source = self.reader(name)
        try:
            with self._new() as (copied, descriptor):
                size = _copy_bytes(source, descriptor)
                digest = _hash_of(descriptor, size)
                os.fsync(descriptor)
            return Stored(copied, size, digest)
        finally:
            close(source)

    @contextmanager
    def _new(self) -> Iterator[tuple[str, int]]:
        """A new file to be written and synced in the block; after it the folder is synced, or all of it undone."""
        folder = self._used()
        try:
            with self._shelves.current(folder.objects) as shelf:
                name = shelf.name + secrets.token_hex(15)
                descriptor = os.open(name, NEW, 0o600, dir_fd=shelf.descriptor)
                try:
                    try:
                        yield name, descriptor
                    finally:
                        close(descriptor)
                    shelf.sync()
                except BaseException:
                    undo(name, shelf.descriptor)
                    raise
        except OSError as error:
            raise disk_error(error) from error
        finally:
            folder.leave()

    # -- Reading and removing --------------------------------------------------------------------------------------

    def reader(self, name: str) -> int:
        """A descriptor to read the object with; the caller closes it.

        Raises ``NotFound`` if there is no such object: it was removed after its name was read, or the disk lost it.
        """
        folder = self._used(writing=False)
        try:
            return os.open(_path_of(name), _READ, dir_fd=folder.objects)
        except FileNotFoundError:
            raise NotFound("the content of this file is no longer on the server's disk") from None
        except OSError as error:
            raise disk_error(error) from error
        finally:
            folder.leave()

    def size(self, name: str) -> int | None:
        """How many bytes the object has, or None if it is not there."""
        folder = self._used(writing=False)
        try:
            return os.stat(_path_of(name), dir_fd=folder.objects, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(error) from error
        finally:
            folder.leave()

    def verify(self, name: str) -> Stored:
        """Read the whole object, and say what is there. Raises ``NotFound``."""
        descriptor = self.reader(name)
        try:
            size = os.fstat(descriptor).st_size
            return Stored(name, size, _hash_of(descriptor, size))
        except OSError as error:
            raise disk_error(error) from error
        finally:
            close(descriptor)

    def remove(self, names: Iterable[str]) -> int:
        """Remove objects that no row names any more; how many are gone. One that is gone already is none.

        None while a backup is under way. Never raises for a disk that fails, nor after ``close``: the rows are
        committed, so that what is left here is only the next sweep's.
        """
        try:
            folder = self._used(writing=False)
        except Unavailable:
            return 0
        try:
            with folder.removing() as may:
                return sum(map(partial(_remove, folder.objects), names)) if may else 0
        except OSError as error:
            _log.error("Objects could not be removed, and are left to the next sweep: {error}", error=error)
            return 0
        finally:
            folder.leave()

    def sweep(self, is_named: Callable[[list[str]], set[str]]) -> Swept:
        """Remove what no row names. ``is_named`` gets some names, and answers with those of them that rows have.

        Everything that is unnamed goes if nobody else has the folder open and nothing was stored since this one
        opened it, as at a start; else only what is older than a day, which nobody can be about to name. While a
        backup is under way, nothing does.
        """
        folder = self._used(writing=False)
        try:
            with self._mutex:  # whoever begins to store waits, if this turns out to be alone
                if self._fresh:
                    with folder.alone() as alone:
                        if alone:
                            return self._sweep(folder, is_named, everything=True)
            return self._sweep(folder, is_named, everything=False)
        except OSError as error:
            raise disk_error(error) from error
        finally:
            folder.leave()

    def _sweep(self, folder: CloudFolder, is_named: Callable[[list[str]], set[str]], everything: bool) -> Swept:
        with folder.removing() as may:
            if not may:
                return Swept(put_off=1)
            uploads = {upload.name for upload in self._uploads}
            swept = sweep_uploads(folder.uploads, uploads, everything)
            return swept + sweep_objects(folder.objects, is_named, everything)

    def _used(self, writing: bool = True) -> CloudFolder:
        folder = self._folder
        if folder is None:
            raise Unavailable("the cloud storage is closed; try again when the server is up")
        folder.enter()
        if writing and self._fresh:
            with self._mutex:
                self._fresh = False
        return folder


class _Home:
    """What an upload is told of the folder it is in."""

    def __init__(self, objects: Objects, folder: CloudFolder) -> None:
        self._objects = objects
        self._folder = folder

    def past_cache(self, upload: str, descriptor: int) -> Uncached | None:
        if not uncached.SUPPORTED:
            return None
        flags = uncached.FLAGS | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            another = os.open(upload, flags, dir_fd=self._folder.uploads)
        except OSError as error:
            if error.errno in uncached.REFUSED:
                return None
            raise
        return Uncached(self._objects._pace.lane, another, descriptor)

    def place(self, upload: str, descriptor: int) -> str:
        """Into the folder of objects first, then both synced: so one commit of the file system's journal does."""
        with self._objects._shelves.current(self._folder.objects) as shelf:
            name = shelf.name + secrets.token_hex(15)
            try:
                os.rename(upload, name, src_dir_fd=self._folder.uploads, dst_dir_fd=shelf.descriptor)
                os.fsync(descriptor)
                shelf.sync()
            except BaseException:
                undo(name, shelf.descriptor)
                raise
            return name

    def ended(self, upload: Upload, placed: bool) -> None:
        if not placed:
            undo(upload.name, self._folder.uploads)
        with self._objects._mutex:
            self._objects._uploads.discard(upload)
        self._folder.leave()


def _remove(folder: int, name: str) -> bool:
    try:
        os.unlink(_path_of(name), dir_fd=folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        _log.error("An object could not be removed, and is left to the next sweep: {error}", error=error)
        return False
    return True


def _path_of(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError("not the name of an object")
    return f"{name[:2]}/{name}"


def _copy_bytes(source: int, target: int) -> int:
    """Copy the whole file; how many bytes it has. By the system if it can, which may even share them."""
    size = 0
    if hasattr(os, "copy_file_range"):
        try:
            while count := os.copy_file_range(source, target, _COPIED, size, size):
                size += count
        except OSError as error:
            if error.errno not in _UNCOPIED:
                raise
    os.lseek(target, size, os.SEEK_SET)
    while chunk := os.pread(source, STEP, size):
        write_all(target, chunk)
        size += len(chunk)
    return size


def _hash_of(descriptor: int, size: int) -> str:
    """The hash of the first ``size`` bytes of a file."""
    found = hashlib.sha256()
    buffer = memoryview(bytearray(min(STEP, size)))
    at = 0
    while at < size:
        count = os.preadv(descriptor, [buffer], at)
        if count == 0:
            raise OSError(None, "the file is shorter than it was")
        found.update(buffer[:count])
        at += count
    return found.hexdigest()
