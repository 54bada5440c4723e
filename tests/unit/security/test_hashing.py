"""Hash: the digests programs rely on, and the password functions of the original that never worked."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ConfigurationError
from fluxon.security import Hash


class DigestTests(SynchronousTestCase):
    def test_known_answers(self) -> None:
        """The digests are the standard ones (FIPS 180-4, FIPS 202, RFC 7693: the text "abc")."""
        self.assertEqual(
            Hash.hash("abc", algorithm=Hash.SHA256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
        self.assertTrue(Hash.hash("abc", algorithm=Hash.SHA512).startswith("ddaf35a193617abacc417349ae204131"))
        self.assertTrue(Hash.hash("abc", algorithm=Hash.SHA3_512).startswith("b751850b1a57168a5693cd924b6b096e"))
        self.assertTrue(Hash.hash("abc", algorithm=Hash.BLAKE2B).startswith("ba80a53f981c4d0d6a2797b69f12f6e9"))

    def test_every_algorithm(self) -> None:
        """Every name that is offered works, with salt and without, and gives lower-case hex of its size."""
        for algorithm in Hash.ALGORITHMS:
            size = hashlib.new(algorithm).digest_size
            for salt in (None, "salt", b"salt"):
                digest = Hash.hash("text", algorithm=algorithm, salt=salt)
                self.assertEqual(len(bytes.fromhex(digest)), size)
                self.assertEqual(digest, digest.lower())

    def test_deterministic(self) -> None:
        """A program that looks a user up by the digest finds it again; text and its UTF-8 are the same."""
        self.assertEqual(Hash.hash("pässword"), Hash.hash("pässword".encode(), algorithm=Hash.SHA512))

    def test_salt(self) -> None:
        """The salt matters, and cannot be shifted into the text."""
        self.assertNotEqual(Hash.hash("text", salt="a"), Hash.hash("text"))
        self.assertNotEqual(Hash.hash("bc", salt="a"), Hash.hash("c", salt="ab"))

    def test_salted_digest_can_be_compared(self) -> None:
        """A salted digest can be checked again (the original's check ended in a NameError)."""
        stored = Hash.hash("secret", salt="pepper")
        self.assertTrue(Hash.compare(Hash.hash("secret", salt="pepper"), stored))
        self.assertFalse(Hash.compare(Hash.hash("Secret", salt="pepper"), stored))

    def test_unknown_algorithm(self) -> None:
        """Broken or misspelt algorithms are refused with the list of those there are."""
        for name in ("md5", "sha1", "SHA512", "shake_128", ""):
            error = self.assertRaises(ConfigurationError, Hash.hash, "text", name)
            self.assertIn("sha512", str(error))

    @given(st.text(), st.text())
    def test_compare(self, a: str, b: str) -> None:
        """compare is equality for any text, non-ASCII and lone surrogates included."""
        self.assertEqual(Hash.compare(a, b), a == b)
        self.assertTrue(Hash.compare(a, a))


class PasswordTests(SynchronousTestCase):
    def test_password(self) -> None:
        """Hash.password and Hash.verify belong together, and the same text is stored differently each time."""
        one, two = Hash.password("secret"), Hash.password("secret")
        self.assertNotEqual(one, two)
        self.assertTrue(Hash.verify("secret", one) and Hash.verify("secret", two))
        self.assertFalse(Hash.verify("Secret", one))
        self.assertFalse(Hash.needs_rehash(one))
        self.assertTrue(Hash.needs_rehash(Hash.hash("secret")))
