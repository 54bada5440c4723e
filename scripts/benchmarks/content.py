"""The files that ``bench cloud`` moves: what is in them, and the folder that plain servers serve.

Rules of this file: nothing in a file repeats within what a compressor or a deduplicating disk would look at, and no
two files begin alike, so that a mixed-up answer is noticed. The transfer client computes the same bytes (main.c).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

PATTERN_SIZE = 2**20

#: A file begins so many bytes further on in the pattern than the file before.
_SHIFT = 4099

SMALL_SIZE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Content:
    """``large_size`` bytes in one file, ``small_count`` files of 64 KiB, ``listed_count`` empty ones in a folder."""

    folder: Path
    large_size: int
    small_count: int
    listed_count: int

    @property
    def pattern_file(self) -> Path:
        return self.folder / "pattern"

    @property
    def served(self) -> Path:
        """What the plain servers serve; ``up`` in it is where uploads go."""
        return self.folder / "served"

    def make(self) -> None:
        self.pattern_file.write_bytes(random.Random(0).randbytes(PATTERN_SIZE))
        for name in ("small", "listed", "up"):
            (self.served / name).mkdir(parents=True)
        with (self.served / "large").open("wb") as large:
            for piece in self.large():
                large.write(piece)
        for number in range(self.small_count):
            (self.served / "small" / f"{number:05}").write_bytes(self.small(number))
        for number in range(self.listed_count):
            (self.served / "listed" / f"{number:05}").touch()

    def small(self, number: int) -> bytes:
        pattern = self.pattern_file.read_bytes()
        start = number * _SHIFT % PATTERN_SIZE
        return (pattern * 2)[start : start + SMALL_SIZE]

    def large(self) -> list[memoryview]:
        """The pieces of the large file."""
        pattern = memoryview(self.pattern_file.read_bytes())
        whole, rest = divmod(self.large_size, PATTERN_SIZE)
        return [pattern] * whole + ([pattern[:rest]] if rest else [])

    def large_sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.large():
            digest.update(piece)
        return digest.hexdigest()
