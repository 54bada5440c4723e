"""Views that log in and out in every way, and a server with two users of them."""

from __future__ import annotations

from typing import Any

from serving import Person, ServingTestCase, Wire
from twisted.internet import reactor
from twisted.internet.task import deferLater

from fluxon.endpoint import AsyncServer
from fluxon.errors import InvalidPayload, NotFound, PermissionDenied
from fluxon.routing import Request

#: Every request looks the session up again: what another process did shows at once.
ALWAYS_READ = {"session_freshness": 1e-6}


async def who(request: Request) -> Any:
    return None if request.user is None else request.user.username


async def sessionid(request: Request) -> str:
    return request.sessionid


async def login(request: Request) -> Any:
    await request.login(request.payload)
    return request.user.username


async def login_unawaited(request: Request) -> str:
    request.login(request.payload)
    return "logged in"


def login_plain(request: Request) -> Any:
    request.login(request.payload)
    return request.user.username


async def logout(request: Request) -> Any:
    request.logout()
    return "bye"


async def logout_and_in(request: Request) -> Any:
    request.logout()
    request.login(request.payload)


async def login_both(request: Request) -> None:
    request.login(request.payload[0])
    request.login(request.payload[1])


def login_both_plain(request: Request) -> None:
    request.login(request.payload[0])
    request.login(request.payload[1])


async def login_then_fail(request: Request) -> None:
    request.login(request.payload)
    raise PermissionDenied("after the login")


async def login_caught(request: Request) -> str:
    try:
        await request.login(request.payload)
    except (NotFound, InvalidPayload) as error:
        return error.code
    return "in"


async def login_returned(request: Request) -> Any:
    return request.login(request.payload)


async def login_in_helper(request: Request) -> Any:
    request.login(request.payload[0])

    async def more() -> str:
        await deferLater(reactor, 0)
        request.login(request.payload[1])
        return "more"

    return more()


async def size(request: Request) -> int:
    return len(request.payload)


VIEWS = (
    who,
    sessionid,
    login,
    login_unawaited,
    login_plain,
    logout,
    logout_and_in,
    login_both,
    login_both_plain,
    login_then_fail,
    login_caught,
    login_returned,
    login_in_helper,
    size,
)


class SessionsTestCase(ServingTestCase):
    """A server with two users, ann (1) and bob (2)."""

    async def people(self, **keywords: Any) -> AsyncServer:
        server = await self.serve(*VIEWS, users=True, **keywords)
        for name in ("ann", "bob"):
            await Person.Insert(username=name, password=f"{name}'s")
        return server

    async def logged_in(self, server: AsyncServer, user_id: int = 1) -> Wire:
        wire = await self.wire(server)
        await wire.call("login", user_id)
        return wire
