"""Assigned roles on every database: what one user has where, in one statement, and the stored copy of a model."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy
from every_database import MySQLCase, PostgreSQLCase, SQLiteCase
from role_chains import moment, rules_of, time_of_day
from role_worlds import DAY, NAMES, ROOT, Assigned, World, assign, random_assigned, random_world, unassign
from twisted.internet import threads

from fluxon.cloud import assignments
from fluxon.cloud.constraints import ALWAYS, Constraint, constraint
from fluxon.cloud.identifiers import Identifiers
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Actor, Node, Rules, decide
from fluxon.cloud.tables import CONSTRAINTS, ITEMS, PERMISSIONS, ROLE_PERMISSIONS, ROLES, tables_for
from fluxon.cloud.users import Named, User, Users
from fluxon.database import models
from fluxon.errors import NotFound

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
READ, WRITE = Permissions.READ_FILE, Permissions.WRITE_FILE

_PLACE = sqlalchemy.insert(ITEMS)
_MOVE = sqlalchemy.update(ITEMS).where(ITEMS.c.id == sqlalchemy.bindparam("item"))
_MOVE = _MOVE.values({ITEMS.c.parent_id: sqlalchemy.bindparam("parent")})
_CREATORS = sqlalchemy.select(ITEMS.c.id, ITEMS.c.parent_id, ITEMS.c.creator_id)
_PAIRS = (
    sqlalchemy.select(ROLES.c.name, PERMISSIONS.c.name)
    .select_from(ROLE_PERMISSIONS.join(ROLES).join(PERMISSIONS))
    .order_by(ROLES.c.name, PERMISSIONS.c.name)
)


def declare_user() -> Any:
    class Person(models.AuthenticatedUser):
        username = models.CharField(max_length=40, unique=True)
        password = models.PasswordField()

    return Person


class Assignments:
    """What the room's statements promise."""

    database: Any
    Person: Any

    def declare(self) -> list[Any]:
        return [declare_user()]

    def make_tables(self) -> None:
        super().make_tables()  # type: ignore[misc]
        for table in tables_for(self.database.table(self.Person)):
            self.database.install(table)
        self.users = [self.Person.Insert(username=name, password="secret words") for name in ("jane", "mike", "zoe")]
        self.draw = Identifiers(lambda: NOW.timestamp()).draw
        self.write(self.place, ROOT, None, None)

    @staticmethod
    def place(connection: Any, item: int, parent: int | None, creator: Any) -> None:
        values = {"id": item, "parent_id": parent, "name": f"i{item}", "name_key": f"i{item}", "name_size": 2}
        times = {"created_at": NOW, "modified_at": NOW}
        connection.run(_PLACE, {**values, **times, "type": "directory", "creator_id": creator, "size": 0, "version": 0})

    def write(self, work: Callable[..., Any], *args: Any) -> Any:
        return self.database.write_blocking(work, *args)

    def read(self, work: Callable[..., Any], *args: Any) -> Any:
        return self.database.read_blocking(work, *args)

    async def in_thread_of_its_own(self, work: Callable[[], Any]) -> Any:
        return await threads.deferToThread(work)

    def synchronise(self, **roles: set[Permissions]) -> None:
        self.write(assignments.synchronise, roles, self.draw)

    def assign(self, item: int, user: Any, role: str, limits: Constraint = ALWAYS) -> bool:
        made: bool = self.write(assignments.assign, self.draw, item, user, role, limits, NOW)
        return made

    async def test_assigned_and_taken_again(self) -> None:
        """A role is there after ``assign`` and gone after ``unassign``; other users and items have nothing of it."""

        def work() -> None:
            jane, mike, _ = self.users
            self.synchronise(viewer={READ}, writer={WRITE})
            self.write(self.place, 2, ROOT, jane)
            self.assertTrue(self.assign(2, jane, "writer"))
            self.assertTrue(self.assign(2, jane, "viewer"))
            self.assertTrue(self.assign(ROOT, mike, "viewer"))
            self.assertEqual(self.read(assignments.of_user, jane, [2, ROOT], NOW), {2: ("viewer", "writer")})
            self.assertEqual(
                self.read(assignments.of_everybody, [2, ROOT], NOW),
                {jane: {2: ("viewer", "writer")}, mike: {ROOT: ("viewer",)}},
            )
            self.assertEqual(self.write(assignments.unassign, 2, jane, "nothing"), [])
            self.assertEqual(self.write(assignments.unassign, 2, jane, "viewer"), ["viewer"])
            self.assertEqual(self.read(assignments.of_user, jane, [2, ROOT], NOW), {2: ("writer",)})
            self.assertTrue(self.assign(2, jane, "viewer"))
            self.assertEqual(self.write(assignments.unassign, 2, jane), ["viewer", "writer"])
            self.assertEqual(self.read(assignments.of_user, jane, [2, ROOT], NOW), {})

        await self.in_thread_of_its_own(work)

    async def test_assigned_again(self) -> None:
        """Assigning again replaces all limits and makes no second row."""

        def work() -> None:
            jane = self.users[0]
            self.synchronise(viewer={READ})
            later = NOW + timedelta(days=1, microseconds=7)
            limited = constraint(later, "08:00", "17:30:15")
            for limits in (ALWAYS, limited, constraint(None, None, "06:00"), ALWAYS):
                self.assign(ROOT, jane, "viewer", limits)
                (only,) = self.read(assignments.at_item, ROOT)
                self.assertEqual((only.user_id, only.role, only.constraint), (jane, "viewer", limits))
            self.assertFalse(self.assign(ROOT, jane, "viewer", limited))
            self.assertEqual(self.read(assignments.of_user, jane, [ROOT], NOW), {ROOT: ("viewer",)})
            self.assertEqual(self.read(assignments.of_user, jane, [ROOT], NOW.replace(hour=18)), {})
            self.assertEqual(self.read(assignments.of_user, jane, [ROOT], later), {})
            self.assertEqual(self.read(assignments.of_everybody, [ROOT], later), {})
            self.write(assignments.unassign, ROOT, jane)
            self.assertEqual(self.read(lambda connection: connection.rows(sqlalchemy.select(CONSTRAINTS))), [])

        await self.in_thread_of_its_own(work)

    async def test_pages(self) -> None:
        """The assignments at an item come by their keys, a page at a time, and those that do not count as well."""

        def work() -> None:
            self.synchronise(viewer={READ})
            for user in self.users:
                self.assign(ROOT, user, "viewer", Constraint(NOW))
            first = self.read(assignments.at_item, ROOT, 0, 2)
            rest = self.read(assignments.at_item, ROOT, first[-1].id, 2)
            self.assertEqual([each.user_id for each in first + rest], self.users)
            self.assertEqual(self.read(assignments.at_item, 77), [])

        await self.in_thread_of_its_own(work)

    async def test_many_items(self) -> None:
        """More items than one statement takes are asked in several; each is answered once."""

        def work() -> None:
            jane = self.users[0]
            self.synchronise(viewer={READ})
            for item in (2, 3):
                self.write(self.place, item, ROOT, jane)
                self.assign(item, jane, "viewer")
            for others in (0, 6, 7, 70, 71, 1_022, 1_023, 5_000):
                items = [2, *range(10, 10 + others), 3]
                self.assertEqual(self.read(assignments.of_user, jane, items, NOW), {2: ("viewer",), 3: ("viewer",)})
            self.assertEqual(self.read(assignments.of_user, jane, [], NOW), {})

        await self.in_thread_of_its_own(work)

    async def test_who_is_gone(self) -> None:
        """A deleted user leaves no role behind for a later user, and what they made is Admin's."""

        def work() -> None:
            jane, mike, _ = self.users
            self.synchronise(viewer={READ})
            self.write(self.place, 2, ROOT, jane)
            self.assign(2, jane, "viewer", constraint(None, "08:00"))
            self.assign(2, mike, "viewer")
            self.Person.Delete(self.Person.id == jane)
            self.assertEqual([each.user_id for each in self.read(assignments.at_item, 2)], [mike])
            creators = self.read(lambda connection: connection.rows(_CREATORS))
            self.assertEqual({row.id: row.creator_id for row in creators}, {ROOT: None, 2: None})

        await self.in_thread_of_its_own(work)

    async def test_the_stored_model(self) -> None:
        """The copy follows the model; a role that the model lacks permits nothing and keeps its assignments."""

        def work() -> None:
            jane = self.users[0]

            def pairs() -> list[Any]:
                return [tuple(row) for row in self.read(lambda connection: connection.rows(_PAIRS))]

            self.synchronise(viewer={READ}, Viewer={WRITE}, writer={READ, WRITE})
            self.assertEqual(
                pairs(),
                [("Viewer", "WRITE_FILE"), ("viewer", "READ_FILE"), ("writer", "READ_FILE"), ("writer", "WRITE_FILE")],
            )
            self.assign(ROOT, jane, "writer")
            self.synchronise(viewer={READ, WRITE})
            self.assertEqual(pairs(), [("viewer", "READ_FILE"), ("viewer", "WRITE_FILE")])
            self.assertEqual(self.read(assignments.of_user, jane, [ROOT], NOW), {ROOT: ("writer",)})
            self.synchronise(viewer={READ, WRITE})
            names = [row.name for row in self.read(lambda connection: connection.rows(sqlalchemy.select(ROLES)))]
            self.assertEqual(sorted(names), ["Viewer", "viewer", "writer"])
            names = [row.name for row in self.read(lambda connection: connection.rows(sqlalchemy.select(PERMISSIONS)))]
            self.assertEqual(sorted(names), sorted(NAMES))

        await self.in_thread_of_its_own(work)

    async def test_users(self) -> None:
        """A user is found by key and by login name, exactly; nothing else is one."""

        def work() -> None:
            users = Users(self.database)
            jane = User(self.users[0], "jane")
            for named in (Named(self.users[0]), Named(name="jane")):
                self.assertEqual(self.read(users.get, named), jane)
            for nobody in (Named(0), Named("jane"), Named(2**70), Named(name="Jane"), Named(name="x" * 5_000)):
                self.assertIsNone(self.read(users.find, nobody), nobody)
            error = self.assertRaises(NotFound, self.read, users.get, Named(name="eve"))
            self.assertIn("there is no user eve", str(error))

        await self.in_thread_of_its_own(work)

    async def test_decisions_are_those_of_a_naive_implementation(self) -> None:
        """Random worlds, kept in the tables and changed there: the same decisions as brute force makes."""
        await self.in_thread_of_its_own(lambda: Comparison(self).run())


class Comparison:
    """2,000 decisions in 8 worlds, each kept in the database and beside it."""

    worlds, each = 8, 250

    def __init__(self, case: Any) -> None:
        self.case = case
        self.chance = random.Random(44)
        self.first = 1_000

    def run(self) -> None:
        asked = allowed = 0
        for _ in range(self.worlds):
            now = 1_700_000_000 + self.chance.randrange(3 * DAY)
            world = random_world(self.chance, now)
            self.store(world)
            rules = rules_of(world)
            for number in range(self.each):
                if number % 10 == 9:
                    self.change(world, now)
                user, item, name = self.chance.choice([1, 2, 3]), self.chance.choice([*world.parents]), ""
                name = self.chance.choice(NAMES)
                answer = self.case.read(self.decide, rules, user, item, Permissions[name], now)
                self.case.assertEqual(answer, world.may(user, item, name, now), (world, user, item, name, now))
                asked, allowed = asked + 1, allowed + answer
        self.case.assertEqual(asked, self.worlds * self.each)
        self.case.assertTrue(asked // 5 < allowed < asked - asked // 5, allowed)

    def key(self, item: int) -> int:
        """The root is every world's; other items are numbered on from world to world."""
        return ROOT if item == ROOT else self.first + item

    def user(self, user: int) -> Any:
        return self.case.users[user - 1]

    def store(self, world: World) -> None:
        self.first += 100
        Person = self.case.Person
        for user in (1, 2, 3):
            Person.Delete(Person.id == self.user(user))
            self.case.users[user - 1] = Person.Insert(username=f"w{self.first}u{user}", password="secret words")
        for item, parent in world.parents.items():
            if parent is not None:
                creator = world.creators[item]
                args = self.key(item), self.key(parent), None if creator is None else self.user(creator)
                self.case.write(self.case.place, *args)
        self.case.synchronise(
            lost=set(), **{role: {Permissions[name] for name in names} for role, names in world.roles.items()}
        )
        for assigned in world.assigned:
            self.assign(assigned)

    def assign(self, assigned: Assigned) -> None:
        limits = Constraint(moment(assigned.expires), time_of_day(assigned.begin), time_of_day(assigned.end))
        self.case.assign(self.key(assigned.item), self.user(assigned.user), assigned.role, limits)

    def change(self, world: World, now: int) -> None:
        kind = self.chance.randrange(8)
        if kind < 3:
            made = random_assigned(self.chance, world, now)
            if made.user in world.users:
                assign(world, made)
                self.assign(made)
        elif kind < 5 and world.assigned:
            old = self.chance.choice(world.assigned)
            unassign(world, old.item, old.user, old.role)
            if old.user in world.users:
                self.case.write(assignments.unassign, self.key(old.item), self.user(old.user), old.role)
        elif kind < 7:
            item = self.chance.choice([each for each in world.parents if each != ROOT])
            target = self.chance.choice([each for each in world.parents if each not in world.below(item)])
            world.parents[item] = target
            values = {"item": self.key(item), "parent": self.key(target)}
            self.case.write(lambda connection: connection.run(_MOVE, values))
        elif len(world.users) > 1:
            gone = self.chance.choice(sorted(world.users))
            world.users.discard(gone)
            world.assigned = [each for each in world.assigned if each.user != gone]
            self.case.Person.Delete(self.case.Person.id == self.user(gone))

    def decide(self, connection: Any, rules: Rules, user: int, item: int, permission: Permissions, now: int) -> bool:
        rows = {row.id: row for row in connection.rows(_CREATORS)}
        way: list[Any] = [rows[self.key(item)]]
        while way[-1].parent_id is not None:
            way.append(rows[way[-1].parent_id])
        at = datetime.fromtimestamp(now, UTC)
        roles = assignments.of_user(connection, self.user(user), [row.id for row in way], at)
        chain = [Node(row.id, row.creator_id is None, row.id == ROOT, roles.get(row.id, ())) for row in way]
        return decide(rules, Actor(self.user(user)), chain, permission).allowed


class TestSQLite(Assignments, SQLiteCase):
    """SQLite."""


class TestPostgreSQL(Assignments, PostgreSQLCase):
    """PostgreSQL."""


class TestMySQL(Assignments, MySQLCase):
    """MariaDB or MySQL."""
