"""The school's first year: the models as they were then, and what was stored with them.

A program of yours has no such file. It has one models.py that changes, and schema files that remember.
"""

from fluxon.database import models


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=32, unique=True)
    password = models.PasswordField()


class Teacher(models.Model):
    user = models.OneToOneField(to_table=User, primary_key=True, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)


class Course(models.Model):
    code = models.CharField(max_length=3, unique=True)
    name = models.CharField(max_length=100)
    teacher = models.ForeignKey(to_table=Teacher, on_delete=models.PROTECT)


class Student(models.Model):
    user = models.OneToOneField(to_table=User, primary_key=True, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    courses = models.ManyToManyField(to_table=Course, through="Enrolment")


class Enrolment(models.Model):
    student = models.ForeignKey(to_table=Student, on_delete=models.CASCADE)
    course = models.ForeignKey(to_table=Course, on_delete=models.CASCADE)
    since = models.DateField(auto_now_add=True)

    class Meta:
        unique_together = [("student", "course")]


PEOPLE = {
    Teacher: {"ada": "Ada Lovelace", "alan": "Alan Turing"},
    Student: {"emma": "Emma", "mike": "Mike", "zoe": "Zoe"},
}


def password_of(username):
    """Everybody's, in this example."""
    return f"{username.capitalize()}-123"


def fill():
    """Store the first year. Each call is a transaction of its own, and is answered when it is stored."""
    ids = {}
    for model, names in PEOPLE.items():
        for username, name in names.items():
            ids[username] = User.Insert(username=username, password=password_of(username))
            model.Insert(user=ids[username], name=name)
    # Many rows at once, all of them or none; their keys, in that order.
    engines, _ = Course.Insert(
        [
            {"code": "CS1", "name": "Engines", "teacher": ids["ada"]},
            {"code": "CS2", "name": "Machines", "teacher": ids["alan"]},
        ]
    )
    Student.courses(ids["emma"]).add(engines)  # a pair
