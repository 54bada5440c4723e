"""The folder that keeps a server's secrets: what may be in it, and how a file comes into it.

Rules of this module:

- The folder is 0700 and every file 0600, both owned by the user that the server runs as. What is looser, a symbolic
  link, someone else's or of the wrong size is refused, never repaired: whoever could read a key may have it already,
  and only the operator can judge that.
- What is checked is what was opened (``fstat`` on the descriptor), so nothing can be swapped in between.
- A file appears whole or not at all: it is written under a temporary name made with ``O_EXCL``, synced, and linked
  to its own name, which fails when another process was first. Nobody ever reads half a key.
- Error texts name the file and the command to type, never the path.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxon.errors import InsecureSecrets
from fluxon.security.owners import anothers

FOLDER_MODE = 0o700
FILE_MODE = 0o600

#: A certificate chain is a few KiB. Whatever is larger than this is no secret of ours, and is not read into memory.
MAX_FILE = 256 * 1024

#: What ``O_NOFOLLOW`` says of a symbolic link: POSIX, and FreeBSD.
_LINK = frozenset({errno.ELOOP, errno.EMLINK})

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITING = stat.S_IWGRP | stat.S_IWOTH


class SecretsFolder:
    """An open secrets folder. Blocking; used once, at a server's start, and on rotation."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def names(self) -> list[str]:
        """Every name in the folder, sorted."""
        return sorted(os.listdir(self._descriptor))

    def read(self, name: str, size: int | None = None, *, private: bool = True) -> bytes | None:
        """The file's bytes, or None when there is no such file. Not ``private``: others may read it, not write it.

        Raises ``InsecureSecrets`` for anything but a private regular file of the server's user, and for one that
        does not have exactly ``size`` bytes (any size up to ``MAX_FILE`` when None).
        """
        label = f"{self.name}/{name}"
        try:
            # O_NONBLOCK: a FIFO in the folder must not hang the start.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InsecureSecrets(_unopened(label, error.errno in _LINK)) from error
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise InsecureSecrets(f"{label} is not a regular file; remove it and start again: rm -r {label}")
            _check_private(label, facts, FILE_MODE, _OTHERS if private else _WRITING)
            with open(file, "rb", closefd=False) as stream:
                content = stream.read(MAX_FILE + 1)
        finally:
            os.close(file)
        if len(content) > MAX_FILE or (size is not None and len(content) != size):
            wanted = f"has {len(content)} bytes instead of {size}" if size is not None else f"is over {MAX_FILE} bytes"
            raise InsecureSecrets(
                f"{label} {wanted}: it is damaged. Restore it from a backup, or remove it to have a new one made "
                f"(a new session key logs everybody out): rm {label}"
            )
        return content

    def create(self, name: str, content: bytes) -> bytes:
        """Put ``content`` under ``name``, unless it exists; return what is there now, ours or the other process's."""
        temporary = f".{name}.{secrets.token_hex(8)}"
        try:
            self._write(temporary, content)
            try:
                os.link(
                    temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor, follow_symlinks=False
                )
            except FileExistsError:
                pass
            finally:
                os.unlink(temporary, dir_fd=self._descriptor)
            os.fsync(self._descriptor)
        except OSError as error:
            raise InsecureSecrets(
                f"{self.name}/{name} cannot be made ({os.strerror(error.errno or 0)}); keep the secrets folder on a "
                f"local disk with room, writable by the server's user"
            ) from error
        there = self.read(name)
        if there is None:
            raise InsecureSecrets(f"{self.name}/{name} was removed while the server was starting; start it again")
        return there

    def _write(self, name: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, FILE_MODE, dir_fd=self._descriptor), "wb") as stream:
            os.fchmod(stream.fileno(), FILE_MODE)  # whatever the umask made of it
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def replace(self, name: str, content: bytes) -> None:
        """Put ``content`` under ``name``, whether or not it exists; a reader sees the old file or the new one."""
        temporary = f"{name}.{secrets.token_hex(8)}"
        self.create(temporary, content)
        os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)

    def remove(self, name: str) -> None:
        """Remove the file; one that is gone already is no error."""
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return
        os.fsync(self._descriptor)

    def modified(self, name: str) -> float:
        """When the file was last written, in seconds since the epoch."""
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mtime


@contextmanager
def open_folder(path: Path) -> Iterator[SecretsFolder]:
    """The folder at ``path``, made with mode 0700 if it is not there, checked, and closed again at the end.

    Raises ``InsecureSecrets`` for a link, a file, another user's folder or one that others can enter.
    """
    label = path.name or str(path)
    try:
        path.mkdir(mode=FOLDER_MODE)
        path.chmod(FOLDER_MODE)  # whatever the umask made of it
    except FileExistsError:
        pass
    except OSError as error:
        raise InsecureSecrets(
            f"the secrets folder {label} cannot be made ({os.strerror(error.errno or 0)}); make its parent first, "
            f"and let the server's user write there"
        ) from error
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise InsecureSecrets(_unopened(label, path.is_symlink())) from error
    try:
        _check_private(label, os.fstat(descriptor), FOLDER_MODE)
        yield SecretsFolder(label, descriptor)
    finally:
        os.close(descriptor)


def _unopened(label: str, link: bool) -> str:
    if link:
        return f"{label} is a symbolic link; secrets are not followed elsewhere. Put the real thing in its place"
    return f"{label} cannot be opened by the server's user; give it to that user: chown $(id -un) {label}"


def _check_private(label: str, facts: os.stat_result, mode: int, refused: int = _OTHERS) -> None:
    if facts.st_uid != os.geteuid():
        raise InsecureSecrets(anothers(label, facts.st_uid))
    if stat.S_IMODE(facts.st_mode) & refused:
        raise InsecureSecrets(
            f"{label} is open to other users of this machine (mode {stat.S_IMODE(facts.st_mode):04o}); type: "
            f"chmod {mode:o} {label}   and replace keys that others may have read"
        )
