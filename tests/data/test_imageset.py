import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.data import ImageSet, holdout, limited, only_classes
from localbook.errors import DataError


def make(labels, n_classes, source="made up"):
    labels = np.asarray(labels, np.int64)
    images = np.zeros((len(labels), 1, 2, 2), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels)) % 256
    return ImageSet(images, labels, tuple(f"c{i}" for i in range(n_classes)), source)


def full_labels(counts):
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


def test_wrong_dtype_says_what_is_wanted():
    with pytest.raises(DataError, match=r"uint8 of shape \(N, C, H, W\), not float64"):
        ImageSet(np.zeros((2, 1, 2, 2)), np.zeros(2, np.int64), ("a",), "x")


def test_wrong_shape():
    with pytest.raises(DataError, match="shape"):
        ImageSet(np.zeros((2, 2, 2), np.uint8), np.zeros(2, np.int64), ("a",), "x")


def test_labels_must_match_images():
    with pytest.raises(DataError, match="one per image"):
        ImageSet(np.zeros((2, 1, 2, 2), np.uint8), np.zeros(3, np.int64), ("a",), "x")


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_labels_out_of_range(labels):
    with pytest.raises(DataError, match=r"must lie in 0\.\.1"):
        make(labels, 2)


def test_empty_class_is_named():
    with pytest.raises(DataError, match="no image of class c1"):
        make([0, 0, 2], 3)


def test_no_images():
    with pytest.raises(DataError, match="no images"):
        make([], 1)


def test_channel_stats_match_numpy():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (700, 3, 5, 4), dtype=np.uint8)
    images[:, 2] = 7  # a constant channel must not divide by zero
    data = ImageSet(images, np.zeros(700, np.int64), ("a",), "x")
    mean, std = data.channel_stats()
    assert np.allclose(mean, (images / 255).mean((0, 2, 3)), atol=1e-12)
    assert np.allclose(std[:2], (images / 255).std((0, 2, 3))[:2], atol=1e-12)
    assert std[2] == 1.0


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.sampled_from([0.1, 0.2, 0.5]))
def test_holdout_is_a_stratified_partition(counts, share):
    labels = full_labels(counts)
    kept, held = holdout(labels, share)
    assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(len(labels)))
    for c, count in enumerate(counts):
        expected = min(max(round(share * count), 1), count - 1)
        assert (labels[held] == c).sum() == expected


def test_holdout_keeps_a_classes_only_image():
    kept, held = holdout(np.array([0, 0, 0, 1]))
    assert 3 in kept
    assert len(held) == 1


def test_holdout_depends_on_labels_alone():
    labels = full_labels([30, 30])
    assert np.array_equal(holdout(labels)[1], holdout(labels.copy())[1])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.data())
def test_limited_draws_evenly(counts, draw):
    data = make(full_labels(counts), len(counts))
    limit = draw.draw(st.integers(len(counts), len(data)))
    small = limited(data, limit)
    assert len(small) == limit
    share = np.array(counts) * limit / len(data)
    got = np.bincount(small.labels, minlength=len(counts))
    # Each class is within one of its share, unless every class's right to one image took more.
    assert (got >= 1).all()
    if (share >= 1).all():
        assert (np.abs(got - share) <= 1).all()


def test_limited_grows_by_adding():
    data = make(full_labels([50, 50]), 2)
    small, large = (set(limited(data, n).images[:, 0, 0, 0].tolist()) for n in (20, 60))
    assert small < large


@pytest.mark.parametrize("limit", [0, 1, 101])
def test_limit_out_of_range(limit):
    with pytest.raises(DataError, match=r"must lie between 2 .* and 100"):
        limited(make(full_labels([50, 50]), 2), limit)


def test_only_classes_relabels_in_the_order_asked_for():
    data = only_classes(make([0, 1, 2, 1], 3), ["c2", 1])
    assert data.class_names == ("c2", "c1")
    assert data.labels.tolist() == [1, 0, 1]
    assert data.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert "only classes c2, c1" in data.source


@pytest.mark.parametrize("classes", [["nope"], [7], [-1], [3.5]])
def test_unknown_class_lists_the_known(classes):
    with pytest.raises(DataError, match="its classes are c0, c1"):
        only_classes(make([0, 1], 2), classes)


@pytest.mark.parametrize("classes", [[], ["c0", 0]])
def test_classes_once_each(classes):
    with pytest.raises(DataError, match="each once"):
        only_classes(make([0, 1], 2), classes)
