"""``python -m benchmarks.serve MODULE --port N --folder DIR [--tls]``: a server under test in a process of its own."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks.listening import Listening


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module", help="that has the function serve")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tls", action="store_true")
    told = parser.parse_args()
    module = importlib.import_module(told.module)
    module.serve(Listening(port=told.port, folder=told.folder, tls=told.tls))


if __name__ == "__main__":
    main()
