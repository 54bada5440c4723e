"""What a schema update needs from each kind of database.

Rules kept here:

- The functions of ``updating`` know no dialect; whatever differs between databases is behind ``Changes``.
- One update at a time in one database, over all processes that can reach it.
- A target's tables are read by the same program that describes the database's own, so the two can be compared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs

from fluxon.database.schema.files import Renamed, SchemaFile
from fluxon.database.schema.plan import Plan


@attrs.frozen
class Goal:
    """Where an update leads, and what it may assume and lose."""

    file: SchemaFile
    #: The tables that the file makes.
    want: Mapping[str, Any]
    #: The names of the tables that earlier schemas made: what is no more wanted of these is dropped.
    ours: Iterable[str]
    renamed: Iterable[Renamed]
    #: What may be lost, by name.
    drop: tuple[str, ...] = ()


@attrs.frozen
class Applied:
    """What an update did, and where it put what was there before: a file, or copies of tables."""

    plan: Plan
    backup: Path | None = None
    copies: tuple[str, ...] = ()


@attrs.frozen
class Interrupted:
    """An update that did not come to its end: the file that it was to apply, and what it was allowed to lose."""

    number: int
    text: str
    drop: tuple[str, ...]
    told: str


class Changes(ABC):
    """Schema changes of one database. All functions block."""

    def __init__(self, database: Any) -> None:
        self.database = database

    @abstractmethod
    def locked(self, patience: float) -> AbstractContextManager[None]:
        """Keep every other update out. Raises ``Locked`` after ``patience`` seconds."""

    def connection(self) -> AbstractContextManager[Any]:
        """A connection of its own, with the engine's tables there."""
        return self.database.administration()  # type: ignore[no-any-return]

    @abstractmethod
    def tables(self, connection: Any) -> Mapping[str, Any]:
        """The tables that there are, but for the engine's."""

    @abstractmethod
    def same(self, one: Any, other: Any) -> bool:
        """Whether two tables of a name are the same."""

    @abstractmethod
    def target(self, connection: Any, text: str, name: str) -> Mapping[str, Any]:
        """The tables that a schema file makes. Raises ``ConfigurationError`` when the database does not take it."""

    @abstractmethod
    def plan(self, connection: Any, goal: Goal) -> Plan:
        """What an update would do now."""

    @abstractmethod
    def apply(self, connection: Any, goal: Goal, refuse: Callable[[Plan], None], finish: Callable[[], None]) -> Applied:
        """Plan, ``refuse(plan)``, carry it out and ``finish()`` in the same transaction."""

    @abstractmethod
    def create_missing(self) -> None:
        """Make the tables of the bound models that are not there."""

    def interrupted(self, connection: Any) -> Interrupted | None:
        """An update that was interrupted halfway; None where that cannot be."""
        return None
