"""The server: devices report to it, dashboards look at it.

python server.py                    on this machine only, port 8080; Ctrl+C ends it
python server.py --secure           for others, too: TLS on every interface
"""

import argparse
from pathlib import Path

from fluxon.endpoint import AsyncServer, run_server
from fluxon.routing import Setup

import models
from readings import Readings
from views import Views, join_dashboards

HERE = Path(__file__).resolve().parent


def make_setup(folder, keep=100_000):
    """The parts of the server, with what it keeps in `folder`: of readings, the last `keep`."""
    views = Views(Readings(keep))
    return Setup(
        mapping={
            "log_in": views.log_in,
            "report": views.report,
            "overview": views.overview,
            "history": views.history,
            "set_interval": views.set_interval,
        },
        models=models,
        database_path=folder / "sensors.sqlite3",
        database_schema_dir=folder / "schema",
        secrets=folder / "secrets",
        on_connect=join_dashboards,
        on_login=join_dashboards,
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="The server of the sensors.")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--secure", action="store_true", help="TLS, on every interface")
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where the database and the keys are")
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    run_server(AsyncServer(chosen.port, chosen.secure, make_setup(chosen.folder)))
