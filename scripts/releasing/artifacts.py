"""The two files of a release: the source distribution, and the wheel that is built from that alone.

Rules kept here: nothing is fetched, the tools are those of the extra ``dev``; what a tool says is shown when it fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Artifacts(NamedTuple):
    """What is uploaded."""

    sdist: Path
    wheel: Path


def build(source: Path, folder: Path) -> Artifacts:
    """Both, made of the tree ``source`` in ``folder``, which must have none of this version before.

    The wheel proves the source distribution: what that lacks, the wheel lacks too. Raises ``RuntimeError``.
    """
    before = set(folder.iterdir()) if folder.is_dir() else set()
    _run("build", "--no-isolation", "--outdir", str(folder), str(source))
    made = {each.suffix: each for each in set(folder.iterdir()) - before}
    return Artifacts(sdist=made[".gz"], wheel=made[".whl"])


def check(artifacts: Artifacts) -> None:
    """Whether an index takes them and can show their page; a warning counts. Raises ``RuntimeError``."""
    _run("twine", "check", "--strict", *(str(each) for each in artifacts))


def _run(tool: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", tool, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{tool} failed:\n{done.stdout}{done.stderr}")
