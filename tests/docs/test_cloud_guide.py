"""The guide of the cloud storage does what it says: run from its first block to its last, in an empty folder.

A line that ends in ``# -> value`` has to give that value.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

sys.path.insert(0, str(Path(__file__).parent))

from test_code_blocks import blocks

GUIDE = "docs/cloud.rst"


class Guide(SynchronousTestCase):
    def run_block(self, text: str, names: dict[str, Any]) -> int:
        """How many lines gave the value that they promise."""
        lines, seen = text.splitlines(), 0
        for node in ast.parse(text).body:
            last = lines[(node.end_lineno or 1) - 1]
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), GUIDE, "eval"), names)
                if "  # -> " in last:
                    seen += 1
                    self.assertEqual(repr(value), last.partition("  # -> ")[2], last)
            else:
                exec(compile(ast.Module([node], []), GUIDE, "exec"), names)
        return seen

    def close(self, names: dict[str, Any]) -> None:
        names["CloudAuthorizationModel"].unbind()
        names["storage"].close()
        names["db"].close()
        names["db"].unbind()

    def test_cloud(self) -> None:
        """The guide, whole."""
        names: dict[str, Any] = {}
        seen = 0
        for block in blocks("python"):
            if block.document == GUIDE:
                seen += self.run_block(block.text, names)
        self.close(names)
        self.assertGreater(seen, 18)
