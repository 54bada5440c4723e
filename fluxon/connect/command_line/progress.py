"""Progress bars: tqdm's, where it is installed (``fluxon[cli]``) and somebody looks; else none."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, TextIO

try:
    from tqdm import tqdm
except ImportError:  # an extra
    tqdm = None


class Bar:
    """How many of ``total`` bytes are done, over any number of transfers and threads."""

    def __init__(self, total: int, what: str, err: TextIO, *, quiet: bool) -> None:
        self._lock = threading.Lock()
        shown = tqdm is not None and not quiet and err.isatty()
        self._bar: Any = (
            tqdm(total=total, desc=what[:40], file=err, unit="B", unit_scale=True, unit_divisor=1024, leave=False)
            if shown
            else None
        )

    def part(self) -> Part:
        """For one transfer."""
        return Part(self)

    def advance(self, count: int) -> None:
        """So many bytes more; fewer than none when a transfer begins anew."""
        if self._bar is not None and count:
            with self._lock:
                self._bar.update(count)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


class Part:
    """One transfer's share of a bar: what a transfer's ``progress`` is."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._done = 0

    def __call__(self, done: int, total: int) -> None:
        self._bar.advance(done - self._done)
        self._done = done
