"""The server of the chat.

python server.py                    on this machine only, port 8080; Ctrl+C ends it
python server.py --secure           for others, too: TLS on every interface
"""

import argparse
from pathlib import Path

from fluxon.endpoint import AsyncServer, run_server
from fluxon.routing import Setup, dynamic_views_loading

import models
import presence
import views

HERE = Path(__file__).resolve().parent


def make_setup(folder):
    """The parts of the server, with its database and its keys in ``folder``. Nothing is opened before it starts."""
    return Setup(
        mapping=dynamic_views_loading(views),
        models=models,
        database_path=folder / "chat.sqlite3",
        database_schema_dir=folder / "schema",
        secrets=folder / "secrets",  # the keys that sign sessions, and a certificate for localhost
        on_connect=presence.came,
        on_login=presence.came,
        on_logout=presence.went,
        on_disconnect=presence.went,
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="The server of the chat.")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--secure", action="store_true", help="TLS, on every interface")
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where the database and the keys are")
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    run_server(AsyncServer(chosen.port, chosen.secure, make_setup(chosen.folder)))
