"""The blocks of code in README.md, docs/ and the READMEs of the examples, and the tests that have them run.

A block of Python is one of these, and its first line shows the reader which:

- ``# name.py`` (or ``.tac``): a file. All files of one document lie in one folder.
- ``# fragment: …``: part of a program that the text names.
- anything else is a whole program: ``test_code_blocks`` runs it in an empty folder.

Files, fragments, commands (``sh``) and what is shown (``text``) are run, or compared, by the test of their document.
It takes them from its ``Page``, which fails when one is left at the end; ``test_code_blocks`` fails when one that
has such blocks has no test with a ``Page``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.rst")),
    *sorted((ROOT / "docs" / "examples").glob("*/README.md")),
)


@dataclass(frozen=True)
class Block:
    """One block of code and where it stands."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def first(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def file_name(self) -> str | None:
        match = re.fullmatch(r"# ([\w/]+\.(?:py|tac))", self.first)
        return match[1] if match else None

    @property
    def is_fragment(self) -> bool:
        return self.first.startswith("# fragment: ")

    @property
    def is_program(self) -> bool:
        return self.language == "python" and not self.is_fragment and self.file_name is None

    @property
    def commands(self) -> list[str]:
        """The lines of a block of commands, without their comments."""
        lines = [re.split(r"\s+#", line.removeprefix("$ "), maxsplit=1)[0].strip() for line in self.text.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def markdown_blocks(document: str, text: str) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(document, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def rst_blocks(document: str, text: str) -> Iterator[Block]:
    """``.. code-block::`` directives: what is indented under one."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not (match := re.fullmatch(r"( *)\.\. code-block:: *(\w+)", line)):
            continue
        body: list[str] = []
        for each in lines[number + 1 :]:
            if each.strip() and len(each) - len(each.lstrip()) <= len(match[1]):
                break
            body.append(each)
        options = 0
        while options < len(body) and (not body[options].strip() or body[options].lstrip().startswith(":")):
            options += 1
        code = body[options:]
        indent = min((len(each) - len(each.lstrip()) for each in code if each.strip()), default=0)
        yield Block(document, number + 1, match[2], "\n".join(each[indent:] for each in code).rstrip() + "\n")


def blocks_of(path: Path) -> list[Block]:
    read = markdown_blocks if path.suffix == ".md" else rst_blocks
    return list(read(str(path.relative_to(ROOT)), path.read_text("utf-8")))


def all_blocks(*languages: str) -> list[Block]:
    """Every block of the documents, or those that are written in one of ``languages``."""
    found = [block for path in DOCUMENTS for block in blocks_of(path)]
    return [block for block in found if not languages or block.language in languages]


class Page:
    """One document, in the hands of the test that has its blocks run."""

    def __init__(self, case: SynchronousTestCase, document: str) -> None:
        self.document = document
        self._left = [block for block in blocks_of(ROOT / document) if not block.is_program]
        assert self._left, f"{document} has no blocks that need a test"
        case.addCleanup(self._must_be_done, case)

    def _must_be_done(self, case: SynchronousTestCase) -> None:
        case.assertEqual([str(block) for block in self._left], [], "blocks that the test of their page did not take")

    def _take(self, fits: Callable[[Block], bool]) -> list[Block]:
        taken = [block for block in self._left if fits(block)]
        self._left = [block for block in self._left if block not in taken]
        return taken

    def files(self) -> dict[str, str]:
        """What the files hold, by their names; to be written and run."""
        return {block.file_name or "": block.text for block in self._take(lambda block: block.file_name is not None)}

    def write_files(self, folder: Path | None = None) -> None:
        """Lay the files down."""
        for name, text in self.files().items():
            path = (folder or Path.cwd()) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def fragments(self) -> list[Block]:
        """To be run by ``run_block``, or in a program around them."""
        return self._take(lambda block: block.is_fragment)

    def commands(self) -> list[list[str]]:
        """The lines of each block of commands; to be typed by a ``Terminal``."""
        return [block.commands for block in self._take(lambda block: block.language == "sh")]

    def shown(self) -> list[str]:
        """What is shown as output or data; to be compared."""
        return [block.text for block in self._take(lambda block: block.language == "text")]

    def in_order(self) -> list[Block]:
        """All of them, as they stand."""
        return self._take(lambda block: True)


def run_block(case: SynchronousTestCase, block: Block, names: dict[str, Any]) -> int:
    """Run a block among what the blocks before it made. A line that ends in ``# -> value`` has to give that value.

    How many of its lines did.
    """
    lines, seen = block.text.splitlines(), 0
    for node in ast.parse(block.text, str(block)).body:
        last = lines[(node.end_lineno or 1) - 1]
        if isinstance(node, ast.Expr):
            value = eval(compile(ast.Expression(node.value), str(block), "eval"), names)
            if "  # -> " in last:
                seen += 1
                case.assertEqual(repr(value), last.partition("  # -> ")[2], f"{block}: {last}")
        else:
            exec(compile(ast.Module([node], []), str(block), "exec"), names)
    return seen


def documents_with_a_test() -> set[str]:
    """The documents that a test makes a ``Page`` of."""
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Page":
                named = node.args[1]
                found.add(constants[named.id] if isinstance(named, ast.Name) else ast.literal_eval(named))
    return found
