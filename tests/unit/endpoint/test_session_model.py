"""Random conversations of several connections, held to a model of what sessions mean."""

from __future__ import annotations

import random
from typing import Any

from serving import Person, ServingTestCase, Wire

from fluxon.endpoint import AsyncServer
from fluxon.routing import Request

USERS = {1: "ann", 2: "bob"}
STEPS = 60


async def who(request: Request) -> Any:
    return None if request.user is None else request.user.username


async def login(request: Request) -> None:
    request.login(request.payload)


def login_plain(request: Request) -> None:
    request.login(request.payload)


async def logout(request: Request) -> None:
    await request.logout()


class Session:
    """What the model knows of one."""

    def __init__(self, user: int | None = None) -> None:
        self.user = user
        self.alive = True


class Model:
    """Three connections, and every token that was ever seen."""

    def __init__(self, test: ServingTestCase, server: AsyncServer, seed: int) -> None:
        self.test = test
        self.server = server
        self.random = random.Random(seed)
        self.wires: list[Wire] = []
        self.sessions: list[Session] = []
        self.tokens: dict[str, Session] = {}

    async def begin(self) -> None:
        for _ in range(3):
            self.wires.append(await self.test.wire(self.server))
            self.sessions.append(Session())
            self.saw_token(len(self.wires) - 1)

    def saw_token(self, index: int) -> None:
        token = self.wires[index].token
        assert token is not None
        self.test.assertIs(self.tokens.setdefault(token, self.sessions[index]), self.sessions[index])

    def end(self, session: Session) -> None:
        """Whoever shares it is a stranger from now on, each on their own."""
        session.alive = False
        for index, each in enumerate(self.sessions):
            if each is session:
                self.sessions[index] = Session()

    def present(self, index: int, token: str) -> bool:
        session = self.tokens[token]
        self.sessions[index] = session if session.alive else Session()
        return session.alive

    async def step(self) -> None:
        index = self.random.randrange(3)
        wire, session = self.wires[index], self.sessions[index]
        match self.random.choice(("login", "login_plain", "logout", "hello", "reconnect", "revoke", "forget")):
            case "login" | "login_plain" as view:
                user = self.random.choice([1, 2])
                await wire.call(view, user)
                self.end(session)
                self.sessions[index] = Session(user)
                self.saw_token(index)
            case "logout":
                await wire.call("logout")
                self.end(session)
                self.saw_token(index)
            case "hello":
                token = self.random.choice(list(self.tokens))
                answer = await wire.hello(token)
                self.test.assertEqual(answer["fresh"], not self.present(index, token))
                self.saw_token(index)
            case "reconnect":
                token = wire.token
                assert token is not None
                await wire.abort()
                self.wires[index] = await self.test.wire(self.server, greet=False)
                answer = await self.wires[index].hello(token)
                self.test.assertEqual(answer["fresh"], not self.present(index, token))
                self.saw_token(index)
            case "revoke":
                user = self.random.choice([1, 2])
                await self.server.sessions.revoke_user(user)
                for each in {*self.sessions, *self.tokens.values()}:
                    if each.user == user:
                        self.end(each)
            case "forget":
                await wire.hello(None)
                self.sessions[index] = Session()
                self.saw_token(index)

    async def check(self) -> None:
        expected = [None if each.user is None else USERS[each.user] for each in self.sessions]
        self.test.assertEqual([await wire.call("who") for wire in self.wires], expected)


class ModelTests(ServingTestCase):
    """Logins, logouts, hellos with old and new tokens, lost connections and revocations, in any order."""

    async def converse(self, seed: int, freshness: float) -> None:
        limits = {"session_freshness": freshness, "connections_per_session": 3}
        server = await self.serve(who, login, login_plain, logout, users=True, limits=limits)
        for name in USERS.values():
            await Person.Insert(username=name, password="x")
        model = Model(self, server, seed)
        await model.begin()
        for _ in range(STEPS):
            await model.step()
            await model.check()

    async def test_believing_for_a_while(self) -> None:
        """With sessions that are looked up once in two seconds."""
        await self.converse(seed=1, freshness=2)

    async def test_looking_every_time(self) -> None:
        """With sessions that are looked up for every request."""
        await self.converse(seed=2, freshness=1e-6)

    async def test_another_order(self) -> None:
        """The same with other chances."""
        await self.converse(seed=3, freshness=1e-6)
