"""The school of the first description of Fluxon, word for word under the naming rule, on every database."""

from __future__ import annotations

import types
from datetime import UTC, date, datetime
from typing import Any

from every_database import MySQLCase, PostgreSQLCase, SQLiteCase, SQLiteThreadCase

from fluxon.database.query import where
from fluxon.errors import Conflict, InvalidPayload
from fluxon.security import Hash

MODELS = """
from fluxon.database import models

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.CharField(max_length=200)
    email = models.CharField(max_length=130, unique=True)
    user_creation_date = models.DateTimeField(auto_now_add=True)

class Teacher(models.Model):
    user = models.OneToOneField(to_table=User, primary_key=True)
    name = models.CharField(max_length=100)
    department = models.CharField(max_length=50)

class Course(models.Model):
    course_name = models.CharField(max_length=100)
    course_code = models.CharField(max_length=10)
    teacher = models.ForeignKey(to_table=Teacher, on_delete=models.CASCADE)

class Student(models.Model):
    user = models.OneToOneField(to_table=User, primary_key=True)
    name = models.CharField(max_length=100)
    birth_date = models.DateField()
    courses = models.ManyToManyField(to_table=Course, through='Enrollment')

class Enrollment(models.Model):
    student = models.ForeignKey(to_table=Student, on_delete=models.CASCADE)
    course = models.ForeignKey(to_table=Course, on_delete=models.CASCADE)
    date_enrolled = models.DateField(auto_now_add=True)
"""


class School:
    """The suite; a class at the end joins it with a database."""

    def declare(self: Any) -> list[Any]:
        module = types.ModuleType("school")
        exec(compile(MODELS, "models.py", "exec"), vars(module))
        names = ("User", "Teacher", "Course", "Student", "Enrollment")
        return [getattr(module, name) for name in names]

    async def fill(self: Any) -> None:
        """Two teachers (users 1 and 2) with three courses, two students (3 and 4) in some of them."""
        for number, name in enumerate(("Ada", "Alan", "Mike", "Jane"), 1):
            key = await self.ask(self.User.Insert, username=name, password="x", email=f"{name}@mail.com")
            self.assertEqual(key, number)
        for user, name, department in ((1, "Ada", "CS"), (2, "Alan", "Maths")):
            await self.ask(self.Teacher.Insert, user=user, name=name, department=department)
        for name, code, teacher in (("Engines", "CS1", 1), ("Machines", "CS2", 1), ("Numbers", "M1", 2)):
            await self.ask(self.Course.Insert, course_name=name, course_code=code, teacher=teacher)
        for user, name in ((3, "Mike"), (4, "Jane")):
            await self.ask(self.Student.Insert, user=user, name=name, birth_date=date(2000, 1, user))
        await self.ask(self.Student.courses(3).add, 1, 3)
        await self.ask(self.Student.courses(4).add, 3)

    async def test_the_examples(self: Any) -> None:
        """Insert by attributes and by keywords, Update, Check with fetch, Delete: each as it was first written."""
        User = self.User
        ask = self.ask
        first = await ask(User.Insert, {User.username: "Jack", User.password: "Mike@123abc", User.email: "a@mail.com"})
        second = await ask(User.Insert, username="Mike", password="Mike@123abc", email="b@mail.com")
        self.assertEqual((first, second), (1, 2))
        self.assertIs(await ask(User.Insert, username="Mike", password="Mike@123abc"), False)
        changed = await ask(User.Update, {User.email: "new_email_for_jake@mail.com"}, where[User.username == "Jack"])
        self.assertEqual(changed, 1)
        users = await ask(User.Check, where[User.username == "Jack"], fetch=5)
        self.assertEqual(users[0].email, "new_email_for_jake@mail.com")
        self.assertEqual(users[0].user_creation_date.date(), datetime.now(UTC).date())
        await ask(User.Delete, where[User.id == 3])
        self.assertEqual(len(await ask(User.Check)), 2)
        await ask(User.Delete)
        self.assertEqual(await ask(User.Check), [])

    async def test_the_login(self: Any) -> None:
        """A login by name and hash, as the first views had it, finds the user and nobody else."""
        User = self.User
        hashed = Hash.hash("Mike@123abc", algorithm=Hash.SHA512)
        user_id = await self.ask(User.Insert, username="Mike", password=hashed, email="m@mail.com")

        async def query(name: str, password: str) -> Any:
            condition = (User.username == name) & (User.password == Hash.hash(password, algorithm=Hash.SHA512))
            return await self.ask(User.Check, where[condition], fetch=1, columns=[User.id])

        self.assertEqual((await query("Mike", "Mike@123abc"))[0][0], user_id)
        for name, password in (("Mike", "mike@123abc"), ("mike", "Mike@123abc"), ("username", "Mike@123abc")):
            self.assertEqual(await query(name, password), [])

    async def test_courses_of_a_student(self: Any) -> None:
        """Enrolling, listing, leaving; the day is filled in."""
        await self.fill()
        courses = self.Student.courses(3)
        rows = await self.ask(courses.list, order_by="course_code")
        self.assertEqual([row.course_code for row in rows], ["CS1", "M1"])
        (enrolled,) = await self.ask(self.Enrollment.Check, where[self.Enrollment.student == 4])
        self.assertEqual((enrolled.course, enrolled.date_enrolled), (3, datetime.now(UTC).date()))
        self.assertEqual(await self.ask(courses.add, 1, 2), 1)
        self.assertEqual(await self.ask(courses.remove, 1), 1)
        self.assertEqual(await self.ask(courses.count), 2)
        await self.fails(Conflict, courses.add, 99)
        self.assertEqual(await self.ask(self.Student.courses(99).list), [])

    async def test_questions_across_the_school(self: Any) -> None:
        """Who takes what from whom, over four tables."""
        await self.fill()
        Course, Enrollment, Student = self.Course, self.Enrollment, self.Student
        courses = await self.ask(Course.Check, where[Course.teacher.department == "CS"], order_by="course_name")
        self.assertEqual([row.course_name for row in courses], ["Engines", "Machines"])
        condition = (Enrollment.course.teacher.user.username == "Alan") & (
            Enrollment.student.birth_date > date(2000, 1, 3)
        )
        rows = await self.ask(
            Enrollment.Check,
            where[condition],
            columns=[Enrollment.student.name, Enrollment.course.course_name],
        )
        self.assertEqual(rows, [("Jane", "Numbers")])
        both = where[Student.courses.has(1) & Student.courses.has(3)]
        self.assertEqual(await self.ask(Student.Check, both, columns=["name"]), [("Mike",)])

    async def test_who_leaves_takes_all_along(self: Any) -> None:
        """Deleting a user deletes the teacher, their courses, and the enrolments in those."""
        await self.fill()
        await self.ask(self.User.Delete, where[self.User.username == "Alan"])
        self.assertEqual(await self.ask(self.Teacher.Count), 1)
        self.assertEqual(await self.ask(self.Course.Count), 2)
        self.assertEqual(await self.ask(self.Enrollment.Count), 1)

    async def test_what_is_refused(self: Any) -> None:
        """A second row for one user, a teacher who is nobody, dates that are texts, texts that are too long."""
        await self.fill()
        self.assertIs(await self.ask(self.Teacher.Insert, user=1, name="x", department="y"), False)
        self.assertIs(await self.ask(self.Teacher.Insert, user=99, name="x", department="y"), False)
        error = await self.fails(
            InvalidPayload, self.Student.Insert, user="3", name="x" * 101, birth_date="2000-01-01", courses=[1]
        )
        self.assertEqual(set(error.details["fields"]), {"user", "name", "birth_date", "courses"})


class OnSQLite(School, SQLiteCase):
    """SQLite, on the reactor's thread."""


class OnSQLiteInAThread(School, SQLiteThreadCase):
    """SQLite, in a thread."""


class OnPostgreSQL(School, PostgreSQLCase):
    """PostgreSQL, on the reactor's thread."""


class OnMySQL(School, MySQLCase):
    """MariaDB or MySQL, in a thread."""
