"""Views whose requests, answers and conditions are checked."""

from fluxon.database.query import where
from fluxon.errors import InvalidPayload, PermissionDenied, Unauthenticated
from fluxon.routing import Request

from models import Note, User


async def login(request: Request[User]) -> str:
    """Log in with a name and a password."""
    payload = request.payload
    if not isinstance(payload, dict):
        raise InvalidPayload("login takes a username and a password")
    user = await User.Authenticate(payload.get("username"), payload.get("password"))
    if user is None:
        raise PermissionDenied("wrong username or password")
    await request.login(user.id)
    return str(user.username)


async def write(request: Request[User]) -> int:
    """Write a note down; its number."""
    if not isinstance(request.payload, str):
        raise InvalidPayload("a note is a text")
    # What a call answers is Any, as it may be awaited or not: strict mypy wants to be told before it is returned.
    note_id: int = await Note.Insert(owner=_user_of(request).id, text=request.payload)
    return note_id


async def tidy(request: Request[User]) -> int:
    """Forget all but the newest of the notes of whoever asks; how many those were."""
    mine = where[Note.owner == _user_of(request).id]

    def forget() -> int:
        newest = Note.Check(mine, order_by=Note.written.desc(), fetch=1, columns=[Note.id])
        gone: int = Note.Delete(mine & (Note.id != newest[0].id)) if newest else 0
        return gone

    forgotten: int = await request.server.database.transaction(forget)
    return forgotten


async def notes(request: Request[User]) -> list[str]:
    """The texts of whoever asks, the newest first."""
    mine = where[Note.owner == _user_of(request).id]
    return [note.text for note in await Note.Check(mine, order_by=Note.written.desc())]


async def whoami(request: Request[User]) -> str:
    """The name of whoever asks: ``username`` is a ``str`` to the checker, since it is a ``CharField``."""
    user = _user_of(request)
    return f"{user.nickname or user.username}, since {user.joined:%d %B %Y}"


def _user_of(request: Request[User]) -> User:
    """Who asks, which is somebody."""
    if request.user is None:
        raise Unauthenticated()
    return request.user
