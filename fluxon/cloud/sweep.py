"""What is removed from a cloud's folder because nobody names it: the rest of uploads and of crashes.

Rules of this module:

- What a row names stays, whatever its age. The rows are asked after the folder was read: a name that is on the disk
  and gets its row meanwhile is found there.
- Unless the sweep has the folder for itself, what is younger than a day stays too: its row may be about to come. The
  age is that of the last change, of which a new name is one.
- What is no object or upload by its name is not ours, and stays; it is counted.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

import attrs

from fluxon.cloud.disk import close
from fluxon.cloud.folder import SHELVES

#: What is unnamed for so long was given up: no upload lasts a day, and no transaction.
AGE = 86_400.0

#: Names that are asked for at once: one statement of the database.
BATCH = 500

_NAME = re.compile("[0-9a-f]{32}")


@attrs.frozen
class Swept:
    """What a sweep did."""

    #: Objects that it looked at.
    objects: int = 0
    #: Objects, and files of uploads, that it removed, and their bytes.
    removed_objects: int = 0
    removed_uploads: int = 0
    freed: int = 0
    #: Unnamed ones that are too young to be removed while others use the folder.
    young: int = 0
    #: Files that are not ours.
    strange: int = 0
    #: 1 if nothing was looked at, since a backup is under way.
    put_off: int = 0

    def __add__(self, other: Swept) -> Swept:
        both = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Swept(*(one + another for one, another in both))


def sweep_uploads(folder: int, under_way: set[str], everything: bool) -> Swept:
    """Remove the files of uploads that are over, but not those named ``under_way``. Raises ``OSError``."""
    names = [name for name in os.listdir(folder) if name not in under_way]
    ours = [name for name in names if _NAME.fullmatch(name)]
    removed, freed = _remove(folder, ours, everything)
    return Swept(removed_uploads=removed, freed=freed, young=len(ours) - removed, strange=len(names) - len(ours))


def sweep_objects(folder: int, is_named: Callable[[list[str]], set[str]], everything: bool) -> Swept:
    """Remove the objects of which ``is_named`` knows nothing. Raises ``OSError``, and what that raises."""
    swept = Swept()
    for shelf in SHELVES:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(shelf, flags, dir_fd=folder)
        try:
            names = os.listdir(descriptor)
            ours = [name for name in names if _NAME.fullmatch(name) and name.startswith(shelf)]
            swept += Swept(objects=len(ours), strange=len(names) - len(ours))
            for start in range(0, len(ours), BATCH):
                batch = ours[start : start + BATCH]
                named = is_named(batch)
                unnamed = [name for name in batch if name not in named]
                removed, freed = _remove(descriptor, unnamed, everything)
                swept += Swept(removed_objects=removed, freed=freed, young=len(unnamed) - removed)
        finally:
            close(descriptor)
    return swept


def _remove(folder: int, names: list[str], everything: bool) -> tuple[int, int]:
    """Remove those that may go by their age; how many, and their bytes."""
    removed = freed = 0
    limit = time.time() - AGE
    for name in names:
        try:
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if everything or max(facts.st_mtime, facts.st_ctime) < limit:
                os.unlink(name, dir_fd=folder)
                removed += 1
                freed += facts.st_size
        except FileNotFoundError:
            pass  # it was removed, or became an object, since the folder was read
    return removed, freed
