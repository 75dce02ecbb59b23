"""A picture: shapes with the colours of a light and of a dark page."""

from collections.abc import Sequence
from html import escape

WIDTH = 820
_STYLE = """
.page{fill:#fbfaf7}.title{fill:#22313f;font-size:18px;font-weight:650}.said{fill:#56646f;font-size:13px}
.name{fill:#22313f;font-size:14px}.number{fill:#22313f;font-size:14px;font-variant-numeric:tabular-nums}
.ours.name,.ours.number{fill:#b0481f;font-weight:650}.tick{fill:#56646f;font-size:12px;font-variant-numeric:tabular-nums}
.bar{fill:#9aa8b3}.ours.bar{fill:#c0562f}.spread{stroke:#22313f;stroke-width:1.5;fill:none}
.grid{stroke:#dfdcd3;stroke-width:1}.limit{stroke:#56646f;stroke-width:1.2;stroke-dasharray:5 4}
.line{fill:none;stroke:#7c8b97;stroke-width:2.2;stroke-linejoin:round}.ours.line{stroke:#c0562f;stroke-width:2.8}
.band{fill:#9aa8b3;opacity:.25}.ours.band{fill:#c0562f;opacity:.18}
.dot{fill:#7c8b97}.ours.dot{fill:#c0562f}.open{fill:#fbfaf7;stroke:#7c8b97;stroke-width:2}.ours.open{stroke:#c0562f}
@media (prefers-color-scheme:dark){.page{fill:#161b22}.title,.name,.number{fill:#e6e3dc}.said,.tick{fill:#9fabb6}
.ours.name,.ours.number{fill:#f08a5d}.bar{fill:#5f6d79}.ours.bar{fill:#e0703f}.spread{stroke:#e6e3dc}.grid{stroke:#2b333d}
.limit{stroke:#9fabb6}.line{stroke:#8a98a5}.ours.line{stroke:#e0703f}.dot{fill:#8a98a5}.ours.dot{fill:#e0703f}
.band{fill:#8a98a5}.ours.band{fill:#e0703f}.open{fill:#161b22;stroke:#8a98a5}.ours.open{stroke:#e0703f}}
"""


class Picture:
    """Shapes of classes that `_STYLE` knows; ``ours`` beside a class is the colour of what is ours. Units are pixels.

    Args:
        title: what was found, in a sentence; screen readers get it too.
        said: how it was measured, a line each.
        height: without the lines above.

    Attributes:
        top: where the lines above end.
    """

    def __init__(self, title: str, said: Sequence[str], height: float) -> None:
        self.top = 52.0 + 19 * len(said)
        self._height = self.top + height
        self._title = title
        self._parts: list[str] = []
        self.text(28, 38, title, "title")
        for at, line in enumerate(said):
            self.text(28, 62 + 19 * at, line, "said")

    def text(self, x: float, y: float, words: str, shape: str, anchor: str = "start") -> None:
        """Words on one line, whose ``anchor`` (start, middle or end) is at a point."""
        self._parts.append(
            f'<text class="{shape}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, shape: str) -> None:
        """A box, its left upper corner at a point."""
        self._parts.append(
            f'<rect class="{shape}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], shape: str, *, closed: bool = False) -> None:
        """Straight lines through points."""
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._parts.append(f'<path class="{shape}" d="M{way}{"Z" if closed else ""}"/>')

    def dot(self, x: float, y: float, shape: str) -> None:
        """A dot."""
        self._parts.append(f'<circle class="{shape}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')

    def whiskers(self, low: float, high: float, y: float) -> None:
        """From the least to the most, lying."""
        self.path([(low, y), (high, y)], "spread")
        for end in (low, high):
            self.path([(end, y - 4), (end, y + 4)], "spread")

    def drawn(self) -> str:
        """The whole picture as SVG 1.1 with a style sheet of its own."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height:.0f}" width="{WIDTH}" '
            'font-family="system-ui, -apple-system, Segoe UI, sans-serif" role="img" '
            f'aria-label="{escape(self._title)}">'
        )
        page = f'<rect class="page" width="{WIDTH}" height="{self._height:.0f}" rx="14"/>'
        return "\n".join([head, f"<style>{_STYLE}</style>", page, *self._parts, "</svg>"]) + "\n"
