"""The picture of a chat: the server's terminal, and the clients' beside each other below it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from picturing.conversation import SERVER_COLUMNS
from picturing.drawing import Drawing

_SIZE, _ADVANCE, _LEADING = 12.0, 7.2, 17.0
_PAD, _GAP = 14.0, 12.0

_SVG = "{http://www.w3.org/2000/svg}"

#: What begins a line, what it is, and the colours of that and of the rest.
_KINDS = (
    (re.compile(r"\$ "), "quiet", "there"),
    (re.compile(r"fluxon> "), "quiet", "there"),
    (re.compile(r"(?=create_user \w+ |send \w+ )"), "quiet", "there"),
    (re.compile(r"\[\w+\] "), "back", "back"),
    (re.compile(r"\d{4}-\d\d-\d\dT\S+ "), "quiet", "text"),
    (re.compile(r""), "text", "text"),
)

#: What another run has otherwise: times, how long something took, and names that are drawn by lot.
_OTHERWISE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\+0000)?|\b\d+(\.\d+)? ms|\b[0-9a-f]{12}\b|\b\d+\.\d+$")


def draw(screens: list[list[str]]) -> str:
    """The picture; the first screen is the server's."""
    server, *clients = screens
    heights = [_height(server), max(map(_height, clients))]
    width = round(_width(SERVER_COLUMNS) + 2 * _GAP)
    drawing = Drawing(width, round(sum(heights) + 3 * _GAP), "A server and two clients that chat, each in its terminal")
    _screen(drawing, "server", server, _GAP, _GAP, _width(SERVER_COLUMNS), heights[0])
    each = (width - (len(clients) + 1) * _GAP) / len(clients)
    for number, lines in enumerate(clients):
        x = _GAP + number * (each + _GAP)
        _screen(drawing, f"client-{number + 1}", lines, x, heights[0] + 2 * _GAP, each, heights[1])
    return drawing.written()


def text_of(picture: str) -> list[list[str]]:
    """What stands on the screens of a picture."""
    groups = ElementTree.fromstring(picture).findall(f"{_SVG}g")
    return [["".join(line.itertext()) for line in group.findall(f"{_SVG}text")] for group in groups]


def lasting(screens: list[list[str]]) -> list[list[str]]:
    """What every run has alike; of a table's columns, which are as wide as what stands in them, the words."""
    return [[" ".join(_OTHERWISE.sub("…", line).split()) for line in lines] for lines in screens]


def _width(columns: int) -> float:
    return columns * _ADVANCE + 2 * _PAD


def _height(lines: list[str]) -> float:
    return len(lines) * _LEADING + 2 * _PAD


def _screen(drawing: Drawing, name: str, lines: list[str], x: float, y: float, width: float, height: float) -> None:
    drawing.begin(name)
    drawing.box(x, y, width, height, fill="panel")
    for number, line in enumerate(lines):
        drawing.code(x + _PAD, y + _PAD + _SIZE + number * _LEADING, *_runs(line), size=_SIZE, advance=_ADVANCE)
    drawing.end()


def _runs(line: str) -> list[tuple[str, str]]:
    begin, first, rest = next((found[0], *kind[1:]) for kind in _KINDS if (found := kind[0].match(line)))
    return [(colour, words) for colour, words in ((first, begin), (rest, line[len(begin) :])) if words]
