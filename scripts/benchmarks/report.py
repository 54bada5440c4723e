"""The tables a run prints and the JSON it leaves: medians with their spread, ratios, targets met or missed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.disturbance import TOLERATED
from benchmarks.results import RAW, Results
from benchmarks.targets import verdicts


@dataclass(frozen=True)
class Column:
    """A measure shown beside the rates."""

    title: str
    measure: str
    form: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a kind of benchmark is shown."""

    columns: Sequence[Column]
    #: What the rates of a case count, by the first word of its name; else calls or requests.
    units: Mapping[str, str] = field(default_factory=dict)
    #: Whose rates everybody's are divided by, apart from the baseline; else the best peer's.
    beside: Sequence[str] = ()

    def unit(self, case: str) -> str:
        return self.units.get(case.partition("-")[0], "per second")


RPC = Layout(
    columns=(
        Column("p50 µs", "p50_us", ",.1f"),
        Column("p99 µs", "p99_us", ",.1f"),
        Column("per server CPU s", "per_server_cpu_second", ",.0f"),
        Column("CPU s/100k", "server_cpu_per_100k", ".2f"),
        Column("server core", "server_cpu", ".0%"),
        Column("client core", "client_cpu", ".0%"),
        Column("others", "others", ".0%"),
    )
)
BLOCKING = Layout(
    columns=(
        Column("p50 µs", "p50_us", ",.1f"),
        Column("p99 µs", "p99_us", ",.1f"),
        Column("client CPU µs", "client_cpu_us", ",.1f"),
        Column("others", "others", ".0%"),
    )
)
DATABASE = Layout(
    columns=(
        Column("p50 µs", "p50_us", ",.1f"),
        Column("p99 µs", "p99_us", ",.1f"),
        Column("CPU µs", "cpu_us", ",.1f"),
        Column("per CPU s", "per_cpu_second", ",.0f"),
        Column("others", "others", ".0%"),
    )
)
FANOUT = Layout(
    columns=(
        Column("last has it ms", "ms", ",.0f"),
        Column("worst ms", "worst_ms", ",.0f"),
        Column("server CPU ms", "server_ms", ",.0f"),
        Column("CPU µs each", "server_us", ",.1f"),
        Column("clients CPU ms", "client_ms", ",.0f"),
        Column("others", "others", ".0%"),
    ),
    units={"fanout": "clients/s"},
)
IDLE = Layout(
    columns=(
        Column("KiB each", "kib", ",.2f"),
        Column("opened/s", "opened", ",.0f"),
        Column("CPU µs to open", "open_us", ",.0f"),
        Column("others", "others", ".0%"),
    ),
    units={"idle": "clients/MiB"},
)
CLOUD = Layout(
    columns=(
        Column("p50 ms", "p50_ms", ",.2f"),
        Column("p99 ms", "p99_ms", ",.2f"),
        Column("server CPU µs each", "server_us", ",.1f"),
        Column("server core", "server_cpu", ".0%"),
        Column("client core", "client_cpu", ".0%"),
        Column("memory MiB", "memory", "+.1f"),
        Column("others", "others", ".0%"),
    ),
    units={"large": "MiB/s", "small": "files/s", "list": "items/s", "program": "MiB/s"},
    beside=("nginx", "sftp", "wsgidav"),
)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for name, *figures in rows:
        cells = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _references(results: Results, case: str, layout: Layout) -> list[tuple[str, str, str]]:
    """Columns of ratios: title, whose figures are divided by, and which of them."""
    baseline = results.baseline(case)
    title = "raw" if baseline == RAW else "stock"
    per_cpu = "per_cpu_second" if baseline == RAW else "per_server_cpu_second"
    references = [(f"/ {title}", baseline, "rate")]
    if layout.beside:
        references += [(f"/ {name}", name if results.has(case, name) else None, "rate") for name in layout.beside]
    else:
        references.append(("/ best peer", results.fastest_peer(case), "rate"))
    references.append((f"per CPU / {title}", baseline, per_cpu))
    return [(title, name, measure) for title, name, measure in references if name is not None]


def _table(results: Results, case: str, layout: Layout) -> str:
    shown, columns = _references(results, case, layout), layout.columns
    titles = [*(title for title, *_ in shown), *(column.title for column in columns)]
    rows = [[case, layout.unit(case), "min..max", *titles]]
    for name in results.names(case):
        rounds, median = results.rounds(case, name), results.median(case, name)
        row = [name, f"{median:,.0f}", f"{min(rounds):,.0f}..{max(rounds):,.0f}"]
        row += [f"{results.ratio(case, name, other, measure):.2f}" for _, other, measure in shown]
        row += [format(results.median(case, name, column.measure), column.form) for column in columns]
        rows.append(row)
    return _lines(rows)


def _disturbed(results: Results) -> float:
    """The worst median of what others took."""
    return max(
        (results.median(case, name, "others") for case in results.cases() for name in results.names(case)), default=0
    )


def show(results: Results, layout: Layout, machine: Mapping[str, str], versions: Mapping[str, str]) -> None:
    """Prints the whole report."""
    for title, text in machine.items():
        print(f"{title}: {text}")
    print("versions:", ", ".join(f"{name} {version}" for name, version in versions.items()))
    for case in results.cases():
        print(f"\n{_table(results, case, layout)}")
    others = _disturbed(results)
    if others > TOLERATED:
        print(
            f"\nDISTURBED  something else took {others:.0%} of a core: compare by CPU, or run again on a quiet machine"
        )
    judged = list(verdicts(results))
    if judged:
        print("\ntargets, as far as a disturbed run can tell" if others > TOLERATED else "\ntargets")
    for met, line in judged:
        print(f"{'met   ' if met else 'MISSED'}  {line}")
    for line in results.failures:
        print(f"FAILED  {line}")


def save(results: Results, path: Path, machine: Mapping[str, str], versions: Mapping[str, str]) -> None:
    """``cases`` holds the medians alone; ``details`` every measure of every round."""
    cases, details = {}, {}
    for case in results.cases():
        cases[case] = {name: round(results.median(case, name), 1) for name in results.names(case)}
        details[case] = {
            name: {measure: results.rounds(case, name, measure) for measure in results.measures(case, name)}
            for name in results.names(case)
        }
    targets = [{"met": met, "target": line} for met, line in verdicts(results)]
    document = {
        "cases": cases,
        "details": details,
        "targets": targets,
        "failures": results.failures,
        "others": _disturbed(results),
        "machine": dict(machine),
        "versions": dict(versions),
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
