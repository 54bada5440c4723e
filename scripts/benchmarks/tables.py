"""The one table of ``bench database``, its rows, and what every contender must answer and leave behind.

Rules of this file: everybody works on a copy of the same file, in WAL mode and with ``synchronous=FULL``; the columns
have only types that SQLite itself knows, so that nobody is measured at converting dates.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

ROWS = 10_000

#: Every team of the rows that are there from the start has so many members.
TEAM_SIZE = 100
TEAMS = ROWS // TEAM_SIZE

#: Rows inserted by a measurement belong to this team, so that lists stay as long as they are.
NEW_TEAM = -1

SCHEMA = """
CREATE TABLE "player" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "name" VARCHAR(100) NOT NULL,
    "team" INTEGER NOT NULL,
    "score" INTEGER NOT NULL,
    "rating" FLOAT NOT NULL,
    "motto" TEXT NOT NULL
);
CREATE INDEX "ix_player_team" ON "player" ("team");
"""

COLUMNS = ("id", "name", "team", "score", "rating", "motto")

_INSERT = "INSERT INTO player (id, name, team, score, rating, motto) VALUES (?, ?, ?, ?, ?, ?)"

Row = tuple[int, str, int, int, float, str]


def row(key: int) -> Row:
    """The row with this key."""
    return key, f"player {key}", key % TEAMS, 0, key / 8, f"what is worth doing {key} is worth doing well"


def team_keys(team: int) -> list[int]:
    """The keys of a team's rows, in the order in which the index has them."""
    return [key for key in range(1, ROWS + 1) if key % TEAMS == team]


def make(path: Path, rows: int = ROWS) -> None:
    """Make the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        connection.executemany(_INSERT, _rows(rows))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def _rows(count: int) -> Iterator[Row]:
    return map(row, range(1, count + 1))


def verify(path: Path, inserted: int, updated: int) -> str | None:
    """What is wrong with a file after ``inserted`` inserts and ``updated`` updates that each added one to a score."""
    connection = sqlite3.connect(path)
    try:
        new = connection.execute("SELECT count(*), count(DISTINCT name) FROM player WHERE team = ?", (NEW_TEAM,))
        if (found := new.fetchone()) != (inserted, inserted):
            return f"{inserted} inserts were answered, and {found[0]} rows with {found[1]} names are there"
        scores = connection.execute("SELECT count(*) FROM player WHERE score > 0 AND team <> ?", (NEW_TEAM,))
        if (scores.fetchone()[0] > 0) != (updated > 0):
            return f"{updated} updates were answered, and scores do not show them"
    finally:
        connection.close()
    return None
