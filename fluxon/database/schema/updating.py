"""Saving schemas, updating to them, and seeing a server's database ready.

Rules kept here:

- These functions block; a server runs them in a thread of their own.
- Nothing that holds data is dropped unless it was asked for by name.
- A starting server changes an empty database only. Otherwise it says what disagrees, and what to type.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from fluxon.database.schema import files, record
from fluxon.database.schema.lock import schema_lock
from fluxon.database.schema.plan import Plan, make_plan
from fluxon.database.schema.sqlite_update import apply_plan, backup_path
from fluxon.database.schema.structure import Table, tables_in, tables_of
from fluxon.database.schema.text import schema_of
from fluxon.errors import ConfigurationError, Conflict, FluxonError, NotFound

#: Seconds that a starting server waits for another one that prepares the same database.
PREPARE_PATIENCE = 30.0

_COMMAND = "python -m fluxon.database --config router.py"


@attrs.frozen
class SavedSchema:
    """What ``save_schema`` did: ``changed`` is False when the newest file says the same already."""

    number: int
    path: Path
    changed: bool


@attrs.frozen
class UpdatedSchema:
    """What ``update_schema`` did, or would do."""

    number: int
    previous: int | None
    plan: tuple[str, ...]
    backup: Path | None
    applied: bool


def save_schema(database: Any, directory: str | os.PathLike[str]) -> SavedSchema:
    """Write what the bound models declare to the next schema file, unless the newest says it already. Blocks."""
    folder = Path(directory)
    content = _declared(database)
    existing = files.numbers(folder)
    if existing:
        newest = files.read(folder, existing[-1])
        if newest.content.body == content.body and newest.content.dialect == content.dialect:
            return SavedSchema(newest.number, newest.path, False)
    written = files.write(folder, (existing[-1] if existing else 0) + 1, content)
    return SavedSchema(written.number, written.path, True)


def update_schema(
    database: Any,
    directory: str | os.PathLike[str],
    number: int | None = None,
    *,
    plan_only: bool = False,
    drop: Iterable[str] = (),
    patience: float = 0.0,
) -> UpdatedSchema:
    """Bring the database to schema ``number`` (the newest by default), up or down. Blocks.

    Rows stay wherever the new schema has a place for them; a backup is taken first. ``drop`` names what may be lost,
    as ``Model.field`` or ``Model``. Raises ``NotFound`` (no such file), ``ConfigurationError`` (an edited file, or
    one of another dialect), ``Conflict`` (data would be lost, or does not fit) and ``Locked``; the database is then
    as it was.
    """
    file = _chosen(database, Path(directory), number)
    with schema_lock(_path(database), patience):
        return _update(database, file, plan_only, drop)


def prepare(database: Any, directory: str | os.PathLike[str]) -> list[str]:
    """What a starting server calls: lines to log, saying what was done and what a person should do. Blocks.

    A database without tables gets the newest schema, saved from the models first if they differ from it.
    """
    if not database.models:
        return []
    folder = Path(directory)
    with schema_lock(_path(database), PREPARE_PATIENCE):
        with _connection(database) as connection:
            known = record.load(connection)
            empty = known is None and not tables_of(connection.raw)
        if not empty:
            return check(database, folder)
        lines = []
        saved = save_schema(database, folder)
        if saved.changed:
            lines.append(f"saved the models as {saved.path.name}")
        _update(database, _chosen(database, folder, saved.number), False, ())
        lines.append(f"made the database's tables: schema {saved.number:05}")
        return lines


def check(database: Any, directory: str | os.PathLike[str]) -> list[str]:
    """Where models, schema files and database disagree, a line each, with what to type. Blocks."""
    folder = Path(directory)
    lines = []
    existing = files.numbers(folder)
    newest = None
    for number in existing:
        try:
            newest = files.read(folder, number)
        except FluxonError as error:
            lines.append(error.text)
    if newest is None or newest.content.body != _declared(database).body:
        lines.append(f"the models are not saved as a schema yet; type: {_COMMAND} saveschema")
    with _connection(database) as connection:
        known = record.load(connection)
        have = tables_of(connection.raw)
    if known is None:
        lines.append(f"no schema was applied to the database yet; type: {_COMMAND} updateschema")
        return lines
    if existing and known.number != existing[-1]:
        lines.append(
            f"the database has schema {known.number:05}, and the newest is {existing[-1]:05}; "
            f"type: {_COMMAND} updateschema"
        )
    elif not existing:
        lines.append(f"the database has schema {known.number:05}, whose file is gone")
    _, made = files.parse(known.text, files.file_name(known.number))
    for name, table in tables_in(made.body, files.file_name(known.number)).items():
        if name not in have or have[name].sql != table.sql:
            lines.append(f"the table {name} is not as schema {known.number:05} made it; type: {_COMMAND} updateschema")
    return lines


def schemas(database: Any, directory: str | os.PathLike[str]) -> list[str]:
    """The schema files, a line each, the database's own marked. Blocks."""
    folder = Path(directory)
    with _connection(database) as connection:
        known = record.load(connection)
    lines = []
    for number in files.numbers(folder):
        mark = "  <- the database" if known is not None and known.number == number else ""
        try:
            file = files.read(folder, number)
            lines.append(f"{file.name}  {file.content.dialect}{mark}")
        except ConfigurationError as error:
            lines.append(f"{files.file_name(number)}  {error.text}{mark}")
    return lines


def create_tables(database: Any) -> None:
    """Make the tables of the bound models that are missing, without schema files: for scripts and tests. Blocks."""
    content = _declared(database)
    if database.dialect_name != "sqlite":
        from fluxon.database.schema.text import statements_of

        with database.administration() as connection:
            for s in statements_of(database):
                connection.script(s.sql)
        return
    want = tables_in(content.body, "the models' schema")

    def make(connection: Any) -> None:
        have = tables_of(connection.raw)
        for name, table in want.items():
            if name not in have:
                for sql in (table.sql, *table.attached.values()):
                    connection.script(sql)

    database.write_blocking(make)


def _update(database: Any, file: files.SchemaFile, plan_only: bool, drop: Iterable[str]) -> UpdatedSchema:
    want = tables_in(file.content.body, file.name)
    with _connection(database) as connection:
        known = record.load(connection)
        before, renamed = _history(known, file)
        raw = connection.raw

        def make() -> Plan:
            return make_plan(raw, tables_of(raw), want, before, renamed)

        previous = known.number if known else None
        if plan_only:
            return UpdatedSchema(file.number, previous, tuple(make().lines()), None, False)

        def make_allowed() -> Plan:
            plan = make()
            _refuse(plan, drop)
            return plan

        backup = backup_path(Path(database.path), file.number) if tables_of(raw) else None
        plan = apply_plan(
            connection,
            make_allowed,
            lambda: record.save(connection, file.number, file.checksum, file.content.text(file.number)),
            backup,
        )
        taken = backup if plan.steps else None
        return UpdatedSchema(file.number, previous, tuple(plan.lines()), taken, True)


def _history(known: record.Record | None, file: files.SchemaFile) -> tuple[dict[str, Table], list[files.Renamed]]:
    """The tables that the last schema made, and the renames on the way from it to ``file``."""
    renamed = list(file.content.renamed)
    if known is None:
        return {}, renamed
    name = files.file_name(known.number)
    _, content = files.parse(known.text, name)
    if known.number > file.number:
        renamed += [each.reversed() for each in content.renamed]
    return tables_in(content.body, name), renamed


def _refuse(plan: Plan, drop: Iterable[str]) -> None:
    asked = {each.lower() for each in drop}
    possible = {each.lower() for each in plan.losses}
    unknown = asked - possible - {str(step).split()[2].lower() for step in plan.steps}
    if unknown:
        raise ConfigurationError(f"the update would not lose anything called {', '.join(sorted(unknown))}")
    refused = [text for name, text in plan.losses.items() if name.lower() not in asked]
    if refused or plan.obstacles:
        told = [f"it would lose {text}" for text in refused] + plan.obstacles
        raise Conflict("the schema was not updated: " + "; ".join(told))


def _chosen(database: Any, folder: Path, number: int | None) -> files.SchemaFile:
    existing = files.numbers(folder)
    if not existing:
        raise NotFound(f"there is no schema file yet; type: {_COMMAND} saveschema")
    file = files.read(folder, existing[-1] if number is None else number)
    dialect = database.statements.dialect.name
    if file.content.dialect != dialect:
        raise ConfigurationError(
            f"{file.name} is written for {file.content.dialect}, and the database is {dialect}; "
            f"type: {_COMMAND} saveschema"
        )
    return file


def _declared(database: Any) -> files.SchemaText:
    if not database.models:
        raise ConfigurationError("no models are bound to the database; give their module to Setup(models=...)")
    return schema_of(database)


def _path(database: Any) -> str:
    path: str = database.path
    if path == ":memory:":
        raise ConfigurationError("a database in memory has no schema files; use create_tables()")
    return path


def _connection(database: Any) -> Any:
    """A connection of its own for a schema change, with the engine's tables there."""
    return database.administration()
