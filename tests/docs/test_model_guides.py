"""The guides of models and queries do what they say: each is run from its first block to its last, on a new database.

A line that ends in ``# -> value`` has to give that value.
"""

from __future__ import annotations

import ast
import sys
from datetime import date
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import schema
from fluxon.database.apis import SQLiteDatabase

sys.path.insert(0, str(Path(__file__).parent))

from test_code_blocks import Block, blocks

MODELS, QUERIES = "docs/models.rst", "docs/queries.rst"


class Guides(SynchronousTestCase):
    """Both share the school that the first one declares."""

    def fragments(self, document: str) -> list[Block]:
        return [each for each in blocks("python") if each.document == document and each.is_fragment]

    def run_block(self, block: Block, names: dict[str, Any]) -> int:
        """Run a block among what the blocks before it made; how many of its lines gave the value they promise."""
        lines, seen = block.text.splitlines(), 0
        for node in ast.parse(block.text, str(block)).body:
            last = lines[node.end_lineno - 1]
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), str(block), "eval"), names)
                if "  # -> " in last:
                    seen += 1
                    self.assertEqual(repr(value), last.partition("  # -> ")[2], f"{block}: {last}")
            else:
                exec(compile(ast.Module([node], []), str(block), "exec"), names)
        return seen

    def close(self, names: dict[str, Any]) -> None:
        names["db"].close()
        names["db"].unbind()

    def test_models(self) -> None:
        """The guide of models, whole."""
        names: dict[str, Any] = {"date": date}
        found = [self.run_block(block, names) for block in self.fragments(MODELS)]
        self.addCleanup(self.close, names)
        self.assertGreater(sum(found), 9)

    def test_queries(self) -> None:
        """The guide of queries, whole, on the school of the guide of models."""
        names: dict[str, Any] = {"date": date}
        self.run_block(self.fragments(MODELS)[0], names)
        school = [names[each] for each in ("User", "Teacher", "Course", "Student", "Enrollment")]
        names["db"] = SQLiteDatabase("school.sqlite3", models=school)
        self.addCleanup(self.close, names)
        schema.create_tables(names["db"])
        found = [self.run_block(block, names) for block in self.fragments(QUERIES)]
        self.assertGreater(sum(found), 20)
