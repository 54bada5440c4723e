"""Commands of the cloud storage: what a client may ask about files, and how it is told of changes.

Rules kept here: paths are texts of the cloud (``/a/b``), checked by the server; bytes of more than ``INLINE`` travel as
a stream, whose tag the answer names; what is listed comes in pages, each with where the next one begins.
"""

from fluxon.commands.cloud.common import INLINE, ITEM, MAX_PAGE, CloudCommand
from fluxon.commands.cloud.content import Commit, Discard, Read, Upload, Write
from fluxon.commands.cloud.coordination import Changed, Lock, Unlock, Unwatch, Watch
from fluxon.commands.cloud.history import ACTION, DELETED, VERSION, Deleted, Log, Restore, Versions
from fluxon.commands.cloud.items import Copy, Delete, Find, List, MakeDirectory, MakeFile, Move, Stat, Tree
from fluxon.commands.cloud.roles import ASSIGNMENT, Assign, OwnPermissions, Roles, Unassign

__all__ = [
    "ACTION",
    "ASSIGNMENT",
    "DELETED",
    "INLINE",
    "ITEM",
    "MAX_PAGE",
    "VERSION",
    "Assign",
    "Changed",
    "CloudCommand",
    "Commit",
    "Copy",
    "Delete",
    "Deleted",
    "Discard",
    "Find",
    "List",
    "Lock",
    "Log",
    "MakeDirectory",
    "MakeFile",
    "Move",
    "OwnPermissions",
    "Read",
    "Restore",
    "Roles",
    "Stat",
    "Tree",
    "Unassign",
    "Unlock",
    "Unwatch",
    "Upload",
    "Versions",
    "Watch",
    "Write",
]
