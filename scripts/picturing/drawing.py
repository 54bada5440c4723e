"""SVG, as far as these pictures need it.

Rules kept here: a picture stands on a ground of its own, with colours for a light and a dark surrounding, to be read on
any page; it needs no font, script or file from elsewhere; text stays text, which searches and tests find.
"""

from __future__ import annotations

from html import escape

#: Name: light, dark.
_COLOURS = {
    "ground": ("#f6f8fa", "#0d1117"),
    "panel": ("#ffffff", "#161b22"),
    "line": ("#c5ccd4", "#3a424c"),
    "text": ("#1f2328", "#e6edf3"),
    "quiet": ("#59636e", "#9198a1"),
    "there": ("#0550ae", "#79c0ff"),
    "back": ("#1a7f37", "#56d364"),
    "reverse": ("#8250df", "#d2a8ff"),
}

SANS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Drawing:
    """One picture of ``width`` by ``height``; ``title`` is what it is to somebody who cannot see it."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._parts: list[str] = []
        self.box(0, 0, width, height, fill="ground", line=None)

    def box(self, x: float, y: float, width: float, height: float, fill: str, line: str | None = "line") -> None:
        """A rectangle with round corners."""
        border = f' class="{fill} edge-{line}"' if line else f' class="{fill}"'
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"{border}/>')

    def text(
        self, x: float, y: float, *runs: tuple[str, str], size: float = 13, anchor: str = "start", bold: bool = False
    ) -> None:
        """One line of prose; each run is a colour and its words."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}"{weight}>{_spans(runs)}</text>'
        )

    def code(self, x: float, y: float, *runs: tuple[str, str], size: float, advance: float) -> None:
        """One line of a terminal, in which every character is ``advance`` wide, whatever the font."""
        width = advance * sum(len(words) for _, words in runs)
        self._parts.append(
            f'<text class="code" x="{x:g}" y="{y:g}" font-size="{size:g}" textLength="{width:g}" '
            f'lengthAdjust="spacingAndGlyphs">{_spans(runs)}</text>'
        )

    def arrow(self, *points: tuple[float, float], colour: str, dashed: bool = False) -> None:
        """A line through ``points`` that ends in a head."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(f'<path d="{path}" class="arrow edge-{colour}" marker-end="url(#{colour})"{dash}/>')

    def number(self, x: float, y: float, number: int, colour: str) -> None:
        """A step of what is told."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="9" class="{colour}"/>')
        self.text(x, y + 4, ("panel", str(number)), size=11.5, anchor="middle", bold=True)

    def begin(self, name: str) -> None:
        """What follows belongs together, until ``end``."""
        self._parts.append(f'<g id="{escape(name)}">')

    def end(self) -> None:
        self._parts.append("</g>")

    def written(self) -> str:
        """The file."""
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label="{escape(self._title)}" xml:space="preserve">'
        )
        markers = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" class="{name}"/></marker>'
            for name in ("there", "back", "reverse", "quiet")
        )
        return "\n".join([head, f"<style>{_style()}</style>", f"<defs>{markers}</defs>", *self._parts, "</svg>", ""])


def _spans(runs: tuple[tuple[str, str], ...]) -> str:
    return "".join(f'<tspan class="{colour}">{escape(words)}</tspan>' for colour, words in runs)


def _style() -> str:
    def rules(which: int) -> str:
        return "".join(
            f".{name}{{fill:{values[which]}}}.edge-{name}{{stroke:{values[which]}}}"
            for name, values in _COLOURS.items()
        )

    return (
        f"text{{font-family:{SANS}}}.code{{font-family:{MONO};white-space:pre}}"
        f".arrow{{fill:none;stroke-width:1.6}}{rules(0)}"
        f"@media(prefers-color-scheme:dark){{{rules(1)}}}"
    )
