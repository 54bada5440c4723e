"""Verdicts of the cloud's policy: each of its sentences, and the reasons that people read."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from fluxon.cloud.permissions import ALL, Permissions
from fluxon.cloud.policy import ADMIN, STRANGER, Actor, Node, Rules, decide, effective, effective_below

READ, WRITE, LIST, MAKE = (
    Permissions.READ_FILE,
    Permissions.WRITE_FILE,
    Permissions.READ_TREE_DIRECTORY,
    Permissions.CREATE_SUB_DIRECTORY,
)
RULES = Rules(
    {"viewer": frozenset({READ, LIST}), "writer": frozenset({WRITE})},
    default="viewer",
    anonymous=frozenset({LIST}),
    root=frozenset({MAKE}),
)
JANE = Actor(1)
ROOT = Node(1, True, is_root=True)


class TestEffective(TestCase):
    def test_admin_may_everything(self) -> None:
        """Code of the server that names no user is never refused, not even by a model without roles."""
        self.assertEqual(effective(Rules({}), ADMIN, [ROOT]).permissions, ALL)

    def test_strangers_have_the_anonymous_permissions_only(self) -> None:
        """Neither the default role nor the root permissions nor anybody's roles are a stranger's."""
        for chain in ([ROOT], [Node(2, False), ROOT]):
            self.assertEqual(effective(RULES, STRANGER, chain).permissions, {LIST})

    def test_the_nearest_assignment_replaces_what_is_above(self) -> None:
        """A role at the item is all there is, however much more the directory's role grants."""
        chain = [Node(3, False, roles=("writer",)), Node(2, False, roles=("viewer",)), ROOT]
        self.assertEqual(effective(RULES, JANE, chain).permissions, {WRITE})
        self.assertEqual(effective(RULES, JANE, chain[1:]).permissions, {READ, LIST})

    def test_a_role_goes_down(self) -> None:
        """What lies below an assignment has its role."""
        chain = [Node(4, False), Node(3, False), Node(2, False, roles=("writer",)), ROOT]
        self.assertEqual(effective(RULES, JANE, chain).permissions, {WRITE})

    def test_several_roles_at_one_item_are_joined(self) -> None:
        """Two assignments at one item grant what either grants."""
        chain = [Node(2, False, roles=("writer", "viewer")), ROOT]
        self.assertEqual(effective(RULES, JANE, chain).permissions, {WRITE, READ, LIST})

    def test_what_admin_made_is_closed(self) -> None:
        """Roles above an item that Admin made do not reach it, nor what lies below it."""
        chain = [Node(3, True), Node(2, False, roles=("writer",)), ROOT]
        self.assertEqual(effective(RULES, JANE, chain).permissions, {READ, LIST})
        self.assertEqual(effective(RULES, JANE, [Node(4, False), *chain]).permissions, {READ, LIST})

    def test_an_assignment_opens_what_admin_made(self) -> None:
        """On an item of Admin's, and below it, an assignment counts as anywhere."""
        chain = [Node(2, True, roles=("writer",)), ROOT]
        self.assertEqual(effective(RULES, JANE, chain).permissions, {WRITE})
        self.assertEqual(effective(RULES, JANE, [Node(3, False), *chain]).permissions, {WRITE})

    def test_without_a_default_role_nothing_is_granted(self) -> None:
        """``DefaultRole(None)``: who has no role has nothing."""
        self.assertEqual(effective(Rules(RULES.roles), JANE, [Node(2, False), ROOT]).permissions, frozenset())

    def test_a_role_that_the_model_lacks_replaces_and_grants_nothing(self) -> None:
        """A role that was taken out of the model must not open what a narrower one had closed."""
        chain = [Node(3, False, roles=("gone",)), Node(2, False, roles=("viewer",)), ROOT]
        self.assertEqual(effective(RULES, JANE, chain).permissions, frozenset())

    def test_a_chain_without_its_top(self) -> None:
        """Were a chain ever read without ``/``, nothing would be granted beyond the default role."""
        self.assertEqual(effective(RULES, JANE, [Node(3, False), Node(2, False)]).permissions, {READ, LIST})

    def test_root_permissions_are_for_the_root_alone(self) -> None:
        """They are added to whatever a user has at ``/``, and are not handed down."""
        self.assertEqual(effective(RULES, JANE, [ROOT]).permissions, {MAKE, READ, LIST})
        root = Node(1, True, True, ("writer",))
        self.assertEqual(effective(RULES, JANE, [root]).permissions, {MAKE, WRITE})
        self.assertEqual(effective(RULES, JANE, [Node(2, False), root]).permissions, {WRITE})


class TestGoingDown(TestCase):
    def test_a_tree_without_chains(self) -> None:
        """Going down from a directory's grant gives what each item's own chain gives, reasons included."""
        nodes = [
            Node(2, False),
            Node(3, False, roles=("writer", "gone")),
            Node(4, False),
            Node(8, False),
            Node(5, True),
            Node(6, False),
            Node(7, True, roles=("viewer",)),
        ]
        for actor in (ADMIN, STRANGER, JANE):
            for root in (ROOT, Node(1, True, True, ("viewer",))):
                chain = [root]
                grant = effective(RULES, actor, chain)
                for node in nodes:
                    chain.insert(0, node)
                    grant = effective_below(RULES, actor, grant, node)
                    self.assertEqual(grant, effective(RULES, actor, chain))


class TestReasons(TestCase):
    def reason(self, *chain: Node, actor: Actor = JANE, rules: Rules = RULES) -> str:
        return decide(rules, actor, chain, READ).reason

    def test_a_verdict_names_the_permission(self) -> None:
        """What was asked and what was answered stand in the reason."""
        self.assertEqual(self.reason(ROOT, actor=ADMIN), "READ_FILE is granted: Admin may do everything")
        verdict = decide(RULES, STRANGER, [ROOT], READ)
        self.assertFalse(verdict.allowed)
        self.assertEqual(
            verdict.reason, "READ_FILE is not granted: nobody is logged in, so the AnonymousPermissions apply"
        )

    def test_of_roles(self) -> None:
        """Which roles, and whether they are the item's own."""
        here = Node(2, False, roles=("viewer",))
        self.assertIn("the role viewer is assigned here", self.reason(here, ROOT))
        self.assertIn("the role viewer is assigned at a directory above", self.reason(Node(3, False), here, ROOT))
        two = Node(2, False, roles=("viewer", "gone"))
        self.assertIn(
            "the roles viewer, gone are assigned here; the model lacks gone, which grants nothing", self.reason(two)
        )

    def test_of_no_roles(self) -> None:
        """Where the search for a role ended, and what applies instead."""
        self.assertIn(
            "no role is assigned between here and a directory above, which Admin made, so the DefaultRole viewer",
            self.reason(Node(2, False), ROOT),
        )
        self.assertIn("Admin made this item, so the DefaultRole viewer applies", self.reason(Node(2, True), ROOT))
        self.assertIn("so there is no DefaultRole", self.reason(Node(2, True), ROOT, rules=Rules({})))

    def test_of_the_root(self) -> None:
        """At ``/`` the reason tells of the root permissions, if there are any."""
        self.assertIn("; RootPermissions are added", self.reason(ROOT))
        self.assertNotIn("RootPermissions", self.reason(ROOT, rules=Rules(RULES.roles, "viewer")))
