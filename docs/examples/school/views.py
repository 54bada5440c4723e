"""What clients may ask of the school. Every public function here is a view, and answers under its own name.

What a view raises from fluxon.errors reaches its client as an exception of the same class, with the same text.
"""

from datetime import time

import sqlalchemy
from fluxon.database.query import where
from fluxon.errors import AlreadyExists, Conflict, InvalidPayload, NotFound, PermissionDenied, Unauthenticated

from models import Course, Enrolment, Lesson, Student, Teacher, User


async def login(request):
    """Log in. Who it is: "teacher" or "student"."""
    username, password = request.fields(username=str, password=str)
    user = await User.Authenticate(username, password)
    if user is None:
        raise PermissionDenied("wrong username or password")
    await request.login(user.id)
    return "teacher" if await Teacher.Get(user.id) else "student"


async def courses(request):
    """Every course: its code, title, teacher, seats, and how many of those are taken."""
    # Across a relation: the teacher's name is in another table, and the database joins the two.
    rows = await Course.Check(
        columns=[Course.id, Course.code, Course.title, Course.teacher.name, Course.seats], order_by=Course.code
    )
    # Sums and groups are not said in the words of models. They are SQLAlchemy's, on the tables of the models.
    database = request.server.database
    pair = database.table(Enrolment)
    taken = sqlalchemy.select(pair.c.course, sqlalchemy.func.count().label("students")).group_by(pair.c.course)
    students = {row.course: row.students for row in await database.run(taken)}
    return [[row.code, row.title, row.teacher_name, row.seats, students.get(row.id, 0)] for row in rows]


async def enrol(request):
    """Take a course, if a seat is left."""
    (code,) = request.fields(code=str)
    me = await _who(request, Student)

    # What belongs together is a transaction: a plain function, in which calls give their results at once. Nobody sees
    # a part of it, nobody comes between its lines, and if it raises, nothing of it is kept.
    def take_a_seat():
        course = Course.Get(where[Course.code == code])
        if course is None:
            raise NotFound(f"there is no course {code}")
        if Student.courses(me).add(course.id) == 0:  # how many of the pairs are new
            raise AlreadyExists(f"you take {code} already")
        if Enrolment.Count(where[Enrolment.course == course.id]) > course.seats:
            raise Conflict(f"{code} is full")  # and the pair is gone again
        return course.title

    return await request.server.database.transaction(take_a_seat)


async def leave(request):
    """Take a course no longer."""
    (code,) = request.fields(code=str)
    me = await _who(request, Student)
    course = await Course.Get(where[Course.code == code])
    if course is None or not await Student.courses(me).remove(course.id):
        raise NotFound(f"you take no {code}")


async def timetable(request):
    """The lessons of the one who asks, be they teacher or student: day, begin, end, title, teacher, room."""
    me = await _who(request)
    taken = [row.id for row in await Student.courses(me).list(columns=[Course.id])]
    rows = await Lesson.Check(
        where[(Lesson.course.teacher == me) | Lesson.course.in_(taken)],
        # Across two relations, from the lesson to its course to the teacher.
        columns=[Lesson.day, Lesson.begins, Lesson.ends, Lesson.course.title, Lesson.course.teacher.name, Lesson.room],
        order_by=[Lesson.day, Lesson.begins],
    )
    return list(rows)  # a row crosses as a list


async def marks(request):
    """The marks of the student who asks: title, mark."""
    me = await _who(request, Student)
    return await Enrolment.Check(
        where[(Enrolment.student == me) & Enrolment.mark.is_not_null()],
        columns=[Enrolment.course.title, Enrolment.mark],
        order_by=Enrolment.course.title,
    )


async def give_mark(request):
    """A teacher gives a student a mark in a course of theirs."""
    username, code, mark = request.fields(student=str, code=str, mark=int)
    me = await _who(request, Teacher)
    pair = where[
        (Enrolment.course.teacher == me)
        & (Enrolment.course.code == code)
        & (Enrolment.student.user.username == username)
    ]
    # A mark that is not among the choices is InvalidPayload, which names the column and what is wrong with it.
    if not await Enrolment.Update({Enrolment.mark: mark}, pair):
        raise NotFound(f"{username} takes no {code} of yours")


async def plan_lesson(request):
    """A teacher says when and where a course of theirs is held."""
    code, day, begins, ends, room = request.fields(code=str, day=int, begins=time, ends=time, room=str)
    me = await _who(request, Teacher)
    course = await Course.Get(where[(Course.code == code) & (Course.teacher == me)])
    if course is None:
        raise NotFound(f"you teach no {code}")
    if begins >= ends:
        raise InvalidPayload("a lesson begins before it ends")
    # Insert answers the new row's key, or False where a constraint forbids the row. Here only one is left that could.
    if await Lesson.Insert(course=course.id, day=day, begins=begins, ends=ends, room=room) is False:
        raise Conflict(f"room {room} is taken then")


async def resign(request):
    """A teacher leaves the school."""
    me = await _who(request, Teacher)
    try:
        await User.Delete(where[User.id == me])
    except Conflict:  # PROTECT: a course still refers to the teacher
        codes = [row.code for row in await Course.Check(where[Course.teacher == me], order_by=Course.code)]
        raise Conflict(f"who teaches {', '.join(codes)} then? Hand it over first") from None


async def hand_over(request):
    """A teacher gives a course to another."""
    code, username = request.fields(code=str, to=str)
    me = await _who(request, Teacher)
    other = await Teacher.Get(where[Teacher.user.username == username])
    if other is None:
        raise NotFound(f"there is no teacher {username}")
    if not await Course.Update({Course.teacher: other.user}, where[(Course.code == code) & (Course.teacher == me)]):
        raise NotFound(f"you teach no {code}")


async def _who(request, model=None):
    """The key of the one who asks, who has to be a teacher, or a student, where ``model`` says so."""
    if request.user is None:
        raise Unauthenticated()
    if model is not None and await model.Get(request.user.id) is None:
        raise PermissionDenied(f"this is for a {model.__name__.lower()}")
    return request.user.id
