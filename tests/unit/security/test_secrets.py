"""The secrets folder: made privately, refused when others could have read it, the same for processes that race."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import fluxon
from fluxon.errors import ConfigurationError, InsecureSecrets
from fluxon.security import Secrets, certificate
from fluxon.security.folder import SecretsFolder, open_folder

SESSION = b"s" * 16

FILES = ["certificate.pem", "password.key", "private_key.pem", "session_00001.key"]


class SecretsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "secrets"
        self.folder.parent.mkdir()

    def opened(self) -> Secrets:
        secrets = Secrets(self.folder)
        secrets.open()
        return secrets

    def refused(self, name: str, remedy: str) -> None:
        """Opening is refused; the text names what is wrong and what to do, and no path."""
        error = self.assertRaises(InsecureSecrets, Secrets(self.folder).open)
        self.assertIn(name, str(error))
        self.assertIn(remedy, str(error))
        self.assertNotIn(str(self.folder.absolute().parent), str(error))


class MakingTests(SecretsCase):
    def test_constructing_opens_nothing(self) -> None:
        """twistd imports the router before it forks: nothing may have been made or read by then."""
        secrets = Secrets(self.folder)
        self.assertFalse(self.folder.exists())
        self.assertRaises(ConfigurationError, secrets.signer)
        self.assertRaises(ConfigurationError, secrets.digest, "purpose", b"")

    def test_modes(self) -> None:
        """Folder 0700, files 0600, whatever the umask (the original left the key 0644 in a folder 0755)."""
        for mask in (0o000, 0o022, 0o277):
            self.folder = self.folder.parent / f"secrets-{mask:o}"
            before = os.umask(mask)
            try:
                self.opened()
            finally:
                os.umask(before)
            self.assertEqual(self.folder.stat().st_mode & 0o7777, 0o700)
            self.assertEqual(sorted(os.listdir(self.folder)), FILES)
            for name in FILES:
                self.assertEqual((self.folder / name).stat().st_mode & 0o7777, 0o600, name)

    def test_second_start(self) -> None:
        """A restart finds the same keys: tokens verify, digests agree, the certificate stays."""
        first = self.opened()
        token = first.signer().sign(b"s" * 16)
        content = {name: (self.folder / name).read_bytes() for name in FILES}
        second = self.opened()
        self.assertEqual(second.signer().verify(token), b"s" * 16)
        self.assertEqual(second.digest("p", b"data"), first.digest("p", b"data"))
        self.assertEqual({name: (self.folder / name).read_bytes() for name in FILES}, content)

    def test_existing_files_are_never_overwritten(self) -> None:
        """An operator's own password key is used as it is."""
        self.folder.mkdir(0o700)
        own = self.folder / "password.key"
        own.write_bytes(b"k" * 32)
        own.chmod(0o600)
        self.opened()
        self.assertEqual(own.read_bytes(), b"k" * 32)

    def test_missing_parent(self) -> None:
        """A mistyped path says what is missing instead of making a tree of folders."""
        self.folder = self.folder / "deeper"
        self.refused("deeper", "parent")

    def test_digest(self) -> None:
        """Digests differ by purpose, data and server, and purpose and data cannot be shifted into each other."""
        secrets = self.opened()
        digests = {secrets.digest(*each) for each in (("a", b"bc"), ("ab", b"c"), ("", b"abc"), ("abc", b""))}
        self.assertEqual({len(each) for each in digests}, {32})
        self.folder = self.folder.parent / "other"
        self.assertEqual(len(digests | {self.opened().digest("a", b"bc")}), 5)

    def test_nothing_in_the_repr(self) -> None:
        """Logging the object, or its attributes, shows no key."""
        secrets = self.opened()
        key = (self.folder / "password.key").read_bytes()
        for text in (repr(secrets), str(secrets), repr(secrets.signer())):
            self.assertNotIn(repr(key)[2:-1], text)
        self.assertFalse(any(key.hex() in value for value in os.environ.values()))


class RefusalTests(SecretsCase):
    def test_loose_folder(self) -> None:
        """Every bit for group and others is one too many."""
        for bit in (0o040, 0o020, 0o010, 0o004, 0o002, 0o001):
            self.opened()
            self.folder.chmod(0o700 | bit)
            self.refused("secrets", "chmod 700 secrets")
            self.folder.chmod(0o700)

    def test_loose_files(self) -> None:
        """The same for each file; the text has the command, and nothing is repaired in silence."""
        self.opened()
        for name in FILES:
            for bit in (0o040, 0o020, 0o004, 0o002):
                (self.folder / name).chmod(0o600 | bit)
                self.refused(name, f"chmod 600 secrets/{name}")
                self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o600 | bit)
            (self.folder / name).chmod(0o600)
        self.opened()

    def test_links(self) -> None:
        """Neither the folder nor a file may be a symbolic link, even to a private file."""
        self.opened()
        for name in FILES:
            real = self.folder.parent / name
            (self.folder / name).rename(real)
            (self.folder / name).symlink_to(real.absolute())
            self.refused(name, "symbolic link")
            (self.folder / name).unlink()
            real.rename(self.folder / name)
        moved = self.folder.rename(self.folder.parent / "elsewhere")
        self.folder.symlink_to(moved.absolute(), target_is_directory=True)
        self.refused("secrets", "symbolic link")

    def test_dangling_link(self) -> None:
        """A link to nothing is not taken for a missing file, so no key is made through it."""
        self.folder.mkdir(0o700)
        (self.folder / "password.key").symlink_to(self.folder.parent.absolute() / "target")
        self.refused("password.key", "symbolic link")
        self.assertFalse((self.folder.parent / "target").exists())

    def test_wrong_length(self) -> None:
        """A key that is short, long or empty is damaged."""
        self.opened()
        for name in ("password.key", "session_00001.key"):
            path = self.folder / name
            good = path.read_bytes()
            for content in (b"", good[:-1], good + b"\n"):
                path.write_bytes(content)
                self.refused(name, f"rm secrets/{name}")
            path.write_bytes(good)

    def test_no_regular_file(self) -> None:
        """A folder, a FIFO (which must not hang the start) and a socket are no keys."""
        self.opened()
        path = self.folder / "password.key"
        path.unlink()
        path.mkdir(0o700)
        self.refused("password.key", "regular file")
        path.rmdir()
        os.mkfifo(path, 0o600)
        self.refused("password.key", "regular file")
        path.unlink()
        here = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, here)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{here}/password.key")
            self.refused("password.key", "password.key")

    def test_file_in_place_of_the_folder(self) -> None:
        """A file where the folder should be is refused."""
        self.folder.write_bytes(b"")
        self.refused("secrets", "secrets")

    def test_other_owner(self) -> None:
        """A file or folder of another user could be changed by that user at any time."""
        if os.geteuid() != 0:
            raise SkipTest("only root can give a file away")
        self.opened()
        for path in (self.folder, *(self.folder / name for name in FILES)):
            os.chown(path, 12345, -1)
            self.refused(path.name, "chown")
            os.chown(path, 0, -1)
        self.opened()


class RotationTests(SecretsCase):
    def test_rotation(self) -> None:
        """A new key signs at once, through signers handed out before; the old one goes on verifying."""
        secrets = self.opened()
        signer = secrets.signer()
        old = signer.sign(b"s" * 16)
        self.assertEqual(secrets.rotate_session_key(), "2")
        self.assertTrue(signer.sign(b"s" * 16).startswith("v1.2."))
        self.assertEqual(signer.verify(old), b"s" * 16)
        self.assertEqual(self.opened().session_keys, ("1", "2"))

    def test_another_process(self) -> None:
        """A process that has the folder open takes the new key up when it opens again, in the signer it has."""
        here, there = self.opened(), self.opened()
        signer = there.signer()
        here.rotate_session_key()
        token = here.signer().sign(b"s" * 16)
        self.assertIsNone(signer.verify(token))
        there.open()
        self.assertEqual(signer.verify(token), b"s" * 16)

    def test_read_again(self) -> None:
        """Keys that another process made or removed are taken up; without any, the present ones go on."""
        one, other = self.opened(), self.opened()
        self.assertFalse(one.read_session_keys())
        other.rotate_session_key()
        token = other.signer().sign(bytes(16))
        self.assertIsNone(one.signer().verify(token))
        self.assertTrue(one.read_session_keys())
        self.assertEqual((one.signer().verify(token), one.signer().key_id), (bytes(16), "2"))
        (self.folder / "session_00001.key").unlink()
        self.assertTrue(one.read_session_keys())
        self.assertEqual(one.session_keys, ("2",))
        (self.folder / "session_00002.key").unlink()
        self.assertFalse(one.read_session_keys())
        self.assertEqual(one.session_keys, ("2",))

    def test_retirement(self) -> None:
        """A key goes when its successor is older than any session, and not before; the newest never goes."""
        secrets = self.opened()
        for _ in range(3):
            secrets.rotate_session_key(retire_after=3600)
        self.assertEqual(secrets.session_keys, ("1", "2", "3", "4"))
        long_ago = datetime.now(UTC).timestamp() - 7200
        for number in (1, 2, 3):
            os.utime(self.folder / f"session_{number:05d}.key", (long_ago, long_ago))
        secrets.rotate_session_key(retire_after=3600)
        self.assertEqual(secrets.session_keys, ("3", "4", "5"))

    def test_another_process_takes_the_number(self) -> None:
        """Two that rotate in the same moment: each has a key of its own, and neither overwrites the other's."""
        here, there = self.opened(), self.opened()
        others: list[str] = []
        real = os.urandom

        def meanwhile(size: int) -> bytes:
            """The other process is done between this one's look at the folder and its new key."""
            self.patch(os, "urandom", real)
            others.append(there.rotate_session_key())
            return real(size)

        self.patch(os, "urandom", meanwhile)
        self.assertEqual((here.rotate_session_key(), others), ("3", ["2"]))
        self.assertEqual(self.opened().session_keys, ("1", "2", "3"))
        self.assertEqual(here.signer().verify(there.signer().sign(SESSION)), SESSION)

    def test_many_keys_sort_by_number(self) -> None:
        """The tenth key is newer than the ninth."""
        secrets = self.opened()
        for _ in range(10):
            secrets.rotate_session_key()
        self.assertEqual(secrets.signer().key_id, "11")
        self.assertEqual(self.opened().signer().key_id, "11")


class CertificateTests(SecretsCase):
    def test_made_certificate(self) -> None:
        """It names this machine three ways, is P-256, is no authority, and is valid from yesterday for 825 days."""
        self.opened()
        made = x509.load_pem_x509_certificate((self.folder / "certificate.pem").read_bytes())
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["localhost"])
        self.assertEqual([str(each) for each in names.get_values_for_type(x509.IPAddress)], ["127.0.0.1", "::1"])
        key = made.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual(key.curve.name, "secp256r1")
        self.assertFalse(made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        now = datetime.now(UTC)
        self.assertTrue(made.not_valid_before_utc < now - timedelta(hours=23))
        self.assertTrue(timedelta(days=824) < made.not_valid_after_utc - now <= timedelta(days=825))

    def test_own_pair(self) -> None:
        """An operator's pair is used as it is."""
        self.folder.mkdir(0o700)
        key = certificate.make_key()
        own = {"private_key.pem": key, "certificate.pem": certificate.make_certificate(key)}
        for name, content in own.items():
            (self.folder / name).write_bytes(content)
            (self.folder / name).chmod(0o600)
        secrets = self.opened()
        self.assertEqual(secrets.certificate_path.read_bytes(), own["certificate.pem"])
        self.assertEqual(secrets.key_path.read_bytes(), own["private_key.pem"])

    def test_lost_certificate(self) -> None:
        """A key of ours whose certificate is gone (a crash between the two, or a hand) gets a new one."""
        self.opened()
        key = (self.folder / "private_key.pem").read_bytes()
        (self.folder / "certificate.pem").unlink()
        self.opened()
        self.assertEqual((self.folder / "private_key.pem").read_bytes(), key)
        certificate.load_pair((self.folder / "certificate.pem").read_bytes(), key)

    def test_bad_pairs(self) -> None:
        """A pair that cannot work is refused at the start with the file to look at, not at the first client."""
        self.opened()
        good = {name: (self.folder / name).read_bytes() for name in ("private_key.pem", "certificate.pem")}
        for name, content, hint in (
            ("private_key.pem", certificate.make_key(), "not the key of certificate.pem"),
            ("private_key.pem", b"", "no PEM private key"),
            ("certificate.pem", b"garbage", "no PEM certificate"),
            ("certificate.pem", good["private_key.pem"], "no PEM certificate"),
        ):
            (self.folder / name).write_bytes(content)
            error = self.assertRaises(ConfigurationError, Secrets(self.folder).open)
            self.assertIn(hint, str(error))
            (self.folder / name).write_bytes(good[name])
        (self.folder / "private_key.pem").unlink()
        error = self.assertRaises(ConfigurationError, Secrets(self.folder).open)
        self.assertIn("no private_key.pem beside it", str(error))

    def test_keys_that_do_not_serve(self) -> None:
        """An operator's key without its certificate, or behind a passphrase, is refused with what to do about it."""
        self.opened()
        path = self.folder / "private_key.pem"
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        path.write_bytes(pkcs8(own, serialization.BestAvailableEncryption(b"secret")))
        error = self.assertRaises(ConfigurationError, Secrets(self.folder).open)
        self.assertIn("openssl pkey", str(error))
        path.write_bytes(pkcs8(own, serialization.NoEncryption()))
        (self.folder / "certificate.pem").unlink()
        error = self.assertRaises(ConfigurationError, Secrets(self.folder).open)
        self.assertIn("put the certificate beside it", str(error))
        self.assertFalse((self.folder / "certificate.pem").exists())

    def test_expired(self) -> None:
        """A certificate made here that nobody accepts any more is made anew with its key; one in use is left."""
        self.opened()
        key = (self.folder / "private_key.pem").read_bytes()
        path = self.folder / "certificate.pem"
        nearly = certificate.make_certificate(key, datetime.now(UTC) - timedelta(days=824))
        path.write_bytes(nearly)
        self.opened()
        self.assertEqual(path.read_bytes(), nearly)
        path.write_bytes(certificate.make_certificate(key, datetime.now(UTC) - timedelta(days=826)))
        self.opened()
        pair = certificate.load_pair(path.read_bytes(), key)
        self.assertTrue(pair.expires_in(datetime.now(UTC)) > timedelta(days=800))
        self.assertEqual(sorted(os.listdir(self.folder)), FILES)


def pkcs8(key: rsa.RSAPrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


OPEN_AND_TELL = """
import sys
from fluxon.security import Secrets
print("ready", flush=True)
sys.stdin.read(1)
secrets = Secrets(sys.argv[1])
secrets.open()
print(secrets.digest("p", b"x").hex(), secrets.signer().sign(b"s" * 16))
"""


class RaceTests(SecretsCase):
    def test_processes_starting_at_once(self) -> None:
        """Four processes that start on nothing at the same moment all end up with the same keys."""
        for attempt in range(3):
            folder = self.folder.with_name(f"race-{attempt}")
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", OPEN_AND_TELL, str(folder.absolute())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=Path(fluxon.__file__).parents[1],  # where it is found without having been installed
                )
                for _ in range(4)
            ]
            for child in children:
                assert child.stdout is not None
                self.assertEqual(child.stdout.readline(), "ready\n")
            for child in children:
                assert child.stdin is not None
                child.stdin.write("x")
                child.stdin.flush()
            told = [child.communicate(timeout=60) for child in children]
            self.assertEqual([child.returncode for child in children], [0] * 4, told)
            self.assertEqual(len({output for output, _ in told}), 1)
            self.assertEqual(sorted(os.listdir(folder)), FILES)

    def test_nothing_has_its_name_before_it_is_whole(self) -> None:
        """While a file is written and synced, its own name does not exist: no other process can read half of it."""
        seen: list[list[str]] = []
        real = os.fsync

        def recorded(descriptor: int) -> None:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                size = os.fstat(descriptor).st_size
                seen.append([each.name for each in self.folder.iterdir() if each.stat().st_size == size])
            real(descriptor)

        self.patch(os, "fsync", recorded)
        self.opened()
        self.assertEqual(len(seen), len(FILES))
        for names, made in zip(seen, ("session_00001", "password", "private_key", "certificate"), strict=True):
            self.assertFalse([name for name in names if name.startswith(made)], names)

    def test_another_process_makes_the_pair(self) -> None:
        """A key that appears while its certificate is looked at belongs to it: the pair is used, not refused."""
        other = Secrets(self.folder)
        real = SecretsFolder.read

        def meanwhile(folder: SecretsFolder, name: str, *args: Any, **kwargs: Any) -> bytes | None:
            """The other process makes key and certificate right after this one found no key."""
            found = real(folder, name, *args, **kwargs)
            if name == "private_key.pem":
                self.patch(SecretsFolder, "read", real)
                self.assertIsNone(found)
                other.open()
            return found

        self.patch(SecretsFolder, "read", meanwhile)
        Secrets(self.folder).open()
        self.assertEqual(sorted(os.listdir(self.folder)), FILES)

    def test_a_folder_that_goes(self) -> None:
        """Where nothing can be written, or what was written is removed at once, the start ends with saying so."""
        with open_folder(self.folder) as folder:
            real = os.fsync

            def meanwhile(descriptor: int) -> None:
                """A hand removes the file as soon as it has its name."""
                (self.folder / "password.key").unlink(missing_ok=True)
                real(descriptor)

            self.patch(os, "fsync", meanwhile)
            error = self.assertRaises(InsecureSecrets, folder.create, "password.key", b"k" * 32)
            self.assertIn("removed while the server was starting", str(error))
            self.patch(os, "fsync", real)
            self.folder.rmdir()
            error = self.assertRaises(InsecureSecrets, folder.create, "password.key", b"k" * 32)
            self.assertIn("cannot be made (No such file or directory)", str(error))

    def test_removed_by_another_process(self) -> None:
        """Two processes that retire the same key both get what they wanted."""
        with open_folder(self.folder) as folder:
            folder.create("session_00001.key", b"k" * 32)
            for _ in range(2):
                folder.remove("session_00001.key")
            self.assertEqual(folder.names(), [])

    def test_a_key_is_never_half_there(self) -> None:
        """A process that dies while it writes leaves a temporary file, which the next start does not take for a key."""
        self.folder.mkdir(0o700)
        (self.folder / ".session_00001.key.0123456789abcdef").write_bytes(b"half")
        self.assertEqual(self.opened().session_keys, ("1",))
