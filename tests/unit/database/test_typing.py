"""A type checker, and so an editor, sees what a model's attributes are."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from mypy import api
from twisted.trial.unittest import SynchronousTestCase

GOOD = """
    from typing import assert_type

    from fluxon.database import models
    from fluxon.database.attributes import Attribute, Order, Relation
    from fluxon.database.linking import Links
    from fluxon.database.query import Expression, where

    class User(models.AuthenticatedUser):
        username = models.CharField(max_length=100, unique=True)
        joined = models.DateTimeField(auto_now_add=True)

    class Course(models.Model):
        price = models.DecimalField(max_digits=8, decimal_places=2)
        teacher = models.ForeignKey(to_table=User, on_delete=models.CASCADE)
        pupils = models.ManyToManyField(User, through="Pupil")

    assert_type(User.username, Attribute)
    assert_type(User.joined.desc(), Order)
    assert_type(Course.price > 5, Expression)
    assert_type(Course.teacher, Relation)
    assert_type(Course.teacher.username == "x", Expression)
    assert_type(Course.pupils, Links)
    assert_type(where[(User.username == "x") & ~User.username.in_(["y"])], Expression)

    async def view() -> None:
        found = await Course.Check(where[Course.teacher.username.startswith("a")], order_by=Course.price)
        print(found[0].price, await User.Insert({User.username: "x"}), await Course.pupils(1).list())
"""

BAD = """
    from fluxon.database import models
    from fluxon.database.query import where

    class User(models.AuthenticatedUser):
        username = models.CharField(max_lenght=100)

    User.username.nothing
    where[User.username]
    where[User.username == "x" and True]
"""


class Typing(SynchronousTestCase):
    """mypy, strict, on small programs."""

    def check(self, program: str) -> list[str]:
        """What mypy says of it, by line."""
        path = Path("program.py").absolute()
        path.write_text(dedent(program))
        said, trouble, _ = api.run(["--strict", "--config-file=", f"--cache-dir={path.parent}/cache", str(path)])
        self.assertEqual(trouble, "")
        return [line for line in said.splitlines() if line.startswith("program.py") or "error:" in line]

    def test_programs(self) -> None:
        """A right program has no error; each mistake of a wrong one is found where it is."""
        self.assertEqual(self.check(GOOD), [])
        lines = [int(line.split("program.py:")[1].split(":")[0]) for line in self.check(BAD)]
        self.assertEqual(sorted(set(lines)), [6, 8, 9, 10])
