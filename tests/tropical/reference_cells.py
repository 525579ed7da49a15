"""Slow references for the exact pictures: every activation pattern, one polygon at a time."""

from itertools import combinations, product

import numpy as np

SMALL = 1e-9  # area or length of what counts as there


def clip(polygon, a, c):
    """Return the part of a polygon (a list of points) where a . x + c >= 0."""
    out = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        d, e = a @ p + c, a @ q + c
        if d >= 0:
            out.append(p)
        if d * e < 0:
            out.append(p + d / (d - e) * (q - p))
    return out


def area(polygon):
    x, y = np.array(polygon).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def all_regions(network, box):
    """Return {pattern: (polygon, slopes, intercepts)} of all patterns that occur."""
    (x0, x1), (y0, y1) = box
    corners = [np.array(p, float) for p in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    found = {}
    for bits in product((0, 1), repeat=network.neurons):
        polygon, slope, shift = corners, np.eye(2), np.zeros(2)
        rest = list(bits)
        layers = zip(network.weights[:-1], network.biases[:-1], network.slopes, strict=True)
        for w, b, below in layers:
            slope, shift = w @ slope, w @ shift + b
            on = np.array([1 if s == 1 else rest.pop(0) for s in below])
            for sign, a, c, s in zip(2 * on - 1, slope, shift, below, strict=True):
                if s == 1:  # it only passes its value on
                    continue
                if np.abs(a).max() < 1e-12:  # a constant neuron, on where it is positive
                    polygon = polygon if (c > 1e-12) == (sign > 0) else []
                else:
                    polygon = clip(polygon, sign * a, sign * c)
            gain = np.where(on, 1, below)
            slope, shift = gain[:, None] * slope, gain * shift
        if len(polygon) > 2 and area(polygon) > SMALL:
            w, b = network.weights[-1], network.biases[-1]
            found[bits] = (polygon, w @ slope, w @ shift + b)
    return found


def tie_points(network, box):
    """Return points (n, 2) spread over all segments where two top classes tie, and their classes.

    The third result is {classes: area} of where two top classes are the same function.
    """
    points, classes, areas = [], [], {}
    for polygon, slope, shift in all_regions(network, box).values():
        for i, j in combinations(range(len(shift)), 2):
            a, c = slope[i] - slope[j], shift[i] - shift[j]
            part = clip(clip(polygon, a, c + 1e-13), -a, -c + 1e-13)  # a strip around the tie
            for k in set(range(len(shift))) - {i, j}:
                part = clip(part, slope[i] - slope[k], shift[i] - shift[k] + 1e-13)
            if np.abs(a).max() < SMALL and len(part) > 2:
                areas[i, j] = areas.get((i, j), 0) + area(part)
            if np.abs(a).max() < SMALL or not part:
                continue
            along = np.array([-a[1], a[0]])
            part = sorted(part, key=lambda p, along=along: along @ p)
            if np.linalg.norm(part[-1] - part[0]) > 1e-6:
                for t in (0.03, 0.31, 0.5, 0.74, 0.97):
                    points.append(part[0] + t * (part[-1] - part[0]))
                    classes.append((i, j))
    return np.array(points).reshape(-1, 2), np.array(classes, dtype=int).reshape(-1, 2), areas


def distance_to_segments(point, segments):
    """Return the distance of a point from the nearest of segments (m, 2, 2)."""
    p, run = segments[:, 0], segments[:, 1] - segments[:, 0]
    t = ((point - p) * run).sum(1) / (run * run).sum(1)
    nearest = p + np.clip(t, 0, 1)[:, None] * run
    return np.linalg.norm(point - nearest, axis=1).min(initial=np.inf)


def contains(polygon, point):
    """Say whether a counter-clockwise polygon (k, 2) contains a point, up to rounding."""
    side, to = np.roll(polygon, -1, axis=0) - polygon, point - polygon
    return bool((side[:, 0] * to[:, 1] - side[:, 1] * to[:, 0] > -1e-9).all())
