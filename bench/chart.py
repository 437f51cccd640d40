"""A chart as SVG, small and readable on light and dark pages: panels beside each other, one scale below."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 300
_HEIGHT: Final = 190
_LEFT: Final = 46
_TOP: Final = 54
_BOTTOM: Final = 36
_GAP: Final = 18
_STYLE: Final = """
text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-weight:600;fill:#24292f}
.g{stroke:#8c959f;stroke-opacity:.35;stroke-width:1}path{fill:none;stroke-width:2}
.a{stroke:#0a7f80}.b{stroke:#b35900;stroke-dasharray:5 3}circle.a{fill:#0a7f80}circle.b{fill:#b35900}
@media(prefers-color-scheme:dark){text{fill:#9aa4ae}.t{fill:#e6edf3}
.a{stroke:#3fc1c2}.b{stroke:#f0a050}circle.a{fill:#3fc1c2}circle.b{fill:#f0a050}}
"""


@dataclass(frozen=True)
class Line:
    """One line, and its name in the legend."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """Lines over one logarithmic scale of instances; `log` for values on such a scale too."""

    title: str
    lines: Sequence[Line]
    log: bool = False


def draw(panels: Sequence[Panel]) -> str:
    """The chart. Two lines in each panel at most; the first panel's names are the legend."""
    step = _LEFT + _WIDTH + _GAP
    width, height = step * len(panels), _TOP + _HEIGHT + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
        f"<style>{_STYLE}</style>",
    ]
    x = _LEFT
    for line, kind in zip(panels[0].lines, "ab", strict=False):
        parts.append(
            f'<path class="{kind}" d="M{x} 12h26"/><text x="{x + 32}" y="16">{escape(line.name)}</text>'
        )
        x += 150
    for place, panel in enumerate(panels):
        parts += _panel(panel, place * step + _LEFT)
    return "\n".join((*parts, "</svg>\n"))


def _panel(panel: Panel, left: int) -> list[str]:
    points = [point for line in panel.lines for point in line.points]
    across, marks_across = _logarithmic([point[0] for point in points])
    values = [point[1] for point in points]
    up, marks_up = _logarithmic(values) if panel.log else _even(values)

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return left + across(point[0]) * _WIDTH, _TOP + _HEIGHT * (1 - up(point[1]))

    parts = [f'<text class="t" x="{left}" y="{_TOP - 12}">{escape(panel.title)}</text>']
    for mark in marks_up:
        _, y = at((points[0][0], mark))
        parts.append(f'<path class="g" d="M{left} {y:.1f}h{_WIDTH}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for mark in marks_across:
        x, _ = at((mark, values[0]))
        parts.append(
            f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle">{_short(mark)}</text>'
        )
    for line, kind in zip(panel.lines, "ab", strict=False):
        drawn = [at(point) for point in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
        parts.append(f'<path class="{kind}" d="M{path}"/>')
        parts += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in drawn]
    return parts


def _logarithmic(values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """Where a value lies between whole powers of ten, from 0 to 1; and these powers."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    return lambda value: (math.log10(value) - low) / (high - low), [10.0**one for one in range(low, high + 1)]


def _even(values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """Where a value lies from nothing to a round number above all; and five marks or so."""
    power = 10.0 ** math.floor(math.log10(max(values)))
    step = next(power * part for part in (0.2, 0.5, 1, 2) if max(values) <= power * part * 5)
    count = math.ceil(max(values) / step)
    return lambda value: value / (count * step), [step * one for one in range(count + 1)]


def _short(number: float) -> str:
    """1k, 10k, 1M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"
