"""Commands that look at items, and that make, move, copy and delete them."""

from __future__ import annotations

from fluxon.commands.arguments import Boolean, ListOf, Optional, Text
from fluxon.commands.cloud.common import CURSOR, ITEM, MAX_PAGE, NAME, PAGE, PATH, UPLOAD, CloudCommand


class Stat(CloudCommand):
    """What is known of an item."""

    name = "cloud.stat"
    arguments = {"path": PATH}
    response = {"item": ITEM}


class List(CloudCommand):
    """What lies in a directory, by name, as far as the asker may know of it."""

    name = "cloud.list"
    arguments = {"path": PATH, **PAGE}
    response = {"items": ListOf(ITEM, max_items=MAX_PAGE), "next": Optional(CURSOR)}


class Tree(CloudCommand):
    """What lies below a directory, at any depth, parents before what is in them."""

    name = "cloud.tree"
    arguments = {"path": PATH, **PAGE}
    response = {"items": ListOf(ITEM, max_items=MAX_PAGE), "next": Optional(CURSOR)}


class Find(CloudCommand):
    """Items below a directory whose name fits ``pattern`` (``*`` and ``?``), without regard to case."""

    name = "cloud.find"
    arguments = {"path": PATH, "pattern": NAME, **PAGE}
    response = {"items": ListOf(ITEM, max_items=MAX_PAGE), "next": Optional(CURSOR)}


class MakeDirectory(CloudCommand):
    """Make a directory, and those above it that are missing if ``parents``."""

    name = "cloud.mkdir"
    arguments = {"path": PATH, "parents": Boolean()}
    response = {"item": ITEM}


class MakeFile(CloudCommand):
    """Make an empty file."""

    name = "cloud.create"
    arguments = {"path": PATH}
    response = {"item": ITEM}


class Delete(CloudCommand):
    """Delete a file, or a directory with all that is in it.

    ``type``: only if it is that, ``"file"`` or ``"directory"``; else ``InvalidPayload``, and nothing was done.
    """

    name = "cloud.delete"
    arguments = {"path": PATH, "type": Optional(Text(max_bytes=16)), "lock": Optional(UPLOAD)}


class Move(CloudCommand):
    """Give an item another path."""

    name = "cloud.move"
    arguments = {"path": PATH, "to": PATH}
    response = {"item": ITEM}


class Copy(CloudCommand):
    """Make a copy of an item, and of all that is in it, at another path."""

    name = "cloud.copy"
    arguments = {"path": PATH, "to": PATH}
    response = {"item": ITEM}
