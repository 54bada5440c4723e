"""The picture of how a request travels: which rooms it passes, and where it goes from there.

Rules kept here: a room is a package of ``fluxon`` under its own name; rooms that a request passes stand in the order in
which they import each other, the lower ones nearer to the wire.
"""

from __future__ import annotations

from picturing.drawing import Drawing

#: What an incoming request passes, in this order.
ROOMS = {
    "wire": ("frames of CBOR,", "each bounded"),
    "rpc": ("asks, answers,", "streams, credit"),
    "sessions": ("signed tokens:", "who this is"),
    "routing": ("which function;", "groups, delivery"),
}
VIEWS = ("your views", "async def, or", "def in a thread")
#: What views use.
KEPT = {
    "database": ("your models: SQLite,", "PostgreSQL, MariaDB"),
    "cloud": ("files with roles,", "versions, audit log"),
}
CLIENT = ("your program", "with fluxon.connect, which", "comes back by itself")
BESIDE = "endpoint  ·  console over SSH  ·  metrics  ·  security  ·  limits"

STEPS = (
    ("there", "a program asks for a view, by its name"),
    ("there", "bytes become a message, of somebody"),
    ("there", "rows and files, in threads of their own"),
    ("reverse", "the view has another program called"),
    ("reverse", "which acknowledges that it took it"),
    ("back", "the answer: what the view returned"),
)

_WIDTH, _HEIGHT = 1000, 520
_BOX, _GAP, _TALL = 116, 12, 92
_LEFT, _TOP = 338, 76
#: Right edge of the clients, left edge of the server.
_CLIENT_RIGHT, _SERVER_LEFT = 232, 324


def draw() -> str:
    """The picture."""
    drawing = Drawing(_WIDTH, _HEIGHT, "How a request travels from a client through the rooms of a server, and back")
    drawing.box(_SERVER_LEFT, 20, _WIDTH - _SERVER_LEFT - 20, 384, fill="ground")
    drawing.text(_LEFT, 50, ("text", "one server process"), size=15, bold=True)
    drawing.text(_WIDTH - 34, 50, ("quiet", BESIDE), size=12.5, anchor="end")
    drawing.text((_CLIENT_RIGHT + _SERVER_LEFT) / 2, 58, ("quiet", "TLS or TCP"), anchor="middle")
    _client(drawing, "Emma", 68)
    _client(drawing, "Mike", 274)
    _rooms(drawing)
    _request(drawing)
    _kept(drawing)
    _reverse(drawing)
    _steps(drawing)
    return drawing.written()


def _client(drawing: Drawing, name: str, top: float) -> None:
    program, *library = CLIENT
    drawing.box(20, top, _CLIENT_RIGHT - 20, 108, fill="panel")
    drawing.text(34, top + 26, ("text", f"{name}'s client"), size=15, bold=True)
    drawing.text(34, top + 49, ("text", program))
    for number, line in enumerate(library):
        drawing.text(34, top + 69 + 18 * number, ("quiet", line), size=12.5)


def _place(column: int) -> float:
    return _LEFT + column * (_BOX + _GAP)


def _room(drawing: Drawing, name: str, lines: tuple[str, ...], x: float, y: float, width: float = _BOX) -> None:
    drawing.box(x, y, width, _TALL, fill="panel")
    drawing.text(x + width / 2, y + 26, ("text", name), size=15, anchor="middle", bold=True)
    for number, line in enumerate(lines):
        drawing.text(x + width / 2, y + 52 + 19 * number, ("quiet", line), size=12.5, anchor="middle")


def _rooms(drawing: Drawing) -> None:
    for column, (name, lines) in enumerate(ROOMS.items()):
        _room(drawing, name, lines, _place(column), _TOP)
    name, *said = VIEWS
    _room(drawing, name, tuple(said), _place(len(ROOMS)), _TOP)


def _request(drawing: Drawing) -> None:
    """In above, out below, from room to room."""
    there, back = _TOP + 22, _TOP + _TALL - 14
    drawing.arrow((_CLIENT_RIGHT, there), (_LEFT, there), colour="there")
    drawing.arrow((_LEFT, back), (_CLIENT_RIGHT, back), colour="back")
    for column in range(1, len(ROOMS) + 1):
        x = _place(column)
        drawing.arrow((x - _GAP, there), (x, there), colour="there")
        drawing.arrow((x, back), (x - _GAP, back), colour="back")
    middle = (_CLIENT_RIGHT + _SERVER_LEFT) / 2
    drawing.number(middle, there, 1, "there")
    drawing.number(middle, back, 6, "back")
    drawing.number(_place(0) + 14, there, 2, "there")


def _kept(drawing: Drawing) -> None:
    """Below the views, and as wide as two rooms each would be."""
    wide, top = 158.0, 296
    views, bottom = _place(len(ROOMS)), _TOP + _TALL
    right = _WIDTH - 34
    for number, (name, lines) in enumerate(KEPT.items()):
        left = right - (len(KEPT) - number) * wide - (len(KEPT) - number - 1) * _GAP
        _room(drawing, name, lines, left, top, wide)
        x, y = views + 58 + 36 * number, top - 26
        middle = left + wide / 2 + (30 if number == 0 else 0)
        turn = [(x, y), (middle, y)] if number == 0 else [(x, top)]
        drawing.arrow((x, bottom), *turn, *([(middle, top)] if number == 0 else []), colour="there")
    drawing.number(views + 76, top - 50, 3, "there")


def _reverse(drawing: Drawing) -> None:
    """Out of the views, by the rooms that the request came through, to another client; and back."""
    views, bottom = _place(len(ROOMS)), _TOP + _TALL
    out, home = 214, 244
    drawing.arrow(
        (views + 20, bottom), (views + 20, out), (290, out), (290, 312), (_CLIENT_RIGHT, 312), colour="reverse"
    )
    drawing.arrow(
        (_CLIENT_RIGHT, 346),
        (306, 346),
        (306, home),
        (views + 36, home),
        (views + 36, bottom),
        colour="reverse",
        dashed=True,
    )
    drawing.text(_LEFT + 14, out - 8, ("quiet", "reverse request, by routing, rpc and wire"), size=12.5)
    drawing.number(290, 262, 4, "reverse")
    drawing.number(266, 346, 5, "reverse")


def _steps(drawing: Drawing) -> None:
    """What the numbers say, in three columns."""
    for number, (colour, words) in enumerate(STEPS):
        x, y = 34 + 322 * (number // 2), 440 + 34 * (number % 2)
        drawing.number(x, y, number + 1, colour)
        drawing.text(x + 18, y + 4.5, ("text", words))
