"""Gives devices, and a dashboard, their tokens. What is there keeps the one that it has.

python enrol.py --devices 200

The database gets a digest of each token. The tokens themselves are in `tokens.json`, for the programs of this example;
a real device has its own one and no other, put there when it was made.
"""

import argparse
import json
import os
import secrets
from pathlib import Path

from fluxon.database import schema
from fluxon.database.apis import SQLiteDatabase

import models
from models import Account, digest_of

HERE = Path(__file__).resolve().parent


def enrol(folder, count):
    """Make what is missing of a dashboard and `count` devices. How many those were."""
    # A script uses the models of the server, with a database of its own making; the server may run meanwhile.
    folder.mkdir(parents=True, exist_ok=True)
    database = SQLiteDatabase(folder / "sensors.sqlite3", models=models)
    schema.prepare(database, folder / "schema")

    path = folder / "tokens.json"
    tokens = json.loads(path.read_text()) if path.exists() else {}
    wanted = {"dashboard": "dashboard"} | {f"sensor-{number:03}": "device" for number in range(count)}
    new = {name: secrets.token_urlsafe(32) for name in wanted if name not in tokens}
    # First the file, which nobody else may read, then the database: a token that is nobody's yet does no harm.
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(tokens | new, file, indent=1)
    Account.Insert([{"name": name, "kind": wanted[name], "digest": digest_of(token)} for name, token in new.items()])
    return len(new)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Make tokens for a dashboard and devices.")
    options.add_argument("--devices", type=int, default=200)
    options.add_argument("--folder", type=Path, default=HERE / "data", help="that of the server")
    chosen = options.parse_args()
    print(f"{enrol(chosen.folder, chosen.devices)} new tokens in {chosen.folder / 'tokens.json'}")
