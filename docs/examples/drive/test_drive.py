"""Tests of the drive: python -m unittest

Each has a server of its own in memory, with an empty database and a folder for the bytes. client.cloud() has the files
as that client's user sees them, with the calls of CloudStorageConnector.
"""

import unittest

from fluxon.errors import AlreadyExists, InvalidPayload, NotFound, PermissionDenied, Unauthenticated
from fluxon.testing import MemoryServer

import router
from models import User


class DriveTests(unittest.TestCase):
    """Jane has a folder, with a file in it."""

    def setUp(self):
        self.app = self.enterContext(MemoryServer(router.setup))
        self.jane, self.mike = (
            self.app.connect(User.Insert(username=name, password="Secret-123")) for name in ("jane", "mike")
        )
        self.hers, self.his = self.jane.cloud(), self.mike.cloud()
        self.assertEqual(self.jane.send_request("make_folder", {"name": "plans"}), "/plans")
        self.hers.write_file("/plans/summer.txt", b"closed in August")

    def test_accounts(self):
        zoe = {"username": "zoe", "password": "Zoe-12345"}
        self.app.connect().send_request("sign_up", zoe)
        for wrong, error in (
            (zoe, AlreadyExists),
            ({**zoe, "password": "zoe"}, InvalidPayload),
            ({**zoe, "username": "no name"}, InvalidPayload),
        ):
            with self.assertRaises(error):
                self.app.connect().send_request("sign_up", wrong)
        again = self.app.connect()
        again.send_request("login", zoe)
        self.assertEqual(again.user.username, "zoe")
        with self.assertRaises(PermissionDenied):
            again.send_request("login", {**zoe, "password": "a guess"})

    def test_nobody_sees_what_is_not_shared(self):
        self.assertEqual(self.his.list_directory("/"), [])
        with self.assertRaises(NotFound):
            self.his.read_file("/plans/summer.txt")
        stranger = self.app.connect()
        with self.assertRaises(PermissionDenied):
            stranger.cloud().read_file("/plans/summer.txt")
        with self.assertRaises(Unauthenticated):
            stranger.send_request("make_folder", {"name": "mine"})

    def test_a_viewer_reads(self):
        self.hers.assign_role("/plans", "mike", "viewer")
        self.assertEqual(self.his.read_file("/plans/summer.txt"), b"closed in August")
        for refused in (
            lambda: self.his.write_file("/plans/summer.txt", b"mike was here"),
            lambda: self.his.write_file("/plans/new.txt", b"mike was here"),
            lambda: self.his.delete_file("/plans/summer.txt"),
            lambda: self.his.assign_role("/plans", "mike", "owner"),
            lambda: self.his.log("/plans"),
        ):
            with self.assertRaises(PermissionDenied):
                refused()

    def test_an_editor_writes_and_nothing_is_lost(self):
        self.hers.assign_role("/plans", "mike", "editor")
        self.assertEqual(self.his.write_file("/plans/summer.txt", b"closed in July").version, 2)
        with self.assertRaises(PermissionDenied):
            self.his.delete_file("/plans/summer.txt")
        self.hers.restore("/plans/summer.txt", version=1)
        self.assertEqual(self.his.read_file("/plans/summer.txt"), b"closed in August")
        self.assertEqual([each.by for each in self.hers.versions("/plans/summer.txt")], ["jane", "mike", "jane"])

    def test_what_was_refused_is_in_the_log(self):
        self.hers.assign_role("/plans", "mike", "viewer")
        with self.assertRaises(PermissionDenied):
            self.his.delete_file("/plans/summer.txt")
        last = self.hers.log("/plans", limit=1)[0]
        self.assertEqual((last.user, last.action_type, last.allowed), ("mike", "delete", False))
