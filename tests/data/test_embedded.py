import hashlib

import numpy as np
import pytest

from localbook import data
from localbook.errors import DataError


@pytest.mark.parametrize(
    ("name", "shape", "classes"), [("digits", (1, 8, 8), 10), ("shapes", (3, 32, 32), 6)]
)
def test_splits_are_disjoint_and_complete(name, shape, classes):
    sets = {split: data.load(name, split) for split in data.SPLITS}
    seen = [{image.tobytes() for image in s.images} for s in sets.values()]
    assert not (seen[0] & seen[1])
    assert not (seen[0] & seen[2])
    assert not (seen[1] & seen[2])
    for split, s in sets.items():
        assert s.images.shape[1:] == shape
        assert len(np.unique(s.labels)) == len(s.class_names) == classes
        assert split in s.source


def test_digits_are_all_of_scikit_learns():
    assert sum(len(data.load("digits", split)) for split in data.SPLITS) == 1797


def test_shapes_are_the_same_everywhere():
    # A change of this hash means that recorded results on `shapes` are of other images.
    images = data.load("shapes", "val").images
    assert hashlib.sha256(images.tobytes()).hexdigest()[:12] == "d42016341e48"


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        data.load("digits")
