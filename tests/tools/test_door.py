"""The picture at the door shows what the library computes: boundaries, and what is dual to them."""

import re

import numpy as np
import pytest

from tools import door


@pytest.fixture(scope="module", params=door.RULES)
def networks(request):
    return list(door.training(door.RULES[request.param], (0, 40, 420)))


def polytopes(text):
    """Return the box around each moment's polytope, shape (moments, 4)."""
    found = re.findall(r'class="hull" d="M([^"]*)Z"', text)
    corners = [np.array(re.findall(r"-?\d+", path), dtype=int).reshape(-1, 2) for path in found]
    return np.array([[*c.min(axis=0), *c.max(axis=0)] for c in corners])


def test_both_networks_learn_and_start_alike(networks):
    x, y = (part.numpy() for part in door.moons())
    right = [(net(x).argmax(axis=1) == y).mean() for net in networks]
    assert right[0] < 0.9 < 0.97 < right[2]
    other = next(door.training(door.RULES["back-propagation"], (0,)))
    assert np.array_equal(networks[0].weights[0], other.weights[0])


def test_each_piece_of_the_boundary_is_drawn_with_the_edge_it_is_dual_to(networks):
    for net in networks:
        shown = door.moment(net)
        ends = net(shown.boundary.reshape(-1, 2))
        assert np.abs(ends[:, 0] - ends[:, 1]).max() < 1e-9 * (1 + np.abs(ends).max())
        turned = np.diff(shown.edges, axis=1)[:, 0] @ np.array([[0, 1], [-1, 0]])
        for u in np.diff(shown.boundary, axis=1)[:, 0]:  # parallel to some edge, turned by 90°
            crossed = u[0] * turned[:, 1] - u[1] * turned[:, 0]
            sizes = np.linalg.norm(u) * np.linalg.norm(turned, axis=1)
            assert (np.abs(crossed) < 1e-6 * sizes).any()


def test_the_pictures_are_those_of_this_library_and_small(tmp_path):
    door.write(tmp_path)
    for name in ("door.html", "door.svg"):
        kept, made = (folder / name for folder in (door.FOLDER, tmp_path))
        assert kept.stat().st_size < 150_000
        kept, made = kept.read_text(), made.read_text()
        same = np.abs(polytopes(kept) - polytopes(made)).max() <= 3  # of 400: processors differ
        assert same, "the library draws another picture: python -m tools.door"
        assert "http" not in kept.replace("http://www.w3.org/2000/svg", "")
    moving = (tmp_path / "door.html").read_text()
    assert moving.count('class="moment"') == 2 * len(door.MOMENTS)
    assert moving.count("display:none") == 2 * len(door.MOMENTS) - 2  # without a script: the last
