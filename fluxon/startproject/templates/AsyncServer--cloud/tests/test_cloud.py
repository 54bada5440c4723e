"""Tests of the cloud storage: who may do what with files. Its bytes are in a temporary folder."""

import unittest

from fluxon.errors import PermissionDenied
from fluxon.testing import MemoryServer

import router
from models import User


class CloudTests(unittest.TestCase):
    def setUp(self):
        self.app = self.enterContext(MemoryServer(router.setup))
        self.jane = self.connect("jane")
        self.mike = self.connect("mike")
        # The files as each of them sees them: the calls are those of CloudStorageConnector.
        self.janes_files = self.jane.cloud()
        self.mikes_files = self.mike.cloud()
        self.janes_files.create_directory("/janes_dir")
        self.jane.send_request("assign_me_as_owner", {"path": "/janes_dir"})
        self.janes_files.write_file("/janes_dir/note.txt", b"hello")

    def connect(self, name):
        """A client that is logged in as a new user."""
        return self.app.connect(User.Insert(username=name, email=f"{name}@example.com", password="Secret123"))

    def test_the_owner_writes(self):
        self.janes_files.write_file("/janes_dir/note.txt", b"hello again")
        self.assertEqual(self.janes_files.read_file("/janes_dir/note.txt"), b"hello again")

    def test_a_viewer_reads_and_does_not_write(self):
        self.jane.send_request("assign_user_as_viewer", {"user_to_assign": "mike", "path": "/janes_dir"})
        self.assertEqual(self.mikes_files.read_file("/janes_dir/note.txt"), b"hello")
        with self.assertRaises(PermissionDenied):
            self.mikes_files.write_file("/janes_dir/note.txt", b"mike was here")

    def test_only_the_owner_shares(self):
        answer = self.mike.send_request("assign_user_as_viewer", {"user_to_assign": "mike", "path": "/janes_dir"})
        self.assertIn("you can't assign roles", answer["response"])

    def test_what_another_made_cannot_be_claimed(self):
        answer = self.mike.send_request("assign_me_as_owner", {"path": "/janes_dir"})
        self.assertIn("ownership refused", answer["response"])
