"""What was measured: for each case and name, one set of measures a round, and their medians."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

#: The measures of one run by name; every run has a ``rate`` a second.
Measures = Mapping[str, float]

FLUXON = "fluxon"
STOCK = "twisted-int32-cbor2"
RAW = "raw-sqlite3"

#: What the stack can do without Fluxon; a case has one of them.
BASELINES = (STOCK, RAW)


def is_peer(name: str) -> bool:
    """What is neither Fluxon nor a baseline of the stack that it is built on."""
    return name != FLUXON and not name.startswith(("fluxon-", "twisted-", "raw-"))


class Results:
    """Collects the rounds; ``failures`` says what could not be measured, each thing once."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[str, list[Measures]]] = {}
        self.failures: list[str] = []

    def add(self, case: str, name: str, measures: Measures) -> None:
        self._samples.setdefault(case, {}).setdefault(name, []).append(measures)

    def fail(self, what: str, problem: Exception) -> None:
        text = f"{what}: {problem}"
        if text not in self.failures:
            self.failures.append(text)

    def cases(self) -> Iterable[str]:
        return self._samples.keys()

    def names(self, case: str) -> Iterable[str]:
        """Who was measured in this case, fastest first."""
        return sorted(self._samples.get(case, {}), key=lambda name: -self.median(case, name))

    def rounds(self, case: str, name: str, measure: str = "rate") -> list[float]:
        return [measures[measure] for measures in self._samples[case][name]]

    def median(self, case: str, name: str, measure: str = "rate") -> float:
        return statistics.median(self.rounds(case, name, measure))

    def ratio(self, case: str, name: str, other: str, measure: str = "rate") -> float:
        return self.median(case, name, measure) / self.median(case, other, measure)

    def measures(self, case: str, name: str) -> Iterable[str]:
        return self._samples[case][name][0].keys()

    def has(self, case: str, name: str) -> bool:
        return name in self._samples.get(case, {})

    def baseline(self, case: str) -> str | None:
        """The one of the ``BASELINES`` that was measured in this case."""
        return next((name for name in BASELINES if self.has(case, name)), None)

    def fastest_peer(self, case: str) -> str | None:
        return next((name for name in self.names(case) if is_peer(name)), None)


def rotated(names: Sequence[str], by: int) -> list[str]:
    """The order of a round: everyone goes first in turn, so that a drift of the machine falls on all alike."""
    start = by % len(names)
    return [*names[start:], *names[:start]]
