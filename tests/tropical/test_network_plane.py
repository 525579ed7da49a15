import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from localbook.errors import ConfigError, GeometryError
from localbook.tropical import ReLUNetwork, plane_through


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 60), st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_the_plane_is_orthonormal_and_holds_the_points(n, seed, scale):
    points = np.random.default_rng(seed).normal(size=(3, n)) * scale
    plane = plane_through(*points)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    flat = plane.coordinates(points)
    np.testing.assert_allclose(plane.lift(flat), points, atol=1e-11 * scale)
    assert (flat[0] == 0).all()
    assert flat[1, 1] == pytest.approx(0, abs=1e-12 * scale)
    assert flat[1, 0] > 0
    assert flat[2, 1] > 0


def test_nearly_collinear_points_still_give_orthonormal_axes():
    plane = plane_through([0, 0, 0], [1, 1, 1], [2, 2, 2 + 1e-7])
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-14)


def test_images_are_points():
    images = np.random.default_rng(0).normal(size=(3, 1, 4, 5))
    plane = plane_through(*images)
    np.testing.assert_allclose(plane.lift(plane.coordinates(images[1].ravel())), images[1].ravel())


def test_the_restricted_network_is_the_network_on_the_plane():
    rng = np.random.default_rng(1)
    network = ReLUNetwork(
        (rng.normal(size=(6, 5)), rng.normal(size=(3, 6))), (rng.normal(size=6), rng.normal(size=3))
    )
    plane, flat = plane_through(*rng.normal(size=(3, 5))), rng.normal(size=(50, 2))
    np.testing.assert_allclose(plane.restrict(network)(flat), network(plane.lift(flat)), atol=1e-13)


@pytest.mark.parametrize(
    "points",
    [
        ([0, 0, 1], [1, 2, 3], [2, 4, 5]),
        ([1, 2], [1, 2], [3, 4]),
        ([1, 2], [3, 4], [1, 2]),
        ([0.1, 0.2], [0.1, 0.2], [0.1, 0.2]),
    ],
)
def test_collinear_points_are_refused(points):
    with pytest.raises(GeometryError, match=r"collinear.*span a plane"):
        plane_through(*points)


def test_points_on_a_line_up_to_single_precision_are_refused():
    image = np.random.default_rng(3).uniform(size=(2, 784)).astype(np.float32)
    on = (0.3 * image[0] + 0.7 * image[1]).astype(np.float32)
    with pytest.raises(GeometryError, match="collinear"):
        plane_through(*image, on)
    on[5] += 1e-3
    assert plane_through(*image, on).coordinates(on.astype(float))[1] > 1e-4


@pytest.mark.parametrize("points", [([1], [2], [3]), ([1, 2], [2, 3, 4], [3, 4]), ([], [], [])])
def test_points_of_different_spaces_are_refused(points):
    with pytest.raises(ConfigError, match="three points of one space"):
        plane_through(*points)


def test_points_with_nan_are_refused():
    with pytest.raises(ConfigError, match="not finite"):
        plane_through([0, 0], [1, np.nan], [0, 1])


def test_a_plane_of_another_space_is_refused():
    plane = plane_through([0, 0, 0], [1, 0, 0], [0, 1, 0])
    with pytest.raises(ConfigError, match="takes 2 inputs but the plane lies in 3"):
        plane.restrict(ReLUNetwork((np.eye(2),), (np.zeros(2),)))


def test_a_model_is_read_before_it_is_restricted():
    plane = plane_through([0, 0, 0], [1, 0, 0], [0, 1, 0])
    with pytest.raises(ConfigError, match=r"a ReLUNetwork, not Linear: read it first.*from_torch"):
        plane.restrict(nn.Linear(3, 2))
