"""What ``docs/first_minutes.rst`` says, done: a project, its server, and two people who chat.

Rules kept here: everything that is typed stands on the page; only the port is another, one that is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from picturing.screens import Screen

#: Wide enough for a line of the server's log, and for two clients beside each other below it.
SERVER_COLUMNS, CLIENT_COLUMNS = 132, 64

_TYPED = re.compile(r"create_user |send ")
#: What only appears when somebody else has written.
_HEARD = re.compile(r"\[\w+\] ")


@dataclass(frozen=True)
class Script:
    """The page: commands, and what each of the people types and sees."""

    commands: list[str]
    sessions: list[list[str]]


def script_of(page: str) -> Script:
    """Read it from the page's text."""

    def blocks(language: str) -> list[list[str]]:
        found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:   .+\n)+)", page, re.MULTILINE)
        return [[line.strip() for line in each.splitlines()] for each in found]

    (commands,) = blocks("sh")
    return Script([re.split(r"\s+#", line)[0] for line in commands], blocks("text"))


class Conversation:
    """In ``folder``, which has the environment that the commands name."""

    def __init__(self, folder: Path, script: Script, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = environment
        *self.making, self._generate, self._serve, self._join = script.commands
        self._sessions = script.sessions
        self._screens: list[Screen] = []
        self._port = ""
        #: Every line that was typed, commands included.
        self.typed: list[str] = []

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for each in reversed(self._screens):
            each.discard()

    # --- in this order ------------------------------------------------------------------------------------------------

    def run(self, line: str) -> None:
        """One of the commands that end by themselves."""
        self.typed.append(line)
        screen = Screen(line, self._folder, SERVER_COLUMNS, self._environment)
        status = screen.wait()
        assert status == 0, f"{line} ended with {status}: {screen.lines}"

    def generate(self) -> None:
        """Make the project; its server takes any port that is free."""
        self.run(self._generate)
        self._replace("server.py", "port=8080", "port=0")

    def serve(self) -> None:
        """Start the server; the clients learn its port."""
        server = self._start(self._serve, SERVER_COLUMNS)
        self._port = server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1]
        server.expect(r"Ctrl\+C to stop")
        self._replace("client.py", "default=8080", f"default={self._port}")

    def chat(self) -> None:
        """Both, each in turn as far as they come without the other."""
        waiting = [self._take_part(self._start(self._join, CLIENT_COLUMNS), lines) for lines in self._sessions]
        while waiting:
            waiting = [each for each in waiting if next(each, "done") != "done"]

    def look(self) -> None:
        """What the server's console says of them; not of the page."""
        server = self._screens[0]
        server.expect("send_message ok .*user 1,")  # the last thing that was done
        server.type("users")
        for number in range(1, len(self._sessions) + 1):
            server.expect(rf"^ *{number} +\w+ +1 +1 ")
        server.expect("^fluxon>$")  # it waits for the next command

    def stop(self) -> int:
        """Ctrl+C in the server's terminal; its exit code."""
        self._screens[0].interrupt()
        return self._screens[0].wait()

    def shown(self) -> list[list[str]]:
        """Each screen, below the command that was typed there; with the port that the page has."""
        return [[f"$ {each.line}", *(self._with_port(line) for line in each.lines)] for each in self._screens]

    # ------------------------------------------------------------------------------------------------------------------

    def _start(self, line: str, columns: int) -> Screen:
        self.typed.append(line)
        screen = Screen(line, self._folder, columns, self._environment)
        self._screens.append(screen)
        return screen

    def _take_part(self, screen: Screen, lines: list[str]) -> Iterator[str]:
        for line in lines:
            if _HEARD.match(line):
                yield "has a turn again when somebody else has written"
            if _TYPED.match(line):
                self.typed.append(line)
                screen.type(line)
            else:
                screen.expect(f"^{re.escape(line)}$")

    def _replace(self, name: str, old: str, new: str) -> None:
        path = self._folder / "chat" / name
        text = path.read_text("utf-8")
        assert old in text, f"{name} has no {old}"
        path.write_text(text.replace(old, new), "utf-8")

    def _with_port(self, line: str) -> str:
        return re.sub(rf"\b{self._port}\b", "8080", line)
