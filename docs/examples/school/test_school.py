"""Tests of the school: python -m unittest

Each has a server of its own in memory: the views, an empty database, and clients, without a network. Nothing of what
the school keeps is touched.
"""

import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import time

from fluxon.errors import AlreadyExists, Conflict, InvalidPayload, NotFound, PermissionDenied, Unauthenticated
from fluxon.testing import MemoryServer

import router
from models import Course, Enrolment, Student, Teacher, User

NINE, TEN, ELEVEN = time(9), time(10), time(11)


class SchoolTests(unittest.TestCase):
    """A teacher, two students, and a course with two seats."""

    def setUp(self):
        self.app = self.enterContext(MemoryServer(router.setup))
        self.ada, self.emma, self.mike = (
            self.arrive(name, model) for name, model in (("ada", Teacher), ("emma", Student), ("mike", Student))
        )
        self.engines = Course.Insert(code="CS1", title="Engines", teacher=self.ada.user.id)

    def arrive(self, username, model):
        """A client that is logged in as somebody new."""
        user_id = User.Insert(username=username, password="Secret-123")
        model.Insert(user=user_id, name=username.capitalize())
        return self.app.connect(user_id)

    def test_a_day(self):
        self.ada.send_request("plan_lesson", {"code": "CS1", "day": 1, "begins": NINE, "ends": TEN, "room": "A1"})
        self.assertEqual(self.emma.send_request("timetable"), [])
        self.assertEqual(self.emma.send_request("enrol", {"code": "CS1"}), "Engines")
        lesson = [1, NINE, TEN, "Engines", "Ada", "A1"]
        for somebody in (self.emma, self.ada):
            self.assertEqual(somebody.send_request("timetable"), [lesson])
        self.ada.send_request("give_mark", {"student": "emma", "code": "CS1", "mark": 2})
        self.assertEqual(self.emma.send_request("marks"), [["Engines", 2]])
        self.assertEqual(self.mike.send_request("marks"), [])

    def test_the_last_seats(self):
        students = [self.arrive(f"student{number}", Student) for number in range(6)]

        def enrol(student):
            try:
                return student.send_request("enrol", {"code": "CS1"})
            except Conflict as error:
                return error.text

        with ThreadPoolExecutor() as pool:  # all at once
            answers = list(pool.map(enrol, students))
        self.assertEqual(sorted(answers), ["CS1 is full"] * 4 + ["Engines"] * 2)
        self.assertEqual(Enrolment.Count(), 2)

    def test_a_course_is_taken_once(self):
        self.emma.send_request("enrol", {"code": "CS1"})
        with self.assertRaises(AlreadyExists):
            self.emma.send_request("enrol", {"code": "CS1"})
        self.emma.send_request("leave", {"code": "CS1"})
        with self.assertRaises(NotFound):
            self.emma.send_request("leave", {"code": "CS1"})
        self.assertEqual(self.emma.send_request("courses"), [["CS1", "Engines", "Ada", 2, 0]])

    def test_what_the_database_forbids(self):
        self.emma.send_request("enrol", {"code": "CS1"})
        with self.assertRaises(InvalidPayload) as caught:
            self.ada.send_request("give_mark", {"student": "emma", "code": "CS1", "mark": 7})
        self.assertEqual(set(caught.exception.details["fields"]), {"mark"})
        lesson = {"code": "CS1", "day": 1, "begins": NINE, "ends": TEN, "room": "A1"}
        self.ada.send_request("plan_lesson", lesson)
        with self.assertRaisesRegex(Conflict, "A1 is taken"):
            self.ada.send_request("plan_lesson", {**lesson, "ends": ELEVEN})
        with self.assertRaisesRegex(Conflict, "who teaches CS1"):
            self.ada.send_request("resign")
        with self.assertRaisesRegex(InvalidPayload, "two capital letters"):
            Course.Insert(code="cs1", title="x", teacher=self.ada.user.id)

    def test_who_may_do_what(self):
        self.emma.send_request("enrol", {"code": "CS1"})
        mark = {"student": "emma", "code": "CS1", "mark": 1}
        for somebody, error in ((self.app.connect(), Unauthenticated), (self.emma, PermissionDenied)):
            with self.assertRaises(error):
                somebody.send_request("give_mark", mark)
        alan = self.arrive("alan", Teacher)
        with self.assertRaises(NotFound):  # it is Ada's course
            alan.send_request("give_mark", mark)

    def test_who_leaves_takes_all_along(self):
        self.emma.send_request("enrol", {"code": "CS1"})
        User.Delete(User.username == "emma")
        self.assertEqual((Student.Count(), Enrolment.Count()), (1, 0))
        alan = self.arrive("alan", Teacher)
        self.ada.send_request("hand_over", {"code": "CS1", "to": "alan"})
        self.ada.send_request("resign")
        self.assertEqual(alan.send_request("courses"), [["CS1", "Engines", "Alan", 2, 0]])
