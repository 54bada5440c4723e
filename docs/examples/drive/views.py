"""What clients may ask of the server: accounts, and folders. Files have a port and calls of their own."""

from fluxon.database.validators import validate_password
from fluxon.errors import AlreadyExists, InvalidPayload, PermissionDenied, Unauthenticated

from models import User
from roles import Drive


async def sign_up(request):
    """Become a user, who is logged in at once."""
    username, password = request.fields(username=str, password=str)
    if not validate_password(password):
        raise InvalidPayload("a password has 8 characters or more, with small and capital letters and digits")
    user_id = await User.Insert(username=username, password=password)
    if user_id is False:  # the name is unique
        raise AlreadyExists(f"there is a {username} already")
    await request.login(user_id)


async def login(request):
    """Log in. The answer does not tell a wrong name from a wrong password."""
    username, password = request.fields(username=str, password=str)
    user = await User.Authenticate(username, password)
    if user is None:
        raise PermissionDenied("wrong username or password")
    await request.login(user.id)


async def make_folder(request):
    """Make a folder in "/". Who makes one is its owner, and decides who else may do what with it."""
    (name,) = request.fields(name=str)
    if request.user is None:
        raise Unauthenticated()
    # user= is who acts: their roles decide, and their name is in the log. Without it, it is the administration.
    folder = await Drive.filesystem.create_directory(f"/{name}", user=request.user)
    await Drive.assign_role(role=Drive.owner, path=folder.path, user=request.user)
    return str(folder.path)
