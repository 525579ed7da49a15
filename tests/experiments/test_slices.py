from dataclasses import replace

import numpy as np
import pytest
import torch

from localbook import data, runs
from localbook.data import DeviceImages
from localbook.depths import head_networks, image_plane
from localbook.experiments import run, setting
from localbook.experiments.comparisons import (
    boundaries,
    convolutional,
    residual,
    unexplained,
)
from localbook.local import Schedule
from localbook.tropical import decision_boundary

NAME = "image-slices"


@pytest.fixture(scope="module")
def network():
    """Seeded convolutions on the plane through three images, with biases that make classes meet."""
    images = data.load("shapes", "test").images[:30].reshape(30, -1) / 255
    plane, box = image_plane(images, np.arange(30), 0)
    net = convolutional((3, 32, 32), (3, 4), 5, 0).eval()
    flat = plane.restrict(head_networks(net, (3, 32, 32))[0])
    scores = flat(np.random.default_rng(0).uniform(*np.transpose(box), (1000, 2)))
    return replace(flat, biases=(*flat.biases[:-1], flat.biases[-1] - scores.mean(axis=0))), box


def test_a_record_holds_the_boundaries_checked(tmp_path):
    quick = setting(NAME, "quick")
    tiny = replace(
        quick,
        model=replace(quick.model, channels=(2, 3)),
        schedule=Schedule(epochs=1, batch_size=256, lr=0.05),
    )
    (record,) = map(runs.read, run(NAME, setting=tiny, out=tmp_path))
    row = record.final[0]
    assert row["hidden"] == 2 * 16 * 16 + 3 * 8 * 8 + 64
    assert row["segments"][0] > 0
    assert row["missed"] == [0]
    assert row["residual"][0] < 1e-12


def test_convolutions_are_seeded_and_leave_the_global_generator_alone():
    state = torch.random.get_rng_state()
    one, same, other = (convolutional((3, 8, 8), (2, 2), 4, seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    x = torch.ones(2, 3, 8, 8)
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))


def test_checks_see_a_segment_that_is_gone_and_one_that_is_wrong(network):
    net, box = network
    found = decision_boundary(net, box)
    changes, missed = unexplained(net, found, box, 100)
    assert changes > 20
    assert missed == 0
    assert residual(net, found) < 1e-12
    few = replace(found, segments=found.segments[::2], classes=found.classes[::2])
    assert unexplained(net, few, box, 100)[1] > changes / 5
    moved = replace(found, segments=found.segments + 0.1)
    assert residual(net, moved) > 1e-4


def test_no_tie_no_segment_no_residual(network):
    net, box = network
    found = decision_boundary(net, box)
    none = replace(found, segments=found.segments[:0], classes=found.classes[:0])
    assert residual(net, none) == 0


def test_planes_go_through_three_images_of_different_classes():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(40, 6)), rng.integers(0, 4, 40)
    plane, box = image_plane(images, labels, 7)
    again, same = image_plane(images, labels, 7)
    assert box == same
    inside = plane.coordinates(images)
    on = np.flatnonzero(np.abs(plane.lift(inside) - images).max(axis=1) < 1e-12)
    assert len(set(labels[on])) == len(on) == 3
    low, high = inside[on].min(axis=0), inside[on].max(axis=0)
    assert np.allclose(np.array(box).T, [low - (high - low) / 4, high + (high - low) / 4])
    assert not np.array_equal(again.origin, image_plane(images, labels, 8)[0].origin)


def test_boundaries_are_those_of_the_network_on_images():
    test = data.load("shapes", "test")
    images = DeviceImages(test, "cpu", test.channel_stats())
    net = convolutional((3, 32, 32), (2, 2), 4, 0).eval()
    row = boundaries(net, images, slices=2)
    assert len(row["segments"]) == len(row["pairs"]) == 2
    assert row["missed"] == [0, 0]
