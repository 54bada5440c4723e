"""explain_tls_failure: which failures say something about the server, and which do not."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, DNSMismatch
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ConfigurationError, UntrustedServer
from fluxon.security.tls import client_tls, explain_tls_failure


class ExplainTests(SynchronousTestCase):
    def test_refusals_pass_through(self) -> None:
        """What our own clients raise is returned as it is, out of a Failure or bare."""
        error = UntrustedServer("why")
        self.assertIs(explain_tls_failure(error, "host"), error)
        self.assertIs(explain_tls_failure(Failure(error), "host"), error)

    def test_errors_of_others(self) -> None:
        """Failures of service_identity and OpenSSL, from connections that stock Twisted options made, become texts."""
        mismatch = VerificationError(errors=[DNSMismatch(mismatched_id=DNS_ID("host.test"))])
        for error, reason in (
            (mismatch, "name"),
            (CertificateError("no names"), "no-names"),
            (SSL.Error([("SSL routines", "", "certificate verify failed")]), "certificate"),
            (SSL.Error([("SSL routines", "", "wrong version number")]), "not-tls"),
            (SSL.Error([("SSL routines", "", "tlsv1 alert protocol version")]), "version"),
        ):
            explained = explain_tls_failure(Failure(error), "host.test")
            assert explained is not None
            self.assertEqual(explained.details["reason"], reason)
            self.assertIn("host.test", str(explained))

    def test_not_about_the_server(self) -> None:
        """A lost or refused connection and other errors say nothing about who answers."""
        for error in (
            ConnectionLost(),
            ConnectionDone(),
            ConnectionRefusedError(),
            TimeoutError(),
            SSL.Error(),
            SSL.Error([]),
            SSL.SysCallError(-1, "Unexpected EOF"),
            SSL.Error([("SSL routines", "", "bad signature")]),
        ):
            self.assertIsNone(explain_tls_failure(error, "host"))


class ClientTLSTests(SynchronousTestCase):
    def test_bad_trust(self) -> None:
        """A trust file that is missing, a folder or no certificate is said to be so before anything connects."""
        folder = self.mktemp()
        missing = self.assertRaises(ConfigurationError, client_tls, "localhost", folder + "/none.pem")
        self.assertIn("none.pem", str(missing))
        with open(folder, "wb") as stream:
            stream.write(b"-----BEGIN NONSENSE-----\n")
        self.assertIn("no PEM certificate", str(self.assertRaises(ConfigurationError, client_tls, "localhost", folder)))
        self.assertRaises(ConfigurationError, client_tls, "localhost", "/")

    def test_bad_hosts(self) -> None:
        """What can be no host is refused before anything connects."""
        for host in ("", ".", "a..b", "\ud800.test", "with space", "ho\0st", "é" * 64, "x" * 64, ".".join(["x"] * 130)):
            self.assertRaises(ConfigurationError, client_tls, host)
