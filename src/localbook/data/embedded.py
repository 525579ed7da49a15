"""Image sets that need no download: scikit-learn's digits and procedurally drawn shapes."""

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats
from localbook.data.imageset import ImageSet, holdout
from localbook.errors import DataError

SHAPES = ("circle", "ring", "square", "triangle", "cross", "star")
_PER_CLASS = {"train": 500, "val": 100, "test": 200}
_SEED = {"train": 1, "val": 2, "test": 3}
_SIDE = 32


def digits(split: str) -> ImageSet:
    """Return a split of scikit-learn's digits: 1,797 images 1x8x8 in ten classes.

    A fifth of each class is the test split; the rest is split like every other set.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "the digits come with scikit-learn, which is not installed; "
            "run `pip install scikit-learn`, or use the data set 'shapes'."
        ) from error
    raw = load_digits()
    images = np.round(raw.images * (255 / 16)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)
    labels = raw.target.astype(np.int64)
    rest, test = holdout(labels, share=0.2)
    train, val = holdout(labels[rest])
    index = {"train": rest[train], "val": rest[val], "test": test}[split]
    return ImageSet(
        images[index],
        labels[index],
        tuple(str(d) for d in range(10)),
        f"scikit-learn digits (8x8 grey, {split})",
    )


def shapes(split: str) -> ImageSet:
    """Return a split of the procedural shapes: coloured 3x32x32 images in six classes.

    Each image has one shape of random size, place, turn and colour on a textured background; the
    seed is fixed, so the set is the same everywhere.
    """
    rng = np.random.default_rng([20240609, _SEED[split]])
    labels = np.repeat(np.arange(len(SHAPES)), _PER_CLASS[split])
    rng.shuffle(labels)
    inside = _coverage(labels, rng)[:, None]  # (N, 1, H, W)
    colour = rng.uniform(0.1, 0.9, (len(labels), 3, 1, 1))
    images = inside * colour + (1 - inside) * _background(len(labels), rng)
    images += rng.normal(0, 0.06, images.shape)
    return ImageSet(
        np.round(np.clip(images, 0, 1) * 255).astype(np.uint8),
        labels.astype(np.int64),
        SHAPES,
        f"procedural shapes (32x32 colour, {split})",
    )


def _background(n: int, rng: np.random.Generator) -> Floats:
    """Return n backgrounds (n, 3, H, W): a colour crossed by a faint wave."""
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    turn, phase = rng.uniform(0, 2 * np.pi, (2, n, 1, 1))
    pitch = rng.uniform(2, 9, (n, 1, 1))
    wave = np.sin(2 * np.pi * pitch * (np.cos(turn) * x + np.sin(turn) * y) + phase)
    backgrounds: Floats = rng.uniform(0.1, 0.9, (n, 3, 1, 1)) + 0.12 * wave[:, None]
    return backgrounds


def _coverage(labels: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return how far each pixel lies inside its shape, in [0, 1], shape (n, H, W)."""
    n = len(labels)
    centre = rng.uniform(11, 21, (2, n, 1, 1))
    size = rng.uniform(6, 11, (n, 1, 1))
    turn = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    y, x = np.mgrid[:_SIDE, :_SIDE]
    dx, dy = (x - centre[0]) / size, (y - centre[1]) / size
    u = np.cos(turn) * dx + np.sin(turn) * dy
    v = -np.sin(turn) * dx + np.cos(turn) * dy
    distance = np.empty_like(u)
    for number, name in enumerate(SHAPES):
        mine = labels == number
        distance[mine] = _DISTANCE[name](u[mine], v[mine])
    inside: Floats = np.clip(0.5 - distance * size, 0, 1)  # one pixel of soft edge
    return inside


def _star(u: Floats, v: Floats) -> Floats:
    """Return how far outside a five-pointed star a point lies, along its ray from the centre."""
    to_tip = np.abs((np.arctan2(v, u) * 5 / (2 * np.pi)) % 1 - 0.5) * 2  # 0 between tips, 1 at one
    radius: Floats = np.hypot(u, v) - (0.4 + 0.6 * to_tip)
    return radius


_DISTANCE = {
    "circle": lambda u, v: np.hypot(u, v) - 0.8,
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.75) - 0.2,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - 0.72,
    "triangle": lambda u, v: np.maximum(-v, np.abs(u) * np.sqrt(3) / 2 + v / 2) - 0.5,
    "cross": lambda u, v: np.minimum(
        np.maximum(np.abs(u) - 0.28, np.abs(v) - 0.95),
        np.maximum(np.abs(u) - 0.95, np.abs(v) - 0.28),
    ),
    "star": _star,
}
