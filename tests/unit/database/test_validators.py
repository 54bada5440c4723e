"""Validators answer True or False to anything."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, validators
from fluxon.database.validators import validate_email, validate_password, validate_username
from fluxon.errors import ConfigurationError

EVERY: list[Any] = [getattr(validators, name) for name in dir(validators) if name.startswith("validate_")]

#: Of each check: values that pass, and values that do not.
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (
        validators.validate_phone,
        ["+49 30 901820", "+1 (212) 555-2368", "+442071838750"],
        ["030 901820", "+49", "+1 2", "phone", "+49 30 901820\n" * 9, "+999 123456789", "1" * 5_000],
    ),
    (partial(validators.validate_phone, region="DE"), ["030 901820", "+442071838750"], ["901", "+49 030"]),
    (
        validators.validate_url,
        ["https://example.com", "http://example.com:8080/a?b=c#d", "http://192.0.2.1/", "http://[2001:db8::1]/"],
        [
            "javascript:alert(1)",
            "ftp://example.com",
            "//example.com",
            "http://",
            "http://exa mple.com",
            "http://example.com\n",
            "http://user:secret@example.com",
            "https://example.com@evil.example.org",
            "http://example.com/" + "a" * 3_000,
            "file:///etc/passwd",
        ],
    ),
    (partial(validators.validate_url, schemes=["ftp"]), ["ftp://example.com/file"], ["https://example.com"]),
    (
        validators.validate_ip,
        ["192.0.2.1", "::1", "2001:db8::8"],
        ["192.0.2.256", "192.0.2", "1.2.3.4/24", "fe80::1%eth0", "localhost", "01.2.3.4", 16909060, b"1234"],
    ),
    (partial(validators.validate_ip, version=6), ["::1"], ["192.0.2.1"]),
    (
        validators.validate_date,
        ["2024-02-29", date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)],
        ["2023-02-29", "24-01-01", "20240101", "2024-W01-1", "2024-01-01\n", "2024-01-01T00:00:00", 20240101],
    ),
    (
        validators.validate_mime_type,
        ["image/png", "text/plain; charset=utf-8", 'multipart/mixed;boundary="a b"', "application/vnd.api+json"],
        ["image", "image/", "/png", "image/png\n", "image /png", "a/b; c", "x" * 200 + "/y", "a/b;" + "c=d;" * 500],
    ),
    (
        validators.validate_credit_card,
        ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005", "6011111111111117", "5555555555554444"],
        [
            "4242424242424241",
            "0" * 16,
            "42",
            "4242  424242424242",
            " 4242424242424242",
            "\u0664" * 16,
            4242424242424242,
        ],
    ),
]


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

    def test_what_passes_and_what_does_not(self) -> None:
        """Every value in the table above is judged as it says, by True or False and nothing else."""
        for validate, good, bad in CASES:
            for value in good:
                with self.subTest(f"{validate}: {value!r}"):
                    self.assertIs(validate(value), True)
            for value in bad:
                with self.subTest(f"{validate}: {value!r}"):
                    self.assertIs(validate(value), False)

    def test_in_a_field(self) -> None:
        """A validator in a field refuses what it refuses alone."""

        class Shop(models.Model):
            page = models.CharField(validators=[validators.validate_url])
            phone = models.CharField(validators=[partial(validators.validate_phone, region="DE")])

        fields = Shop.declaration.fields
        fields["page"].check("https://example.com")
        self.assertRaises(ValueError, fields["page"].check, "javascript:alert(1)")
        self.assertRaises(ValueError, fields["phone"].check, "901")

    def test_without_the_extra(self) -> None:
        """A missing library is told with what to install, not as a value that does not pass."""
        for name, validate in (("phonenumbers", validators.validate_phone), ("validators", validators.validate_url)):
            self.patch(sys, "modules", {**sys.modules, name: None})
            error = self.assertRaises(ConfigurationError, validate, "x")
            self.assertIn("fluxon[validators]", str(error))

    @settings(max_examples=200, deadline=None)
    @given(st.one_of(st.text(), st.none(), st.integers(), st.binary(), st.lists(st.text())))
    def test_anything_is_answered(self, value: object) -> None:
        """No value makes a validator raise."""
        for validate in EVERY:
            self.assertIn(validate(value), (True, False))
