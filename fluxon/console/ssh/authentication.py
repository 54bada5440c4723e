"""Who may in: whoever has a key that ``authorized_keys`` names, under any user name.

Rules of this module:

- Keys only. Three failed attempts end the connection. An offer of a key is none (a client with an agent offers each of
  its keys first): of those there may be more, and an answer to one takes as long whether or not the key is known.
- What a stranger sends is never logged above ``debug``; who got in, and that somebody failed, is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.conch.error import IgnoreAuthentication, ValidPublicKey
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fluxon.console.ssh.keys import Operator, authorized
from fluxon.console.ssh.quiet import QuietLogger
from fluxon.errors import FluxonError
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.console")

#: Failed attempts that end a connection.
ATTEMPTS = 3
#: Keys that may be offered without a signature.
OFFERS = 20

#: Signatures with SHA-1 can be forged by whoever pays for it.
_REFUSED_SIGNATURES = (b"ssh-rsa", b"ssh-dss")


@implementer(ICredentialsChecker)
class KeyChecker:
    """Looks keys up in the secrets folder, at every login anew."""

    credentialInterfaces = (ISSHPrivateKey,)

    def __init__(self, secrets: Path, threads: WorkerPool) -> None:
        self._secrets = secrets
        self._threads = threads

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The operator that a key and a signature prove. ``ValidPublicKey`` for a known key without a signature."""
        return Deferred.fromCoroutine(self._find(credentials))

    async def _find(self, credentials: Any) -> Operator:
        try:
            keys = await self._threads.submit(authorized, self._secrets)
        except FluxonError as error:
            _log.error("nobody can log in at the console: {reason}", reason=error.text)
            raise UnauthorizedLogin("no key") from None
        operator = keys.get(credentials.blob)
        if operator is None:
            raise UnauthorizedLogin("no key")
        if not credentials.signature:
            raise ValidPublicKey()
        if not _proves(credentials):
            raise UnauthorizedLogin("no proof")
        return operator


def _proves(credentials: Any) -> bool:
    try:
        if getNS(credentials.signature)[0] in _REFUSED_SIGNATURES:
            return False
        return bool(Key.fromString(credentials.blob).verify(credentials.signature, credentials.sigData))
    except Exception:  # whatever a stranger's bytes make of it
        return False


class UserAuthentication(SSHUserAuthServer):
    """Conch's, with bounds. The time for a login is the transport's: it began with the connection."""

    _log = QuietLogger()
    attemptsBeforeDisconnect = ATTEMPTS - 1
    transport: Any
    offers = 0
    #: What has failed just now was an offer of a key.
    offered = False

    def serviceStarted(self) -> None:
        """A client wants to log in."""
        super().serviceStarted()  # type: ignore[no-untyped-call]
        # The transport has the time.
        self._cancelLoginTimeout.cancel()
        self._cancelLoginTimeout = None  # type: ignore[assignment]

    def auth_publickey(self, packet: bytes) -> Any:
        """An offer of a key, or a proof."""
        self.offers += 1
        if self.offers > OFFERS:
            self.transport.sendDisconnect(DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, b"too many keys")
            return fail(IgnoreAuthentication())
        outcome: Deferred[Any] = super().auth_publickey(packet)
        return outcome.addErrback(self._failed, packet[:1] == b"\x00")

    def _failed(self, reason: Failure, offered: bool) -> Failure:
        # Others may have been sent before this one had its answer.
        self.method, self.offered = b"publickey", offered
        return reason

    def _ebBadAuth(self, reason: Failure) -> None:
        if reason.check(IgnoreAuthentication):
            pass  # an offer of a known key, which was answered: a proof may follow
        elif self.method == b"publickey" and self.offered:
            # The next key, please. This is no attempt at anything.
            self.loginAttempts -= 1
        elif self.method != b"none":
            _log.warn("console: a login from {address} failed", address=self.transport.address)
        super()._ebBadAuth(reason)  # type: ignore[no-untyped-call]

    def _cbFinishedAuth(self, result: Any) -> None:
        super()._cbFinishedAuth(result)
        self.transport.authenticated()
