"""Making an SQLite file, and why there can be none."""

from __future__ import annotations

import os
import sqlite3

from fluxon.database.sqlite.errors import translate
from fluxon.errors import ConfigurationError


def create_private(path: str) -> None:
    """The file holds password hashes: nobody else may read it. SQLite gives its other files the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise not_made(path, error) from error


def not_made(path: str, error: OSError) -> Exception:
    """Why there is no file at ``path``, in words without the path: of it only the last names."""
    folder, name = os.path.basename(os.path.dirname(path)) or "/", os.path.basename(path)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return ConfigurationError(f"the folder {folder!r} for the database {name} does not exist; type: mkdir {folder}")
    if isinstance(error, PermissionError):
        return ConfigurationError(
            f"the database {name} cannot be made, since the server's user may not write to the folder {folder!r}; "
            f"type: chown $(id -un) {folder}"
        )
    answer = sqlite3.OperationalError(str(error))
    answer.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    return translate(answer)
