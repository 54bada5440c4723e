"""``scripts/pictures``: what it does stands there."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from picturing import architecture, conversation, terminals  # noqa: E402


def main() -> int:
    """Write both; the exit code."""
    page = (ROOT / "docs" / "first_minutes.rst").read_text("utf-8")
    with tempfile.TemporaryDirectory(prefix="fluxon-pictures-") as folder:
        # So that the page's commands run as they stand: the environment of this program has what they install.
        (Path(folder) / ".venv").symlink_to(sys.prefix)
        with conversation.Conversation(Path(folder), conversation.script_of(page)) as talk:
            talk.generate()
            talk.serve()
            talk.chat()
            talk.look()
            chat = terminals.draw(talk.shown())
    for name, picture in (("architecture.svg", architecture.draw()), ("chat.svg", chat)):
        path = ROOT / "docs" / "_static" / name
        path.write_text(picture, "utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
