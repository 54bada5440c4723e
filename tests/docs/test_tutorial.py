"""The tutorial, typed from its first command to its last in one folder, with the people whom it speaks of."""

from __future__ import annotations

import re

import pytest
from children import Child
from pages import Block, Page
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase

PASSWORD = "Secret123"


@pytest.mark.slow
@pytest.mark.timeout(300)
class TutorialTests(SynchronousTestCase):
    """Each page goes on where the one before it ended, so they are one test."""

    def test_tutorial(self) -> None:
        """Accounts, live messages, files, a schema, TLS."""
        self.terminal = Terminal(self)
        self.accounts(Page(self, "docs/tutorial/accounts.rst").in_order())
        self.messages(Page(self, "docs/tutorial/messages.rst").in_order())
        self.files(Page(self, "docs/tutorial/files.rst").in_order())
        self.schema(Page(self, "docs/tutorial/schema.rst").in_order())
        self.production(Page(self, "docs/tutorial/production.rst").in_order())

    # --- what a reader does with a block ------------------------------------------------------------------------------

    def type(self, block: Block) -> str:
        """Its commands, one after the other; a server that runs is stopped before it is started again."""
        said = ""
        for line in block.commands:
            if re.match(r"python server\.py|twistd", line):
                ports = self.terminal.ports
                self.terminal.stop_servers()
                self.terminal.type(line, ports=ports)
            else:
                said += self.terminal.type(line)
        return said

    def edit(self, block: Block) -> None:
        """What the first line says: a file; something added to one, in one, or shown of one."""
        head, _, body = block.text.partition("\n")
        if block.file_name:
            (self.terminal.folder / block.file_name).write_text(block.text)
            return
        how, name = re.fullmatch(r"# fragment: (added to|of|in) (\w+\.py)(?:, .*)?", head).groups()  # type: ignore[union-attr]
        path = self.terminal.folder / name
        text = path.read_text()
        if how == "added to":
            path.write_text(f"{text}\n\n{body}")
            return
        if how == "of":
            self.assertIn(body.strip(), text, str(block))
            return
        place = {
            "router.py": "setup = Setup(\n",
            "models.py": "user_creation_date = models.DateTimeField(auto_now_add=True)\n",
            "authorization_model.py": "DefaultRole(viewer)",
        }[name]
        self.assertEqual(text.count(place), 1)
        kept = "" if "instead of" in head else place
        path.write_text(text.replace(place, f"{kept}    {body.strip()}\n" if kept else body.strip()))

    def shows(self, block: Block, said: str) -> None:
        """Every line that the text shows was said, in that order; ports are free ones."""
        rest = [_without_numbers(line) for line in said.splitlines()]
        for line in block.text.splitlines():
            found = next((number for number, each in enumerate(rest) if _without_numbers(line) in each), None)
            self.assertIsNotNone(found, f"{block}: {line!r} is not in what was said: {said}")
            rest = rest[(found or 0) + 1 :]

    # --- the pages ----------------------------------------------------------------------------------------------------

    def accounts(self, blocks: list[Block]) -> None:
        begin, log, client, session, view, model, ask, run, answers = blocks
        self.type(begin)
        self.shows(log, "\n".join(self.terminal.servers[0].transcript))
        greeting, command, *asked, done, leave = session.text.splitlines()
        for name in ("emma", "mike"):
            typed = [command, *(line.partition(": ")[2] for line in asked), leave]
            (line,) = client.commands
            said = self.terminal.type(line, answers="\n".join(typed).replace("emma", name) + "\n")
            self.assertTrue(said.startswith(greeting), said)
            self.assertIn(done, said)
        self.edit(view)
        self.edit(model)
        self.edit(ask)
        self.shows(answers, self.type(run))

    def messages(self, blocks: list[Block]) -> None:
        views, room, start, heard, told, again, lost, router, back, once_more, there, test, run = blocks
        self.edit(views)
        self.edit(room)
        serve, join = start.commands
        self.terminal.stop_servers()
        self.terminal.type(serve, ports=self.terminal.ports)
        emma, mike = (self.enter(join, name) for name in ("emma", "mike"))
        spoken = heard.text.splitlines()[-1].partition("emma: ")[2]
        emma.say(spoken)
        mike.expect(re.escape(heard.text.splitlines()[-1]))
        self.shows(heard, "\n".join(mike.transcript))
        emma.expect(re.escape(told.text.strip()))

        self.type(again)
        mike.say("who took my cup?")
        mike.expect(re.escape(lost.text.strip()), 60)

        self.edit(router)
        self.edit(back)
        self.type(once_more)
        mike.say("who took my cup?")
        # Emma comes back when her client finds the server: nobody tells mike.
        while not mike.expect("heard it$", 60).string.endswith(there.text.strip()):
            mike.say("who took my cup?")
        emma.expect(r"\[kitchen\] mike: who took my cup\?")
        for each in (emma, mike):
            self.assertEqual(each.end_of_input(60), 0, each.transcript)
        self.edit(test)
        self.type(run)

    def enter(self, line: str, name: str) -> Child:
        child = self.terminal.start(line)
        child.say(name)
        child.say(PASSWORD)
        child.expect("you are in kitchen", 60)
        return child

    def files(self, blocks: list[Block]) -> None:
        role, closed, lines, share, read, run, said = blocks
        for each in (role, closed, lines, share, read):
            self.edit(each)
        self.shows(said, self.type(run))

    def schema(self, blocks: list[Block]) -> None:
        column, model, commands, planned, views, notes, run, said = blocks
        self.edit(column)
        self.edit(model)
        self.terminal.stop_servers()
        self.shows(planned, self.type(commands))
        self.edit(views)
        self.edit(notes)
        self.shows(said, self.type(run))

    def production(self, blocks: list[Block]) -> None:
        serve, secure, run, said, install = blocks
        self.type(serve)
        self.edit(secure)
        self.shows(said, self.type(run))
        self.type(install)
        self.terminal.stop_servers()


def _without_numbers(line: str) -> str:
    return re.sub(r":\d{4,5}\b", ":port", line).strip()
