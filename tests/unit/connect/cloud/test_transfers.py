"""What transfers know of themselves: where they go on, when they give up, what they believe."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud.patience import FIRST_PIECE, Patience
from fluxon.connect.cloud.transfers import DownloadState, UploadState, fits_in_a_command, reading_of, writing_of
from fluxon.errors import Conflict, InvalidPayload, NotFound, ProtocolError, Unavailable

from .test_requests import ITEM, requests

SHA = "0" * 64


class PatienceTests(SynchronousTestCase):
    """How long a transfer goes on."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.patience = Patience(30.0, self.clock.seconds)

    def test_deadline_moves_with_progress(self) -> None:
        """The time begins anew with every gain, so that a long transfer never ends by it."""
        for _ in range(10):
            self.clock.advance(20)
            self.patience.gained()
        self.assertEqual(self.patience.deadline, 230.0)

    def test_gives_up(self) -> None:
        """Without a gain the last error is raised when the time is over."""
        error = Unavailable("gone")
        waited = 0.0
        with self.assertRaises(Unavailable):
            while True:
                delay = self.patience.delay(error)
                waited += delay
                self.clock.advance(delay)
        self.assertTrue(25 < waited < 30, waited)

    def test_delays_grow(self) -> None:
        """A server that refuses at once is not asked in a loop."""
        delays = [self.patience.delay(Unavailable("no")) for _ in range(8)]
        self.assertEqual(delays, sorted(delays))
        self.assertLessEqual(delays[-1], 2.0)
        self.patience.gained()
        self.assertEqual(self.patience.delay(Unavailable("no")), delays[0])

    def test_pieces_grow_on_a_fast_line(self) -> None:
        """Up to a bound."""
        for _ in range(20):
            self.patience.piece_took(self.clock.seconds())
        self.assertEqual(self.patience.piece, 4 * 2**20)

    def test_pieces_shrink_on_a_slow_line(self) -> None:
        """So that progress is seen."""
        for _ in range(20):
            began = self.clock.seconds()
            self.clock.advance(5)
            self.patience.piece_took(began)
        self.assertEqual(self.patience.piece, 16 * 1024)
        self.assertLess(self.patience.piece, FIRST_PIECE)


class UploadTests(SynchronousTestCase):
    """An upload over several connections."""

    def setUp(self) -> None:
        self.state = UploadState(writing_of("a", True, None, None), 100)

    def test_goes_on_where_the_server_is(self) -> None:
        """The key of the first answer is presented from then on."""
        self.assertIsNone(self.state.arguments()["upload"])
        self.assertEqual(self.state.begun({"upload": "k" * 16, "offset": 0, "stream": 1}), 0)
        self.assertEqual(self.state.arguments()["upload"], "k" * 16)
        self.assertEqual(self.state.begun({"upload": "k" * 16, "offset": 60, "stream": 1}), 60)

    def test_forgotten_by_the_server(self) -> None:
        """It is begun anew, once: what is not found then is the path."""
        self.state.begun({"upload": "k" * 16, "offset": 0, "stream": 1})
        self.state.complete = True
        self.state.forgotten(NotFound())
        self.assertIsNone(self.state.arguments()["upload"])
        self.assertFalse(self.state.complete)
        self.assertRaises(NotFound, self.state.forgotten, NotFound())

    def test_forgotten_again_and_again(self) -> None:
        """A server that keeps no upload is not sent the same for ever."""
        state = self.state
        with self.assertRaises(NotFound):
            for _ in range(100):
                state.begun({"upload": "k" * 16, "offset": 0, "stream": 1})
                state.forgotten(NotFound())
        self.assertIsNotNone(state.key)

    def test_more_than_there_is(self) -> None:
        """A server that has more bytes than the file is not believed."""
        self.assertRaises(Conflict, self.state.begun, {"upload": "k" * 16, "offset": 101, "stream": 1})

    def test_file_that_shrank(self) -> None:
        """It is not committed."""
        self.assertRaises(Conflict, self.state.commit_arguments, None)

    def test_whether_a_lost_commit_had_worked(self) -> None:
        """The file says so, by size and hash."""
        self.state.size = 3
        self.assertTrue(self.state.is_done(requests.item({"item": ITEM}), SHA))
        self.assertFalse(self.state.is_done(requests.item({"item": ITEM}), "1" * 64))

    def test_wrong_arguments(self) -> None:
        """They are refused before a connection is needed."""
        self.assertRaises(InvalidPayload, writing_of, "a", True, -1, None)
        self.assertRaises(InvalidPayload, writing_of, "a", True, None, object())
        self.assertRaises(InvalidPayload, writing_of, "a" * 5_000, True, None, None)

    def test_small_contents(self) -> None:
        """What fits in one message of the connection goes in one command."""
        self.assertTrue(fits_in_a_command(256 * 1024, 2**20))
        self.assertFalse(fits_in_a_command(256 * 1024 + 1, 2**20))
        self.assertFalse(fits_in_a_command(256 * 1024, 256 * 1024))
        self.assertTrue(fits_in_a_command(0, 16 * 1024))


class DownloadTests(SynchronousTestCase):
    """A download over several connections."""

    def answer(self, length: int, offset: int = 0, **item: Any) -> dict[str, Any]:
        return {"item": {**ITEM, "size": 100, **item}, "offset": offset, "length": length, "data": None, "stream": 1}

    def test_goes_on_with_the_same_content(self) -> None:
        """The version that was begun is asked for from where it is."""
        state = DownloadState("/a")
        self.assertEqual(state.arguments(), {"path": "/a", "offset": 0, "length": None, "version": None})
        self.assertEqual(state.opened(self.answer(100)), 100)
        state.received = 60
        self.assertEqual(state.arguments(), {"path": "/a", "offset": 60, "length": None, "version": 2})
        self.assertEqual(state.opened(self.answer(40, 60)), 40)
        self.assertFalse(state.is_complete)
        state.received = 100
        self.assertTrue(state.is_complete)

    def test_part_of_a_file(self) -> None:
        """Its hash is nobody's; how far it goes counts from where it began."""
        state = reading_of("/a", None, 10, 50)
        state.opened({**self.answer(50), "offset": 10})
        self.assertFalse(state.is_whole_file)
        state.received = 20
        self.assertEqual(state.arguments(), {"path": "/a", "offset": 30, "length": 30, "version": 2})
        state.check("1" * 64)

    def test_broken_servers(self) -> None:
        """What does not fit to what was asked, or said before, is believed in no part."""
        data = {"stream": None, "data": b"ab"}
        for wrong in (
            self.answer(20, 11),
            self.answer(51, 10),
            {**self.answer(20, 10), "stream": None},
            {**self.answer(3, 10), **data},
            self.answer(20, 10, sha256="../" * 21 + "."),
            self.answer(20, 10, sha256="A" * 64),
        ):
            self.assertRaises(ProtocolError, reading_of("/a", None, 10, 50).opened, wrong)
        state = reading_of("/a", None, 10, 50)
        self.assertEqual(state.opened({**self.answer(2, 10), **data}), 2)
        state.came(2)
        self.assertRaises(ProtocolError, state.came, 1)
        # Behind the end there is nothing, wherever that is.
        self.assertEqual(reading_of("/a", None, 1_000, None).opened(self.answer(0, 100)), 0)

    def test_another_content_under_the_same_version(self) -> None:
        """Two halves of different contents are never put together."""
        state = DownloadState("/a")
        state.opened(self.answer(100))
        state.received = 60
        self.assertRaises(Conflict, state.opened, self.answer(41, 60))

    def test_no_longer_kept(self) -> None:
        """What was begun is gone: the present content is read from its start; a second time it is an error."""
        state = DownloadState("/a")
        self.assertRaises(NotFound, state.gone, NotFound())
        state.opened(self.answer(100))
        state.received = 60
        state.gone(NotFound())
        self.assertEqual(state.arguments(), {"path": "/a", "offset": 0, "length": None, "version": None})
        self.assertRaises(NotFound, state.gone, NotFound())

    def test_version_that_was_asked_for(self) -> None:
        """If it is gone there is nothing in its place."""
        state = DownloadState("/a", version=1, sha256=SHA)
        state.opened(self.answer(100))
        self.assertEqual(state.sha256, SHA)
        self.assertRaises(NotFound, state.gone, NotFound())

    def test_hash(self) -> None:
        """What does not have the server's is not believed."""
        state = DownloadState("/a")
        state.opened(self.answer(100))
        state.check(SHA)
        self.assertRaises(Unavailable, state.check, "1" * 64)
