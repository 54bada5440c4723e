"""The targets of ``scripts/fuzz``: on what they begin with, on a little damage to it, and on all they ever found."""

from __future__ import annotations

from random import Random

from effort import times
from fuzzing.targets import TARGETS, findings
from twisted.trial.unittest import SynchronousTestCase

ROUNDS = times(40)


def damaged(data: bytes, random: Random) -> bytes:
    """The same with a few bytes changed, lost or put in."""
    made = bytearray(data)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(made) + 1)
        made[place : place + random.choice((0, 1, 1, 2, 8))] = random.randbytes(random.choice((0, 1, 1, 2)))
    return bytes(made)


class FuzzingTests(SynchronousTestCase):
    def run_target(self, name: str) -> None:
        target, seeds, _ = TARGETS[name]
        random = Random(name)
        for data in seeds():
            target(data)
            for _ in range(ROUNDS):
                made = damaged(data, random)
                try:
                    target(made)
                except Exception as error:
                    raise AssertionError(f"{name} fails on {made.hex()}") from error
        for path in findings(name):
            target(path.read_bytes())

    def test_frames(self) -> None:
        """However a stream is cut, it gives the same frames."""
        self.run_target("frames")

    def test_codec(self) -> None:
        """What is read can be written, and read as the same."""
        self.run_target("codec")

    def test_conversation(self) -> None:
        """One end's books are right, whatever the other says."""
        self.run_target("conversation")

    def test_server(self) -> None:
        """Nothing is raised, logged or left by a connection that says anything at all."""
        self.run_target("server")

    def test_schema(self) -> None:
        """Schema files are read or refused."""
        self.run_target("schema")

    def test_cloud_paths(self) -> None:
        """Paths have one form, or none."""
        self.run_target("cloud_paths")
