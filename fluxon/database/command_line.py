"""``python -m fluxon.database``: schemas from a shell.

Rules kept here:

- What it prints is what a person needs to read, one thing a line; what went wrong goes to stderr.
- Exit status: 0 done (or nothing to do), 1 not done (the text says why), 2 a wrong command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, TextIO

from fluxon import __version__
from fluxon.config import load_config
from fluxon.database import schema
from fluxon.database.schema.updating import is_saved
from fluxon.errors import ConfigurationError, FluxonError


def main(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Carry out one command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        setup = getattr(load_config(options.config), "setup", None)
        if setup is None:
            raise ConfigurationError(f"{options.config} has no variable called setup")
        database = database_of(setup)
        directory = getattr(setup, "database_schema_dir", None)
        if directory is None:
            raise ConfigurationError("Setup has no database_schema_dir; say where schema files are kept")
        try:
            return int(_COMMANDS[options.command](database, directory, options, out))
        finally:
            database.close()
            if database is not getattr(setup, "database", None):
                database.unbind()
    except FluxonError as error:
        print(error.text, file=err)
        return 1


def database_of(setup: Any) -> Any:
    """The database of a ``Setup``: the one it has made, or one made of its adapter, path and models."""
    database = getattr(setup, "database", None)
    if database is not None:
        return database
    adapter, path = getattr(setup, "database_api", None), getattr(setup, "database_path", None)
    if adapter is None or path is None:
        raise ConfigurationError("Setup has no database; give it database_api=SQLiteDatabase and database_path")
    return adapter(path, models=getattr(setup, "models", None))


def _save(database: Any, directory: Any, options: Any, out: TextIO) -> int:
    saved = schema.save_schema(database, directory)
    if saved.changed:
        print(f"saved the models as {saved.path.name}", file=out)
    else:
        print(f"nothing changed since {saved.path.name}", file=out)
    return 0


def _update(database: Any, directory: Any, options: Any, out: TextIO) -> int:
    updated = schema.update_schema(database, directory, options.number, plan_only=options.plan, drop=options.drop or ())
    for line in updated.plan:
        print(f"  {line}", file=out)
    if not updated.applied:
        print(f"this is the plan for schema {updated.number:05}; nothing was done", file=out)
        return 0
    if updated.backup is not None:
        print(f"the database as it was: {updated.backup.name}", file=out)
    for name in updated.copies:
        print(f"a copy of a table as it was: {name}", file=out)
    print(f"the database has schema {updated.number:05}", file=out)
    if options.number is None and not is_saved(database, directory):
        print("the models have changed since; to have that in the database, type saveschema and this again", file=out)
    return 0


def _list(database: Any, directory: Any, options: Any, out: TextIO) -> int:
    for line in schema.schemas(database, directory) or ["there is no schema file yet; saveschema writes the first"]:
        print(line, file=out)
    return 0


def _check(database: Any, directory: Any, options: Any, out: TextIO) -> int:
    lines = schema.check(database, directory)
    for line in lines or ["models, schema files and database agree"]:
        print(line, file=out)
    return 1 if lines else 0


_COMMANDS = {"saveschema": _save, "updateschema": _update, "schemas": _list, "check": _check}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fluxon.database", description="Schemas of a Fluxon program.")
    parser.add_argument("--version", action="version", version=f"fluxon {__version__}")
    parser.add_argument("--config", required=True, metavar="router.py", help="the program's router file")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("saveschema", help="write the models to the next schema file")
    update = commands.add_parser("updateschema", help="bring the database to a schema, keeping its rows")
    update.add_argument("number", nargs="?", type=int, help="the schema's number; the newest when left out")
    update.add_argument("--plan", action="store_true", help="only say what would be done")
    update.add_argument(
        "--drop", action="append", metavar="Model.field", help="data that may be lost: Model.field, or Model"
    )
    commands.add_parser("schemas", help="list the schema files")
    commands.add_parser("check", help="say where models, schema files and database disagree")
    return parser
