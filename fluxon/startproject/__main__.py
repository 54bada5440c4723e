"""``python -m fluxon.startproject AsyncServer [options] [path]``: make a project and say how to start it.

Ends with 0 when the project is there, with 1 and one line when it could not be made, with 2 for a wrong command.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fluxon import __version__
from fluxon.errors import FluxonError
from fluxon.startproject.choices import DATABASES, DEFAULT_PORT, Choices
from fluxon.startproject.generator import SERVER_TYPES, generate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m fluxon.startproject",
        description="Make a new project: a server that starts at once, and a client that talks to it.",
    )
    parser.add_argument("--version", action="version", version=f"fluxon {__version__}")
    parser.add_argument("server_type", metavar="TYPE", help=f"the kind of server: {', '.join(SERVER_TYPES)}")
    parser.add_argument("path", nargs="?", default=".", type=Path, help="its folder (default: the current one)")
    parser.add_argument("--cloud", action="store_true", help="with a cloud storage: files with roles and an audit log")
    parser.add_argument(
        "--database", choices=DATABASES, default="sqlite", help="where rows are kept (default: sqlite, a file)"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the server's port (default: %(default)s)")
    # Intermixed, so that options may stand anywhere.
    options = parser.parse_intermixed_args(arguments)
    try:
        choices = Choices(options.database, options.port, options.cloud)
        made = generate(
            options.server_type, options.path, cloud=options.cloud, database=options.database, port=options.port
        )
    except FluxonError as error:
        print(f"startproject: {error.text}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"startproject: {error.filename}: {error.strerror}; nothing was written", file=sys.stderr)
        return 1
    print(_summary(options.server_type, options.path, made, choices))
    return 0


def _summary(server_type: str, path: Path, made: Sequence[Path], choices: Choices) -> str:
    names = "\n".join(f"  {name}{'/' if (path / name).is_dir() else ''}" for name in made)
    here = path.resolve() == Path.cwd()
    python = _python()
    step_in = "" if here else f"  cd {path}\n"
    try_cloud = f"\n\nor see how two users share files:\n{step_in}  {python} cloud_client.py" if choices.cloud else ""
    driver = ""
    if choices.extra is not None:
        driver = f"  {python} -m pip install 'fluxon[{choices.extra}]'\n  export DATABASE_URL={choices.database_url}\n"
    return (
        f"A new {server_type} project{'' if here else f' in {path}'}:\n{names}\n\n"
        f"Start the server:\n{step_in}{driver}  {python} server.py\n\n"
        f"and, in other terminals, as many chat clients as you like:\n{step_in}  {python} client.py{try_cloud}\n\n"
        f"Its tests need neither:\n{step_in}  {python} -m unittest"
    )


def _python() -> str:
    """How a shell finds the interpreter that has Fluxon: one of an environment that is not active has to be named."""
    found = shutil.which("python")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "python"
    return shlex.quote(sys.executable)


if __name__ == "__main__":
    sys.exit(main())
