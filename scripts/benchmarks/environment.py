"""The benchmark's own virtual environment: the peers live there, never among Fluxon's dependencies.

Rules of this file: standard library only, since it runs before the environment exists; what is installed is what
pip resolves on the day, and the report names it.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import venv
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent

PEERS = (
    "aiosqlite",
    "autobahn",
    "cheroot",
    "django",
    "fastapi",
    "greenlet",
    "grpcio",
    "httptools",
    "lxml",
    "peewee",
    "protobuf",
    "pyro5",
    "python-socketio",
    "requests",
    "rpyc",
    "uvicorn",
    "uvloop",
    "websockets",
    "wsgidav",
)


def default_folder() -> Path:
    """``$FLUXON_BENCH_VENV``, or a folder of the user's cache."""
    told = os.environ.get("FLUXON_BENCH_VENV")
    return Path(told) if told else Path.home() / ".cache" / "fluxon-bench"


def _requirements() -> list[str]:
    """Fluxon's own, from setup.cfg, and the peers."""
    declared = configparser.ConfigParser()
    declared.read(TREE / "setup.cfg")
    lines = (line.partition("#")[0].strip() for line in declared["options"]["install_requires"].splitlines())
    return [*filter(None, lines), *PEERS]


def ensure(folder: Path) -> Path:
    """Makes the environment where it is missing or lacks something; returns its Python."""
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = "\n".join(_requirements()) + "\n"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"bench: installing the peers into {folder} (once)", file=sys.stderr)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *_requirements()], check=True)
    stamp.write_text(wanted)
    return python


def enter(folder: Path) -> None:
    """Goes on in the environment's Python: returns there, with the same arguments."""
    folder = folder.expanduser().absolute()
    python = str(ensure(folder))
    if Path(sys.prefix).resolve() != folder.resolve():
        os.execv(python, [python, *sys.argv])
