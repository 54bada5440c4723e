"""Its tests, which are checked too: python -m unittest"""

import unittest

from fluxon.errors import Unauthenticated
from fluxon.testing import MemoryClient, MemoryServer

import router
from models import User


class NoteTests(unittest.TestCase):
    """A server in memory for each."""

    def setUp(self) -> None:
        self.app: MemoryServer = self.enterContext(MemoryServer(router.setup))
        self.user_id = User.Insert(username="emma", password="Secret123")

    def connect(self) -> MemoryClient:
        """A client that has logged in."""
        client = self.app.connect()
        answer = client.send_request("login", {"username": "emma", "password": "Secret123"})
        self.assertEqual(answer, "emma")
        return client

    def test_notes(self) -> None:
        """Are their writer's."""
        client = self.connect()
        client.send_request("write", "milk")
        self.assertEqual(client.send_request("notes"), ["milk"])
        client.send_request("write", "bread")
        self.assertEqual(client.send_request("tidy"), 1)
        self.assertEqual(client.send_request("notes"), ["bread"])
        self.assertRegex(client.send_request("whoami"), r"^emma, since \d\d \w+ \d{4}$")
        with self.assertRaises(Unauthenticated):
            self.app.connect().send_request("notes")
