"""The chat in a terminal, made with Textual (https://textual.textualize.io).

python client.py
python client.py --host chat.example.com --trust certificate.pem

Textual runs asyncio, in whose thread nothing may block. The connection is the blocking `ConnectionInterface`, used from
other threads: what the app asks is asked in a thread (`asyncio.to_thread`), and what the server calls, which comes in a
thread of the connection's, is taken over into the app's (`call_from_thread`). The other way would be Fluxon's client
with Deferreds, and Twisted's reactor on Textual's loop. But that loop is Textual's to make and to end, and a reactor
has to be installed before it runs; with threads each keeps its own, and nothing depends on the order.
"""

import argparse
import asyncio
from functools import partial

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError
from rich.text import Text
from textual import on, work
from textual.app import App
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Header, Input, Label, RichLog, Static

HELP = "Say something, or: /join ROOM   /msg NAME TEXT   /quit"

#: What becomes of a direct message, by the server's answer.
FATES = {
    "delivered": "",
    "kept": "  (their connection is lost; it waits for them)",
    "away": "  (they are away, and will not get it)",
}


class LoginScreen(ModalScreen):
    """Asks for a name and a password until the server takes them. Its result is the name."""

    AUTO_FOCUS = "#name"
    HINTS = {
        "name": "Enter: to the password",
        "password": "Enter: log in, Tab: to the buttons",
        "log_in": "Enter: log in with an account that is there",
        "sign_up": "Enter: make an account",
    }

    def compose(self):
        with Vertical(id="form"):
            yield Label("Who are you?")
            yield Input(placeholder="name", id="name")
            yield Input(placeholder="password", password=True, id="password")
            with Horizontal():
                yield Button("Log in", id="log_in", variant="primary")
                yield Button("Sign up", id="sign_up")
            yield Label(id="trouble", markup=False)

    def on_descendant_focus(self, event):
        self.query_one("#form").border_subtitle = self.HINTS[event.widget.id]

    @on(Input.Submitted, "#name")
    def on_to_the_password(self):
        self.query_one("#password").focus()

    @on(Input.Submitted, "#password")
    def entered(self):
        self.come_in("log_in")

    @on(Button.Pressed)
    def pressed(self, event):
        self.come_in(event.button.id)  # the buttons are called as the views are

    @work(exclusive=True)
    async def come_in(self, view):
        name = self.query_one("#name", Input).value.strip()
        password = self.query_one("#password", Input).value
        try:
            await self.app.ask(view, username=name, password=password)
        except FluxonError as error:
            self.query_one("#trouble", Label).update(error.text)
        else:
            self.dismiss(name)


class ChatApp(App):
    """The window: what was said, who is there, and a line to type into. The state is in the title."""

    TITLE = "Chat"
    AUTO_FOCUS = "#line"
    CSS = """
    #said { padding: 0 1; }
    #people { width: 22; padding: 0 1; border-left: solid $primary; }
    LoginScreen { align: center middle; }
    #form { width: 50; height: auto; padding: 1 2; border: round $primary; background: $surface; }
    #form Horizontal { height: auto; }
    #form Button { margin: 0 1; }
    #trouble { color: $error; }
    """

    def __init__(self, host, port, trust=None):
        super().__init__()
        self.username = self.room = ""
        self.shown = set()  # the messages on the screen, by id
        self.coming = None  # messages that are heard while we are on the way into a room
        self.turn = asyncio.Lock()
        self.server = {"host": host, "port": port, "secure": trust is not None, "trust": trust}

    def compose(self):
        yield Header()
        with Horizontal():
            yield RichLog(id="said", wrap=True)
            yield Static(id="people", markup=False)
        yield Input(id="line", placeholder=HELP)

    def on_mount(self):
        # It connects in the background, and comes back by itself when it is lost. What it calls it calls in a thread of
        # its own; `call_from_thread` has the app do it, and waits until it is done.
        self.connection = ConnectionInterface(
            **self.server,
            on_disconnect=partial(self.call_from_thread, self.lost),
            on_reconnect=partial(self.call_from_thread, self.back),
            on_session_lost=partial(self.call_from_thread, self.log_in),
        )
        self.connection.reverse_request_mapping(
            {
                "hear": partial(self.call_from_thread, self.hear),
                "whisper": partial(self.call_from_thread, self.whisper),
                "people": partial(self.call_from_thread, self.people),
            }
        )
        self.log_in()

    async def action_quit(self):
        """By /quit or Ctrl+Q. First the connection goes: what the server calls still needs the window."""
        await asyncio.to_thread(self.connection.close)
        self.exit()

    # --- asking the server --------------------------------------------------------------------------------------------

    async def ask(self, view, *, idempotent=False, **payload):
        """What the view answers. The app goes on meanwhile; while there is no connection this waits for one."""
        return await asyncio.to_thread(self.connection.send_request, view, payload, idempotent=idempotent)

    @work
    async def carry_out(self, line):
        """A line that was typed. One at a time: they arrive in the order in which they were typed."""
        command, _, rest = line.partition(" ")
        to, _, text = rest.strip().partition(" ")
        async with self.turn:
            try:
                if command == "/join" and to:
                    await self.join(to)
                elif command == "/msg" and text:
                    fate = await self.ask("tell", to=to, text=text, idempotent=True)
                    self.show(Text(f"to {to}: {text}{FATES[fate]}", "magenta"))
                elif command.startswith("/"):
                    self.show(Text(HELP, "dim"))
                else:
                    # If the connection is lost before the answer, it is asked again, and said once all the same.
                    await self.ask("say", room=self.room, text=line, idempotent=True)
            except FluxonError as error:
                self.show(Text(error.text, "red"))

    async def join(self, room):
        """Into a room; or into the same one again, to see what was said while the connection was lost."""
        self.coming, history = [], []
        try:
            history = await self.ask("join", room=room)
            if room != self.room:
                self.room = room
                self.shown.clear()
                self.query_one("#said", RichLog).clear()
            self.show_state("connected")
        finally:
            messages, self.coming = history + self.coming, None
            for message in messages:
                self.show_message(**message)

    # --- what the server calls ----------------------------------------------------------------------------------------

    def hear(self, **message):
        if self.coming is None:
            self.show_message(**message)
        else:
            self.coming.append(message)  # it belongs behind the history, which is on its way

    def whisper(self, sender, text):
        self.show(Text(f"{sender}, to you: {text}", "magenta"))

    def people(self, names, news):
        self.query_one("#people", Static).update("\n".join(names))
        self.show(Text(news, "dim"))

    # --- what becomes of the connection -------------------------------------------------------------------------------

    def lost(self):
        self.show_state("connection lost, trying again …")

    def back(self, recovered):
        # Direct messages were kept for us, and come now (`recovered` says whether all of them do). What was said in the
        # room was not; but it is in the database.
        self.show_state("connected")
        if self.room and not self.is_asking:
            self.carry_out(f"/join {self.room}")

    def log_in(self):
        """At the beginning, and when the server does not know us any more."""
        if not self.is_asking:
            self.push_screen(LoginScreen(), self.logged_in)

    @property
    def is_asking(self):
        return isinstance(self.screen, LoginScreen)

    def logged_in(self, name):
        self.username = name
        self.carry_out(f"/join {self.room or 'lobby'}")

    # --- the window ---------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#line")
    async def typed(self, event):
        line = event.value.strip()
        event.input.clear()
        if line == "/quit":
            await self.action_quit()
        elif line:
            self.carry_out(line)

    def show(self, text):
        self.query_one("#said", RichLog).write(text)

    def show_message(self, id, room, sender, text, sent):
        """One that comes twice, live and in the history, is shown once."""
        if room == self.room and id not in self.shown:
            self.shown.add(id)
            time = sent.astimezone().strftime("%H:%M")
            self.show(Text.assemble((time, "dim"), " ", (sender, "bold cyan"), f"  {text}"))

    def show_state(self, state):
        self.sub_title = f"{self.username} in {self.room}: {state}" if self.room else state


def main():
    options = argparse.ArgumentParser(description="Chat in a terminal.")
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--trust", metavar="FILE", help="use TLS; the server's certificate, or its authority's")
    chosen = options.parse_args()
    ChatApp(chosen.host, chosen.port, chosen.trust).run()


if __name__ == "__main__":
    main()
