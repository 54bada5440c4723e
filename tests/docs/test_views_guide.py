"""The guides of views, sessions, groups and security, and coming from the alpha: what they show answers as they say."""

from __future__ import annotations

import sys
from threading import Event, Semaphore
from types import ModuleType
from typing import Any

from pages import Page
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import InvalidPayload, PermissionDenied, Unauthenticated
from fluxon.routing import Setup, dynamic_views_loading
from fluxon.security import Secrets
from fluxon.testing import MemoryServer

MODELS = """
from fluxon.database import models

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField(null=True)
    team = models.CharField(max_length=20, default="red")
"""


class Guides(SynchronousTestCase):
    """The fragments as the modules of a project whose server is in memory."""

    def module(self, name: str, text: str) -> ModuleType:
        module = ModuleType(name)
        sys.modules[name] = module
        self.addCleanup(sys.modules.pop, name)
        exec(compile(text, f"{name}.py", "exec"), vars(module))
        return module

    def server(self, views: str, **more: Any) -> MemoryServer:
        models, loaded = self.module("models", MODELS), self.module("views", views)
        setup = Setup(
            mapping=dynamic_views_loading(loaded),
            models=models,
            secrets=Secrets("secrets"),
            database_api=SQLiteDatabase,
            database_path="database.sqlite3",
            database_schema_dir="database_schema",
            **more,
        )
        return self.enterContext(MemoryServer(setup))

    def test_views(self) -> None:
        """The views answer, the two ways to sign up do the same, and what is refused is refused with its error."""
        views, router, twice, takes, typed, refuses = [each.text for each in Page(self, "docs/views.rst").fragments()]
        app = self.server(views + twice + takes + typed + refuses)
        names: dict[str, Any] = {}
        exec(router, names)
        self.assertEqual(set(names["by_hand"].views), {"hello"})
        self.assertLessEqual({"greet", "count_users", "whoami"}, set(names["all_of_them"].views))

        client = app.connect()
        self.assertEqual(client.send_request("greet", {}), {"response": "hello, stranger"})
        self.assertEqual(client.send_request("greet", {"name": "Emma"}), {"response": "hello, Emma"})
        self.assertEqual(client.send_request("order", {"title": "Emma"}), "1 of Emma")
        self.assertEqual(client.send_request("order", {"title": "Emma", "copies": 3}), "3 of Emma")
        wrong = self.assertRaises(InvalidPayload, client.send_request, "order", {"copies": True})
        self.assertEqual(wrong.details["fields"], {"title": "is missing", "copies": "must be an integer"})
        self.assertIsNone(client.send_request("whoami"))
        for view in ("shout", "remove_everything"):
            self.assertRaises(Unauthenticated, client.send_request, view)
        self.assertEqual(client.send_request("sign_up", {"username": "emma"}), 1)
        self.assertEqual(client.send_request("whoami"), "emma")
        self.assertEqual(client.send_request("shout"), "EMMA")
        self.assertRaises(PermissionDenied, client.send_request, "remove_everything")
        root = app.connect()
        self.assertEqual(root.send_request("sign_up_in_a_thread", {"username": "root"}), 2)
        self.assertEqual(root.send_request("whoami"), "root")
        root.send_request("remove_everything")
        self.assertEqual(root.send_request("count_users"), 2)

    def test_sessions(self) -> None:
        """The view logs in whoever knows the password."""
        (login,) = Page(self, "docs/sessions.rst").fragments()
        app = self.server(login.text)
        user = sys.modules["models"].User
        user.Insert(username="emma", password="Secret123")
        client = app.connect()
        wrong = {"username": "emma", "password": "guess"}
        self.assertEqual(client.send_request("login", wrong), {"response": "wrong username or password"})
        right = {"username": "emma", "password": "Secret123"}
        self.assertEqual(client.send_request("login", right), {"response": "logged in successfully"})
        self.assertEqual(client.user.username, "emma")

    def test_groups(self) -> None:
        """Who entered hears what others say, in both kinds of view, and whoever logs in joins their team."""
        enter, announce, friends, router = [each.text for each in Page(self, "docs/groups.rst").fragments()]
        names: dict[str, Any] = {}
        exec(router, names)
        events = {name: getattr(names["setup"], name) for name in ("on_login", "on_logout", "on_disconnect")}
        welcome, note = events["on_login"], events["on_disconnect"]
        welcomed, noted = Event(), Semaphore(0)

        async def welcome_and_tell(event: Any) -> None:
            await welcome(event)
            welcomed.set()

        def note_and_tell(event: Any) -> None:
            note(event)
            noted.release()

        events |= {"on_login": welcome_and_tell, "on_disconnect": note_and_tell}
        app = self.server(enter + announce + friends, **events)
        heard: list[str] = []
        functions = {"hear": lambda text: heard.append(text), "came": lambda name: heard.append(name)}
        emma, mike = app.connect(functions=functions), app.connect(functions=functions)
        for client in (emma, mike):
            client.send_request("enter")
        self.assertEqual(emma.send_request("say", "one"), 1)
        self.assertEqual(emma.send_request("say_in_a_thread", "two"), 1)
        self.assertEqual(heard, ["one", "two"])
        emma.send_request("announce")
        self.assertEqual(heard[2:4], ["hello", "hello"])
        user = sys.modules["models"].User
        zoe = app.connect(user.Insert(username="zoe"))
        self.assertTrue(welcomed.wait(60))
        self.assertEqual(heard[-2:], ["zoe", "zoe"])
        self.assertEqual(emma.send_request("friends"), {"online": ["zoe"], "emma": False})
        for client in (emma, mike, zoe):
            client.close()
            self.assertTrue(noted.acquire(timeout=60))

    def test_security(self) -> None:
        """The view that does its part refuses what it should; and the limits are limits."""
        view, limits = [each.text for each in Page(self, "docs/security.rst").fragments()]
        app = self.server(view)
        exec(limits, {"rename": sys.modules["views"].rename})
        stranger = app.connect()
        self.assertRaises(Unauthenticated, stranger.send_request, "rename", {"name": "zoe"})
        emma = app.connect(sys.modules["models"].User.Insert(username="emma"))
        for payload in ("zoe", {"name": ""}, {"name": "z" * 41}, {"name": 7}, {}):
            self.assertRaises(InvalidPayload, emma.send_request, "rename", payload)
        self.assertEqual(emma.send_request("rename", {"name": "zoe"}), {"id": 1, "name": "zoe"})

    def test_alpha(self) -> None:
        """A view of the alpha, with an ``await`` before what takes time."""
        (view,) = Page(self, "docs/coming_from/alpha.rst").fragments()
        app = self.server(view.text)
        user = sys.modules["models"].User
        heard: list[str] = []
        app.connect(
            user.Insert(username="mike"), functions={"receive_message": lambda sender, message: heard.append(message)}
        )
        emma = app.connect(user.Insert(username="emma"))
        for receiver, answer in (("mike", "sent!"), ("emma", "emma is offline!")):
            self.assertEqual(emma.send_request("send_message", {"receiver": receiver, "message": "hello"}), answer)
        self.assertEqual(heard, ["hello"])
