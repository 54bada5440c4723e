"""Tests of the views. In the project's folder, either of these runs them:

    python -m unittest
    pytest

Each test has a server of its own in memory: the views, an empty database, and clients to talk to it, without a network.
Nothing of the project (its database, secrets, logs) is touched.
"""

import unittest

from fluxon.testing import MemoryServer

import router
from models import User

PASSWORD = "Secret123"


class ViewTests(unittest.TestCase):
    def setUp(self):
        self.app = self.enterContext(MemoryServer(router.setup))

    def sign_up(self, username):
        """A client that has signed up as a new user."""
        client = self.app.connect()
        answer = client.send_request(
            "create_user", {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
        )
        self.assertEqual(answer, {"response": "signed up successfully"})
        return client

    def test_sign_up_logs_in(self):
        emma = self.sign_up("emma")
        self.assertEqual(emma.send_request("whoami"), {"response": "emma"})

    def test_a_name_is_taken_once(self):
        self.sign_up("emma")
        answer = self.app.connect().send_request(
            "create_user", {"username": "emma", "email": "other@example.com", "password": PASSWORD}
        )
        self.assertEqual(answer, {"response": "username or email already exists"})
        self.assertEqual(User.Count(), 1)  # models are used as in a plain view

    def test_login(self):
        self.sign_up("emma")
        stranger = self.app.connect()
        wrong = stranger.send_request("login", {"username": "emma", "password": "guess"})
        self.assertEqual(wrong, {"response": "wrong username or password"})
        self.assertIsNone(stranger.user)
        stranger.send_request("login", {"username": "emma", "password": PASSWORD})
        self.assertEqual(stranger.user.username, "emma")

    def test_a_message_reaches_its_receiver(self):
        # connect(user) is logged in without a view: when a test is about something else.
        mike_id = User.Insert(username="mike", email="mike@example.com", password=PASSWORD)
        heard = []

        def receive_message(sender, message):
            heard.append((sender, message))

        self.app.connect(mike_id, functions={"receive_message": receive_message})
        emma = self.sign_up("emma")
        answer = emma.send_request("send_message", {"receiver": "mike", "message": "hello"})
        self.assertEqual(answer, {"response": "sent"})
        self.assertEqual(heard, [("emma", "hello")])

    def test_a_message_to_nobody(self):
        emma = self.sign_up("emma")
        self.sign_up("mike").close()
        for receiver, response in (("mike", "mike is offline"), ("zoe", "there is no zoe")):
            answer = emma.send_request("send_message", {"receiver": receiver, "message": "hello"})
            self.assertEqual(answer, {"response": response})

    def test_strangers_send_no_messages(self):
        answer = self.app.connect().send_request("send_message", {"receiver": "emma", "message": "hello"})
        self.assertEqual(answer, {"response": "login needed"})
