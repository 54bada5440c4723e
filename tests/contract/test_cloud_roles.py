"""Roles given, taken, listed and explained, on every database; and that nobody gets at what they do not hold."""

from __future__ import annotations

import random
from datetime import datetime, time, timedelta
from typing import Any

import cloud_cases

from fluxon.cloud import roles
from fluxon.cloud.agent import ADMIN, Agent
from fluxon.cloud.authorization_models import DefaultRole, Permissions, RoleBasedAccessControl, RootPermissions
from fluxon.cloud.users import Named
from fluxon.errors import ConfigurationError, InvalidPayload, NotFound, PermissionDenied

P = Permissions


class Model(RoleBasedAccessControl):
    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    class manager(RoleBasedAccessControl.Role):
        permissions = [P.READ_FILE, P.READ_TREE_DIRECTORY, P.ASSIGN_ROLES]

    class viewer(RoleBasedAccessControl.Role):
        permissions = [P.READ_FILE, P.READ_TREE_DIRECTORY]

    class nothing(RoleBasedAccessControl.Role):
        permissions = []

    RootPermissions(permissions=[P.CREATE_SUB_DIRECTORY])


def user(agent: Agent) -> Any:
    """What ``request.user`` is for an agent, as far as the cloud looks at it."""

    class User:
        id, username = agent.user_id, agent.name

    return User()


class Roles:
    """Jane made ``/jane`` and owns it; Mike has nothing."""

    storage: Any
    database: Any
    clock: Any
    jane: Agent
    mike: Agent
    add_user: Any
    model: Any = Model
    #: Of the random test: a server is asked for each of a try's questions.
    tries = 40

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        Model.bind(self.storage)
        self.addCleanup(Model.unbind)
        self.storage.make_directory(self.jane, "/jane")
        self.assertEqual(
            Model.assign_role(role=Model.owner, path="/jane", user=user(self.jane))["status"],
            "role assigned successfully",
        )
        self.storage.make_directory(self.jane, "/jane/sub")
        self.storage.write(self.jane, "/jane/sub/text", b"text")

    def may(self, agent: Agent, path: str) -> set[Any]:
        return set(Model.get_user_permissions(path, user(agent)))

    def last(self, count: int = 1) -> list[Any]:
        found = self.storage.log(ADMIN, limit=count + 1).entries
        return [each for each in found if each.action_type != "log"][:count]

    def test_the_seeds_status(self) -> None:
        """Exactly the seed's dict, however the user and the role are named."""
        key = self.mike.user_id
        expected = {
            "user_assigned": f"username: Mike; id: {key}",
            "cloud_relative_path": "/jane/sub/text",
            "role": "viewer",
            "status": "role assigned successfully",
        }
        for how in ({"user": user(self.mike)}, {"user_id": key}, {"username": "Mike"}):
            for role in (Model.viewer, "viewer"):
                self.assertEqual(Model.assign_role(role=role, path="/JANE/sub/text/", **how), expected)
        self.assertEqual(self.storage.read(self.mike, "/jane/sub/text"), b"text")
        self.assertEqual(len(self.storage.roles(ADMIN, "/jane/sub/text")), 1)

    def test_taken(self) -> None:
        """What was taken is named; that there was nothing to take is told, and is no error."""
        for role in (Model.viewer, Model.manager):
            Model.assign_role(role=role, path="/jane", username="Mike")
        status = Model.remove_role(role=Model.viewer, path="/jane", username="Mike")
        self.assertEqual((status["role"], status["status"]), ("viewer", "role removed successfully"))
        status = Model.remove_role(role=Model.viewer, path="/jane", username="Mike")
        self.assertEqual((status["role"], status["status"]), ("viewer", "no such role was assigned"))
        status = Model.remove_role(path="/jane", username="Mike")
        self.assertEqual((status["role"], status["status"]), ("manager", "role removed successfully"))
        status = Model.remove_role(path="/jane", username="Mike")
        self.assertEqual((status["role"], status["status"]), ("", "no such role was assigned"))
        self.assertEqual(self.storage.unassign(ADMIN, "/jane", self.jane.user_id), 1)
        self.assertEqual(self.may(self.jane, "/jane"), set())

    def test_questions(self) -> None:
        """Of a user at a path: whether they may assign, which roles count, what is permitted."""
        jane, mike = user(self.jane), user(self.mike)
        Model.assign_role(role=Model.viewer, path="/jane/sub", user=mike)
        self.assertIs(Model.can_assign_roles(path="/jane/sub/text", user=jane), True)
        self.assertIs(Model.can_assign_roles(path="/jane/sub/text", user=mike), False)
        self.assertIs(Model.can_assign_roles(path="/jane", user=None), False)
        self.assertIs(Model.can_assign_roles(path="/nowhere", user=jane), False)
        self.assertIs(Model.can_assign_roles(path="/jane", username="Nobody"), False)
        self.assertEqual(Model.get_user_role(path="/jane/sub/text", user=mike), ["viewer"])
        self.assertEqual(Model.get_user_role("/jane", user_id=self.mike.user_id), [])
        self.assertEqual(self.may(self.mike, "/jane/sub/text"), {P.READ_FILE, P.READ_TREE_DIRECTORY})
        self.assertEqual(Model.get_user_permissions("/", mike), {P.CREATE_SUB_DIRECTORY})
        self.assertEqual(Model.get_user_permissions("/", None), frozenset())
        for call in (Model.get_user_role, Model.get_user_permissions, Model.explain):
            self.assertRaises(NotFound, call, "/nowhere", mike)
            self.assertRaises(NotFound, call, "/jane", username="Nobody")
            self.assertRaises(InvalidPayload, call, "/../jane", mike)

    def test_explained(self) -> None:
        """Administrators are told where a right comes from, and who has one."""
        Model.assign_role(role=Model.viewer, path="/jane/sub", username="Mike")
        told = Model.explain("/jane/sub/text", user(self.mike), P.WRITE_FILE)
        self.assertEqual(
            (told.user, told.allowed, told.roles, told.found_at), ("Mike", False, ("viewer",), "/jane/sub")
        )
        self.assertEqual(
            str(told),
            "Mike at /jane/sub/text: WRITE_FILE is not granted: the role viewer is assigned at a directory above "
            "(/jane/sub)",
        )
        self.assertEqual(Model.explain("/jane", None).user, "anonymous")
        self.assertIs(Model.explain("/jane", username="Mike").allowed, None)
        found = Model.who_can("/jane/sub/text", "READ_FILE")
        self.assertEqual((found.users, found.but_not, found.every_other_user), (("Jane", "Mike"), (), False))
        found = Model.who_can("/jane/sub/text", P.WRITE_FILE)
        self.assertEqual((found.users, found.but_not, found.strangers), (("Jane",), ("Mike",), False))
        self.assertTrue(Model.who_can("/", P.CREATE_SUB_DIRECTORY).every_other_user)
        self.assertRaises(InvalidPayload, Model.who_can, "/", "FLY")
        self.assertRaises(NotFound, Model.who_can, "/nowhere", P.MOVE)

    def test_limits(self) -> None:
        """A role counts from one time of day to another, until it expires; then what is above counts again."""
        Model.assign_role(role=Model.viewer, path="/jane", username="Mike")
        noon = self.storage.now()
        expires = noon + timedelta(hours=2)
        limits = {"expires_at": expires, "valid_from": time(12, 30), "valid_until": "13:30"}
        Model.assign_role(role=Model.nothing, path="/jane/sub", username="Mike", **limits)
        (listed,) = self.storage.roles(self.jane, "/jane/sub")
        self.assertEqual((listed.path, listed.user, listed.role), ("/jane/sub", "Mike", "nothing"))
        self.assertEqual(
            (listed.expires_at, listed.valid_from, listed.valid_until), (expires, time(12, 30), time(13, 30))
        )
        open_, closed = {P.READ_FILE, P.READ_TREE_DIRECTORY}, set()
        for minutes, expected in ((0, open_), (30, closed), (59, closed), (1, open_)):
            self.clock.advance(60 * minutes)
            self.assertEqual(self.may(self.mike, "/jane/sub/text"), expected, minutes)
        Model.assign_role(role=Model.nothing, path="/jane/sub", username="Mike", expires_at=expires)
        for minutes, expected in ((0, closed), (30, open_)):
            self.clock.advance(60 * minutes)
            self.assertEqual(self.may(self.mike, "/jane/sub/text"), expected, minutes)
        self.assertRaises(
            InvalidPayload,
            Model.assign_role,
            role=Model.viewer,
            path="/jane",
            username="Mike",
            expires_at=datetime(2030, 1, 1),
        )

    def test_by_an_owner(self) -> None:
        """Who may assign roles, and holds all of it, may."""
        Model.assign_role(role=Model.owner, path="/jane/sub", username="Mike", by=user(self.jane))
        self.assertIn(P.ASSIGN_ROLES, self.may(self.mike, "/jane/sub/text"))
        self.assertEqual(self.storage.permissions(self.mike, "/jane/sub/text"), set(Permissions))
        self.assertEqual(self.storage.unassign(self.jane, "/jane/sub", "Mike", "owner"), 1)
        self.assertEqual(self.may(self.mike, "/jane/sub/text"), set())

    def test_nobody_grants_what_they_do_not_hold(self) -> None:
        """A manager gives the viewer's role, and neither an owner's to others nor one to themselves."""
        Model.assign_role(role=Model.manager, path="/jane", username="Mike")
        zoe, mike = self.add_user("Zoe"), user(self.mike)
        Model.assign_role(role=Model.viewer, path="/jane", user=user(zoe), by=mike)
        for whom in (zoe, self.mike):
            error = self.assertRaises(
                PermissionDenied, Model.assign_role, role=Model.owner, path="/jane", user=user(whom), by=mike
            )
            self.assertIn("permissions that you do not have at this path: CREATE_FILE", str(error))
        self.assertEqual(self.may(zoe, "/jane"), {P.READ_FILE, P.READ_TREE_DIRECTORY})

    def test_nobody_takes_what_they_do_not_hold(self) -> None:
        """A manager can demote an owner neither by taking their role nor by giving a smaller one further down."""
        Model.assign_role(role=Model.manager, path="/jane", username="Mike")
        mike, jane = user(self.mike), user(self.jane)
        self.assertRaises(PermissionDenied, Model.remove_role, path="/jane", user=jane, by=mike)
        self.assertRaises(PermissionDenied, Model.assign_role, role=Model.nothing, path="/jane/sub", user=jane, by=mike)
        self.assertEqual(self.may(self.jane, "/jane/sub"), set(Permissions))

    def test_nobody_lifts_their_own_restriction(self) -> None:
        """Who owns a directory and is only a manager in one below cannot take that smaller role off."""
        Model.assign_role(role=Model.owner, path="/jane", username="Mike")
        Model.assign_role(role=Model.manager, path="/jane/sub", username="Mike")
        mike = user(self.mike)
        self.assertRaises(PermissionDenied, Model.remove_role, path="/jane/sub", user=mike, by=mike)
        # The owner of both may.
        Model.remove_role(path="/jane/sub", user=mike, by=user(self.jane))
        self.assertEqual(self.may(self.mike, "/jane/sub"), set(Permissions))

    def test_strangers_and_the_powerless(self) -> None:
        """A stranger, one who sees nothing, and one who only reads: refused, and none learns which users there are."""
        Model.assign_role(role=Model.viewer, path="/jane/sub", username="Mike")
        for by, path in ((None, "/jane"), (user(self.mike), "/jane"), (user(self.mike), "/jane/sub")):
            texts = set()
            for whom in ("Jane", "Nobody"):
                error = self.assertRaises(
                    PermissionDenied, Model.assign_role, role=Model.viewer, path=path, username=whom, by=by
                )
                texts.add(str(error))
            self.assertEqual(len(texts), 1)
        self.assertRaises(PermissionDenied, self.storage.roles, self.mike, "/jane/sub")

    def test_hidden_is_as_missing(self) -> None:
        """At a path that is there and hidden, and at one that is not there, each call answers the same."""
        for call in (
            lambda path: self.storage.permissions(self.mike, path),
            lambda path: self.storage.roles(self.mike, path),
            lambda path: self.storage.assign(self.mike, path, "viewer", "Mike"),
            lambda path: self.storage.unassign(self.mike, path, "Mike"),
        ):
            hidden, missing = (self.assertRaises(PermissionDenied, call, path) for path in ("/jane", "/else"))
            self.assertEqual((str(hidden), hidden.details), (str(missing), missing.details))

    def test_wrong_arguments(self) -> None:
        """A role of another model, a user twice or not at all, a user or a path that is not there."""

        class Other(RoleBasedAccessControl):
            class viewer(RoleBasedAccessControl.Role):
                permissions = [P.READ_FILE]

        right = {"role": Model.viewer, "path": "/jane", "username": "Mike"}
        for error, wrong, text in (
            (InvalidPayload, {"role": Other.viewer}, "viewer is no role of Model, which has: owner, manager"),
            (InvalidPayload, {"role": "chief"}, "'chief' is no role"),
            (InvalidPayload, {"role": None}, "None is no role"),
            (TypeError, {"user_id": 3}, "name the user once"),
            (TypeError, {"username": None}, "name the user"),
            (InvalidPayload, {"username": None, "user": None}, "nobody is logged in"),
            (NotFound, {"username": "Nobody"}, "there is no user Nobody"),
            (NotFound, {"username": None, "user_id": 999}, "there is no user 999"),
            (NotFound, {"path": "/nowhere"}, "nothing at this path"),
            (InvalidPayload, {"path": "/a//b"}, ""),
            (InvalidPayload, {"valid_from": "noon"}, "valid_from"),
        ):
            caught = self.assertRaises(error, Model.assign_role, **{**right, **wrong})
            self.assertIn(text, str(caught))
        self.assertRaises(InvalidPayload, Model.remove_role, path="/jane", user=None)
        error = self.assertRaises(InvalidPayload, self.storage.assign, self.jane, "/jane", "chief", "Mike")
        self.assertIn("there are: owner, manager", str(error))

    def test_a_role_that_the_model_lost(self) -> None:
        """It permits nothing, cannot be given, is listed and explained, and can be taken."""
        Model.assign_role(role=Model.viewer, path="/jane", username="Mike")

        class Smaller(RoleBasedAccessControl):
            class owner(RoleBasedAccessControl.Role):
                permissions = list(Permissions)

            DefaultRole(owner)

        storage = self.make_storage_of(Smaller)
        self.assertEqual(roles.permissions_of(storage, "/jane", Named(name="Mike")), frozenset())
        self.assertIn("the model lacks viewer", str(roles.explain(storage, "/jane", Named(name="Mike"))))
        self.assertIn("viewer", [each.role for each in storage.roles(ADMIN, "/jane")])
        Smaller.bind(storage)
        self.addCleanup(Smaller.unbind)
        self.assertRaises(InvalidPayload, Smaller.assign_role, role="viewer", path="/jane", username="Mike")
        self.assertEqual(Smaller.remove_role(role="viewer", path="/jane", username="Mike")["role"], "viewer")
        self.assertEqual(roles.permissions_of(storage, "/jane", Named(name="Mike")), set(Permissions))

    def make_storage_of(self, model: Any) -> Any:
        self.storage.close()
        self.model = model
        return self.make_storage()  # type: ignore[attr-defined]

    def test_every_action_is_logged(self) -> None:
        """Given, taken, refused: a row each, with who, whom and what; questions of the server's code leave none."""
        Model.assign_role(role=Model.viewer, path="/jane", username="Mike", by=user(self.jane), valid_from="08:00")
        (row,) = self.last()
        self.assertEqual((row.user, row.action_type, row.path, row.outcome), ("Jane", "assign_role", "/jane", "ok"))
        for part in ('"user": "user Mike"', '"role": "viewer"', '"valid_from": "08:00:00"'):
            self.assertIn(part, row.details)
        Model.remove_role(path="/jane", username="Mike")
        self.assertEqual([(each.user, each.action_type) for each in self.last()], [("Admin", "remove_role")])
        self.assertRaises(
            PermissionDenied, Model.assign_role, role=Model.viewer, path="/jane", username="Mike", by=user(self.mike)
        )
        (row,) = self.last()
        self.assertEqual((row.user, row.allowed, row.outcome), ("Mike", False, "PermissionDenied"))
        Model.can_assign_roles("/jane", user(self.mike))
        Model.explain("/jane", None)
        self.assertEqual(self.last(), [row])

    def test_changes_are_told(self) -> None:
        """Whoever watches hears of a role that was given or taken, and not of one that was refused."""
        heard: list[Any] = []
        self.storage.changed.append(heard.append)
        Model.assign_role(role=Model.viewer, path="/jane", username="Mike")
        self.assertRaises(NotFound, Model.assign_role, role=Model.viewer, path="/jane", username="Nobody")
        Model.remove_role(path="/jane", username="Mike")
        Model.remove_role(path="/jane", username="Mike")
        self.assertEqual(
            [(each.action, each.path) for each in heard], [("assign_role", "/jane"), ("remove_role", "/jane")]
        )

    def test_random_roles_by_random_users(self) -> None:
        """Of many tries, those that are allowed change nothing for anybody, anywhere, that the actor did not hold."""
        chance = random.Random(6)
        people = [self.jane, self.mike, self.add_user("Zoe")]
        paths = ["/", "/jane", "/jane/sub", "/jane/sub/text"]
        Model.assign_role(role=Model.manager, path="/jane", username="Mike")
        allowed = refused = 0
        for _ in range(self.tries):
            by, whom, path = chance.choice(people), chance.choice(people), chance.choice(paths)
            role = chance.choice(list(Model.declared_roles))
            before = {(agent, at): self.may(agent, at) for agent in people for at in paths}
            try:
                if chance.random() < 0.6:
                    Model.assign_role(role=role, path=path, user=user(whom), by=user(by))
                else:
                    Model.remove_role(role=chance.choice([role, None]), path=path, user=user(whom), by=user(by))
            except (PermissionDenied, NotFound):
                refused += 1
                after = {place: self.may(*place) for place in before}
                self.assertEqual(before, after)
                if refused % 10 == 0:  # so that not everything ends up closed
                    Model.assign_role(role=role, path=path, user=user(whom))
                continue
            allowed += 1
            for place, had in before.items():
                changed = had ^ self.may(*place)
                self.assertLessEqual(changed, before[by, path], (by, whom, path, role, place))
        self.assertEqual(allowed + refused, self.tries)
        self.assertGreater(min(allowed, refused), self.tries // 10)


class TestSQLite(Roles, cloud_cases.SQLiteCloud):
    """On SQLite."""

    tries = 400

    def test_bound_and_not(self) -> None:
        """A model is one storage's at a time; without one it says what to do."""
        Model.bind(self.storage)
        self.assertIs(Model.storage, self.storage)
        other = object.__new__(type(self.storage))
        self.assertIn("another storage", str(self.assertRaises(ConfigurationError, Model.bind, other)))
        Model.unbind()
        for call in (lambda: Model.filesystem, lambda: Model.who_can("/", P.MOVE)):
            error = self.assertRaises(ConfigurationError, call)
            self.assertIn("Model is the model of no open storage: name it in router.py", str(error))

    def test_within_a_transaction(self) -> None:
        """A call of the cloud is a transaction of its own, and says so inside another."""
        call = lambda: Model.can_assign_roles("/", None)  # noqa: E731
        self.assertIn("of its own", str(self.assertRaises(RuntimeError, self.database.transaction, call)))


class TestPostgreSQL(Roles, cloud_cases.PostgreSQLCloud):
    """On PostgreSQL."""


class TestMySQL(Roles, cloud_cases.MySQLCloud):
    """On MariaDB or MySQL."""
