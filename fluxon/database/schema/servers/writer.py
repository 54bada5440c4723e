"""The statements that change a server's tables; each server has its own way to write them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from fluxon.database.schema.servers.tables import Column, Part, Table


class Writer(ABC):
    """Writes SQL. Names are given plainly and quoted here."""

    dialect: ClassVar[str]
    #: The kinds of parts that ``create`` makes with the table; the others are added afterwards.
    inline_kinds: ClassVar[frozenset[str]]
    #: Whether ``add_column`` makes a column that numbers the rows the primary key, too.
    adds_key: ClassVar[bool]
    #: What stands around a name.
    mark: ClassVar[str]

    def quote(self, name: str) -> str:
        """An identifier as SQL writes it."""
        return self.mark + name.replace(self.mark, self.mark * 2) + self.mark

    def alter(self, table: str, clause: str) -> str:
        """``ALTER TABLE``"""
        return f"ALTER TABLE {self.quote(table)} {clause}"

    @abstractmethod
    def create(self, table: Table) -> list[str]:
        """A new table, with its parts of the inline kinds."""

    @abstractmethod
    def add_part(self, table: str, part: Part) -> str:
        """A key, constraint or index of a table that is there."""

    def unnumber(self, table: Table) -> list[str]:
        """What has to go before a table's primary key can."""
        return []

    @abstractmethod
    def drop_part(self, table: str, part: Part) -> str:
        """The way back."""

    def rename_table(self, old: str, new: str) -> str:
        """The same table by another name."""
        return self.alter(old, f"RENAME TO {self.quote(new)}")

    def rename_constraint(self, table: str, old: Part, new: Part) -> str:
        """The same constraint by another name."""
        return self.alter(table, f"RENAME CONSTRAINT {self.quote(old.name)} TO {self.quote(new.name)}")

    @abstractmethod
    def rename_column(self, table: str, new_name: str, column: Column) -> str:
        """The same column by another name."""

    @abstractmethod
    def add_column(self, table: str, column: Column) -> list[str]:
        """A new column; rows that are there get its default."""

    @abstractmethod
    def change_column(self, table: str, before: Column, column: Column, value: str | None, fill: bool) -> list[str]:
        """``before``, renamed already, becomes ``column``.

        ``value`` is the SQL of the converted value; None when every value is NULL. With ``fill``, empty values get
        the default.
        """

    def drop_column(self, table: str, name: str) -> str:
        """A column and its values."""
        return self.alter(table, f"DROP COLUMN {self.quote(name)}")

    @abstractmethod
    def copy(self, table: str, name: str) -> list[str]:
        """A new table ``name`` with the columns and rows of ``table``."""

    def fill(self, table: str, column: Column) -> str:
        """Give empty values the default."""
        name = self.quote(column.name)
        return f"UPDATE {self.quote(table)} SET {name} = {column.default} WHERE {name} IS NULL"
