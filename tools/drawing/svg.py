"""Small charts as SVG, on a ground of their own, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

WIDTH = 760
LEFT, RIGHT = 62, 18
STYLE = """
.ground { fill: #ffffff; stroke: #d8dee6 } text { fill: #334155; font: 12px sans-serif }
.title { font-weight: bold } .small { font-size: 11px } .grid { stroke: #e2e8f0 } .axis { stroke: #94a3b8 }
.blue { stroke: #2563eb } .orange { stroke: #c2620a } .red { stroke: #dc2626 } .grey { stroke: #94a3b8 }
.fill.blue { fill: #2563eb } .fill.orange { fill: #c2620a } .fill.red { fill: #dc2626 } .fill.grey { fill: #94a3b8 }
.line { fill: none; stroke-width: 1.6 } .fill { stroke: none } .area { fill-opacity: 0.16 }
.quota { stroke: #334155; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
.ground { fill: #161b26; stroke: #2b3446 } text { fill: #cbd5e1 } .grid { stroke: #283142 } .axis { stroke: #64748b }
.blue { stroke: #60a5fa } .orange { stroke: #fbaf4b } .red { stroke: #f87171 } .grey { stroke: #7c8aa0 }
.fill.blue { fill: #60a5fa } .fill.orange { fill: #fbaf4b } .fill.red { fill: #f87171 } .fill.grey { fill: #7c8aa0 }
.quota { stroke: #cbd5e1 } }
""".strip()


class Drawing:
    """A picture that panels are put into, one below the other."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.parts: list[str] = []
        self.height = 14.0

    def panel(self, title: str, seconds: tuple[float, float], most: float, height: int = 96) -> Panel:
        """The next panel: its axis of time, and the largest value of the other one."""
        panel = Panel(self, self.height + 24, height, seconds, most)
        self.parts.append(text(LEFT, self.height + 12, title, "title"))
        self.height += height + 34
        return panel

    def legend(self, *entries: tuple[str, str]) -> None:
        """What colours mean, below the panels."""
        x = float(LEFT)
        for colour, words in entries:
            self.parts.append(f'<rect class="fill {colour}" x="{x:.1f}" y="{self.height + 8:.1f}" width="12" height="12" rx="2"/>')
            self.parts.append(text(x + 18, self.height + 18, words))
            x += 36 + 6.4 * len(words)
        self.height += 32

    def written(self) -> str:
        height = self.height + 8
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" role="img">',
            f"<title>{escape(self.about)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="6"/>',
            *self.parts,
            "</svg>\n",
        ])


class Panel:
    """Axes with a time to the right."""

    def __init__(self, drawing: Drawing, top: float, height: int, seconds: tuple[float, float], most: float) -> None:
        self.parts, self.top, self.height = drawing.parts, top, height
        self.seconds, self.most, self.drawing = seconds, most, drawing

    def x(self, seconds: float) -> float:
        first, last = self.seconds
        return LEFT + (min(max(seconds, first), last) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.top + self.height - value / self.most * self.height

    def times(self, step: float, label: str = "{:g} s", below: bool = True) -> None:
        """Lines of a grid at multiples of a step, and what they are."""
        count = int(self.seconds[0] / step + 0.999)
        while count * step <= self.seconds[1] + 1e-9:
            x, at = self.x(count * step), count * step
            self.parts.append(f'<line class="grid" x1="{x:.1f}" y1="{self.top:.1f}" x2="{x:.1f}" y2="{self.top + self.height:.1f}"/>')
            if below:
                self.parts.append(text(x, self.top + self.height + 15, label.format(round(at, 3)), "small", "middle"))
            count += 1
        self.floor()
        if below:
            self.drawing.height += 10

    def floor(self) -> None:
        y = self.top + self.height
        self.parts.append(f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')

    def mark(self, value: float, words: str, kind: str = "quota") -> None:
        """A level, named to the left."""
        y = self.y(value)
        self.parts.append(f'<line class="{kind}" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        self.parts.append(text(LEFT - 6, y + 4, words, "small", "end"))

    def steps(self, points: Iterable[tuple[float, float]], colour: str, filled: bool = True) -> None:
        """Values that hold until the next one. Within a dot of the screen only the largest and the last are drawn."""
        dots: dict[int, list[float]] = {}
        for seconds, value in points:
            dots.setdefault(round(self.x(seconds)), []).append(self.y(min(value, self.most)))
        line = ""
        for x, heights in dots.items():
            # The top of a picture is 0, so the largest value is the lowest number.
            stops = dict.fromkeys(f"{y:.1f}" for y in (min(heights), heights[-1]))
            line += f"M{x} {next(iter(stops))}" if not line else f"H{x}"
            line += "".join(f"V{y}" for y in stops)
        if filled and dots:
            base = f"{self.top + self.height:.1f}"
            self.parts.append(f'<path class="fill area {colour}" d="{line}H{max(dots)}V{base}H{min(dots)}Z"/>')
        self.parts.append(f'<path class="line {colour}" d="{line}"/>')

    def ticks(self, moments: Iterable[float], colour: str, top: float, bottom: float) -> None:
        """A short line for each moment, between two values."""
        high, low = self.y(top), self.y(bottom)
        path = "".join(f"M{self.x(at):.1f} {high:.1f}V{low:.1f}" for at in moments)
        self.parts.append(f'<path class="line {colour}" d="{path}"/>')

    def bar(self, start: float, end: float, value: float, colour: str, thick: float = 5) -> None:
        x, y = self.x(start), self.y(value) - thick / 2
        width = max(self.x(end) - x, 1)
        self.parts.append(f'<rect class="fill {colour}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{thick:g}" rx="2"/>')

    def column(self, start: float, end: float, low: float, high: float, colour: str) -> None:
        x, y = self.x(start), self.y(high)
        width, height = self.x(end) - x - 1, self.y(low) - y
        self.parts.append(f'<rect class="fill {colour}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')

    def dot(self, at: float, value: float, colour: str, radius: float = 3.6) -> None:
        self.parts.append(f'<circle class="fill {colour}" cx="{self.x(at):.1f}" cy="{self.y(value):.1f}" r="{radius:g}"/>')

    def slope(self, start: float, high: float, end: float, low: float, colour: str) -> None:
        place = f'x1="{self.x(start):.1f}" y1="{self.y(high):.1f}" x2="{self.x(end):.1f}" y2="{self.y(low):.1f}"'
        self.parts.append(f'<line class="line {colour}" {place}/>')

    def note(self, at: float, value: float, words: str, anchor: str = "start") -> None:
        self.parts.append(text(self.x(at), self.y(value) + 4, words, "small", anchor))

    def left(self, value: float, words: str) -> None:
        self.parts.append(text(LEFT - 6, self.y(value) + 4, words, "small", "end"))


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'
