"""Validators answer True or False to anything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.validators import validate_email, validate_password, validate_username


class Validators(SynchronousTestCase):
    """What the seed's views check before they store anything."""

    def test_sample_passwords_pass(self) -> None:
        """The passwords that the documentation uses are good ones."""
        for password in ("Emm@'s_password123", "Mike@123abc", "Jane123@abc"):
            self.assertIs(validate_password(password), True)

    def test_weak_passwords_fail(self) -> None:
        """Short ones, and ones without digit, small or capital letter, do not pass."""
        for password in (
            "Ab1",
            "alllower123",
            "ALLUPPER123",
            "NoDigitsHere",
            "Aa1" + "x" * 200,
            "Passw0rd\n",
            "Aa1\0aaaaa",
        ):
            self.assertIs(validate_password(password), False)

    def test_user_names(self) -> None:
        """A line break at the end does not slip through, as it does where a pattern ends in a dollar sign."""
        for name in ("admin", "Mike", "jane_doe", "x.y-z1"):
            self.assertIs(validate_username(name), True)
        for name in ("admin\n", "ad", "1abc", "a b", "", "x" * 33, "\u0430dmin", "admin\x00"):
            self.assertIs(validate_username(name), False)

    def test_addresses(self) -> None:
        """Addresses are looked at, not looked up."""
        for address in ("jane@mail.com", "new_email_for_jake@mail.com", "a.b+c@sub.example.org"):
            self.assertIs(validate_email(address), True)
        for address in ("jane", "jane@", "@mail.com", "jane@mail.com\n", "jane@mail..com", "a b@mail.com", "x" * 300):
            self.assertIs(validate_email(address), False)

    @settings(max_examples=200, deadline=None)
    @given(st.one_of(st.text(), st.none(), st.integers(), st.binary(), st.lists(st.text())))
    def test_anything_is_answered(self, value: object) -> None:
        """No value makes a validator raise."""
        for validate in (validate_email, validate_password, validate_username):
            self.assertIn(validate(value), (True, False))
