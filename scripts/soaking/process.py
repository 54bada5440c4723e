"""One server process, from the outside: its ports, its memory, and what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fluxon
from fluxon.connect import ConnectionInterface

#: The server finds this room, and the Fluxon that is used here.
_PATHS = [str(Path(__file__).resolve().parents[1]), str(Path(fluxon.__file__).parents[1])]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([*_PATHS, os.environ.get("PYTHONPATH", "")])}


class Soaked:
    """A server in a process of its own, in ``folder``."""

    def __init__(self, folder: Path, secure: bool) -> None:
        folder.mkdir()
        self.secure = secure
        self.certificate = folder / "secrets" / "certificate.pem"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "soaking.server", json.dumps({"folder": str(folder), "secure": secure})],
                env=_ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"soak: the server did not start:\n{self.log.read_text()}")
        self.port, self.cloud_port = map(int, line.split())
        self._monitor = self.connect()

    @property
    def name(self) -> str:
        return "tls" if self.secure else "plain"

    @property
    def trust(self) -> str | None:
        """What its clients have to trust."""
        return str(self.certificate) if self.secure else None

    def connect(self, **more: Any) -> ConnectionInterface:
        """A client of it."""
        return ConnectionInterface("localhost", self.port, self.secure, self.trust, **more)

    def state(self) -> dict[str, Any]:
        """Its counts, its objects by type, and its memory in bytes."""
        said: dict[str, Any] = self._monitor.send_request("state")
        return {**said, **self.memory()}

    def memory(self) -> dict[str, int]:
        """Resident and proportional bytes of its process."""
        figures: dict[str, int] = {}
        with open(f"/proc/{self._process.pid}/smaps_rollup") as rollup:
            for line in rollup:
                name, _, rest = line.partition(":")
                if name in ("Rss", "Pss"):
                    figures[name.lower()] = int(rest.split()[0]) * 1024
        return figures

    def stop(self) -> int:
        """End it; its exit status."""
        self._monitor.close()
        self._process.communicate(timeout=60)
        return self._process.returncode
