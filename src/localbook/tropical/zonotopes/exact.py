"""The vertices of a zonotope in exact arithmetic: slow, and free of tolerances."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import compress

from localbook.errors import GeometryError

Vector = tuple[Fraction, ...]
Signs = tuple[int, ...]


def exact_vertices(
    generators: Sequence[Sequence[float | Fraction]], shift: Sequence[float | Fraction]
) -> list[Vector]:
    """Return the vertices of shift + Σ [0, 1]·g_i exactly, each once, in lexicographic order.

    Every sign vector is found from the walls of its chamber: inside the wall of g_i the other
    generators act by their images in the quotient by g_i, one dimension lower. Takes about
    p^(d-1)·p!/(p - d)! operations on fractions; meant for some ten generators.

    Parameters
    ----------
    generators : sequence of p sequences of d numbers
        A float stands for the binary fraction that it is.
    shift : sequence of d numbers

    Raises
    ------
    GeometryError
        If a generator has another length than the shift, or a number is not finite.
    """
    try:
        start = tuple(Fraction(x) for x in shift)
        vectors = [tuple(Fraction(x) for x in g) for g in generators]
    except (ValueError, OverflowError, TypeError) as error:
        raise GeometryError(f"exact vertices need finite numbers ({error}).") from error
    if any(len(g) != len(start) for g in vectors):
        raise GeometryError(f"every generator must have {len(start)} entries, like the shift.")
    positive = ([s > 0 for s in signs] for signs in _sign_vectors(vectors))
    return sorted({_sum([start, *compress(vectors, chosen)]) for chosen in positive})


def _sum(vectors: list[Vector]) -> Vector:
    return tuple(sum(column, Fraction(0)) for column in zip(*vectors, strict=True))


def _sign_vectors(vectors: list[Vector]) -> set[Signs]:
    """Return the signs (+1, -1, and 0 for a zero vector) of all vectors in each chamber."""
    walls = [i for i, g in enumerate(vectors) if any(g)]
    if not walls:
        return {(0,) * len(vectors)}
    found = set()
    for i in walls:
        pivot = next(k for k, x in enumerate(vectors[i]) if x)
        images = [_quotient(g, vectors[i], pivot) for g in vectors]
        for inside in _sign_vectors(images):
            for side in (1, -1):
                found.add(
                    tuple(
                        # The vectors that vanish in the quotient are multiples of g_i.
                        s or side * _sign(g[pivot] * vectors[i][pivot])
                        for s, g in zip(inside, vectors, strict=True)
                    )
                )
    return found


def _sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def _quotient(vector: Vector, by: Vector, pivot: int) -> Vector:
    """Return the image of a vector along another: the pivot coordinate is eliminated."""
    ratio = vector[pivot] / by[pivot]
    return tuple(
        x - ratio * y for k, (x, y) in enumerate(zip(vector, by, strict=True)) if k != pivot
    )
