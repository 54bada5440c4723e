"""Every error of Fluxon: one root, a stable code, a text that is safe to show a stranger.

Rules of this room:

- An error's ``code`` is part of the protocol (``docs/protocol.rst``) and never changes its meaning.
- ``text`` says what happened and what to do; it never holds a path of the server, SQL, a token or a traceback.
- ``details`` is a small dict of values that may cross the wire.
- Whatever is not a ``FluxonError`` reaches a client as ``Internal`` with an incident id, and nothing else.

The names are those of gRPC's status codes where one fits
(https://grpc.io/docs/guides/status-codes/).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, ClassVar, TypeGuard


class FluxonError(Exception):
    """The root. ``str(error)`` is its text; ``error.code`` is the name that crosses the wire."""

    code: ClassVar[str] = "Internal"
    default_text: ClassVar[str] = "something went wrong"

    def __init__(self, text: str | None = None, *, details: Mapping[str, Any] | None = None) -> None:
        self.text = self.default_text if text is None else text
        self.details: dict[str, Any] = dict(details) if details else {}
        super().__init__(self.text)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the same may be tried again, where whoever refused it knows."""
        seconds = self.details.get("retry_after")
        # NaN and the infinities fail the comparison.
        return float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < inf else None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.text, self.details))


def _restore(kind: type[FluxonError], text: str, details: dict[str, Any]) -> FluxonError:
    return kind(text, details=details)


class UnknownView(FluxonError):
    """The name is in no mapping of the other side."""

    code = "UnknownView"
    default_text = "no view of that name; check its spelling and the mapping in router.py"


class InvalidPayload(FluxonError):
    """An argument is missing, of the wrong type or out of its bounds."""

    code = "InvalidPayload"
    default_text = "the request's arguments are not what it takes"


class PermissionDenied(FluxonError):
    """The caller is known and may not do this."""

    code = "PermissionDenied"
    default_text = "not permitted"


class Unauthenticated(FluxonError):
    """The caller has to log in, or to say hello, first."""

    code = "Unauthenticated"
    default_text = "log in first"


class DeadlineExceeded(FluxonError):
    """The answer did not come in time. Whether the work was done is not known."""

    code = "DeadlineExceeded"
    default_text = "the answer did not come in time; the work may or may not have been done"


class Cancelled(FluxonError):
    """The one who asked gave up before the answer."""

    code = "Cancelled"
    default_text = "the request was cancelled by the one who made it"


class Unavailable(FluxonError):
    """There is no connection, or the service is not taking requests. Nothing was done; try again later."""

    code = "Unavailable"
    default_text = "the service cannot be reached now; try again later"
    #: Whether it is this process's engine that says so, and no program's.
    engines_own = False


class ResourceExhausted(FluxonError):
    """A limit was crossed; slow down or ask for less."""

    code = "ResourceExhausted"
    default_text = "too much at once; wait for answers before asking for more"


class NotFound(FluxonError):
    """What was named does not exist."""

    code = "NotFound"
    default_text = "not found"


class AlreadyExists(FluxonError):
    """What was to be made is there already."""

    code = "AlreadyExists"
    default_text = "it exists already"


class Conflict(FluxonError):
    """It changed since it was read, or contradicts something else under way."""

    code = "Conflict"
    default_text = "it was changed by someone else; read it again"


class Locked(FluxonError):
    """Another holds it now."""

    code = "Locked"
    default_text = "it is held by another; try again later"


class OutcomeUnknown(FluxonError):
    """The request was sent and the connection (or a commit) failed before the answer: it may have been carried out."""

    code = "OutcomeUnknown"
    default_text = "the connection was lost before the answer; the request may or may not have been carried out"


class Unserialisable(FluxonError):
    """A value that cannot cross the wire."""

    code = "Unserialisable"
    default_text = "the value cannot be sent"


class Internal(FluxonError):
    """A fault of the other side; ``details["incident"]`` finds it in the server's log."""

    code = "Internal"
    default_text = "the server failed on this request"


class ProtocolError(FluxonError):
    """The other side broke the wire's rules; the connection is aborted. Never sent, only logged."""

    code = "ProtocolError"
    default_text = "the other side does not speak Fluxon's protocol; check the port and its version"


class ConfigurationError(FluxonError):
    """A setting, a file or a declaration is wrong; the text says which and how to mend it."""

    code = "ConfigurationError"
    default_text = "the configuration is not right"


class InsecureSecrets(ConfigurationError):
    """The secrets folder, or a file in it, is readable by others, a link, or damaged."""

    code = "InsecureSecrets"
    default_text = "the secrets folder is not safe"


class UntrustedServer(FluxonError):
    """The server's certificate does not prove that it is the host that was asked for."""

    code = "UntrustedServer"
    default_text = "the server's certificate is not trusted for this host"


def stopping() -> Unavailable:
    """What an end that stops says to whatever is new: it was not begun, and the next connection may take it."""
    error = Unavailable("the other side is stopping; try again in a moment", details={"stopping": True})
    error.engines_own = True
    return error


def says_stopping(error: object) -> TypeGuard[Unavailable]:
    """Whether ``error`` is the other engine's word that it stops, so that nothing was begun."""
    return isinstance(error, Unavailable) and error.details.get("stopping") is True


def of_program(error: FluxonError) -> FluxonError:
    """``error`` as a view or a function that ran may answer it: that this engine stops is not its to say.

    It may have heard it itself, of a server that it asked something.
    """
    if says_stopping(error) and not error.engines_own:
        return Unavailable(
            error.text, details={name: each for name, each in error.details.items() if name != "stopping"}
        )
    return error


def _family(root: type[FluxonError]) -> dict[str, type[FluxonError]]:
    table = {root.code: root} if root is not FluxonError else {}
    for child in root.__subclasses__():
        table.update(_family(child))
    return table


# What only one's own side can know is no answer: a hostile peer must not make a program think that its own
# configuration, or the certificate, is wrong.
_LOCAL = (ProtocolError, ConfigurationError, UntrustedServer)
_WIRE_ERRORS = {code: kind for code, kind in _family(FluxonError).items() if not issubclass(kind, _LOCAL)}


def from_wire(code: str, text: str, details: Mapping[str, Any] | None = None) -> FluxonError:
    """The error that a ``Failed`` message stands for. An unknown code becomes ``Internal``, its code in the text."""
    kind = _WIRE_ERRORS.get(code)
    if kind is None:
        return Internal(f"{code}: {text}", details=details)
    return kind(text, details=details)
