"""The page of changes: CHANGELOG.md, beginning with what is not released yet, towncrier's draft of ``docs/changes``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
CHANGES = ROOT / "docs" / "changes"

#: Where CHANGELOG.md itself can only say where to look.
PLACE = re.compile(r"^What the next release .*?(?=^<!-- Releases)", re.MULTILINE | re.DOTALL)


def draft() -> str:
    """The section that a release would add to CHANGELOG.md now, without its heading."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--dir", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    heading, _, section = done.stdout.lstrip().partition("\n")
    assert heading.startswith("## "), heading
    return section


def write_page(app: Sphinx, page: str, content: list[str]) -> None:
    """CHANGELOG.md, with the draft above the first release instead of the sentence that names the folder."""
    if page != "changelog":
        return
    # The folder's own time changes with a file that is new or gone.
    for each in (CHANGELOG, CHANGES, *CHANGES.iterdir()):
        app.env.note_dependency(str(each))
    section = f"## Not released yet\n{draft()}\n" if any(CHANGES.glob("*.*.md")) else ""
    content[0], places = PLACE.subn(lambda _: section, CHANGELOG.read_text("utf-8"))
    assert places == 1, f"{CHANGELOG} has no place for what is not released"


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("source-read", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
