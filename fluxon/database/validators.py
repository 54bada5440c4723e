"""Checks of what a person types: they return True or False and never raise.

Rules kept here:

- Anything may be passed, also what is no text: the answer is then False.
- A pattern covers the whole text (``fullmatch``): ``"admin\\n"`` is no user name.
- No check asks the network: an address is looked at, its host is not looked up.
- A length is looked at first, so that a long text costs nothing.
- Each is a function of one value, to be called or to stand in a field's ``validators=[...]``; what has options takes
  them by keyword (``functools.partial`` fits them to a field).
- Phone numbers and URLs need the extra ``fluxon[validators]``; without it they raise ``ConfigurationError``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from datetime import date
from importlib import import_module
from typing import Any

from email_validator import EmailNotValidError
from email_validator import validate_email as _parse_email

from fluxon.errors import ConfigurationError

#: RFC 5321, section 4.5.3.1.3.
_MAX_EMAIL = 254

_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,31}")

_MIN_PASSWORD, _MAX_PASSWORD = 8, 128

#: ITU-T E.164 allows 15 digits; people write spaces, dots, brackets and an extension among them.
_MAX_PHONE = 40

#: What every browser and proxy takes.
_MAX_URL = 2_048

#: RFC 6838, section 4.2: a type and a subtype of up to 127 characters; RFC 9110, section 8.3.1: parameters.
_MIME_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MIME = re.compile(
    rf'{_MIME_NAME}/{_MIME_NAME}(?:; ?{_MIME_NAME}=(?:[A-Za-z0-9!#$&^_.+*\'-]{{1,127}}|"[^"\\\r\n]{{0,127}}"))*'
)
_MAX_MIME = 1_024

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

#: ISO/IEC 7812-1: 8 to 19 digits; the shortest that a card network issues has 12.
_CARD = re.compile(r"[0-9](?:[ -]?[0-9]){11,18}")


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


def validate_phone(value: Any, *, region: str | None = None) -> bool:
    """Whether ``value`` is a telephone number that could be dialled, as ``+49 30 123456``.

    ``region`` (two letters, as ``"DE"``) is where numbers without a country's code belong; without it there are none.
    Needs the extra ``validators``.
    """
    library = _extra("phonenumbers")
    if not isinstance(value, str) or len(value) > _MAX_PHONE:
        return False
    try:
        return bool(library.is_valid_number(library.parse(value, region)))
    except library.NumberParseException:
        return False


def validate_url(value: Any, *, schemes: Collection[str] = ("http", "https")) -> bool:
    """Whether ``value`` is an absolute URL of one of ``schemes``, with a host in a domain or an address.

    A URL that holds a password is refused. Needs the extra ``validators``.
    """
    library = _extra("validators")
    if not isinstance(value, str) or len(value) > _MAX_URL or not value.isprintable():
        return False
    scheme, separator, rest = value.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not separator or scheme.lower() not in schemes or "@" in authority:
        return False
    return library.url(value) is True


def validate_ip(value: Any, *, version: int | None = None) -> bool:
    """Whether ``value`` is an IP address in text, of ``version`` 4 or 6, or of either."""
    if not isinstance(value, str) or "%" in value:  # a zone means something on one machine only
        return False
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return version is None or address.version == version


def validate_date(value: Any) -> bool:
    """Whether ``value`` is a day, as a ``date`` or as ``2024-02-29`` (RFC 3339, full-date)."""
    if isinstance(value, date):
        return True
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def validate_mime_type(value: Any) -> bool:
    """Whether ``value`` has the form of a media type, as ``image/png`` or ``text/plain; charset=utf-8``."""
    return isinstance(value, str) and len(value) <= _MAX_MIME and _MIME.fullmatch(value) is not None


def validate_credit_card(value: Any) -> bool:
    """Whether ``value`` could be the number of a payment card: 12 to 19 digits whose check digit is right.

    Single spaces and dashes between digits are allowed. The check digit is Luhn's (ISO/IEC 7812-1, annex B).
    """
    if not isinstance(value, str) or len(value) > 40 or _CARD.fullmatch(value) is None:
        return False
    digits = [int(each) for each in value if each not in " -"]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return any(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _extra(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigurationError(f"this check needs {name}; type: pip install 'fluxon[validators]'") from None
