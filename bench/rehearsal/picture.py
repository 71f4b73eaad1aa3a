"""What a rehearsal showed of its first hours, as an SVG: events that wait, API calls a minute."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN, GAP = 860, 190, 60, 46  # of one chart, in pixels
STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-weight:600}.g{stroke:#ddd}"
    ".a{fill:none;stroke:#0b5fff;stroke-width:1.6}.b{fill:none;stroke:#f60;stroke-width:2;stroke-dasharray:5 6}"
)
Line = Sequence[float]  # a value a minute


def picture(charts: Sequence[tuple[str, Line, Line]]) -> str:
    """charts: a title, what the rehearsal showed by minute, and what the arithmetic says (empty: nothing)."""
    height = len(charts) * (HEIGHT + GAP) + GAP
    drawn = "".join(_chart(*chart, GAP + n * (HEIGHT + GAP)) for n, chart in enumerate(charts))
    size = f'width="{WIDTH + 2 * MARGIN}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>{drawn}</svg>\n'


def _chart(title: str, shown: Line, said: Line, top: int) -> str:
    most = max([1.0, *shown, *said])
    minutes = max(len(shown), len(said), 2) - 1
    marks = "".join(_mark(n / 4 * most, n / 4, top) for n in range(5))
    hours = "".join(_hour(hour, minutes, top) for hour in range(minutes // 60 + 1))
    lines = _line("a", shown, most, minutes, top) + _line("b", said, most, minutes, top)
    return f'<text class="t" x="{MARGIN}" y="{top - 12}">{escape(title)}</text>{marks}{hours}{lines}'


def _line(kind: str, values: Line, most: float, minutes: int, top: int) -> str:
    every = max(1, len(values) // WIDTH)
    points = " ".join(
        f"{MARGIN + n * WIDTH / minutes:.1f},{top + HEIGHT * (1 - values[n] / most):.1f}"
        for n in range(0, len(values), every)
    )
    return f'<polyline class="{kind}" points="{points}"/>'


def _mark(value: float, share: float, top: int) -> str:
    y = top + HEIGHT * (1 - share)
    line = f'<line class="g" x1="{MARGIN}" x2="{MARGIN + WIDTH}" y1="{y:.0f}" y2="{y:.0f}"/>'
    return f'{line}<text x="{MARGIN - 6}" y="{y + 4:.0f}" text-anchor="end">{value:,.0f}</text>'


def _hour(hour: int, minutes: int, top: int) -> str:
    x = MARGIN + hour * 60 * WIDTH / minutes
    return f'<text x="{x:.0f}" y="{top + HEIGHT + 16}" text-anchor="middle">{hour} h</text>'
