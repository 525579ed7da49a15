import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from localbook import local
from localbook.depths import agreement, chain, disagreement, head_networks
from localbook.errors import ConfigError, GeometryError
from localbook.tropical import ReLUNetwork

BOX = ((-1.0, 1.0), (-1.5, 0.5))
STEPS = np.linspace(0.005, 0.995, 100)
GRID = np.stack(np.meshgrid(-1 + 2 * STEPS, -1.5 + 2 * STEPS), axis=-1).reshape(-1, 2)


def heads(modules, classes, seed, width=6):
    net = chain((2, *[width] * modules), classes, seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)  # else the heads of an untrained network hardly differ
    return head_networks(net)


def inside(points, polygon):
    """Tell which points lie clearly inside (1), clearly outside (-1) or near the rim (0)."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None] - polygon
    side = edges[:, 0] * offset[..., 1] - edges[:, 1] * offset[..., 0]
    return np.where((side > 1e-9).all(axis=1), 1, np.where((side < -1e-9).any(axis=1), -1, 0))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(2, 4), st.integers(2, 4), st.integers(0, 1000))
def test_the_polygons_hold_exactly_the_points_on_which_two_heads_differ(modules, classes, seed):
    nets = heads(modules, classes, seed)
    first, second = nets[seed % (modules - 1)], nets[-1]
    differ = first(GRID).argmax(axis=1) != second(GRID).argmax(axis=1)
    parts = disagreement(first, second, BOX)
    within = np.array([inside(GRID, part) for part in parts]).reshape(-1, len(GRID))
    assert ((within > 0).sum(axis=0) <= 1).all()  # they do not overlap
    assert differ[(within > 0).any(axis=0)].all()
    assert not differ[(within < 0).all(axis=0)].any()


def test_the_shares_area_is_known_where_it_can_be_worked_out():
    identity, flip = np.eye(2), np.array([[1.0, 0], [0, 0]])
    # Both see relu(x); one decides by x1 > 1/4, the other by x1 > 1/2.
    first = ReLUNetwork((identity, flip), (np.zeros(2), np.array([-0.25, 0])))
    second = ReLUNetwork((identity, identity, flip), (np.zeros(2),) * 2 + (np.array([-0.5, 0]),))
    assert agreement(first, second, ((0, 1), (0, 2))) == pytest.approx(0.75, abs=1e-15)
    (left, right) = (np.concatenate(disagreement(first, second, ((0, 1), (0, 2))))[:, 0],) * 2
    assert (left.min(), right.max()) == (0.25, 0.5)


def test_a_class_that_leads_at_no_corner_is_found():
    # On [-1, 1]^2 the second head's middle class leads only where |x1| < 1/10.
    inputs = np.array([[1.0, 0], [-1.0, 0]])
    near = np.array([[1.0, 0], [0, 1.0], [0.0, 0]])
    first = ReLUNetwork((inputs, near), (np.zeros(2), np.array([0, 0, -1.0])))
    deeper = (inputs, np.eye(2), near)
    second = ReLUNetwork(deeper, (np.zeros(2), np.zeros(2), np.array([0, 0, 0.1])))
    assert agreement(first, second, ((-1, 1), (-1, 1))) == pytest.approx(0.9, abs=1e-12)


def test_three_classes_on_one_affine_piece():
    # All three scores are affine on the box: the middle class leads between two corners.
    scores = np.array([[1.0, 0], [0, 0], [-1.0, 0]])
    shift = np.array([10.0, 10])
    hidden = (np.eye(2), shift)

    def head(middle):
        return scores, np.array([-10.0, middle, 10])

    first = ReLUNetwork((hidden[0], head(-5)[0]), (hidden[1], head(-5)[1]))
    second = ReLUNetwork(
        (hidden[0], np.eye(2), head(0.2)[0]), (hidden[1], np.zeros(2), head(0.2)[1])
    )
    assert agreement(first, second, ((-1, 1), (0, 1))) == pytest.approx(0.8, abs=1e-12)


def test_heads_are_the_networks_own_scores():
    net = chain((2, 5, 5, 5), 3, seed=0).double().eval()
    x = torch.from_numpy(GRID)
    for ours, scores in zip(head_networks(net), net.all_scores(x), strict=True):
        np.testing.assert_allclose(ours(GRID), scores.detach().numpy(), atol=1e-12)


def test_a_head_agrees_with_itself_one_module_of_nothing_later():
    net = chain((2, 6, 6), 3, seed=1)
    second = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    with torch.no_grad():
        second[0].weight.copy_(torch.eye(6))
        second[0].bias.zero_()
    same = local.IsolatedNetwork([net.local_modules[0], second], [net.heads[0]] * 2)
    assert agreement(*head_networks(same), BOX) == pytest.approx(1, abs=1e-12)


def test_networks_that_do_not_begin_alike_are_refused():
    one, other = heads(2, 2, 0), heads(2, 2, 1)
    for first, second in ((one[0], other[1]), (one[1], one[0]), (one[0], heads(2, 3, 0)[1])):
        with pytest.raises(ConfigError, match="beginning with a head of its own"):
            disagreement(first, second, BOX)


def test_a_box_without_area_is_refused():
    one = heads(2, 2, 0)
    with pytest.raises(GeometryError):
        disagreement(one[0], one[1], ((0, 0), (0, 1)))
