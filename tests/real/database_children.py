"""What child processes do to a database until they are killed, and what must be true of it afterwards."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from fluxon.database import apis, models, schema

ModelType = type(models.Model)

#: Rows of the table whose schema changes.
ROWS = 2_000

#: Threads that insert at once.
THREADS = 4


def opened(adapter: str, place: str, **fields: Any) -> Any:
    """The adapter on ``place``, with a model ``Note`` of a text and these fields."""
    database = getattr(apis, adapter)(place)
    database.bind([ModelType("Note", (models.Model,), {"text": models.CharField(max_length=200), **fields})])
    return database


def versions() -> list[dict[str, Any]]:
    """The fields of both schemas: a new column, another type, an index."""
    return [
        {"mark": models.IntegerField(default=1)},
        {"mark": models.CharField(default="1", db_index=True), "size": models.IntegerField(default=7)},
    ]


def insert_for_ever(adapter: str, place: str, promises: str) -> None:
    """Insert from several threads; each key is written to a file once its insert was answered."""
    database = opened(adapter, place)
    (note,) = database.models
    told = os.open(promises, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def insert() -> None:
        while True:
            key = note.Insert(text="x" * 150)
            os.write(told, b"%d\n" % key)

    for _ in range(THREADS):
        threading.Thread(target=insert, daemon=True).start()
    threading.Event().wait()


def update_for_ever(adapter: str, place: str, files: str, ready: str) -> None:
    """Update the schema up and down, for ever."""
    database = opened(adapter, place)
    os.close(os.open(ready, os.O_WRONLY | os.O_CREAT))
    while True:
        for number in (2, 1):
            bring_to(database, files, number)


def bring_to(database: Any, files: str, number: int) -> None:
    """Update to schema 1 or 2, from wherever the database is; keep no backup."""
    (at,) = [line for line in schema.schemas(database, files) if "<-" in line]
    drop = ["Note.size"] if number == 1 and "00002" in at else []
    done = schema.update_schema(database, files, number, drop=drop, patience=10)
    if done.backup is not None:
        os.unlink(done.backup)
    drop_copies(database, done.copies)


def drop_copies(database: Any, copies: Any) -> None:
    """Remove copies of tables."""
    with contextlib.ExitStack() as stack:
        for each in copies:
            stack.enter_context(database.administration()).script(f"DROP TABLE {each}")
