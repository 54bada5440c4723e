"""Schemas, saved and applied by a child process on the files as they are now.

Rules of this module: this process has the models that it was started with; what the files say today only a fresh
interpreter knows. The child is the shell's own command, ``python -m fluxon.database``, in a session of its own, so that
a Ctrl+C on the server's terminal does not reach it half way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fluxon
from fluxon.console.console import Run
from fluxon.console.output import Lines, Output
from fluxon.console.served import Served
from fluxon.database import schema
from fluxon.errors import ConfigurationError, Conflict

_STARTED_WITH_OTHERS = (
    "the models in the files are not those that this server was started with; start it again to have them used"
)


async def save(served: Served, run: Run) -> Output:
    """``python -m fluxon.database saveschema``."""
    return await _child(served, run, ["saveschema"])


async def update(served: Served, run: Run) -> Output:
    """``python -m fluxon.database updateschema``."""
    arguments = ["updateschema"]
    if run["plan"]:
        arguments.append("--plan")
    for each in run["drop"]:
        # As one word: a value that begins with a dash stays a value.
        arguments.append(f"--drop={each}")
    if run["number"] is not None:
        arguments.append(str(run["number"]))
    return await _child(served, run, arguments)


async def list_(served: Served, run: Run) -> Output:
    """The files, and where models, files and database disagree."""
    database, folder = served.database, served.setup.database_schema_dir
    if database is None or folder is None:
        raise ConfigurationError("the setup has no database_api or no database_schema_dir")
    lines = await run.in_thread(schema.schemas, database, folder)
    disagreeing = await run.in_thread(schema.check, database, folder)
    if disagreeing:
        disagreeing = await _as_files_have_it(served, run, disagreeing)
    return Lines([*(lines or ["there is no schema file yet; saveschema writes the first"]), *disagreeing])


async def _as_files_have_it(served: Served, run: Run, lines: list[str]) -> list[str]:
    """``lines`` are of the models of this process. If those in the files are others by now, what is to be said."""
    try:
        config = config_of(served.setup)
    except ConfigurationError:
        return lines
    heard: list[str] = []
    command = [sys.executable, "-m", "fluxon.database", "--config", config, "check"]
    status, last = await run.in_thread(_run, command, heard.append)
    if status > 1:  # it could not look
        return lines
    found = [*heard, last] if status else []
    return lines if found == lines else [*found, _STARTED_WITH_OTHERS]


async def _child(served: Served, run: Run, arguments: list[str]) -> Output:
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        run.progress(line)

    def hear(line: str) -> None:
        served.reactor.callFromThread(tell, line)

    command = [sys.executable, "-m", "fluxon.database", "--config", config_of(served.setup), *arguments]
    status, wrong = await run.in_thread(_run, command, hear)
    if status:
        raise Conflict(wrong or f"python -m fluxon.database ended with status {status}")
    # What has been shown line by line is not shown again; a program gets it all at the end.
    return Lines(said) if run.as_json else None


def _run(command: list[str], hear: Callable[[str], Any]) -> tuple[int, str]:
    """In a thread: the child's exit status, and the last line of what it complained of."""
    package = str(Path(fluxon.__file__).parent.parent)
    inherited = [each for each in (os.environ.get("PYTHONPATH"),) if each]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, *inherited])}
    complaints: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        held: str | None = None
        # The last line of a failure is its reason; every other one is told as it comes.
        for line in child.stdout:
            if held is not None:
                hear(held)
            held = line.rstrip("\n")
    if child.returncode and held is not None:
        complaints.append(held)
    elif held is not None:
        hear(held)
    return child.returncode, complaints[0] if complaints else ""


def config_of(setup: Any) -> str:
    """The file whose variable ``setup`` is. ``ConfigurationError`` if no module has it."""
    found = [
        module
        for module in list(sys.modules.values())
        if getattr(module, "setup", None) is setup and getattr(module, "__file__", None)
    ]
    # The program itself is loaded again only if nothing else will do: it may start a server.
    found.sort(key=lambda module: module.__name__ == "__main__")
    if not found:
        raise ConfigurationError(
            "no module has this server's setup in a variable called setup; use python -m fluxon.database in a shell"
        )
    return os.path.abspath(str(found[0].__file__))
