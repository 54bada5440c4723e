"""Sessions that outlive a command: one file for each server.

Rules of this module:

- The folder is 0700 and every file 0600, the user's own; what is looser is refused and not repaired, since whoever
  could read a token may have it already.
- A file appears whole or not at all. A broken one is as none.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any

import attrs
from attrs import define

from fluxon.errors import ConfigurationError

#: A session's file has some hundred bytes; more is none of ours.
_MAX_FILE = 64 * 1024

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_LAST = "last"


@define
class Saved:
    """What is remembered of one server."""

    host: str
    port: int
    cloud_port: int
    secure: bool
    trust: str | None
    user: str | None
    token: str | None = attrs.field(default=None, repr=False)


class SavedSessions:
    """The user's sessions, in ``folder``."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or _config_folder()) / "sessions"

    def last(self) -> Saved | None:
        """The server that was last logged in to."""
        name = self._read(_LAST)
        return None if name is None else self._load(f"{name.strip()}.json")

    def of(self, host: str, port: int) -> Saved | None:
        """What is remembered of a server."""
        return self._load(_file_name(host, port))

    def save(self, saved: Saved) -> None:
        """Remember a server, as the last one."""
        name = _file_name(saved.host, saved.port)
        self._write(name, json.dumps(attrs.asdict(saved), indent=1))
        self._write(_LAST, name.removesuffix(".json"))

    def _load(self, name: str) -> Saved | None:
        text = self._read(name)
        try:
            return None if text is None else Saved(**_checked(json.loads(text)))
        except (ValueError, TypeError):
            return None

    def _read(self, name: str) -> str | None:
        path = self._folder / name
        if os.path.basename(name) != name:
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigurationError(f"{path} is no regular file: remove it, and log in again")
            _check_private(path, facts)
            return file.read(_MAX_FILE).decode("utf-8", "replace")

    def _write(self, name: str, text: str) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        _check_private(self._folder, self._folder.stat())
        temporary = self._folder / f".{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        try:
            with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)


def _config_folder() -> Path:
    try:
        return _folder_of_user()
    except RuntimeError:  # a container's user whom its system does not know
        raise ConfigurationError(
            "this user has no home folder to keep a session in: set XDG_CONFIG_HOME to a folder of theirs"
        ) from None


def _folder_of_user() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "fluxon"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "fluxon"


def _file_name(host: str, port: int) -> str:
    kept = "".join(each if each.isalnum() or each in ".-" else "_" for each in host.lower())
    return f"{kept[:200]}_{port}.json"


def _checked(value: Any) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        "host": str,
        "port": int,
        "cloud_port": int,
        "secure": bool,
        "trust": (str, type(None)),
        "user": (str, type(None)),
        "token": (str, type(None)),
    }
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise ValueError
    if not all(isinstance(value[name], kind) for name, kind in kinds.items()):
        raise ValueError
    return value


def _check_private(path: Path, facts: os.stat_result) -> None:
    if sys.platform == "win32":
        return  # the user's own folder is private there
    if facts.st_uid != os.geteuid():
        raise ConfigurationError(f"{path} belongs to another user: remove it, and log in again")
    if stat.S_IMODE(facts.st_mode) & _OTHERS:
        mode = "700" if stat.S_ISDIR(facts.st_mode) else "600"
        raise ConfigurationError(
            f"{path} can be read by other users of this machine, who may have taken the session in it: log out, type "
            f"chmod {mode} {path}   and log in again"
        )
