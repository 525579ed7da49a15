"""What boundaries and regions are timed against: plain methods for networks of two inputs."""

from collections.abc import Iterator

import numpy as np

from localbook.arrays import Box, Floats
from localbook.tropical import ReLUNetwork
from localbook.tropical.zonotopes import keys, random_marks

_SMALL = 1e-12  # of a pre-activation that is taken for zero


def line_sort(network: ReLUNetwork, box: Box) -> Floats:
    """Return the boundary's segments (m, 2, 2) for one hidden layer, two classes; O(p² log p).

    Along each neuron's fold, and each side of the box, f_1 - f_2 is piecewise linear in one
    variable: breakpoints are sorted, prefix sums give the pieces, sign changes the crossings; the
    two crossings of each cell are a segment. In general position only; holds p² numbers many times.
    """
    (x0, x1), (y0, y1) = box
    sides = np.array([[1, 0, -x0], [-1, 0, x1], [0, 1, -y0], [0, -1, y1]])
    folds = np.vstack([np.column_stack([network.weights[0], network.biases[0]]), sides])
    votes = np.append(network.weights[1][0] - network.weights[1][1], np.zeros(4))
    normal = folds[:, :2]
    foot = -folds[:, 2:] * normal / np.square(normal).sum(axis=1, keepdims=True)
    along = np.column_stack([-normal[:, 1], normal[:, 0]])
    at_foot = foot @ normal.T + folds[:, 2]  # (n, n): neuron j at the foot of line i
    slope = along @ normal.T
    np.fill_diagonal(at_foot, 0)
    meets = np.abs(slope) > _SMALL
    np.fill_diagonal(meets, False)
    place = np.full_like(slope, np.inf)
    np.divide(-at_foot, slope, out=place, where=meets)
    order = np.argsort(place, axis=1)
    before = np.where(meets, slope < 0, at_foot > 0)  # active at the far bottom of line i
    turn = np.take_along_axis(np.where(meets, np.sign(slope), 0.0), order, axis=1)

    def pieces(start: Floats, terms: Floats) -> Floats:
        steps = np.cumsum(turn * np.take_along_axis(terms, order, axis=1), axis=1)
        return start[:, None] + steps  # after each breakpoint

    height = pieces((before * votes * at_foot).sum(axis=1), votes * at_foot)
    rise = pieces((before * votes * slope).sum(axis=1), votes * slope)
    height += network.biases[1][0] - network.biases[1][1]
    place = np.take_along_axis(place, order, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -height / rise
        found = (place[:, :-1] < zero[:, :-1]) & (zero[:, :-1] <= place[:, 1:])
    line, piece = np.nonzero(found)
    points = foot[line] + zero[line, piece, None] * along[line]
    inside = np.abs(points - [(x0 + x1) / 2, (y0 + y1) / 2]) <= np.multiply(
        [x1 - x0, y1 - y0], 0.5 + 1e-9
    )
    line, piece, points = (a[inside.all(axis=1)] for a in (line, piece, points))
    marks = random_marks(len(folds))
    cell = np.stack(
        [pieces(before @ m, np.broadcast_to(m, slope.shape))[line, piece] for m in marks.T], axis=1
    )
    is_fold = line < len(network.weights[0])
    cell = np.concatenate([cell + marks[line], cell[is_fold]])  # outside the box is no cell
    points = np.concatenate([points, points[is_fold]])
    return points[np.argsort(keys(cell))].reshape(-1, 2, 2)


def cells_one_by_one(network: ReLUNetwork, box: Box) -> Iterator[tuple[Floats, Floats]]:
    """Yield every linear region's corners (k, 2) and affine map (3, classes), a cell at a time."""
    (x0, x1), (y0, y1) = box
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)
    first = np.vstack([network.weights[0].T, network.biases[0]])
    cells = [(corners, first)]
    for weight, bias in zip(network.weights[1:], network.biases[1:], strict=True):
        deeper = []
        for polygon, hidden in cells:
            for piece in _split(polygon, hidden):
                active = piece.mean(axis=0) @ hidden[:2] + hidden[2] > 0
                outer = (hidden * active) @ weight.T
                outer[2] += bias
                deeper.append((piece, outer))
        cells = deeper
    yield from cells


def _split(polygon: Floats, lines: Floats) -> Iterator[Floats]:
    """Yield the pieces into which lines (3, n) cut a convex polygon."""
    waiting = [(polygon, lines)]
    while waiting:
        polygon, lines = waiting.pop()
        values = polygon @ lines[:2] + lines[2]
        crossing = (values.min(axis=0) < -_SMALL) & (values.max(axis=0) > _SMALL)
        if not crossing.any():
            yield polygon
            continue
        value = values[:, crossing.argmax()]
        rest = lines[:, crossing][:, 1:]
        chord, from_, to = _chord(polygon, value)
        waiting.append((np.vstack([chord[:1], polygon[from_ + 1 : to + 1], chord[1:]]), rest))
        other = np.vstack([polygon[to + 1 :], polygon[: from_ + 1]])
        waiting.append((np.vstack([chord[1:], other, chord[:1]]), rest))


def _chord(polygon: Floats, value: Floats) -> tuple[Floats, int, int]:
    """Return both ends of the chord value = 0, and the sides (by first corner) they lie on."""
    on = value > 0
    from_, to = np.flatnonzero(on != np.roll(on, -1))[[0, -1]]
    sides = np.array([from_, to])
    after = (sides + 1) % len(polygon)
    t = value[sides] / (value[sides] - value[after])
    chord = polygon[sides] + t[:, None] * (polygon[after] - polygon[sides])
    return chord, int(from_), int(to)


def segments_one_by_one(network: ReLUNetwork, box: Box) -> Floats:
    """Return the boundary (m, 2, 2) between two classes, cell by cell."""
    found = [np.zeros((0, 2, 2))]
    for polygon, scores in cells_one_by_one(network, box):
        lead = scores[:, 0] - scores[:, 1]
        value = polygon @ lead[:2] + lead[2]
        if value.min() < -_SMALL and value.max() > _SMALL:
            found.append(_chord(polygon, value)[0][None])
    return np.concatenate(found)
