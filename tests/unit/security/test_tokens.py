"""Session tokens: what was not signed here is never honoured, and nothing a stranger sends raises."""

from __future__ import annotations

import base64
import hmac
import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ConfigurationError
from fluxon.security import TokenSigner
from fluxon.security.tokens import MAX_TOKEN

KEYS = {"1": bytes(range(32)), "2": bytes(range(1, 33))}
SESSION = bytes(range(16))


class SigningTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """A token gives back exactly the id that was signed, for every byte an id can hold."""
        signer = TokenSigner(KEYS)
        for _ in range(256):
            session = os.urandom(16)
            self.assertEqual(signer.verify(signer.sign(session)), session)

    def test_format(self) -> None:
        """The token is spelled as the protocol's document says, so another program with the key can make it."""

        def encoded(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        signed = f"v1.2.{encoded(SESSION)}"
        mac = hmac.digest(KEYS["2"], signed.encode(), "sha256")
        self.assertEqual(TokenSigner(KEYS).sign(SESSION), f"{signed}.{encoded(mac)}")

    def test_newest_signs_and_older_verify(self) -> None:
        """After a rotation nobody is logged out, and new tokens carry the new key's id."""
        signer = TokenSigner({"1": KEYS["1"]})
        old = signer.sign(SESSION)
        signer.use_keys(KEYS)
        self.assertEqual(signer.verify(old), SESSION)
        self.assertTrue(signer.sign(SESSION).startswith("v1.2."))
        self.assertEqual(signer.key_ids, ("1", "2"))

    def test_removed_key(self) -> None:
        """A token of a key that was removed is worth nothing."""
        signer = TokenSigner(KEYS)
        token = signer.sign(SESSION)
        signer.use_keys({"1": KEYS["1"]})
        self.assertIsNone(signer.verify(token))

    def test_key_of_another_server(self) -> None:
        """The same key id with another key does not verify: ids are no secret."""
        self.assertIsNone(TokenSigner(KEYS).verify(TokenSigner({"2": os.urandom(32)}).sign(SESSION)))

    def test_copied_id_without_signature(self) -> None:
        """Knowing a session's id is not enough: it was in the original, whose signature nobody checked."""
        signer = TokenSigner(KEYS)
        version, key_id, session, _mac = signer.sign(SESSION).split(".")
        for forged in (
            session,
            f"{version}.{key_id}.{session}",
            f"{version}.{key_id}.{session}.",
            f"{version}.{key_id}.{session}.{'A' * 43}",
            f"{version}.none.{session}.{'A' * 43}",
        ):
            self.assertIsNone(signer.verify(forged))

    def test_signature_of_another_session(self) -> None:
        """A valid signature does not carry over to another id."""
        signer = TokenSigner(KEYS)
        mine, other = signer.sign(SESSION), signer.sign(os.urandom(16))
        self.assertIsNone(signer.verify(mine.rpartition(".")[0] + "." + other.rpartition(".")[2]))

    def test_one_spelling(self) -> None:
        """The unused bits of base64's last character cannot spell the same token differently."""
        signer = TokenSigner(KEYS)
        token = signer.sign(SESSION)
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
        for position in (len(token) - 1, token.rindex(".") - 1):
            for letter in alphabet:
                changed = token[:position] + letter + token[position + 1 :]
                self.assertEqual(signer.verify(changed), SESSION if changed == token else None)

    def test_longest_token(self) -> None:
        """The length bound lets the longest key id through."""
        signer = TokenSigner({"k" * 17: KEYS["1"]})
        token = signer.sign(SESSION)
        self.assertEqual(len(token), MAX_TOKEN)
        self.assertEqual(signer.verify(token), SESSION)

    def test_what_something_else_signed(self) -> None:
        """With a key that signs for something else, too, nothing but a token of this version and shape is one."""
        signer = TokenSigner(KEYS)
        session = signer.sign(SESSION).split(".")[2]
        for signed in (
            f"v2.2.{session}",
            f"v1.2.{session[:-1]}",
            f"v1.2.{session}A",
            f"v1.2.{session[:-4]}!!!!",
            f"v1.2.{'=' * 22}",
            "v1.2.",
        ):
            mac = base64.urlsafe_b64encode(hmac.digest(KEYS["2"], signed.encode(), "sha256")).rstrip(b"=").decode()
            self.assertIsNone(signer.verify(f"{signed}.{mac}"), signed)

    def test_unknown_keys(self) -> None:
        """A token whose key is not here is told from a forged one, and from what is no token."""
        here, there = TokenSigner({"1": os.urandom(32)}), TokenSigner({"1": os.urandom(32), "2": os.urandom(32)})
        newer = there.sign(os.urandom(16))
        self.assertTrue(here.is_of_unknown_key(newer))
        self.assertFalse(there.is_of_unknown_key(newer))
        forged = TokenSigner({"1": os.urandom(32)}).sign(os.urandom(16))
        for token in (forged, newer[:-1], newer + "A", newer.replace("v1", "v2"), "", None, 2, newer.encode()):
            self.assertFalse(here.is_of_unknown_key(token), token)

    def test_refused_keys(self) -> None:
        """Short keys, ids that would break the token apart, and no keys at all are refused at once."""
        for keys in ({}, {"1": b"short"}, {"a.b": KEYS["1"]}, {"": KEYS["1"]}, {"k" * 18: KEYS["1"]}, {"é": KEYS["1"]}):
            self.assertRaises(ConfigurationError, TokenSigner, keys)

    def test_refused_ids(self) -> None:
        """Only 16 bytes are a session id."""
        signer = TokenSigner(KEYS)
        for session in (b"", b"x" * 15, b"x" * 17):
            self.assertRaises(ValueError, signer.sign, session)

    def test_comparison_is_constant_time_by_construction(self) -> None:
        """Whatever is wrong with a token of the right size, the same MAC and the same comparison are computed."""
        calls: list[tuple[bytes, bytes]] = []
        real = hmac.compare_digest

        def recorded(a: bytes, b: bytes) -> bool:
            calls.append((a, b))
            return real(a, b)

        self.patch(hmac, "compare_digest", recorded)
        signer = TokenSigner(KEYS)
        good = signer.sign(SESSION)
        for token in (good, good[:-1] + "*", good.replace("v1.2.", "v1.9."), good.replace("v1.", "v2."), "x" * 87):
            signer.verify(token)
        self.assertEqual(len(calls), 5)
        self.assertTrue(all(len(expected) == 43 for expected, _ in calls))


class ForgeryTests(SynchronousTestCase):
    def test_mutations(self) -> None:
        """10,000 random edits of good tokens: none verifies, none raises."""
        chance = random.Random(20)
        signer = TokenSigner(KEYS)
        for _ in range(10_000):
            token = list(signer.sign(chance.randbytes(16)))
            before = "".join(token)
            for _ in range(chance.randint(1, 3)):
                position = chance.randrange(len(token))
                letter = chr(chance.choice((chance.randrange(128), chance.randrange(0x11000))))
                edit = chance.randrange(3)
                if edit == 0:
                    token[position] = letter
                elif edit == 1:
                    token.insert(position, letter)
                else:
                    del token[position]
            changed = "".join(token)
            if changed != before:
                self.assertIsNone(signer.verify(changed), changed)

    @settings(max_examples=2_000, deadline=None)
    @given(st.one_of(st.text(max_size=100), st.binary(max_size=100), st.none(), st.integers(), st.floats()))
    def test_anything(self, token: object) -> None:
        """Text of every kind, lone surrogates included, and things that are no text: None."""
        self.assertIsNone(TokenSigner(KEYS).verify(token))

    @settings(max_examples=1_000, deadline=None)
    @given(st.lists(st.sampled_from(["v1", "1", "2", "AAAAAAAAAAAAAAAAAAAAAA", "A" * 43, "", "=", "."]), max_size=7))
    def test_shapes(self, parts: list[str]) -> None:
        """Things in a token's shape, with parts missing, doubled and empty: None."""
        self.assertIsNone(TokenSigner(KEYS).verify(".".join(parts)))
