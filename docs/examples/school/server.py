"""The server, for a terminal of its own: python server.py"""

import argparse
from pathlib import Path

from fluxon.endpoint import AsyncServer, run_server

import router

if __name__ == "__main__":
    options = argparse.ArgumentParser(description="The school's server.")
    options.add_argument("--folder", type=Path, default=router.HERE / "data", help="where it keeps its things")
    options.add_argument("--port", type=int, default=8080)
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    run_server(AsyncServer(port=chosen.port, setup=router.make_setup(chosen.folder)))
