"""Polytopes in three dimensions that the reader turns, in the page itself."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError
from localbook.plots.figure import check_alt
from localbook.plots.style import PALETTE

Integers = NDArray[np.int64]

# Bodies and axes keep within the picture however they are turned, and coordinates are integers: a
# fifth of a pixel is fine enough, and six digits would double the page.
_WIDTH, _HEIGHT = 440, 380
_UNIT = 1000
_SCALE = 0.165
_BEYOND = 1.07  # where an axis has its name
_VIEW = (35.0, 22.0)  # the first view: azimuth and elevation in degrees
_LIGHT = (0.3, 0.5, 0.81)  # rightwards, upwards, towards the reader
_SCRIPT = Path(__file__).with_name("turn.js")


@dataclass(frozen=True, eq=False)
class Body:
    """One polytope of :func:`turn`.

    Attributes
    ----------
    label : str
    vertices : float array, shape (v, 3)
    faces : sequence of int arrays, shape (k,) each
        Rows of ``vertices``, counter-clockwise seen from outside.
    colour : str
        A name of ``PALETTE``.
    translucent : bool
        Whether other bodies, and its own far side, are seen through it.
    """

    label: str
    vertices: Floats
    faces: Sequence[Indices]
    colour: str = "blue"
    translucent: bool = False


def turn(
    bodies: Sequence[Body],
    *,
    alt: str,
    note: str = "",
    axes: tuple[str, str, str] = ("x₁", "x₂", "x₃"),
) -> None:
    """Display polytopes that turn when they are dragged or by the arrow keys; Home turns them back.

    Works in the book's page, JupyterLab and Colab without a kernel; without JavaScript the first
    view stands there alone. Nothing moves by itself. The projection is orthographic, and units are
    equal on all axes, which start at the corner of the bodies' common box.

    Parameters
    ----------
    bodies : sequence of Body
    alt : str
        What is to be seen; see :func:`svg`.
    note : str
        A line below the figure.
    axes : three str
        The names of the coordinates.

    Raises
    ------
    ConfigError
        Without bodies, if a body has no colour of the palette, vertices that are not finite points
        of R^3 or faces that do not refer to them, or on an alt text shorter than a sentence.
    """
    from IPython.display import display

    check_alt(alt)
    if not bodies:
        raise ConfigError("turn needs at least one body.")
    for body in bodies:
        _check(body)
    page = _page(_scene(bodies), bodies, axes, (alt, note))
    display({"text/html": page, "text/plain": f"Figure: {alt}"}, raw=True)


def _check(body: Body) -> None:
    vertices = np.asarray(body.vertices)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
        raise ConfigError(f"body {body.label!r}: vertices must be finite and of shape (v, 3).")
    if not len(body.faces) or any(
        len(face) < 3 or min(face) < 0 or max(face) >= len(vertices) for face in body.faces
    ):
        raise ConfigError(f"body {body.label!r}: a face needs three or more rows of its vertices.")
    if body.colour not in PALETTE:
        raise ConfigError(
            f"body {body.label!r}: no colour {body.colour!r}; choose of {', '.join(PALETTE)}."
        )


@dataclass(frozen=True, eq=False)
class _Solid:
    """A body in the picture's integer coordinates."""

    points: Integers  # (v, 3)
    faces: list[list[int]]
    colour: tuple[int, int, int]
    translucent: bool


@dataclass(frozen=True, eq=False)
class _Scene:
    """What the still view is drawn from, and, as JSON, what the script turns."""

    solids: list[_Solid]
    axes: Integers  # (4, 3), the corner where they start and the three ends

    def as_json(self) -> str:
        solids = [
            {"points": s.points.tolist(), "faces": s.faces, "rgb": s.colour, "glass": s.translucent}
            for s in self.solids
        ]
        numbers = {"view": _VIEW, "light": _LIGHT, "scale": _SCALE, "beyond": _BEYOND}
        return json.dumps(
            {"solids": solids, "axes": self.axes.tolist()} | numbers, separators=(",", ":")
        )


def _scene(bodies: Sequence[Body]) -> _Scene:
    every = np.concatenate([np.asarray(body.vertices, dtype=np.float64) for body in bodies])
    low, high = every.min(axis=0), every.max(axis=0)
    reach = np.linalg.norm(high - low) / 2 or 1.0

    def place(points: Floats) -> Integers:
        placed: Integers = np.rint((points - (low + high) / 2) / reach * _UNIT).astype(np.int64)
        return placed

    solids = []
    for body in bodies:
        red, green, blue = (int(PALETTE[body.colour][i : i + 2], 16) for i in (1, 3, 5))
        faces = [[int(row) for row in face] for face in body.faces]
        points = place(np.asarray(body.vertices, dtype=np.float64))
        solids.append(_Solid(points, faces, (red, green, blue), body.translucent))
    ends = np.tile(low, (4, 1))
    ends[[1, 2, 3], [0, 1, 2]] = high
    return _Scene(solids, place(ends))


def _directions(azimuth: float, elevation: float) -> Floats:
    """Return what is rightwards, upwards and towards the reader, shape (3, 3), rows."""
    a, e = np.radians([azimuth, elevation])
    toward = [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)]
    up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
    return np.array([[-np.sin(a), np.cos(a), 0.0], up, toward])


def _polygons(scene: _Scene) -> str:
    """Draw the faces in the first view, far ones first, as ``turn.js`` does in every view."""
    drawn = []
    view = _directions(*_VIEW)
    for solid in scene.solids:
        seen = solid.points @ view.T  # (v, 3)
        for face in solid.faces:
            corners = seen[face]
            normal = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
            near = bool(normal[2] > 0)
            if near or solid.translucent:
                layer = (2 if near else 0) if solid.translucent else 1
                lit = max(0.0, normal @ _LIGHT / np.linalg.norm(normal)) if normal.any() else 0.0
                look = _look(solid, 0.65 + 0.35 * lit, near)
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners[:, :2] * [_SCALE, -_SCALE])
                depth = corners[:, 2].mean()
                drawn.append((layer, depth, f'<polygon points="{points}" {look}/>'))
    return "".join(polygon for _, _, polygon in sorted(drawn, key=lambda d: d[:2]))


def _look(solid: _Solid, shade: float, near: bool) -> str:
    def rgb(factor: float) -> str:
        return ",".join(str(round(factor * channel)) for channel in solid.colour)

    if not solid.translucent:
        return f'fill="rgb({rgb(shade)})" stroke="rgb({rgb(0.5)})"'
    fill = f'fill="rgb({rgb(shade)})" fill-opacity=".3"' if near else 'fill="none"'
    return f'{fill} stroke="rgb({rgb(1)})" stroke-opacity="{".8" if near else ".25"}"'


def _axis_lines(scene: _Scene, names: tuple[str, str, str]) -> str:
    seen = scene.axes @ _directions(*_VIEW)[:2].T * [_SCALE, -_SCALE]  # (4, 2)
    start, ends = seen[0], seen[1:]
    pieces = []
    for (x, y), name in zip(ends, names, strict=True):
        label = start + _BEYOND * (np.array([x, y]) - start)
        pieces.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'
            f'<text stroke="none" x="{label[0]:.1f}" y="{label[1]:.1f}">{html.escape(name)}</text>'
        )
    return "".join(pieces)


def _page(
    scene: _Scene, bodies: Sequence[Body], names: tuple[str, str, str], texts: tuple[str, str]
) -> str:
    alt, note = (html.escape(text) for text in texts)
    legend = "".join(
        f'<span style="display:inline-block;margin-right:1.2em"><span style="display:inline-block;'
        f'width:.8em;height:.8em;background:{PALETTE[body.colour]}"></span> '
        f"{html.escape(body.label)}</span>"
        for body in bodies
    )
    caption = f"<figcaption>{note}</figcaption>" if note else ""
    return (
        f'<figure class="lb-figure lb-turn"><svg role="img" aria-label="{alt}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" viewBox="{-_WIDTH / 2:g} {-_HEIGHT / 2:g} {_WIDTH} {_HEIGHT}" '
        f'style="max-width:100%;height:auto" data-scene="{html.escape(scene.as_json())}">'
        f'<g stroke="currentColor" fill="currentColor" font-size="15" text-anchor="middle" '
        f'dominant-baseline="central">{_axis_lines(scene, names)}</g>'
        f'<g stroke-linejoin="round">{_polygons(scene)}</g></svg><div>{legend}</div>'
        f'<div class="lb-control" hidden>Drag it, or use the arrow keys; Home turns it back.</div>'
        f"{caption}<script>{_SCRIPT.read_text()}</script></figure>"
    )
