"""The server, for a terminal of its own: python server.py

Views on one port, files on another, both in this process.
"""

import argparse
from pathlib import Path

from fluxon.endpoint import AsyncServer, CloudStorageServer, run_server

import router


def make_server(folder, port, cloud_port):
    folder.mkdir(parents=True, exist_ok=True)
    return AsyncServer(port=port, setup=router.make_setup(folder), cloud_storage=CloudStorageServer(port=cloud_port))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="The server of the drive.")
    options.add_argument("--folder", type=Path, default=router.HERE / "data", help="where it keeps its things")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--cloud-port", type=int, default=8888)
    chosen = options.parse_args()
    run_server(make_server(chosen.folder, chosen.port, chosen.cloud_port))
