"""Authorization models: the seed's own declaration, and every way of getting one wrong."""

from __future__ import annotations

import gc
import threading
from typing import Any

from twisted.trial.unittest import TestCase

from fluxon.cloud import authorization_models
from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)
from fluxon.errors import ConfigurationError

# The seed's declaration, word for word but for its naming rule.
SEED = """
from fluxon.cloud.authorization_models import RoleBasedAccessControl, Permissions, DefaultRole, AnonymousPermissions

# write as many authorization models as you want
# you can alternate between models in `router.py`

class CloudAuthorizationModel(RoleBasedAccessControl):
    # roles and permissions definition goes here...
    class owner(RoleBasedAccessControl.Role):
        permissions=[
            Permissions.CREATE_FILE,
            Permissions.READ_FILE,
            Permissions.WRITE_FILE,
            Permissions.DELETE_FILE,
            Permissions.CREATE_SUB_DIRECTORY,
            Permissions.DELETE_SUB_DIRECTORY,
            Permissions.READ_TREE_DIRECTORY
        ]

    class collaborator(RoleBasedAccessControl.Role):
        permissions=[
            Permissions.READ_FILE,
            Permissions.WRITE_FILE,
            Permissions.READ_TREE_DIRECTORY,
            Permissions.CREATE_FILE
        ]

    class viewer(RoleBasedAccessControl.Role):
        permissions=[
            Permissions.READ_FILE,
            Permissions.READ_TREE_DIRECTORY
        ]

    # set default role as viewer (remove the statement or replace it by `None` if to disable)
    DefaultRole(viewer)
    AnonymousPermissions(
        permissions=[
            # anonymous users get zero permissions (in this example at least)
        ]
    )
"""

READ, WRITE, MAKE = Permissions.READ_FILE, Permissions.WRITE_FILE, Permissions.CREATE_SUB_DIRECTORY


class TestDeclaration(TestCase):
    def test_the_seeds_own(self) -> None:
        """The seed's text runs as it stands, and means what it says."""
        names: dict[str, Any] = {}
        exec(SEED, names)
        model = names["CloudAuthorizationModel"]
        self.assertEqual(list(model.rules.roles), ["owner", "collaborator", "viewer"])
        self.assertEqual(model.rules.roles["viewer"], {READ, Permissions.READ_TREE_DIRECTORY})
        self.assertEqual(len(model.rules.roles["owner"]), 7)
        self.assertEqual(model.rules.default, "viewer")
        self.assertEqual(model.rules.anonymous, frozenset())
        self.assertEqual(model.rules.root, frozenset())
        self.assertTrue(issubclass(model.viewer, RoleBasedAccessControl.Role))
        self.assertIn("CloudAuthorizationModel", repr(model))
        self.assertFalse(hasattr(model, "DefaultRole"))

    def test_all_statements(self) -> None:
        """What each statement says is in the rules; without any there is no default role and nothing is granted."""

        class Full(RoleBasedAccessControl):
            class viewer(RoleBasedAccessControl.Role):
                permissions = (READ,)

            DefaultRole(None)
            AnonymousPermissions([READ])
            RootPermissions(permissions={MAKE})

        class Bare(RoleBasedAccessControl):
            pass

        self.assertIsNone(Full.rules.default)
        self.assertEqual((Full.rules.anonymous, Full.rules.root), ({READ}, {MAKE}))
        self.assertEqual((Bare.rules.default, Bare.rules.anonymous, Bare.rules.root), (None, frozenset(), frozenset()))
        self.assertEqual(dict(Bare.rules.roles), {})

    def test_models_do_not_touch_each_other(self) -> None:
        """Several models in a program, one declared in the body of another too: each statement is its own body's."""

        class Outer(RoleBasedAccessControl):
            class viewer(RoleBasedAccessControl.Role):
                permissions = [READ]

            def inner() -> Any:  # type: ignore[misc]
                class Inner(RoleBasedAccessControl):
                    class writer(RoleBasedAccessControl.Role):
                        permissions = [WRITE]

                    DefaultRole(writer)

                return Inner

            made = staticmethod(inner)
            DefaultRole(viewer)

        self.assertEqual(Outer.rules.default, "viewer")
        self.assertEqual(Outer.made().rules.default, "writer")

    def test_a_model_derived_from_another(self) -> None:
        """It has the other's roles and statements, and may replace either."""

        class First(RoleBasedAccessControl):
            class viewer(RoleBasedAccessControl.Role):
                permissions = [READ]

            class writer(RoleBasedAccessControl.Role):
                permissions = [WRITE]

            DefaultRole(viewer)
            AnonymousPermissions(permissions=[READ])
            RootPermissions(permissions=[MAKE])

        class Second(First):
            class viewer(First.viewer):
                permissions = [READ, WRITE]

            AnonymousPermissions(permissions=[])

        class Third(First):
            DefaultRole(First.writer)

        self.assertEqual(dict(Second.rules.roles), {"viewer": {READ, WRITE}, "writer": {WRITE}})
        self.assertEqual((Second.rules.default, Second.rules.anonymous, Second.rules.root), ("viewer", set(), {MAKE}))
        self.assertEqual(First.rules.roles["viewer"], {READ})
        self.assertEqual(Third.rules.default, "writer")

    def test_threads_declare_at_once(self) -> None:
        """Two modules imported by two threads: statements of the one are never the other's."""
        found: list[Any] = []
        together = threading.Barrier(2)

        def declare(permission: Permissions) -> None:
            class Model(RoleBasedAccessControl):
                together.wait(10)
                AnonymousPermissions(permissions=[permission])
                together.wait(10)

            found.append((permission, Model.rules.anonymous))

        threads = [threading.Thread(target=declare, args=(permission,)) for permission in (READ, WRITE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(len(found), 2)
        for permission, anonymous in found:
            self.assertEqual(anonymous, {permission})


class TestMisplaced(TestCase):
    def refused(self, call: Any, *args: Any) -> None:
        error = self.assertRaises(ConfigurationError, call, *args)
        self.assertIn("in the body of a class that derives from RoleBasedAccessControl", str(error))

    def test_outside_of_a_body(self) -> None:
        """Called where no model is declared they say where they belong."""
        self.refused(DefaultRole, None)
        self.refused(AnonymousPermissions, [])
        self.refused(RootPermissions, [])
        self.refused(authorization_models.DefaultRole, None)

    def test_after_a_body_that_failed(self) -> None:
        """A body that raised is forgotten, also while its error is still at hand."""
        try:

            class Broken(RoleBasedAccessControl):
                AnonymousPermissions(permissions=[])
                raise ZeroDivisionError
        except ZeroDivisionError as error:
            self.refused(DefaultRole, None)
            del error
        gc.collect()
        self.refused(DefaultRole, None)

    def test_in_the_body_of_a_role(self) -> None:
        """A role's body is not its model's."""

        def declare() -> None:
            class Model(RoleBasedAccessControl):
                class viewer(RoleBasedAccessControl.Role):
                    permissions = [READ]
                    AnonymousPermissions(permissions=[])

        self.refused(declare)


def body(text: str) -> str:
    lines = "\n".join(f"    {line}" for line in text.strip("\n").split("\n"))
    return f"class Files(RoleBasedAccessControl):\n{lines}\n"


VIEWER = """
class viewer(RoleBasedAccessControl.Role):
    permissions = [Permissions.READ_FILE]
"""

MISTAKES = {
    "class viewer(RoleBasedAccessControl.Role):\n    permissions = ['READ_FILE']": (
        "Files.viewer: 'READ_FILE' is no permission; write Permissions."
    ),
    "class viewer(RoleBasedAccessControl.Role):\n    permissions = Permissions.READ_FILE": (
        "Files.viewer: permissions is a list, as [Permissions.READ_FILE]; not <Permissions.READ_FILE"
    ),
    "class viewer(RoleBasedAccessControl.Role):\n    permissions = 'READ_FILE'": "Files.viewer: permissions is a list",
    "class viewer(RoleBasedAccessControl.Role):\n    permission = []": "Files.viewer has no permissions",
    "class viewer:\n    permissions = []": "Files.viewer is no role; derive it from RoleBasedAccessControl.Role",
    "viewer = RoleBasedAccessControl.Role": "Files.viewer is no role",
    "class _viewer(RoleBasedAccessControl.Role):\n    permissions = []": "does not begin with an underscore",
    f"class {'v' * 256}(RoleBasedAccessControl.Role):\n    permissions = []": "has 255 bytes at most",
    "class Role(RoleBasedAccessControl.Role):\n    permissions = []": "Files.Role: this name is taken",
    "class rules(RoleBasedAccessControl.Role):\n    permissions = []": "Files.rules: this name is taken",
    "class mro(RoleBasedAccessControl.Role):\n    permissions = []": "Files.mro: this name is taken",
    "class DefaultRole(RoleBasedAccessControl.Role):\n    permissions = []": "this name is the statement's",
    VIEWER + VIEWER: "Files has two roles that are called viewer",
    VIEWER + "DefaultRole(viewer)\nDefaultRole(None)": "Files says DefaultRole twice",
    "AnonymousPermissions([])\nAnonymousPermissions([])": "Files says AnonymousPermissions twice",
    "RootPermissions([])\nRootPermissions([])": "Files says RootPermissions twice",
    "DefaultRole('viewer')": "DefaultRole takes a role that is declared above it, or None; not 'viewer'",
    "DefaultRole(int)": "Files: DefaultRole takes a role that is declared above it, or None; not int",
    "DefaultRole(RoleBasedAccessControl.Role)": "Files: DefaultRole takes a role",
    "number = int\nDefaultRole(int)": "Files: DefaultRole takes a role",
    "AnonymousPermissions(permissions=['FLY'])": "Files: AnonymousPermissions: 'FLY' is no permission",
    "AnonymousPermissions(permissions=None)": "Files: AnonymousPermissions: permissions is a list",
    "RootPermissions(permissions=[int])": "Files: RootPermissions: int is no permission",
}


class TestMistakes(TestCase):
    def test_each_is_told(self) -> None:
        """Whatever is wrong is a ConfigurationError that names the model, and the role if there is one."""
        for text, expected in MISTAKES.items():
            error = self.assertRaises(ConfigurationError, exec, body(text), dict(globals()))
            self.assertIn(expected, str(error))
            self.assertIn("Files", str(error))

    def test_a_method_in_place_of_a_role(self) -> None:
        """In a derived model a role may be replaced by a role, and by nothing else."""
        names = dict(globals())
        exec(body(VIEWER), names)
        text = "class Other(Files):\n    viewer = None\n"
        error = self.assertRaises(ConfigurationError, exec, text, names)
        self.assertIn("Other.viewer replaces the role viewer", str(error))

    def test_nothing_is_made_of_a_model(self) -> None:
        """A model is used as the class that it is."""
        names = dict(globals())
        exec(body(VIEWER), names)
        self.assertIn("Files is not instantiated", str(self.assertRaises(TypeError, names["Files"])))
