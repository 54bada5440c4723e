"""Bytes over a socket: nobody blocks, order is kept, half a frame is never left."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from pathlib import Path
from time import monotonic
from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.channel import TLSChannel
from fluxon.connect.stream import Stream, StreamLost
from fluxon.errors import UntrustedServer
from fluxon.security import Secrets
from fluxon.security.tls import client_tls

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 10.0


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(PATIENCE)
        self.addCleanup(self.theirs.close)
        self.stream = Stream(ours, None)
        self.addCleanup(self.stream.close)

    def serve(self, until: threading.Event, output: list[bytes]) -> None:
        """What the receiving thread does."""
        while not until.is_set():
            self.stream.wait(0.01)
            self.stream.receive()
            self.stream.flush(output)

    def read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = self.theirs.recv(65536)
            self.assertTrue(more)
            data += more
        return bytes(data)

    def test_a_full_socket_blocks_nobody(self) -> None:
        """Far more than the socket takes is flushed at once, and leaves whole as the other side reads."""
        data = bytes(range(256)) * 16_000  # 4 MB
        output = [data, b"after"]
        self.stream.flush(output)
        self.assertEqual(output, [])
        done = threading.Event()
        thread = threading.Thread(target=self.serve, args=(done, output))
        thread.start()
        self.assertEqual(self.read(len(data) + 5), data + b"after")
        done.set()
        thread.join(PATIENCE)

    def test_frames_of_many_threads_stay_whole(self) -> None:
        """Whoever sends, no frame is cut by another, and none is lost."""
        output: list[bytes] = []

        def send(letter: bytes) -> None:
            for _ in range(200):
                output.append(letter * 1000)
                self.stream.flush(output)

        done = threading.Event()
        threads = [threading.Thread(target=send, args=(bytes([65 + number]),)) for number in range(8)]
        server = threading.Thread(target=self.serve, args=(done, output))
        for each in (*threads, server):
            each.start()
        received = self.read(8 * 200 * 1000)
        for each in threads:
            each.join(PATIENCE)
        done.set()
        server.join(PATIENCE)
        frames = [received[at : at + 1000] for at in range(0, len(received), 1000)]
        self.assertEqual({len(set(each)) for each in frames}, {1})
        self.assertEqual([frames.count(bytes([65 + number]) * 1000) for number in range(8)], [200] * 8)

    def test_interrupted_in_the_middle(self) -> None:
        """Ctrl+C while a thread sends ends the stream: how much of the frame left is not known."""

        class Interrupting(list[bytes]):
            def __delitem__(self, key: Any) -> None:
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.stream.flush, Interrupting([b"frame"]))
        self.stream.wait(PATIENCE)
        self.assertIn("interrupted", str(self.assertRaises(StreamLost, self.stream.receive)))

    def test_interrupted_before_it_sent(self) -> None:
        """Ctrl+C before a thread has begun to send takes nothing from the others: the stream goes on."""

        class Interrupting:
            def acquire(self, *_: Any) -> bool:
                raise KeyboardInterrupt

        sending = self.stream._sending
        self.stream._sending = Interrupting()  # type: ignore[assignment]
        output = [b"frame"]
        self.assertRaises(KeyboardInterrupt, self.stream.flush, output)
        self.stream._sending = sending
        self.stream.flush(output)
        self.stream.wait(0)
        self.assertEqual(self.stream.receive(), b"")
        self.assertEqual(self.read(5), b"frame")

    def test_closed_while_it_was_to_be_sent(self) -> None:
        """Frames of a conversation that is closed just then are void, and the stream is as it was."""

        class Closed(list[bytes]):
            def __getitem__(self, key: Any) -> Any:
                self.clear()
                return []

        self.stream.flush(Closed([b"void"]))
        self.stream.flush([b"frame"])
        self.assertEqual(self.read(5), b"frame")

    def test_no_quick_wait_while_bytes_are_unsent(self) -> None:
        """Only the receiving thread sends what the socket did not take: whoever would wait here leaves that to it."""
        self.theirs.sendall(b"answer")
        self.stream.flush([bytes(4_000_000)])
        self.assertFalse(self.stream.wait_quickly(alone=True))
        self.stream.wait(PATIENCE)
        self.assertEqual(self.stream.receive(), b"answer")

    def test_somebody_else_has_read_it(self) -> None:
        """What was there when it was waited for, and is no more, is not waited for again."""
        self.theirs.sendall(b"answer")
        self.stream.wait(PATIENCE)
        self.assertTrue(self.stream.wait_quickly(alone=True))
        self.assertEqual(self.stream.take(), b"answer")
        self.assertEqual(self.stream.receive(), b"")

    def test_stop_wakes(self) -> None:
        """The receiving thread learns at once."""
        threading.Timer(0.05, self.stream.stop, ["enough"]).start()
        self.stream.wait(PATIENCE)
        self.assertEqual(str(self.assertRaises(StreamLost, self.stream.receive)), "enough")

    def test_the_other_side_leaves(self) -> None:
        """Its last bytes still arrive, then the end."""
        self.theirs.sendall(b"last words")
        self.theirs.close()
        self.stream.wait(PATIENCE)
        self.assertEqual(self.stream.receive(), b"last words")
        self.stream.wait(PATIENCE)
        self.assertIn("closed", str(self.assertRaises(StreamLost, self.stream.receive)))

    def test_sending_to_one_who_left(self) -> None:
        """A failed send raises nothing where it happens, and ends the stream where it is received."""
        self.theirs.close()
        for _ in range(2):
            self.stream.flush([b"x" * 100])
        self.stream.wait(PATIENCE)
        self.assertRaises(StreamLost, self.stream.receive)


class ChannelTests(SynchronousTestCase):
    """TLS from memory to memory."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="fluxon-channel-"))
        self.addCleanup(shutil.rmtree, folder)
        secrets = Secrets(folder / "secrets")
        secrets.open()
        self.certificate, self.key = secrets.certificate_path, secrets.key_path
        self.serve(SSL.TLS1_3_VERSION)

    def serve(self, version: int) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_max_proto_version(version)
        context.use_certificate_file(str(self.certificate))
        context.use_privatekey_file(str(self.key))
        self.server = SSL.Connection(context, None)
        self.server.set_accept_state()

    def carry(self, data: bytes) -> bytes:
        """Give ``data`` to the server; what it says to that."""
        if data:
            self.server.bio_write(data)
        try:
            self.server.do_handshake()
        except SSL.Error:
            pass
        try:
            return self.server.bio_read(100_000)
        except SSL.WantReadError:
            return b""

    def shake_hands(self, channel: TLSChannel) -> None:
        said = b""
        while not channel.handshake(said):
            said = self.carry(channel.pending())
        self.assertEqual(channel.decrypt(self.carry(channel.pending())), b"")  # session tickets

    def test_both_ways(self) -> None:
        """A megabyte crosses in either direction, then a goodbye."""
        channel = TLSChannel(client_tls("localhost", self.certificate))
        self.shake_hands(channel)
        data = bytes(range(256)) * 4_000
        self.server.bio_write(channel.encrypt(data))
        got = b""
        while len(got) < len(data):
            got += self.server.recv(100_000)
        self.assertEqual(got, data)
        answered = b""
        for at in range(0, len(data), 10_000):
            self.server.send(data[at : at + 10_000])
            answered += channel.decrypt(self.server.bio_read(100_000))
        self.assertEqual(answered, data)
        self.assertFalse(channel.ended)
        self.server.shutdown()
        self.assertEqual(channel.decrypt(self.server.bio_read(1000)), b"")
        self.assertTrue(channel.ended)

    def test_the_last_words_and_the_goodbye_in_one_piece(self) -> None:
        """The end is seen behind the data, though nothing more comes: such a server waits for our goodbye."""
        for quickly in (False, True):
            self.serve(SSL.TLS1_3_VERSION)
            channel = TLSChannel(client_tls("localhost", self.certificate))
            self.shake_hands(channel)
            ours, theirs = socket.socketpair()
            self.addCleanup(theirs.close)
            stream = Stream(ours, channel)
            self.addCleanup(stream.close)
            self.server.send(b"bye")
            self.server.shutdown()
            theirs.sendall(self.server.bio_read(1000))
            if quickly:
                self.assertTrue(stream.wait_quickly(alone=True))
                self.assertEqual(stream.take(), b"bye")
            else:
                stream.wait(PATIENCE)
                self.assertEqual(stream.receive(), b"bye")
            began = monotonic()
            stream.wait(PATIENCE)
            self.assertEqual(str(self.assertRaises(StreamLost, stream.receive)), "the server closed it")
            self.assertLess(monotonic() - began, PATIENCE / 2)

    def test_said_with_the_handshake(self) -> None:
        """What the server says in the same bytes as the end of its handshake is there at once, its goodbye included."""
        for leaves in (False, True):
            self.serve(SSL.TLS1_2_VERSION)  # there the server's is the last word
            channel = TLSChannel(client_tls("localhost", self.certificate))
            said = b""
            while not channel.handshake(said):
                said = self.carry(channel.pending())
                if self.server.get_state_string() == b"SSL negotiation finished successfully":
                    self.server.send(b"first")
                    if leaves:
                        self.server.shutdown()
                    said += self.server.bio_read(100_000)
            ours, theirs = socket.socketpair()
            self.addCleanup(theirs.close)
            stream = Stream(ours, channel)
            self.addCleanup(stream.close)
            stream.wait(PATIENCE)
            self.assertEqual(stream.receive(), b"first")
            stream.wait(0)
            if leaves:
                self.assertEqual(str(self.assertRaises(StreamLost, stream.receive)), "the server closed it")
            else:
                self.assertEqual(stream.receive(), b"")

    def test_behind_the_goodbye(self) -> None:
        """Whatever comes after it is not read."""
        channel = TLSChannel(client_tls("localhost", self.certificate))
        self.shake_hands(channel)
        self.server.shutdown()
        self.assertEqual(channel.decrypt(self.server.bio_read(1000)), b"")
        self.assertTrue(channel.ended)
        self.assertEqual(channel.decrypt(b"anything"), b"")

    def test_sending_after_the_server_broke_tls(self) -> None:
        """Whoever sends is not told by an exception of OpenSSL: the receiving thread ends the stream."""
        channel = TLSChannel(client_tls("localhost", self.certificate))
        self.shake_hands(channel)
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        stream = Stream(ours, channel)
        self.addCleanup(stream.close)
        channel.goodbye()  # from here on OpenSSL refuses to send
        stream.flush([b"x"])
        stream.wait(PATIENCE)
        self.assertIn("ended TLS", str(self.assertRaises(StreamLost, stream.receive)))

    def test_byte_by_byte(self) -> None:
        """Records arrive however the network cuts them."""
        channel = TLSChannel(client_tls("localhost", self.certificate))
        self.shake_hands(channel)
        self.server.send(b"slowly")
        records = self.server.bio_read(1000)
        self.assertEqual(b"".join(channel.decrypt(bytes([each])) for each in records), b"slowly")

    def test_tampered(self) -> None:
        """A record that was changed on the way is an error."""
        channel = TLSChannel(client_tls("localhost", self.certificate))
        self.shake_hands(channel)
        self.server.send(b"secret")
        records = bytearray(self.server.bio_read(1000))
        records[-1] ^= 1
        self.assertRaises(SSL.Error, channel.decrypt, bytes(records))

    def test_refusal(self) -> None:
        """The judge's words are kept for whoever explains the failed handshake."""
        channel = TLSChannel(client_tls("example.org", self.certificate))
        self.assertRaises(SSL.Error, self.shake_hands, channel)
        self.assertIsInstance(channel.refusal, UntrustedServer)
        self.assertEqual(channel.goodbye(), b"")
