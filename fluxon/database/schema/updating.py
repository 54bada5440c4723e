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
from fluxon.database.schema.changes import Changes, Goal
from fluxon.database.schema.kinds import changes_of
from fluxon.database.schema.plan import Plan
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
    #: A copy of the whole database (SQLite).
    backup: Path | None
    applied: bool
    #: Tables in the database that hold what changed tables held (servers).
    copies: tuple[str, ...] = ()


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
    changes = changes_of(database)
    with changes.locked(patience):
        return _update(changes, file, plan_only, drop)


def prepare(database: Any, directory: str | os.PathLike[str]) -> list[str]:
    """What a starting server calls: lines to log, saying what was done and what a person should do. Blocks.

    A database without tables gets the newest schema, saved from the models first if they differ from it.
    """
    if not database.models:
        return []
    folder, changes = Path(directory), changes_of(database)
    with changes.locked(PREPARE_PATIENCE):
        with changes.connection() as connection:
            known = record.load(connection)
            begun = changes.interrupted(connection) is not None
            empty = known is None and not begun and not changes.tables(connection)
        if not empty:
            return check(database, folder)
        lines = []
        saved = save_schema(database, folder)
        if saved.changed:
            lines.append(f"saved the models as {saved.path.name}")
        _update(changes, _chosen(database, folder, saved.number), False, ())
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
    changes = changes_of(database)
    with changes.connection() as connection:
        known = record.load(connection)
        half = changes.interrupted(connection)
        if half is not None:
            lines.append(f"{half.told}; to go on, type: {_COMMAND} updateschema {half.number}")
            return lines
        if known is None:
            lines.append(f"no schema was applied to the database yet; type: {_COMMAND} updateschema")
            return lines
        changed = _changed(changes, connection, known)
    if existing and known.number != existing[-1]:
        lines.append(
            f"the database has schema {known.number:05}, and the newest is {existing[-1]:05}; "
            f"type: {_COMMAND} updateschema"
        )
    elif not existing:
        lines.append(f"the database has schema {known.number:05}, whose file is gone")
    lines += [
        f"the table {name} is not as schema {known.number:05} made it; type: {_COMMAND} updateschema"
        for name in changed
    ]
    return lines


def is_saved(database: Any, directory: str | os.PathLike[str]) -> bool:
    """Whether the newest schema file says what the models do. Blocks."""
    folder = Path(directory)
    existing = files.numbers(folder)
    return bool(existing) and files.read(folder, existing[-1]).content.body == _declared(database).body


def schemas(database: Any, directory: str | os.PathLike[str]) -> list[str]:
    """The schema files, a line each, the database's own marked. Blocks."""
    folder = Path(directory)
    with changes_of(database).connection() as connection:
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
    _declared(database)
    changes_of(database).create_missing()


def missing_tables(database: Any) -> list[str]:
    """The bound models that have no table in the database. Blocks."""
    changes = changes_of(database)
    with changes.connection() as connection:
        have = changes.tables(connection)
        return [model.__name__ for model in database.models if model.declaration.table_name not in have]


def _changed(changes: Changes, connection: Any, known: record.Record) -> list[str]:
    """The names of tables that are not as the last schema made them."""
    name = files.file_name(known.number)
    _, content = files.parse(known.text, name)
    have = changes.tables(connection)
    made = changes.target(connection, content.body, name)
    return [each for each, table in made.items() if each not in have or not changes.same(have[each], table)]


def _update(changes: Changes, file: files.SchemaFile, plan_only: bool, drop: Iterable[str]) -> UpdatedSchema:
    with changes.connection() as connection:
        known = record.load(connection)
        previous = known.number if known else None
        goal = _goal(changes, connection, known, file, tuple(drop))
        if plan_only:
            lines = changes.plan(connection, goal).lines()
            return UpdatedSchema(file.number, previous, tuple(lines), None, False)
        applied = changes.apply(
            connection,
            goal,
            lambda plan: _refuse(plan, goal.drop, tuple(drop)),
            lambda: record.save(connection, file.number, file.checksum, file.content.text(file.number)),
        )
        lines = applied.plan.lines()
        return UpdatedSchema(file.number, previous, tuple(lines), applied.backup, True, applied.copies)


def _goal(
    changes: Changes, connection: Any, known: record.Record | None, file: files.SchemaFile, drop: tuple[str, ...]
) -> Goal:
    """Where ``file`` leads from what is there: the last schema, or half of one."""
    renamed, ours, allowed = list(file.content.renamed), dict[str, None](), list(drop)
    before = [(known.number, known.text)] if known else []
    half = changes.interrupted(connection)
    if half is not None:
        before.append((half.number, half.text))
        if half.number == file.number:
            allowed += half.drop
    for number, text in before:
        name = files.file_name(number)
        _, content = files.parse(text, name)
        if number > file.number:
            renamed += files.reversed_names(content.renamed)
        ours |= dict.fromkeys(changes.target(connection, content.body, name))
    want = changes.target(connection, file.content.body, file.name)
    return Goal(file, want, list(ours), renamed, tuple(allowed))


def _refuse(plan: Plan, allowed: Iterable[str], named: Iterable[str]) -> None:
    """Raise unless every loss is among ``allowed``, and every one ``named`` now is one."""
    asked = {each.lower() for each in allowed}
    possible = {each.lower() for each in plan.losses}
    unknown = {each.lower() for each in named} - possible - {str(step).split()[2].lower() for step in plan.steps}
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
