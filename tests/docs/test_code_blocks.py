"""Every block of code in README.md and docs/ is run. What kinds there are is in ``pages``."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import DOCUMENTS, ROOT, Block, all_blocks, documents_with_a_test, markdown_blocks, rst_blocks
from terminal import ELSEWHERE
from twisted.trial.unittest import SynchronousTestCase

EXAMPLES = ROOT / "docs" / "examples"

#: Data and output beside code. Another language needs somebody who runs it.
LANGUAGES = {"python", "sh", "text"}


def missing_imports(tree: ast.Module) -> list[str]:
    """What the code imports from Fluxon that is not there."""
    missing = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fluxon":
            missing += [f"{node.module}.{each.name}" for each in node.names if not exists(str(node.module), each.name)]
    return missing


def exists(module: str, name: str) -> bool:
    """Whether ``from module import name`` works: a name in it, or a module of it."""
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}") is not None


def compile_block(block: Block) -> ast.Module:
    tree = ast.parse(block.text, str(block))
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return tree


class BlockTests(SynchronousTestCase):
    """All documents."""

    def test_the_reader_of_blocks(self) -> None:
        """Both kinds of document are read: with no block found, every test here would pass for nothing."""
        markdown = "text\n```python\na = 1\n```\nmore\n```sh\nls  # all\n```\n"
        self.assertEqual(
            [(each.line, each.language, each.text) for each in markdown_blocks("x.md", markdown)],
            [(2, "python", "a = 1\n"), (6, "sh", "ls  # all\n")],
        )
        rst = "Title\n\n.. code-block:: python\n   :caption: x\n\n   if a:\n       b()\n\n   c()\n\nText.\n"
        self.assertEqual(
            [(each.line, each.text) for each in rst_blocks("x.rst", rst)], [(3, "if a:\n    b()\n\nc()\n")]
        )
        self.assertEqual(Block("x.md", 1, "sh", "# first\n$ ls  # all\n\ncd a\n").commands, ["ls", "cd a"])
        self.assertGreater(len(all_blocks("python")), 40)
        self.assertGreater(len(all_blocks("sh")), 10)

    def test_every_block_has_a_language(self) -> None:
        """One without, a ``::`` block, or one of another directive, would escape these tests."""
        for block in all_blocks():
            self.assertIn(block.language, LANGUAGES, str(block))
        for path in DOCUMENTS:
            if path.suffix == ".rst":
                text = path.read_text("utf-8")
                self.assertEqual(re.findall(r"^(?!\s*\.\. ).*::$", text, re.MULTILINE), [], path.name)
                self.assertNotRegex(text, r"\.\. (code|sourcecode|parsed-literal|doctest)::", path.name)
                # A part of an example, which is run as a whole.
                for included in re.findall(r"\.\. literalinclude:: *(\S+)", text):
                    self.assertIn(EXAMPLES, (path.parent / included).resolve(strict=True).parents, path.name)

    def test_every_block_is_run(self) -> None:
        """Whole programs below; what stands in another block by a test of its document, which takes all of them."""
        needed = {block.document for block in all_blocks() if not block.is_program}
        have = documents_with_a_test()
        self.assertEqual(
            sorted(needed - have),
            [],
            'no test runs the blocks of these documents; one begins with Page(self, "docs/….rst")',
        )
        self.assertEqual(sorted(have - needed), [], "nothing is left to run in these documents")

    def test_compiles_and_imports(self) -> None:
        """Every block is Python, and takes from Fluxon only what is there. A part of a file is compared with it."""
        for block in all_blocks("python"):
            if block.first.startswith("# fragment: of "):
                continue
            with self.subTest(str(block)):
                self.assertEqual(missing_imports(compile_block(block)), [])

    # Each is a process of a second or two; five minutes is for a machine that many share.
    @pytest.mark.slow
    @pytest.mark.timeout(300)
    def test_whole_programs_run(self) -> None:
        """What is neither a file nor a fragment runs as it stands."""
        for block in all_blocks("python"):
            if block.is_program:
                with self.subTest(str(block)):
                    folder = Path(f"{Path(block.document).stem}-{block.line}")
                    folder.mkdir()
                    done = subprocess.run(
                        [sys.executable, "-c", block.text], cwd=folder, capture_output=True, text=True, timeout=100
                    )
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_is_run_elsewhere(self) -> None:
        """The places that ``terminal`` names are there."""
        for place in ELSEWHERE.values():
            self.assertTrue((ROOT / place).is_file(), place)
