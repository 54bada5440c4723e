"""``python -m benchmarks.migrate NAME CASE --folder DIR --rows N``: one schema update, in its own process.

There are two tables: a large one (that of benchmarks/tables.py) and another that is empty. The update adds a column
to one of them. Filling is not measured; afterwards every row is counted and the last one compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables


def _fill(path: Path, rows: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO player VALUES (?, ?, ?, ?, ?, ?)", map(tables.row, range(1, rows + 1)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def _with_fluxon(folder: Path, large: bool, rows: int) -> Callable[[], None]:
    from fluxon.database import models, schema
    from fluxon.database.apis import SQLiteDatabase

    def declare(version: int) -> list[Any]:
        class Player(models.Model):
            name = models.CharField(max_length=100)
            team = models.IntegerField(db_index=True)
            score = models.IntegerField()
            rating = models.FloatField()
            motto = models.TextField()
            if version == 2 and large:
                level = models.IntegerField(default=1)

        class Trophy(models.Model):
            name = models.CharField(max_length=100)
            if version == 2 and not large:
                level = models.IntegerField(default=1)

        return [Player, Trophy]

    path, schemas = folder / "data.sqlite3", folder / "schemas"
    first = SQLiteDatabase(path, models=declare(1))
    schema.prepare(first, schemas)
    first.close()
    _fill(path, rows)
    second = SQLiteDatabase(path, models=declare(2))
    schema.save_schema(second, schemas)
    return lambda: _applied(schema.update_schema(second, schemas))


def _applied(updated: Any) -> None:
    if not updated.applied or updated.backup is None:
        raise SystemExit(f"not updated: {updated}")


def _by_hand(folder: Path, large: bool, rows: int) -> Callable[[], None]:
    path = folder / "data.sqlite3"
    tables.make(path, 0)
    other = 'CREATE TABLE "{}" (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL{})'
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(other.format("trophy", ""))
    _fill(path, rows)
    added = ', "level" INTEGER NOT NULL DEFAULT 1'
    changed = "player" if large else "trophy"
    made = tables.SCHEMA.partition(";")[0].replace("NOT NULL\n)", f"NOT NULL{added}\n)")
    columns = ", ".join(tables.COLUMNS) if large else "id, name"

    def update() -> None:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        shutil.copyfile(path, folder / "backup")
        with (folder / "backup").open("rb") as copy:
            os.fsync(copy.fileno())
        connection.execute("PRAGMA legacy_alter_table = ON")
        connection.execute(f"ALTER TABLE {changed} RENAME TO old")
        connection.execute(made if large else other.format("trophy", added))
        connection.execute(f"INSERT INTO {changed} ({columns}) SELECT {columns} FROM old ORDER BY rowid")
        connection.execute("DROP TABLE old")
        if large:
            connection.execute('CREATE INDEX "ix_player_team" ON "player" ("team")')
        connection.execute("COMMIT")

    return update


def _verify(path: Path, large: bool, rows: int) -> None:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT count(*), max(id) FROM player").fetchone()
    last = connection.execute("SELECT * FROM player WHERE id = ?", (rows,)).fetchone()
    changed = connection.execute(f"SELECT level FROM {'player' if large else 'trophy'} LIMIT 1").fetchall()
    connection.close()
    want = (*tables.row(rows), 1) if large else tables.row(rows)
    if found != (rows, rows) or last != want or len(changed) != large:
        raise SystemExit(f"after the update there are {found}, the last one is {last}")


_CONTENDERS = {"fluxon": _with_fluxon, "raw-sqlite3": _by_hand}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=_CONTENDERS)
    parser.add_argument("case")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    told = parser.parse_args()
    large = told.case.endswith("-large")
    update = _CONTENDERS[told.name](told.folder, large, told.rows)
    os.sync()  # what was filled is not to be written during the update
    cpu, start = time.process_time(), time.perf_counter()
    update()
    cpu, taken = time.process_time() - cpu, time.perf_counter() - start
    _verify(told.folder / "data.sqlite3", large, told.rows)
    latency = {"p50_us": taken * 1e6, "p99_us": taken * 1e6}
    cost = {"cpu_us": cpu * 1e6, "per_cpu_second": told.rows / max(cpu, 1e-6)}
    print(json.dumps({"rate": told.rows / taken, **latency, **cost}), flush=True)


if __name__ == "__main__":
    main()
