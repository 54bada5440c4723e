"""Fluxon as a user has it who never saw this tree: its files of a release, and environments they are installed into."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from releasing import artifacts

ROOT = Path(__file__).resolve().parents[2]

#: What is none of the sources, in a tree that was worked in.
_LITTER = shutil.ignore_patterns("__pycache__", "dropin.cache")


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command as a user would run it: no PYTHONPATH, and not in this tree."""
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=200
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def environment() -> dict[str, str]:
    """This one's, without what would lead back to this tree."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}


def build(folder: Path) -> artifacts.Artifacts:
    """What ``scripts/release`` builds, of a copy of the sources with the litter that a used tree has."""
    source = folder / "source"
    source.mkdir()
    for name in ("fluxon", "twisted", "docs", "scripts", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=_LITTER)
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "ruff.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source / name)
    (source / "twisted/plugins/dropin.cache").write_bytes(b"litter of a test run")
    (source / "tests/__pycache__").mkdir()
    (source / "tests/__pycache__/conftest.pyc").write_bytes(b"litter of a test run")
    return artifacts.build(source, folder / "dist")


def make_environment(folder: Path) -> Path:
    """A virtual environment with this one's libraries, but without Fluxon; its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    lend_libraries(folder)
    return folder / "bin" / "python"


def lend_libraries(folder: Path) -> None:
    """Let a virtual environment find what this one has, as if it had fetched it: everything but our editable Fluxon."""
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    lent = folder / "lent"
    lent.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if each.suffix != ".pth" and not re.match(r"(__editable__\W+)?fluxon\b|pip\b", each.name):
            (lent / each.name).symlink_to(each)
    (site / "lent.pth").write_text(f"{lent}\n")


def pip(python: Path, *arguments: str | Path) -> None:
    """This environment's pip, for the other one; nothing is fetched."""
    run(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=python.parent)


def install(python: Path, artifact: Path) -> None:
    """A wheel or a source distribution."""
    pip(python, "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", artifact)
