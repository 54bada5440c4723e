"""``.. help:: python -m fluxon.database`` shows what that command says with ``--help`` when the site is built."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Help(SphinxDirective):
    """The text of one command; a command that fails is an error of the build."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        program, *rest = shlex.split(self.arguments[0])
        bin_folder = Path(sys.executable).parent
        command = [sys.executable if program == "python" else str(bin_folder / program), *rest, "--help"]
        environment = {**os.environ, "COLUMNS": "88", "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        if done.returncode:
            raise self.error(f"{self.arguments[0]} --help failed: {done.stderr}")
        return [nodes.literal_block(done.stdout, done.stdout.rstrip(), language="none")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_directive("help", Help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
