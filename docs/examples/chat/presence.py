"""Who is there. The server calls these functions when somebody comes or goes; they tell everybody else.

Each time the whole list is sent, and not what changed in it: a client that shows the last list it heard is right,
whatever it missed before. (With thousands of people in one place you would send the change, and the list once.)
"""

#: The group of all who have logged in.
EVERYBODY = "everybody"


async def came(event):
    """For on_login; and for on_connect, since a client whose connection was lost comes back logged in."""
    if event.user is not None:
        await event.server.groups.join(EVERYBODY, event)
        await _tell(event.server, f"{event.user.username} is here")


async def went(event):
    """For on_logout and on_disconnect. Whoever has another device here is still there."""
    if event.user is not None and not await event.server.online.is_online(event.user):
        await _tell(event.server, f"{event.user.username} has left")


async def _tell(server, news):
    names = [user.username for user in await server.online.users()]
    await server.groups.send(EVERYBODY, "people", {"names": names, "news": news}, acknowledge=False)
