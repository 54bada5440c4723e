"""The console for a person at a terminal: a prompt, editing, history, completion.

Rules of this module:

- It knows a terminal as a function that writes text, and a width. Whose it is, an SSH client's or the server's own, is
  its owner's business.
- While a command runs, what is typed waits for its end, up to a bound; Ctrl+C does not wait.
- What others have to say (the log) is printed above the line that is being written, which stays as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fluxon.console.console import Console
from fluxon.console.editor import Keys, LineEditor
from fluxon.console.rendering import safe

#: What may be typed, or pasted, while a command runs; further keys are lost, with a bell.
MAX_AHEAD = 256 * 1024

PROMPT = "fluxon> "


class Shell:
    """``console``, for somebody who types. A ``Sink`` for its commands."""

    def __init__(
        self,
        console: Console,
        put: Callable[[str], object],
        columns: Callable[[], int],
        *,
        room: Callable[[], bool] = lambda: True,
        on_end: Callable[[], object],
    ) -> None:
        """``put`` writes text as it is; ``on_end`` hears that the person is done (Ctrl+D)."""
        self._console = console
        self._put = put
        self._columns = columns
        self._room = room
        self._on_end = on_end
        self._keys = Keys()
        self._ahead: deque[str] = deque()
        self._editor = LineEditor(put, columns, console.complete)
        self._editor.prompt = PROMPT
        self._ended = False
        #: The exit status of the last command.
        self.status = 0
        console.memory["interactive"] = True

    # --- a Sink -------------------------------------------------------------------------------------------------------

    @property
    def width(self) -> int:
        """Of the terminal, now."""
        return max(self._columns(), 20)

    @property
    def has_room(self) -> bool:
        """Whether the terminal takes what it is sent."""
        return self._room()

    def write(self, lines: list[str]) -> None:
        """Lines of a command's output."""
        if not self._ended:
            self._put("".join(f"{line}\r\n" for line in lines))

    def complain(self, line: str) -> None:
        """What went wrong."""
        self.write([line])

    # --- a terminal ---------------------------------------------------------------------------------------------------

    def start(self, greeting: str) -> None:
        """Say ``greeting`` and show the prompt."""
        self._put(f"{greeting}\r\n")
        self._editor.draw()

    def received(self, data: bytes) -> None:
        """What was typed."""
        for key in self._keys.read(data):
            if key == "interrupt":
                # What was typed before it came with the same bytes, perhaps, and has begun by then.
                self._go_on()
            if self._console.busy and key == "interrupt":
                self._interrupt_command()
            elif len(self._ahead) < MAX_AHEAD:
                self._ahead.append(key)
            else:
                self._put("\a")
        self._go_on()

    def interrupt(self) -> bool:
        """Ctrl+C that came as a signal: whether there was a command, or a line, for it."""
        if self._console.busy:
            self._interrupt_command()
            return True
        prompt = self._console.memory.get("python prompt")
        if not self._editor.text and prompt is None:
            return False
        if prompt is not None:
            prompt.lines.clear()
            self._judge(self.status)
        self._editor.key("interrupt")
        self.redraw()
        return True

    def _interrupt_command(self) -> None:
        self._put("^C\r\n")
        self._ahead.clear()
        self._console.interrupt()

    def redraw(self) -> None:
        """The window changed, or something else wrote on the terminal."""
        if not self._console.busy and not self._ended:
            self._editor.draw()

    def print_above(self, text: str) -> None:
        """Lines of somebody else."""
        shown = "".join(f"{safe(line)}\r\n" for line in text.rstrip("\n").split("\n"))
        if self._console.busy:
            self._put(shown)
        else:
            self._editor.hide()
            self._put(shown)
            self._editor.draw()

    def end(self) -> None:
        """Nobody is there any more: what only looks stops."""
        if not self._ended:
            self._ended = True
            self._console.interrupt()

    def _go_on(self) -> None:
        while self._ahead and not self._console.busy and not self._ended:
            done = self._editor.key(self._ahead.popleft())
            if done == "enter":
                self._carry_out(self._editor.take())
            elif done == "interrupt" and self._console.memory.get("python prompt") is not None:
                self._console.memory["python prompt"].lines.clear()
                self._judge(self.status)
            elif done == "end of input":
                self._on_end()
        self.redraw()

    def _carry_out(self, line: str) -> None:
        outcome = self._console.run(line, self)
        if outcome.called:
            # No recursion: hundreds of lines may have been pasted.
            outcome.addCallback(self._judge)
        else:
            outcome.addCallback(self._done)

    def _done(self, status: int) -> None:
        self._judge(status)
        self._go_on()

    def _judge(self, status: int) -> None:
        self.status = status
        prompt = self._console.memory.get("python prompt")
        self._editor.prompt = PROMPT if prompt is None else "... " if prompt.lines else ">>> "
