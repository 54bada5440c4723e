"""The views: what clients may ask of this server.

Every public function defined here answers requests under its own name; one that starts with an underscore does not,
nor does what is imported. An `async def` awaits what takes time. A plain `def` runs in a thread and needs no `await`.

Rule number one: never trust a client with anything. Look at everything it sends.
"""

from fluxon.database.query import where
from fluxon.database.validators import validate_email, validate_password, validate_username

from authorization_model import CloudAuthorizationModel
from models import User


async def create_user(request):
    """Sign up. Whoever did is logged in at once."""
    username, email, password = _sent(request, "username", "email", "password")
    if not validate_username(username):
        return {"response": "invalid username: 3 to 32 letters, digits, dots and dashes, a letter first"}
    if not validate_email(email):
        return {"response": "invalid email"}
    if not validate_password(password):
        return {"response": "invalid password: 8 characters or more, with a capital and a small letter and a digit"}
    user_id = await User.Insert(username=username, email=email, password=password)
    if user_id is False:  # a unique column has that value already
        return {"response": "username or email already exists"}
    await request.login(user_id)
    return {"response": "signed up successfully"}


async def login(request):
    """Log in. The answer does not tell a wrong name from a wrong password."""
    username, password = _sent(request, "username", "password")
    user = await User.Authenticate(username, password)
    if user is None:
        return {"response": "wrong username or password"}
    await request.login(user.id)
    return {"response": "logged in successfully"}


async def logout(request):
    """Log out on this connection."""
    await request.logout()
    return {"response": "logged out"}


async def whoami(request):
    """The name that the client is logged in with, or None."""
    return {"response": request.user.username if request.user else None}


async def send_message(request):
    """Hand a message to another user, if one of their clients is online to take it."""
    if request.user is None:
        return {"response": "login needed"}
    receiver, message = _sent(request, "receiver", "message")
    if not receiver or not message:
        return {"response": "a message needs a receiver and a text"}
    found = await User.Check(where[User.username == receiver], fetch=1, columns=[User.id])
    if not found:
        return {"response": f"there is no {receiver}"}
    # The server asks the client: this calls receive_message(sender=..., message=...) over there, and is True once
    # one of the receiver's clients has taken it.
    taken = await request.server.reverse_request(
        found[0].id, "receive_message", {"sender": request.user.username, "message": message}
    )
    return {"response": "sent" if taken else f"{receiver} is offline"}


async def assign_me_as_owner(request):
    """Make the one who created an item its owner. What is in it later is theirs as well."""
    if request.user is None:
        return {"response": "login needed"}
    (path,) = _sent(request, "path")
    item = await CloudAuthorizationModel.filesystem.path(path)
    if item.creator != request.user:
        return {"response": "you are not the creator of this, ownership refused"}
    return await CloudAuthorizationModel.assign_role(role=CloudAuthorizationModel.owner, user=request.user, path=path)


async def assign_user_as_viewer(request):
    """Let another user read something, if the one who asks may decide about that."""
    if request.user is None:
        return {"response": "login needed"}
    username, path = _sent(request, "user_to_assign", "path")
    if not await CloudAuthorizationModel.can_assign_roles(path=path, user=request.user):
        return {"response": f"you can't assign roles to users on this path ({path})"}
    if not await User.Check(where[User.username == username], fetch=1):
        return {"response": f"user {username} not found"}
    # by= writes down who did it, and nobody can give what they do not have themselves.
    return await CloudAuthorizationModel.assign_role(
        role=CloudAuthorizationModel.viewer, username=username, path=path, by=request.user
    )


def _sent(request, *names):
    """What the client sent under these names, as texts; an empty one for whatever is missing or no text."""
    payload = request.payload if isinstance(request.payload, dict) else {}
    return [payload[name] if isinstance(payload.get(name), str) else "" for name in names]
