"""``python -m fluxon.connect``: a server's views and its cloud storage, from a shell.

Rules kept here:

- What it prints is what a person needs to read, or with ``--json`` one JSON document; what went wrong goes to stderr.
- No password and no token is ever an argument, nor shown.
- Exit statuses are those of ``statuses``.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TextIO

from fluxon.connect.command_line.commands import COMMANDS
from fluxon.connect.command_line.output import Output, as_json, printable
from fluxon.connect.command_line.parser import parser
from fluxon.connect.command_line.place import Place
from fluxon.connect.command_line.statuses import FAILED, INTERRUPTED, status_of
from fluxon.errors import FluxonError


def main(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Carry out one command; its exit status."""
    options = parser().parse_args(arguments)
    for each in (out, err):
        if isinstance(each, TextIOWrapper):
            each.reconfigure(errors="backslashreplace")  # names may have letters that this terminal does not
    try:
        status = _carry_out(options, out, err)
        out.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output has enough; the interpreter would complain of it when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return FAILED


def _carry_out(options: Namespace, out: TextIO, err: TextIO) -> int:
    output = Output(out, err, as_json=options.json, quiet=options.quiet)
    try:
        with Place(options) as place:
            return int(COMMANDS[options.command](place, options, output) or 0)
    except FluxonError as error:
        _complain(err, options.json, error.code, error.text)
        return status_of(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        _complain(err, options.json, "OSError", f"{what}{error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=err)
        return INTERRUPTED


def _complain(err: TextIO, json: bool, code: str, text: str) -> None:
    print(as_json({"error": code, "text": text}, err) if json else printable(f"{code}: {text}"), file=err)
