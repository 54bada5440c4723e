"""What clients may ask: every public function here is a view, and answers requests under its own name.

Nothing that a client sends is trusted. `request.fields` takes what a view needs out of the payload, and refuses what
is missing or of another type; the views look at the rest.
"""

import re
from datetime import UTC, datetime

from fluxon.database.query import where
from fluxon.database.validators import validate_username
from fluxon.errors import AlreadyExists, InvalidPayload, NotFound, PermissionDenied, Unauthenticated

from models import Message, User

#: So many messages are shown to somebody who comes into a room.
HISTORY = 50

#: A direct message waits for so many seconds for somebody whose connection is lost.
KEEP = 3600

#: A room's group is called so, and then as the room.
ROOM = "room "

A_NAME = "has 3 to 32 letters, digits, dots, dashes and underscores, a letter first"


# --- accounts ---------------------------------------------------------------------------------------------------------


async def sign_up(request):
    """Make an account. Whoever did is logged in at once."""
    username, password = request.fields(username=str, password=str)
    if not validate_username(username):
        raise InvalidPayload(f"a name {A_NAME}")
    if len(password) < 8:
        raise InvalidPayload("a password has at least 8 characters")
    user_id = await User.Insert(username=username, password=password)
    if user_id is False:  # `unique=True` forbids a second one
        raise AlreadyExists(f"there is a {username} already")
    await request.login(user_id)


async def log_in(request):
    """Come in with an account that is there. The answer does not tell a wrong name from a wrong password."""
    username, password = request.fields(username=str, password=str)
    user = await User.Authenticate(username, password)
    if user is None:
        raise PermissionDenied("wrong name or password")
    await request.login(user.id)


# --- rooms ------------------------------------------------------------------------------------------------------------


async def join(request):
    """Go into a room, and out of the one before. Answers what was said there last, the oldest first."""
    _user_of(request)
    room = _room(*request.fields(room=str))
    groups = request.server.groups
    for group in await groups.of(request):
        if group.startswith(ROOM) and group != ROOM + room:
            await groups.leave(group, request)
    # First into the group, then the history: what is said between the two is heard twice, and not missed.
    await groups.join(ROOM + room, request)
    rows = await Message.Check(
        where[Message.room == room],
        columns=[Message.id, Message.room, Message.sender.username, Message.text, Message.sent],
        order_by=Message.id.desc(),
        fetch=HISTORY,
    )
    return [_as_heard(*row) for row in reversed(rows)]


async def say(request):
    """Say something in a room. It is stored first, and then heard by everybody there, also by whoever said it."""
    user = _user_of(request)
    room, text = request.fields(room=str, text=str)
    room, text = _room(room), _line(text)
    # Groups are in memory. After a restart of the server somebody may say something before they have joined again.
    await request.server.groups.join(ROOM + room, request)
    sent = datetime.now(UTC)
    message_id = await Message.Insert(room=room, sender=user.id, text=text, sent=sent)
    heard = _as_heard(message_id, room, user.username, text, sent)
    # The server calls `hear(id=…, room=…, …)` in each client of the group, and waits for none of them.
    await request.server.groups.send(ROOM + room, "hear", heard, acknowledge=False)


async def tell(request):
    """Say something to one person: "delivered", or "kept" if their connection is lost, or "away"."""
    user = _user_of(request)
    to, text = request.fields(to=str, text=str)
    receiver = await User.Get(where[User.username == to])
    if receiver is None:
        raise NotFound(f"there is no {to}")
    delivery = await request.server.reverse_request(
        receiver.id, "whisper", {"sender": user.username, "text": _line(text)}, keep=KEEP
    )
    if delivery.count("handled"):
        return "delivered"
    return "kept" if delivery else "away"


# --- no views: their names begin with an underscore -------------------------------------------------------------------


def _user_of(request):
    if request.user is None:
        raise Unauthenticated("log in first")
    return request.user


def _room(name):
    if not validate_username(name):
        raise InvalidPayload(f"a room's name {A_NAME}")
    return name


def _as_heard(number, room, sender, text, sent):
    return {"id": number, "room": room, "sender": sender, "text": text, "sent": sent}


def _line(text):
    """A text that is shown as it is: a control character could do as it likes with somebody's terminal."""
    if not text.strip() or re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        raise InvalidPayload("a message is one line of text")
    return text
