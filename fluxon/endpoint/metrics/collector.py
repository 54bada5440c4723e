"""What Prometheus is told of a server, read from its counters when somebody asks.

Rules kept here:

- Nothing is counted here: what is told stands in the rooms that do the work, so being asked often costs little and not
  being asked costs nothing.
- Names follow https://prometheus.io/docs/practices/naming/: a unit in the name, ``_total`` for what only grows.
- Labels are names that the program chose (views, ports, codes), never what a client sent.
- What the application counts by itself is told as well; if that fails, the rest is told all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.logger import Logger

from fluxon.endpoint.metrics.figures import Sample
from fluxon.metrics import Requests

_log = Logger(namespace="fluxon.metrics")

#: What every registry of the library has, and what is told here: a name may stand in an answer once.
_TOLD_ALREADY = ("fluxon_", "process_", "python_")

#: Upper bounds of the buckets, in seconds. A request over loopback takes a tenth of a millisecond, a view at most its
#: timeout, 30 s by default.
BOUNDS = (0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServerCollector(Collector):
    """``requests()``: what became of requests, by name; ``samples()``: everything else."""

    def __init__(self, requests: Callable[[], Mapping[str, Requests]], samples: Callable[[], Iterable[Sample]]) -> None:
        self._requests = requests
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        yield from _of_requests(dict(self._requests()))
        yield from _of_samples(self._samples())


class ApplicationCollector(Collector):
    """What the application has declared with ``prometheus_client``, in the registry where it stands unless told."""

    def describe(self) -> list[Metric]:
        return []  # collecting to learn the names could fail, and this is registered while a server starts

    def collect(self) -> Iterator[Metric]:
        try:
            for metric in REGISTRY.collect():
                if not metric.name.startswith(_TOLD_ALREADY):
                    yield metric
        except Exception:
            _log.failure("collecting the application's own metrics")


def _of_requests(requests: Mapping[str, Requests]) -> Iterator[Metric]:
    total = CounterMetricFamily("fluxon_requests", "Requests that ended, by view and code.", labels=["view", "code"])
    seconds = HistogramMetricFamily("fluxon_request_seconds", "How long requests took.", labels=["view"])
    for name, each in requests.items():
        failed = dict(each.failed)
        count = each.count
        total.add_metric([name, "ok"], count - sum(failed.values()))
        for code, failures in failed.items():
            total.add_metric([name, code], failures)
        buckets = [(repr(bound), float(below)) for bound, below in each.latencies.up_to(BOUNDS)]
        seconds.add_metric([name], [*buckets, ("+Inf", float(count))], sum_value=each.latencies.seconds)
    yield total
    yield seconds


def _of_samples(samples: Iterable[Sample]) -> Iterator[Metric]:
    families: dict[str, Any] = {}
    for name, text, labels, value in samples:
        family = families.get(name)
        if family is None:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = families[name] = kind(name, text, labels=list(labels))
        family.add_metric(list(labels.values()), value)
    yield from families.values()
