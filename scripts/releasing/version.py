"""What a new version changes in the tree: ``fluxon.__version__``, and CHANGELOG.md with what docs/changes holds.

Everything else that says a version reads that one place: the metadata of the files, the site, the command lines.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_PLACE = re.compile(r'^(__version__ = ")(.+)(")$', re.MULTILINE)


def version_of(source: Path) -> str:
    """The one that the tree has."""
    found = _PLACE.search((source / "fluxon" / "__init__.py").read_text("utf-8"))
    assert found is not None
    return found[2]


def prepare(source: Path, version: str) -> None:
    """Write ``version``, and its section of CHANGELOG.md. Raises ``ValueError`` for what is no final version, or is
    one that CHANGELOG.md has.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version!r} is no version such as 0.2.0")
    if f"\n## {version} (" in (source / "CHANGELOG.md").read_text("utf-8"):
        raise ValueError(f"CHANGELOG.md has {version} already; a version is released once")
    place = source / "fluxon" / "__init__.py"
    place.write_text(_PLACE.sub(rf"\g<1>{version}\g<3>", place.read_text("utf-8")), "utf-8")
    command = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", version, "--dir", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"towncrier failed:\n{done.stdout}{done.stderr}")
