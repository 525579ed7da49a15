"""One picture of every benchmark's targets: how far each is met or missed."""

import math
from collections.abc import Sequence
from itertools import count

from localbook.benchmarks import Benchmark, Row

LEFT, RIGHT, TOP, ROW, MOST = 150, 700, 34, 30, 1000  # MOST: times better than its target
SHAPES = {
    "met": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "missed": "M0 -6L6 5H-6Z",
    "too noisy to tell": "M0 -6L6 0L0 6L-6 0Z",
}


def margin(row: Row) -> float:
    """Return how many times better than its target a row is; below 1 it falls short."""
    limit = row.limit or 0.0
    if row.value == limit:
        return 1.0
    return limit / row.value if row.value > 0 else math.inf


def picture(found: Sequence[Benchmark]) -> str:
    """Return a figure with a row for each benchmark and a mark for each of its targets."""
    rows = [
        (b.name, [(margin(r), verdict) for r in b.rows if (verdict := r.verdict(b.noise))])
        for b in found
    ]
    rows = [(name, marks) for name, marks in rows if marks]
    bottom = TOP + ROW * len(rows)
    words = [str(verdict) for _, marks in rows for _, verdict in marks]
    counts = ", ".join(f"{words.count(word)} {word}" for word in SHAPES)
    parts = [f'<path class="lb-grid" d="M{_x(t)} {TOP}V{bottom}"/>' for t in (0.1, 10, 100, 1000)]
    parts.append(f'<path class="lb-target" d="M{_x(1)} {TOP}V{bottom}"/>')
    parts += [
        f'<text x="{_x(t)}" y="{bottom + 20}" text-anchor="middle">{"≥ " * (t == MOST)}{t:g}</text>'
        for t in (0.1, 1, 10, 100, 1000)
    ]
    for (name, marks), y in zip(rows, count(TOP + ROW // 2, ROW), strict=False):
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{name}</text>')
        parts += [_mark(value, verdict, y) for value, verdict in sorted(marks)]
    for k, word in enumerate(SHAPES):
        parts.append(_mark(1, word, 12, LEFT + 150 * k))
        parts.append(f'<text x="{LEFT + 150 * k + 12}" y="16">{word}</text>')
    alt = (
        f"All {len(words)} targets, a row for each of {len(rows)} benchmarks, by how many times "
        f"better than its target each measurement is, from 0.1 to {MOST}: {counts}."
    )
    return (
        f'<figure class="lb-figure lb-targets"><svg role="img" aria-label="{alt}" '
        f'viewBox="0 0 {RIGHT + 20} {bottom + 46}">{"".join(parts)}<text '
        f'x="{(LEFT + RIGHT) // 2}" y="{bottom + 40}" text-anchor="middle">times better than the '
        f"target</text></svg></figure>\n"
    )


def _x(value: float) -> int:
    share = (math.log10(min(max(value, 0.1), MOST)) + 1) / (math.log10(MOST) + 1)
    return round(LEFT + share * (RIGHT - LEFT))


def _mark(value: float, verdict: str, y: int, x: int | None = None) -> str:
    place = _x(value) if x is None else x
    kind = verdict.split()[-1]
    return f'<path class="lb-{kind}" transform="translate({place} {y})" d="{SHAPES[verdict]}"/>'
