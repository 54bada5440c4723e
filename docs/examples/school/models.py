"""What the school's database holds, in its second year. first_year.py has what it held before.

Tables are never made from this file directly: it is saved as a numbered schema file, and the database brought to that.

    python -m fluxon.database --config router.py saveschema
    python -m fluxon.database --config router.py updateschema
"""

import re

from fluxon.database import models
from fluxon.database.validators import validate_username

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


def validate_code(code):
    """A validator returns False for what is wrong, or raises ValueError with what to say."""
    if not re.fullmatch(r"[A-Z]{2}[1-9]", code):
        raise ValueError("is two capital letters and a digit, such as CS1")


class User(models.AuthenticatedUser):
    """Whoever can log in. A program has one model of this kind."""

    username = models.CharField(max_length=32, unique=True, validators=[validate_username])
    password = models.PasswordField()  # stored as an argon2id hash


class Person(models.Model):
    """What teachers and students have in common. An abstract model has no table of its own."""

    # One to one, and the key: a teacher has the number of their user. Who is deleted as a user is gone here, too.
    user = models.OneToOneField(to_table=User, primary_key=True, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)

    class Meta:
        abstract = True


class Teacher(Person):
    """Somebody who teaches courses."""


class Course(models.Model):
    """What is taught."""

    code = models.CharField(max_length=3, unique=True, validators=[validate_code])
    # In the first year this column was called "name". An update keeps what is in it.
    title = models.CharField(max_length=100, renamed_from="name")
    # Many courses have one teacher, who cannot go as long as there is one.
    teacher = models.ForeignKey(to_table=Teacher, on_delete=models.PROTECT)
    # New in the second year. The courses that are there get the default.
    seats = models.PositiveIntegerField(default=2)


class Student(Person):
    """Somebody who takes courses: many of them, each with many students."""

    courses = models.ManyToManyField(to_table=Course, through="Enrolment")


class Enrolment(models.Model):
    """A student and a course in a pair, and what is known of the two."""

    student = models.ForeignKey(to_table=Student, on_delete=models.CASCADE)
    course = models.ForeignKey(to_table=Course, on_delete=models.CASCADE)
    since = models.DateField(auto_now_add=True)
    # New in the second year, and empty until somebody gives one.
    mark = models.PositiveIntegerField(null=True, choices=[1, 2, 3, 4, 5, 6])

    class Meta:
        unique_together = [("student", "course")]


class Lesson(models.Model):
    """When and where a course is held. A table that is new in the second year."""

    course = models.ForeignKey(to_table=Course, on_delete=models.CASCADE)
    day = models.PositiveIntegerField(choices=list(enumerate(DAYS, 1)))  # stored: 1; shown: Monday
    begins = models.TimeField()
    ends = models.TimeField()
    room = models.CharField(max_length=10)

    class Meta:
        # What the database itself sees to, for every program that writes into it.
        unique_together = [("room", "day", "begins")]
        checks = {"in_order": lambda Lesson: Lesson.begins < Lesson.ends}
