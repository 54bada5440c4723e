"""Passwords: argon2id with known answers, bounds, and the same work for users that do not exist."""

from __future__ import annotations

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import InvalidPayload
from fluxon.security import passwords
from fluxon.security.passwords import hash_password, needs_rehash, verify_password

# From the reference implementation's own tests (github.com/P-H-C/phc-winner-argon2, src/test.c).
REFERENCE = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

CHEAP = {"MEMORY_KIB": 64, "PASSES": 1, "LANES": 1}


class PasswordTests(SynchronousTestCase):
    def test_reference_vector(self) -> None:
        """A hash by the reference implementation verifies here, so users can be brought along and taken away."""
        self.assertTrue(verify_password("password", REFERENCE))
        self.assertFalse(verify_password("Password", REFERENCE))

    def test_round_trip(self) -> None:
        """What was stored verifies; another password, the empty one and a prefix do not."""
        stored = hash_password("correct horse")
        self.assertTrue(stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$"))
        self.assertTrue(verify_password("correct horse", stored))
        for wrong in ("", "correct", "correct horse ", "Correct horse", "correct horse\0"):
            self.assertFalse(verify_password(wrong, stored), wrong)

    def test_unicode(self) -> None:
        """A password typed in composed and in decomposed letters is the same; other scripts and NUL work."""
        self.assertTrue(verify_password("caf\u00e9", hash_password("cafe\u0301")))
        for text in ("пароль", "密码", "🔑\0🔑"):
            self.assertTrue(verify_password(text, hash_password(text)))

    def test_bounds(self) -> None:
        """1,024 bytes are a password, one more is refused, in hashing and verifying; so is what is no text."""
        stored = hash_password("p" * 1024)
        self.assertTrue(verify_password("p" * 1024, stored))
        for text in ("p" * 1025, "é" * 513, "\ud800", b"bytes", None, 7):
            self.assertRaises(InvalidPayload, hash_password, text)
            self.assertRaises(InvalidPayload, verify_password, text, stored)

    def test_refused_before_the_user_is_looked_at(self) -> None:
        """An impossible password is refused alike for known and unknown users."""
        self.assertRaises(InvalidPayload, verify_password, "p" * 1025, None)

    def test_needs_rehash(self) -> None:
        """Other parameters, and what is no hash, are found; today's are left alone."""
        self.assertFalse(needs_rehash(hash_password("x")))
        for stored in (REFERENCE, None, "", "5f4dcc3b5aa765d61d8327deb882cf99"):
            self.assertTrue(needs_rehash(stored))


class HostileRowTests(SynchronousTestCase):
    def test_parameters_are_bounded(self) -> None:
        """A planted row cannot make the server take gigabytes, or an hour: such hashes are no hashes."""
        tail = REFERENCE.partition("p=1")[2]
        for parameters in ("m=4194304,t=2,p=1", "m=256,t=999,p=1", "m=256,t=1,p=255", "m=1,t=1,p=1", "m=256,t=0,p=1"):
            self.assertFalse(verify_password("password", f"$argon2id$v=19${parameters}{tail}"))

    def test_garbage(self) -> None:
        """Whatever stands in the column, the answer is False and never an error."""
        for name, value in CHEAP.items():
            self.patch(passwords, name, value)

        @settings(max_examples=200, deadline=None)
        @given(st.one_of(st.text(max_size=120), st.from_regex(passwords._PHC, fullmatch=True).map(_cheapened)))
        def check(stored: str) -> None:
            self.assertFalse(verify_password("password", stored))

        check()


class EqualWorkTests(SynchronousTestCase):
    def test_unknown_user_costs_the_same(self) -> None:
        """Known, unknown and damaged: exactly one verification, with today's parameters, each."""
        stored = hash_password("secret")
        verified: list[str] = []
        real = Argon2id.verify_phc_encoded

        class Recorded:
            @staticmethod
            def verify_phc_encoded(secret: bytes, phc: str) -> None:
                verified.append(phc)
                real(secret, phc)

        self.patch(passwords, "Argon2id", Recorded)
        answers = [verify_password("secret", each) for each in (stored, None, "", "deadbeef")]
        self.assertEqual(answers, [True, False, False, False])
        self.assertEqual(len(verified), 4)
        self.assertEqual({passwords._parameters(each) for each in verified}, {(19456, 2, 1)})

    def test_nobody_knows_the_decoy(self) -> None:
        """The decoy differs each time, so no password can be found that "logs in" nobody."""
        self.assertNotEqual(passwords._decoy(), passwords._decoy())


class RenewedTests(SynchronousTestCase):
    def test_a_renewed_hash_is_the_same_password(self) -> None:
        """Other parameters, the same salt: it verifies, and whoever knows the password by its salt sees no change."""
        self.patch(passwords, "MEMORY_KIB", 64)
        old = hash_password("secret")
        self.patch(passwords, "PASSES", 3)
        new = passwords.rehash_password("secret", old)
        self.assertNotEqual(new, old)
        self.assertIn("t=3", new)
        self.assertTrue(verify_password("secret", new))
        self.assertFalse(passwords.needs_rehash(new))
        self.assertEqual(passwords.password_identity(new), passwords.password_identity(old))

    def test_each_password_that_is_set_is_another(self) -> None:
        """Setting the same text again draws a new salt; what is no hash is known by all of it."""
        self.patch(passwords, "MEMORY_KIB", 64)
        values = [hash_password("secret"), hash_password("secret"), "plain", "Plain", None, ""]
        self.assertEqual(len({passwords.password_identity(each) for each in values}), len(values))

    def test_a_short_salt_is_not_kept(self) -> None:
        """A hash from elsewhere may have a salt that is too small to go on with."""
        self.patch(passwords, "MEMORY_KIB", 64)
        foreign = Argon2id(salt=b"8 bytes!", length=32, iterations=1, lanes=1, memory_cost=64)
        old = foreign.derive_phc_encoded(b"secret")
        self.assertTrue(verify_password("secret", old))
        new = passwords.rehash_password("secret", old)
        self.assertTrue(verify_password("secret", new))
        self.assertNotEqual(passwords.password_identity(new), passwords.password_identity(old))

    def test_what_has_no_salt_gets_one(self) -> None:
        """What is no hash, or names a salt that no bytes have, is replaced by a hash of today's parameters."""
        self.patch(passwords, "MEMORY_KIB", 64)
        for old in ("plain", REFERENCE.replace("c29tZXNhbHQ", "c29tZXNhbHQxx")):
            new = passwords.rehash_password("secret", old)
            self.assertTrue(verify_password("secret", new))
            self.assertFalse(needs_rehash(new))


def _cheapened(stored: str) -> str:
    """The same shape at a cost that a property test can pay."""
    head, _, tail = stored.partition("m=")
    return head + "m=64,t=1,p=1$" + tail.partition("$")[2]
