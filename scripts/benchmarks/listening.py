"""Where a server under test listens, as its process is told on its command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A port of loopback; a folder for what the server keeps; with TLS, a certificate and its key there."""

    port: int
    folder: Path
    tls: bool = False

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        return self.folder / "private_key.pem"
