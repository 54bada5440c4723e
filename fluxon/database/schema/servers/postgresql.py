"""PostgreSQL's tables: how they are read from its catalogue, and changed."""

from __future__ import annotations

from typing import Any

from fluxon.database.declaration import ENGINE_PREFIXES
from fluxon.database.schema.servers.tables import Column, Part, Table
from fluxon.database.schema.servers.writer import Writer

_KINDS = {"p": "primary", "u": "unique", "c": "check", "f": "foreign"}

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
    pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname) IS NOT NULL
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
ORDER BY c.oid, a.attnum
"""

_CONSTRAINTS = """
SELECT c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid, true), f.relname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class f ON f.oid = k.confrelid
WHERE n.nspname = current_schema() AND k.contype IN ('p', 'u', 'c', 'f')
ORDER BY k.conname
"""

_INDEXES = """
SELECT c.relname, i.relname, pg_get_indexdef(i.oid, 0, true)
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid)
ORDER BY i.relname
"""


def tables_of(connection: Any) -> dict[str, Table]:
    """The tables of the connection's own schema, but for the engine's."""
    tables: dict[str, Table] = {}
    for name, column, type_, not_null, default, numbered in connection.answer(_COLUMNS):
        if name.startswith(ENGINE_PREFIXES):
            continue
        table = tables.setdefault(name, Table(name, {}, {}))
        if column is not None:
            default = None if numbered else default
            written = type_ + ("" if default is None else f" DEFAULT {default}") + (" NOT NULL" if not_null else "")
            table.columns[column] = Column(column, type_, not_null, default, numbered, written)
    for name, part, kind, definition, target in connection.answer(_CONSTRAINTS):
        if name in tables:
            tables[name].parts[part] = Part(part, _KINDS[kind], definition, target)
    for name, part, definition in connection.answer(_INDEXES):
        if name in tables:
            tables[name].parts[part] = Part(part, "index", definition)
    return tables


class PostgreSQLWriter(Writer):
    """``ALTER`` as PostgreSQL writes it."""

    dialect = "postgresql"
    inline_kinds = frozenset({"primary", "unique", "check"})
    adds_key = False
    mark = '"'

    def create(self, table: Table) -> list[str]:
        lines = [f"{self.quote(each.name)} {_definition(each)}" for each in table.columns.values()]
        lines += [self._constraint(each) for each in table.parts.values() if each.kind in self.inline_kinds]
        return [f"CREATE TABLE {self.quote(table.name)} ({', '.join(lines)})"]

    def add_part(self, table: str, part: Part) -> str:
        return part.definition if part.kind == "index" else self.alter(table, f"ADD {self._constraint(part)}")

    def drop_part(self, table: str, part: Part) -> str:
        if part.kind == "index":
            return f"DROP INDEX {self.quote(part.name)}"
        return self.alter(table, f"DROP CONSTRAINT {self.quote(part.name)}")

    def rename_column(self, table: str, new_name: str, column: Column) -> str:
        return self.alter(table, f"RENAME COLUMN {self.quote(column.name)} TO {self.quote(new_name)}")

    def add_column(self, table: str, column: Column) -> list[str]:
        return [self.alter(table, f"ADD COLUMN {self.quote(column.name)} {_definition(column)}")]

    def change_column(self, table: str, before: Column, column: Column, value: str | None, fill: bool) -> list[str]:
        name = self.quote(column.name)
        changed = f"ALTER COLUMN {name}"
        found = []
        if before.numbered and not column.numbered:
            found.append(self.alter(table, f"{changed} DROP DEFAULT"))
            found.append(f"DROP SEQUENCE IF EXISTS {self._counter(table, column)}")
        if before.type != column.type:
            if before.default is not None:
                found.append(self.alter(table, f"{changed} DROP DEFAULT"))
            using = f"NULL::{column.type}" if value is None else f"({value})::{column.type}"
            found.append(self.alter(table, f"{changed} TYPE {column.type} USING {using}"))
        if before.type != column.type or before.default != column.default:
            setting = "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"
            if not column.numbered:
                found.append(self.alter(table, f"{changed} {setting}"))
        if fill:
            found.append(self.fill(table, column))
        if before.not_null != column.not_null:
            found.append(self.alter(table, f"{changed} {'SET' if column.not_null else 'DROP'} NOT NULL"))
        if column.numbered and not before.numbered:
            found += self._number(table, column)
        return found

    def copy(self, table: str, name: str) -> list[str]:
        return [f"CREATE TABLE {self.quote(name)} AS TABLE {self.quote(table)}"]

    def _constraint(self, part: Part) -> str:
        return f"CONSTRAINT {self.quote(part.name)} {part.definition}"

    def _counter(self, table: str, column: Column) -> str:
        return self.quote(f"{table}_{column.name}_seq")

    def _number(self, table: str, column: Column) -> list[str]:
        counter, name = self._counter(table, column), self.quote(column.name)
        literal = counter.replace("'", "''")
        return [
            f"CREATE SEQUENCE {counter} OWNED BY {self.quote(table)}.{name}",
            f"SELECT setval('{literal}', coalesce(max({name}), 0) + 1, false) FROM {self.quote(table)}",
            self.alter(table, f"ALTER COLUMN {name} SET DEFAULT nextval('{literal}')"),
        ]


def _definition(column: Column) -> str:
    return "BIGSERIAL" + " NOT NULL" * column.not_null if column.numbered else column.definition
