"""Lay out a new project: templates, secrets and empty folders.

Rules of this room:

- Nothing that exists is touched. Every name the project needs must be free before the first one is written, and each
  file is created exclusively, so one that appears in between stops the generator too.
- All or nothing: what was made is taken away again when a later step fails.
- Templates are copied as they are, but for the lines of a choice (``choices.py``). What a person reads in
  ``templates/`` is what a project gets.
- No schema file and no database are written; the server does that when it first starts, and says so.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fluxon.errors import AlreadyExists, ConfigurationError, NotFound
from fluxon.security import Secrets
from fluxon.startproject.choices import DEFAULT_PORT, Choices

_TEMPLATES = Path(__file__).with_name("templates")

#: The kinds of project, each a folder of templates.
SERVER_TYPES = ("AsyncServer",)

#: Beside them, for a project with a cloud storage: templates that come on top, or in place of others.
_WITH_CLOUD = "--cloud"

#: What a template is called here, where its own name would act on this tree.
_RENAMED = {"gitignore": ".gitignore"}

_SECRETS = "secrets"
_FOLDERS = ("database_schema", "logs")
#: The server makes it, when it first starts.
_CLOUD = "cloud"


def generate(
    server_type: str,
    path: str | os.PathLike[str] = ".",
    *,
    cloud: bool = False,
    database: str = "sqlite",
    port: int = DEFAULT_PORT,
) -> list[Path]:
    """Make a project of kind ``server_type`` in the folder ``path``, which is created if it is missing. Blocks.

    With ``cloud`` it has a cloud storage. ``database`` is one of ``DATABASES``; ``port`` is the server's.

    Returns what was made, as paths relative to ``path``: files first, then folders. Raises ``NotFound`` for an
    unknown kind or database, ``AlreadyExists`` naming everything that is in the way, ``ConfigurationError`` when
    ``path`` is no folder or ``port`` no port, and ``OSError`` when it cannot be written; in each case nothing is left
    behind.
    """
    choices = Choices(database, port, cloud)
    if server_type not in SERVER_TYPES:
        raise NotFound(f"there is no server type {server_type!r}; choose one of: {', '.join(SERVER_TYPES)}")
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file; give the folder that the project shall be made in")
    files = choices.applied(_templates(server_type, cloud))
    inner = sorted({name.partition("/")[0] for name in files if "/" in name})
    flat = [name for name in files if "/" not in name]
    _refuse_existing(folder, [*flat, *inner, _SECRETS, *_FOLDERS, *([_CLOUD] if cloud else [])])

    made = _Made()
    try:
        made.folders(folder)
        for name in inner:
            made.folder(folder / name)
        for name, content in files.items():
            made.file(folder / name, content)
        for name in _FOLDERS:
            made.folder(folder / name)
        made.folder(folder / _SECRETS, mode=0o700, contents_too=True)
        Secrets(folder / _SECRETS).open()
    except FileExistsError as error:
        made.undo()
        raise _in_the_way(folder, [Path(error.filename).name]) from None
    except BaseException:
        made.undo()
        raise
    return [Path(name) for name in (*flat, *inner, *_FOLDERS, _SECRETS)]


def _templates(server_type: str, cloud: bool) -> dict[str, bytes]:
    """File name -> content, in the order in which a newcomer reads them."""
    order = ["server.py", "router.py", "models.py", "views.py", "authorization_model.py", "client.py"]
    folders = [_TEMPLATES / server_type]
    if cloud:
        folders.append(_TEMPLATES / f"{server_type}{_WITH_CLOUD}")
    found = {
        _RENAMED.get(each.name, each.relative_to(folder).as_posix()): each.read_bytes()
        for folder in folders
        for each in folder.rglob("*")
        if each.is_file() and "__pycache__" not in each.parts
    }
    rest = sorted(found.keys() - set(order))
    return {name: found[name] for name in (*order, *rest) if name in found}


def _refuse_existing(folder: Path, names: list[str]) -> None:
    # lexists: a dangling link is in the way as well, and must not be written through.
    taken = [name for name in names if os.path.lexists(folder / name)]
    if taken:
        raise _in_the_way(folder, taken)


def _in_the_way(folder: Path, names: list[str]) -> AlreadyExists:
    verb = "is" if len(names) == 1 else "are"
    return AlreadyExists(
        f"{', '.join(names)} {verb} in {folder} already, so nothing was written; "
        f"choose another folder, or move {'it' if len(names) == 1 else 'them'} away first"
    )


class _Made:
    """What has been made so far, and how to take it away."""

    def __init__(self) -> None:
        self._undo: list[tuple[Path, bool]] = []

    def folders(self, path: Path) -> None:
        """``path`` and the parents that it lacks."""
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            self.folder(each)

    def folder(self, path: Path, mode: int = 0o777, *, contents_too: bool = False) -> None:
        path.mkdir(mode)
        self._undo.append((path, contents_too))

    def file(self, path: Path, content: bytes) -> None:
        with path.open("xb") as file:
            self._undo.append((path, False))
            file.write(content)

    def undo(self) -> None:
        """Take everything away, newest first. What others put into our folders stays, and so do those folders."""
        for path, contents_too in reversed(self._undo):
            try:
                if contents_too:
                    shutil.rmtree(path)
                elif path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
            except OSError:
                continue
