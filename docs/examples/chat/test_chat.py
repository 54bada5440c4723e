"""What the server does, tried in memory: no network, no terminal, and nothing of `data/` is touched. In this folder:

python -m unittest
"""

import unittest
from pathlib import Path

from fluxon.errors import AlreadyExists, InvalidPayload, NotFound, PermissionDenied, Unauthenticated
from fluxon.testing import MemoryServer

from models import User
from server import make_setup

PASSWORD = "Secret123"


class ChatTests(unittest.TestCase):
    def setUp(self):
        self.app = self.enterContext(MemoryServer(make_setup(Path())))

    def come(self, name, room=None):
        """A client of somebody who has just made an account."""
        client = self.app.connect(functions={"whisper": lambda sender, text: None})
        client.send_request("sign_up", {"username": name, "password": PASSWORD})
        if room:
            client.send_request("join", {"room": room})
        return client

    def test_accounts(self):
        self.assertEqual(self.come("emma").user.username, "emma")
        stranger = self.app.connect()
        with self.assertRaises(AlreadyExists):
            stranger.send_request("sign_up", {"username": "emma", "password": "Another123"})
        with self.assertRaises(PermissionDenied):
            stranger.send_request("log_in", {"username": "emma", "password": "Another123"})
        with self.assertRaises(Unauthenticated):
            stranger.send_request("join", {"room": "lobby"})
        stranger.send_request("log_in", {"username": "emma", "password": PASSWORD})
        self.assertEqual(stranger.user.username, "emma")
        self.assertEqual(User.Count(), 1)

    def test_a_room(self):
        emma, mike = self.come("emma", "lobby"), self.come("mike", "lobby")
        emma.send_request("say", {"room": "lobby", "text": "hello"})
        heard = mike.next_received("hear").payload
        self.assertEqual((heard["room"], heard["sender"], heard["text"]), ("lobby", "emma", "hello"))
        # Whoever comes later, and whoever comes again, finds it there.
        self.assertEqual(self.come("zoe").send_request("join", {"room": "lobby"}), [heard])
        self.assertEqual(mike.send_request("join", {"room": "lobby"}), [heard])

    def test_rooms_are_apart(self):
        emma, mike = self.come("emma", "lobby"), self.come("mike", "lobby")
        self.assertEqual(mike.send_request("join", {"room": "kitchen"}), [])
        emma.send_request("say", {"room": "lobby", "text": "is anybody here?"})
        emma.send_request("tell", {"to": "mike", "text": "where are you?"})
        self.assertEqual(mike.next_received("whisper").payload, {"sender": "emma", "text": "where are you?"})
        self.assertNotIn("hear", [call.name for call in mike.received])

    def test_presence(self):
        emma = self.come("emma")
        self.assertEqual(emma.next_received("people").payload, {"names": ["emma"], "news": "emma is here"})
        mike = self.come("mike")
        self.assertEqual(emma.next_received("people").payload, {"names": ["emma", "mike"], "news": "mike is here"})
        mike.close()
        self.assertEqual(emma.next_received("people").payload, {"names": ["emma"], "news": "mike has left"})

    def test_a_direct_message_waits(self):
        emma, mike = self.come("emma"), self.come("mike")
        message = {"to": "mike", "text": "lunch?"}
        self.assertEqual(emma.send_request("tell", message), "delivered")
        mike.link.cut()
        self.assertEqual(emma.send_request("tell", message), "kept")
        mike.reconnect()
        for _ in range(2):
            self.assertEqual(mike.next_received("whisper").payload, {"sender": "emma", "text": "lunch?"})
        mike.close()
        self.assertEqual(emma.send_request("tell", message), "away")
        with self.assertRaises(NotFound):
            emma.send_request("tell", {"to": "nobody", "text": "lunch?"})

    def test_what_is_refused(self):
        emma = self.come("emma", "lobby")
        for text in ("", " ", "two\nlines", "\x1b[2J", "x" * 1001, None):
            with self.subTest(text), self.assertRaises(InvalidPayload):
                emma.send_request("say", {"room": "lobby", "text": text})
        for room in ("", "a b", "everybody else's"):
            with self.subTest(room), self.assertRaises(InvalidPayload):
                emma.send_request("join", {"room": room})
