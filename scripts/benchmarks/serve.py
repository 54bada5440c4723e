"""``python -m benchmarks.serve NAME --port N --folder DIR [--tls]``: one server under test in a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.listening import Listening
from benchmarks.servers import server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tls", action="store_true")
    told = parser.parse_args()
    server(told.name).serve(Listening(port=told.port, folder=told.folder, tls=told.tls))


if __name__ == "__main__":
    main()
