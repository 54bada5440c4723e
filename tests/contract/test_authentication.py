"""``Authenticate`` on every database: whose password this is, how often it is tried, hashes that are outdated."""

from __future__ import annotations

from typing import Any

from every_database import MySQLCase, PostgreSQLCase, SQLiteCase, SQLiteThreadCase
from sqlalchemy.schema import DropTable
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock

from fluxon.database import authentication, models
from fluxon.database.query import where
from fluxon.database.throttle import LoginThrottle
from fluxon.errors import ConfigurationError, InvalidPayload, ResourceExhausted
from fluxon.limits import Limits
from fluxon.security import passwords
from fluxon.sessions.accounts import DatabaseAccounts

FREE_TRIES = Limits().login_tries


class Logins:
    """The suite; a class at the end joins it with a database."""

    def declare(self: Any) -> list[Any]:
        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=20, unique=True)
            password = models.PasswordField()
            changed = models.DateTimeField(auto_now=True)

        return [User]

    async def setUp(self: Any) -> None:
        await super().setUp()  # type: ignore[misc]
        # A smaller hash than the real one, so that many of them take no time.
        self.patch(passwords, "MEMORY_KIB", 64)
        self.clock = Clock()
        self.database.login_throttle = LoginThrottle(self.clock.seconds)

    async def user(self: Any, name: str = "Jane") -> int:
        return await self.ask(self.User.Insert, username=name, password="Jane123@abc")  # type: ignore[no-any-return]

    async def login(self: Any, name: Any = "Jane", password: Any = "Jane123@abc", **options: Any) -> Any:
        return await self.ask(self.User.Authenticate, name, password, **options)

    async def test_right_and_wrong(self: Any) -> None:
        """The user's row for the right password; None for everything else, and nothing raised at a stranger."""
        key = await self.user()
        row = await self.login()
        self.assertEqual((row.id, row.username), (key, "Jane"))
        self.assertTrue(row.password.startswith("$argon2id$"))
        for name, password in (
            ("Jane", "jane123@abc"),
            ("Jane", row.password),
            ("jane", "Jane123@abc"),
            ("Mike", "Jane123@abc"),
            ("", ""),
            ("Jane", None),
            ("Jane", "x" * 5_000),
            (None, "Jane123@abc"),
            ({"username": "Jane"}, "Jane123@abc"),
            ("Jane" * 1_000, "Jane123@abc"),
            ("Jane\0", "Jane123@abc"),
            ("' OR 1=1 --", "x"),
        ):
            with self.subTest(name=str(name)[:20]):
                self.assertIsNone(await self.login(name, password))

    async def test_too_many_tries(self: Any) -> None:
        """After the free tries even the right password waits, for a user and for a name that is nobody's."""
        await self.user()
        for name in ("Jane", "nobody"):
            for _ in range(FREE_TRIES):
                self.assertIsNone(await self.login(name, "wrong", address="192.0.2.1"))
            error = await self.fails(
                ResourceExhausted, self.User.Authenticate, name, "Jane123@abc", address="192.0.2.1"
            )
            self.assertEqual(error.details, {"retry_after": 1})
        self.assertEqual((await self.login(address="192.0.2.2")).username, "Jane")
        self.clock.advance(1)
        self.assertEqual((await self.login(address="192.0.2.1")).username, "Jane")
        for _ in range(FREE_TRIES):
            self.assertIsNone(await self.login(password="wrong", address="192.0.2.1"))

    async def test_tries_at_once(self: Any) -> None:
        """Thirty guesses sent together: the free tries are looked at, the others refused."""
        await self.user()

        async def guess(number: int) -> bool:
            try:
                await self.login(password=f"guess {number}")
            except ResourceExhausted:
                return False
            return True

        taken = await gatherResults([Deferred.fromCoroutine(guess(number)) for number in range(30)])
        self.assertEqual(sum(taken), FREE_TRIES)

    async def test_a_failing_database_is_no_wrong_password(self: Any) -> None:
        """Nobody has to wait because the tables were not there."""
        drop = DropTable(self.database.table(self.User))
        await self.database.write(lambda connection: connection.define(drop))
        for _ in range(FREE_TRIES + 1):
            await self.fails(ConfigurationError, self.User.Authenticate, "Jane", "Jane123@abc")

    async def test_a_try_that_was_given_up_counts(self: Any) -> None:
        """A stranger who cancels each request gets no free hashes."""
        if self.in_thread:
            return  # a blocking call is not given up
        await self.user()
        for _ in range(FREE_TRIES):
            pending = self.User.Authenticate("Jane", "wrong")
            pending.cancel()
            await self.assertFailure(pending, CancelledError)
        await self.fails(ResourceExhausted, self.User.Authenticate, "Jane", "Jane123@abc")

    async def test_an_outdated_hash_is_renewed(self: Any) -> None:
        """A login stores a hash of today's parameters; sessions see the same password, until it is really changed."""
        self.patch(passwords, "PASSES", 1)
        key = await self.user()
        before = await self.ask(self.User.Get, key)
        self.patch(passwords, "PASSES", 2)
        self.assertIsNone(await self.login(password="wrong"))
        self.assertEqual(await self.ask(self.User.Get, key), before)
        row = await self.login()
        self.assertIn("t=2", row.password)
        after = await self.ask(self.User.Get, key)
        self.assertEqual(after, before._replace(password=row.password))
        self.assertEqual((await self.login()).password, row.password)
        credential = DatabaseAccounts(self.database).credential
        self.assertEqual(credential(before), credential(after))
        await self.ask(self.User.Update, {"password": "Jane123@abc"}, where[self.User.id == key])
        self.assertNotEqual(credential(before), credential(await self.ask(self.User.Get, key)))

    async def test_a_password_changed_meanwhile_is_kept(self: Any) -> None:
        """The renewed hash of the old password does not come back over a new one."""
        self.patch(passwords, "PASSES", 1)
        key = await self.user()
        self.patch(passwords, "PASSES", 2)
        renew = passwords.rehash_password

        def slow(text: str, stored: str) -> str:
            self.User.Update({"password": "New123@abc"}, where[self.User.id == key])
            return renew(text, stored)

        self.patch(authentication, "rehash_password", slow)
        # Hashing holds one of two places; the change takes the other.
        await self.login()
        self.assertIsNone(await self.login())
        self.assertEqual((await self.login(password="New123@abc")).id, key)

    async def test_not_inside_a_transaction(self: Any) -> None:
        """Hashing would hold up every writer; what to do instead is said."""
        await self.user()
        await self.fails(RuntimeError, self.database.transaction, lambda: self.User.Authenticate("Jane", "x"))
        await self.fails(RuntimeError, self.database.transaction, lambda: self.User.HashPassword("Mike123@abc"))
        in_clear = {"username": "Mike", "password": "Mike123@abc"}
        error = await self.fails(RuntimeError, self.database.transaction, lambda: self.User.Insert(in_clear))
        self.assertIn("hash it before: User.HashPassword(password)", str(error))

    async def test_hashed_before(self: Any) -> None:
        """A password that was hashed is stored as it is: in transactions, in many rows, by an update."""
        mikes, janes = [await self.ask(self.User.HashPassword, each) for each in ("Mike123@abc", "Jane123@abc")]
        self.assertNotIn("argon2", f"{mikes} {mikes!r}")
        self.assertIs(await self.ask(self.User.HashPassword, mikes), mikes)

        def sign_up() -> list[int]:
            key = self.User.Insert(username="Mike", password=mikes)
            self.User.Update({"password": janes}, where[self.User.id == key])
            more = self.User.Insert([{"username": name, "password": mikes} for name in ("Ann", "Bob")])
            return [key, *more]

        keys = await self.ask(self.database.transaction, sign_up)
        self.assertEqual((await self.login("Mike")).id, keys[0])
        self.assertEqual((await self.login("Bob", "Mike123@abc")).id, keys[2])
        self.assertIsNone(await self.login("Bob"))
        rows = [{"username": "Cid", "password": mikes}, {"username": "Dan", "password": "Dan123@abc"}]
        await self.ask(self.User.Insert, rows)
        self.assertIsNotNone(await self.login("Cid", "Mike123@abc"))
        self.assertIsNotNone(await self.login("Dan", "Dan123@abc"))

    async def test_what_is_no_password(self: Any) -> None:
        """Is not hashed either; a text that looks like a hash is a password in clear, whoever sent it."""
        error = await self.fails(InvalidPayload, self.User.HashPassword, "x" * 1025)
        self.assertEqual(error.details["fields"], {"password": "is longer than 1024 bytes"})
        await self.fails(InvalidPayload, self.User.HashPassword, None)
        stored = (await self.ask(self.User.HashPassword, "Mike123@abc")).text
        await self.ask(self.User.Insert, username="Mike", password=stored)
        self.assertIsNone(await self.login("Mike", "Mike123@abc"))
        self.assertIsNotNone(await self.login("Mike", stored))


class OnSQLite(Logins, SQLiteCase):
    """SQLite, on the reactor's thread."""


class OnSQLiteInAThread(Logins, SQLiteThreadCase):
    """SQLite, in a thread."""


class OnPostgreSQL(Logins, PostgreSQLCase):
    """PostgreSQL, on the reactor's thread."""


class OnMySQL(Logins, MySQLCase):
    """MariaDB or MySQL, in a thread."""
