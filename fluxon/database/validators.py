"""Checks of what a person types: they return True or False and never raise.

Rules kept here:

- Anything may be passed, also what is no text: the answer is then False.
- A pattern covers the whole text (``fullmatch``): ``"admin\\n"`` is no user name.
- No check asks the network: an address is looked at, its host is not looked up.
"""

from __future__ import annotations

import re
from typing import Any

from email_validator import EmailNotValidError
from email_validator import validate_email as _parse_email

#: RFC 5321, section 4.5.3.1.3; checked first, so that a long text costs nothing.
_MAX_EMAIL = 254

_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,31}")

_MIN_PASSWORD, _MAX_PASSWORD = 8, 128


def validate_email(value: Any) -> bool:
    """Whether ``value`` is an address that mail could be sent to (RFC 5321 and 6531), as ``name@example.com``."""
    if not isinstance(value, str) or len(value) > _MAX_EMAIL:
        return False
    try:
        _parse_email(value, check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        return False
    return True


def validate_username(value: Any) -> bool:
    """Whether ``value`` has 3 to 32 letters, digits, dots, dashes and underscores, and begins with a letter.

    Letters of ASCII alone: two names that look the same on a screen must be the same.
    """
    return isinstance(value, str) and _USERNAME.fullmatch(value) is not None


def validate_password(value: Any) -> bool:
    """Whether ``value`` has 8 to 128 printable characters, among them a small and a capital letter and a digit."""
    if not isinstance(value, str) or not _MIN_PASSWORD <= len(value) <= _MAX_PASSWORD or not value.isprintable():
        return False
    return any(map(str.islower, value)) and any(map(str.isupper, value)) and any(map(str.isdecimal, value))
