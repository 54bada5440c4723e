"""Every block of code in README.md and docs/ does what the text says.

A block is one of these, and its first line shows the reader which:

- ``# name.py`` (or ``.tac``): a file. All files of one document lie in one folder, and a test below runs them together.
- ``# fragment: …``: part of a program that the text names. It has to compile, and what it imports from Fluxon has to
  exist.
- anything else is a whole program; it runs in an empty folder and must end with 0.

Shell blocks hold commands that are known here, line by line: an unknown one fails, so that none goes unchecked.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.connect.command_line.parser import parser as connect_parser
from fluxon.console.parsing import parse
from fluxon.startproject import generate

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst")))

#: Files in blocks that a test below runs; a document may not show one that nobody runs.
STORIES: dict[str, set[str]] = {
    "README.md": {"chat_server.py", "chat_client.py", "everything.tac"},
    "docs/cloud_client.rst": {"cloud_server.py", "files.py", "twisted_files.py"},
    "docs/operating.rst": {"backup.py", "restore.py", "rotate.py"},
    "docs/testing.rst": {
        "conftest.py",
        "test_awaited.py",
        "test_clients.py",
        "test_faults.py",
        "test_files.py",
        "test_first.py",
        "test_functions.py",
        "test_messages.py",
        "test_on_postgresql.py",
        "test_time.py",
    },
}


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
        match = re.fullmatch(r"# (\w+\.(?:py|tac))", self.first)
        return match[1] if match else None

    @property
    def is_fragment(self) -> bool:
        return self.first.startswith("# fragment: ")


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


def blocks(*languages: str) -> list[Block]:
    """Every block of the documents that is written in one of ``languages``."""
    found: list[Block] = []
    for path in DOCUMENTS:
        read = markdown_blocks if path.suffix == ".md" else rst_blocks
        name = str(path.relative_to(ROOT))
        found += [block for block in read(name, path.read_text("utf-8")) if block.language in languages]
    return found


def compile_block(block: Block) -> ast.Module:
    tree = ast.parse(block.text, str(block))
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return tree


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


class PythonBlockTests(SynchronousTestCase):
    """Python in the documents."""

    def test_the_reader_of_blocks(self) -> None:
        """Both kinds of document are read: with no block found, every test here would pass for nothing."""
        markdown = "text\n```python\na = 1\n```\nmore\n```sh\nls\n```\n"
        self.assertEqual(
            [(each.line, each.language, each.text) for each in markdown_blocks("x.md", markdown)],
            [(2, "python", "a = 1\n"), (6, "sh", "ls\n")],
        )
        rst = "Title\n\n.. code-block:: python\n   :caption: x\n\n   if a:\n       b()\n\n   c()\n\nText.\n"
        self.assertEqual(
            [(each.line, each.text) for each in rst_blocks("x.rst", rst)], [(3, "if a:\n    b()\n\nc()\n")]
        )
        self.assertGreater(len(blocks("python")), 1)
        self.assertGreater(len(blocks("sh")), 1)

    def test_every_block_has_a_language(self) -> None:
        """An unmarked block in Markdown would escape these tests."""
        for path in DOCUMENTS:
            if path.suffix == ".md":
                unmarked = [
                    str(each) for each in markdown_blocks(path.name, path.read_text("utf-8")) if not each.language
                ]
                self.assertEqual(unmarked, [])

    def test_compiles_and_imports(self) -> None:
        """Every block is Python, and takes from Fluxon only what is there."""
        for block in blocks("python"):
            with self.subTest(str(block)):
                self.assertEqual(missing_imports(compile_block(block)), [])

    def test_whole_programs_run(self) -> None:
        """What is neither a file nor a fragment runs as it stands."""
        for block in blocks("python"):
            if block.file_name or block.is_fragment:
                continue
            with self.subTest(str(block)):
                folder = Path(f"line-{block.line}")
                folder.mkdir()
                done = subprocess.run(
                    [sys.executable, "-c", block.text], cwd=folder, capture_output=True, text=True, timeout=60
                )
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_file_has_a_story(self) -> None:
        """A file that is shown is also run, by a test that knows what it should do."""
        shown: dict[str, set[str]] = {}
        for block in blocks("python"):
            if block.file_name:
                shown.setdefault(block.document, set()).add(block.file_name)
        self.assertEqual(shown, STORIES)


class ChatInTheReadmeTests(SynchronousTestCase):
    """The chat that README.md shows, between two processes."""

    def setUp(self) -> None:
        files = {block.file_name: block.text for block in blocks("python") if block.document == "README.md"}
        self.server, self.client = files["chat_server.py"], files["chat_client.py"]

    def start(self, name: str, program: str) -> Child:
        Path(f"{name}.py").write_text(program)
        child = Child(name, [sys.executable, "-u", f"{name}.py"], Path.cwd())
        self.addCleanup(child.discard)
        return child

    def test_it_is_as_short_as_the_heading_says(self) -> None:
        """25 lines, not counting empty ones and the names of the files."""
        lines = [line for text in (self.server, self.client) for line in text.splitlines()[1:] if line.strip()]
        self.assertLessEqual(len(lines), 25)
        self.assertLessEqual(max(map(len, lines)), 110)

    def test_two_people_talk(self) -> None:
        """Only the port is changed, to one that is free."""
        self.assertIn("port=8080", self.server)
        server = self.start("server", self.server.replace("port=8080", "port=0"))
        port = server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)").group(1)
        program = self.client.replace("port=8080", f"port={port}")
        emma, mike = self.start("emma", program), self.start("mike", program)
        emma.say("emma")
        mike.say("mike")
        # What was asked for stands before the answer, since nobody types a line's end here.
        self._write(emma, "mike", "hello")
        mike.expect(r"\[emma\] hello$")
        self._write(mike, "emma", "hi")
        emma.expect(r"\[mike\] hi$")
        emma.say("zoe hello")
        emma.expect("zoe is not there$")
        for each in (emma, mike):
            each.say("")
            self.assertEqual(each.end_of_input(), 0, each.transcript)

    def _write(self, sender: Child, receiver: str, text: str) -> None:
        """Until the receiver has joined, which nobody tells the sender."""
        sender.say(f"{receiver} {text}")
        while not sender.expect("(sent|is not there)$").string.endswith("sent"):
            sender.say(f"{receiver} {text}")


class ApplicationInTheReadmeTests(SynchronousTestCase):
    """The Twisted application that README.md shows, around a generated project."""

    def test_twistd_runs_it(self) -> None:
        """The server is one of the application's services, and ends with it."""
        generate("AsyncServer", "chat")
        (block,) = [block for block in blocks("python") if block.file_name == "everything.tac"]
        self.assertIn("port=8080", block.text)
        Path("everything.tac").write_text(block.text.replace("port=8080", "port=0"))
        twistd = Path(sys.executable).with_name("twistd")
        child = Child("twistd", [twistd, "-n", "--pidfile=", "-y", "everything.tac"], Path.cwd())
        self.addCleanup(child.discard)
        port = int(child.expect(r"listening on tcp 127\.0\.0\.1:(\d+)").group(1))
        with ConnectionInterface(port=port, timeout=20) as connection:
            self.assertEqual(connection.send_request("whoami"), {"response": None})
        child.stop()
        self.assertTrue(any("Server Shut Down" in line for line in child.transcript), child.transcript)


def _script(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK), f"{name} is no script of this project"


def _module(name: str) -> None:
    assert importlib.util.find_spec(f"{name}.__main__"), f"python -m {name} does nothing"


def _connect(rest: str) -> None:
    try:
        connect_parser().parse_args(shlex.split(rest))
    except SystemExit:
        raise AssertionError(f"python -m fluxon.connect does not take {rest!r}") from None


def _twistd(rest: str) -> None:
    command, options = rest.split(" ", 1)
    tap = importlib.import_module({"fluxon": "fluxon.tap", "fluxon-cloud": "fluxon.cloud_tap"}[command])
    known = {option.rstrip("=") for option in tap.Options().longOpt}
    for option in re.findall(r"--([a-z-]+)", options):
        assert option in known, f"twistd {command} has no option --{option}"


def _console_line(line: str | None) -> None:
    if line is not None:
        parse(line)


#: A command's form -> what proves that it would work.
COMMANDS: tuple[tuple[str, Callable[[str], None] | None], ...] = (
    (r"(scripts/\w+)( .*)?", _script),
    (r"python -m fluxon\.connect (.*)", _connect),
    (r"python -m (fluxon\.(?!connect )[\w.]+)( .*)?", _module),
    (r"twistd -n (?:--pidfile=\S* )?(fluxon(?:-cloud)? .*)", _twistd),
    (r"python (?:server|client|cloud_client|chat_server|chat_client)\.py( .*)?", None),
    (r"ssh -p 2222 localhost(?: < evening\.txt| (.+))?", _console_line),
    (r"cat ~/\.ssh/id_ed25519\.pub >> secrets/authorized_keys", None),
    (r"python -m unittest", None),
    (r"pip install -e \.", None),
    (r"cd \w+", None),
)


class ShellBlockTests(SynchronousTestCase):
    """Commands in the documents."""

    def test_every_command_is_known(self) -> None:
        """Scripts exist, modules can be run, options are options."""
        for block in blocks("sh", "bash", "shell", "console"):
            for line in block.text.splitlines():
                command = line.removeprefix("$ ").split(" #")[0].strip()
                if not command or command.startswith("#"):
                    continue
                with self.subTest(f"{block}: {command}"):
                    known = [(match, proof) for form, proof in COMMANDS if (match := re.fullmatch(form, command))]
                    self.assertEqual(len(known), 1, f"nobody checks {command!r}")
                    [(match, proof)] = known
                    if proof is not None:
                        proof(match[1])
