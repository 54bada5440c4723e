"""A cloud server in a process of its own that is there to be killed: ``cloud_killed.py FOLDER VERSIONS``.

It serves the cloud that ``cloud_writers.storage_of`` makes in the folder, and prints its port when it listens.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cloud_writers
from twisted.internet import reactor as _reactor
from twisted.logger import globalLogBeginner, textFileLogObserver

from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import CloudStorageServer
from fluxon.routing import Setup
from fluxon.security import Secrets

reactor: Any = _reactor


def main(folder: Path, versions: int) -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    setup = Setup(
        mapping={},
        secrets=Secrets(str(folder / "secrets")),
        models=[cloud_writers.person()],
        database_api=SQLiteDatabase,
        database_path=folder / "data.sqlite3",
        database_schema_dir=folder / "schema",
        cloud_folder=folder / "cloud",
        cloud_auth_model=cloud_writers.Roles,
        cloud_versions=versions,
        cloud_keep_days=30 if versions else 0,
    )
    server = CloudStorageServer(0, host="127.0.0.1", setup=setup)

    def ready(_: Any) -> None:
        print(server.listening_port.getHost().port, flush=True)

    def start() -> None:
        server.startService()
        server.when_ready().addCallbacks(ready, lambda failure: failure.printTraceback() or reactor.stop())

    reactor.callWhenRunning(start)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
