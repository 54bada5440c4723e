"""Numbered schema files: ``schema_00001.sql``, each complete in itself.

Rules kept here:

- A file is never written over, and never seen half-written: it is written aside, synced, and linked to its name.
- Its header says the dialect, and a checksum of everything but the checksum's own line: an edited file is noticed
  before it touches a database.
- What follows the header is plain SQL that makes an empty database into this schema.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from fluxon.errors import AlreadyExists, ConfigurationError, NotFound

_NAME = re.compile(r"schema_(\d{5})\.sql")
_HEADER = re.compile(r"-- ([a-z]+): (.*)")
_RENAMED = re.compile(r'(?:"([^"]+)"\.)?"([^"]+)" to "([^"]+)"')

MAX_NUMBER = 99_999

#: A schema of a thousand models has about half a MiB.
_MAX_BYTES = 16 * 1024 * 1024


@attrs.frozen
class Renamed:
    """A column of ``table``, or a table itself, that had another name in the schema before."""

    table: str | None
    old: str
    new: str

    def __str__(self) -> str:
        place = "" if self.table is None else f'"{self.table}".'
        return f'{place}"{self.old}" to "{self.new}"'


def reversed_names(renamed: Iterable[Renamed]) -> list[Renamed]:
    """The same, for the way down: what was new is old, the names of renamed columns' tables included."""
    renamed = list(renamed)
    tables = {each.new: each.old for each in renamed if each.table is None}
    return [
        Renamed(None if each.table is None else tables.get(each.table, each.table), each.new, each.old)
        for each in renamed
    ]


@attrs.frozen
class SchemaText:
    """The content of a schema file."""

    dialect: str
    body: str
    renamed: tuple[Renamed, ...] = ()

    def text(self, number: int) -> str:
        """The whole file, header first."""
        lines = [f"-- Fluxon schema {number:05}", f"-- dialect: {self.dialect}"]
        lines += [f"-- renamed: {each}" for each in self.renamed]
        head, rest = "\n".join(lines) + "\n", "\n" + self.body
        return f"{head}-- checksum: {_digest(head + rest)}\n{rest}"


@attrs.frozen
class SchemaFile:
    """One schema file that was read and found unharmed."""

    number: int
    path: Path
    checksum: str
    content: SchemaText

    @property
    def name(self) -> str:
        return file_name(self.number)


def file_name(number: int) -> str:
    """``schema_00001.sql``"""
    return f"schema_{number:05}.sql"


def numbers(directory: Path) -> list[int]:
    """The numbers of the schema files in a folder, in order. A folder that is missing has none."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def read(directory: Path, number: int) -> SchemaFile:
    """The file of this number. Raises ``NotFound``, or ``ConfigurationError`` when it was edited or is damaged."""
    path = directory / file_name(number)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{path.name} is too large for a schema")
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise NotFound(f"there is no {path.name}; see: python -m fluxon.database --config router.py schemas") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name} is no text") from None
    checksum, content = parse(text, path.name)
    return SchemaFile(number, path, checksum, content)


def parse(text: str, name: str) -> tuple[str, SchemaText]:
    """The checksum and content of a file's text. Raises ``ConfigurationError`` when they do not agree."""
    head, found, body = text.partition("\n\n")
    values: dict[str, str] = {}
    renamed = []
    for line in head.splitlines():
        if match := _HEADER.fullmatch(line):
            values[match[1]] = match[2]
            if match[1] == "renamed" and (names := _RENAMED.fullmatch(match[2])):
                renamed.append(Renamed(names[1], names[2], names[3]))
    if not found or "dialect" not in values or "checksum" not in values:
        raise ConfigurationError(f"{name} does not begin with the header of a schema file")
    plain = text.replace(f"-- checksum: {values['checksum']}\n", "", 1)
    if _digest(plain) != values["checksum"]:
        raise ConfigurationError(
            f"{name} was edited after it was saved (its checksum differs); restore it, or change the models and save "
            "the next schema"
        )
    return values["checksum"], SchemaText(values["dialect"], body, tuple(renamed))


def write(directory: Path, number: int, content: SchemaText) -> SchemaFile:
    """Write the file of this number. Raises ``AlreadyExists`` when there is one, however it came to be."""
    if number > MAX_NUMBER:
        raise ConfigurationError(f"there are no schema numbers beyond {MAX_NUMBER}")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(number)
    aside = directory / f".{file_name(number)}.{os.getpid()}.new"
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(content.text(number))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # unlike a rename, it never replaces
        except FileExistsError:
            raise AlreadyExists(f"{path.name} was written by another program just now; try again") from None
    finally:
        os.unlink(aside)
    sync_folder(directory)
    return read(directory, number)


def sync_folder(directory: Path) -> None:
    """Have a folder's new names survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
