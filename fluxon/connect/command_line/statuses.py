"""Exit statuses of the command line. Pure."""

from __future__ import annotations

from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    NotFound,
    PermissionDenied,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    UntrustedServer,
)

FAILED = 1
WRONG_USAGE = 2
NO_CONNECTION = 3
NOT_PERMITTED = 4
NOT_FOUND = 5
INTERRUPTED = 130

TEXT = (
    "exit status: 0 done; 1 not done, the text says why; 2 a wrong command line; 3 no connection to the server, or "
    "not one to be trusted; 4 not permitted, or not logged in; 5 not found; 130 interrupted"
)

_STATUSES: tuple[tuple[tuple[type[FluxonError], ...], int], ...] = (
    ((ConfigurationError, InvalidPayload), WRONG_USAGE),
    ((Unavailable, UntrustedServer, ProtocolError, DeadlineExceeded), NO_CONNECTION),
    ((PermissionDenied, Unauthenticated), NOT_PERMITTED),
    ((NotFound,), NOT_FOUND),
)


def status_of(error: FluxonError) -> int:
    """The exit status for ``error``."""
    return next((status for kinds, status in _STATUSES if isinstance(error, kinds)), FAILED)
