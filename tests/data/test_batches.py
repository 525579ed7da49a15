import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.data import ImageSet
from localbook.data.batches import Augment, DeviceImages
from localbook.errors import ConfigError


def image_set(n=50, c=3, side=6):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, c, side, side), dtype=np.uint8)
    return ImageSet(images, np.arange(n) % 5, tuple("abcde"), "random")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_normalised_like_numpy():
    raw = image_set()
    x, y = DeviceImages(raw).at(slice(0, 7))
    scaled = raw.images / 255
    expected = (scaled - scaled.mean((0, 2, 3), keepdims=True)) / scaled.std(
        (0, 2, 3), keepdims=True
    )
    assert np.allclose(x.numpy(), expected[:7], atol=1e-5)
    assert x.dtype == torch.float32
    assert y.tolist() == raw.labels[:7].tolist()


def test_images_stay_uint8_on_the_device():
    assert DeviceImages(image_set()).images.dtype == torch.uint8


def test_other_splits_use_the_train_statistics():
    train = DeviceImages(image_set())
    other = DeviceImages(image_set(n=10), stats=train.stats)
    assert other.stats == train.stats


def test_an_epoch_visits_each_image_once():
    data = DeviceImages(image_set())
    labels = torch.cat([y for _, y in data.epoch(10, seeded())])
    assert torch.bincount(labels).tolist() == [10] * 5


def test_an_epoch_leaves_out_the_last_smaller_batch():
    assert [len(y) for _, y in DeviceImages(image_set()).epoch(16, seeded())] == [16] * 3


def test_the_generator_decides_the_epoch():
    data = DeviceImages(image_set())
    augment = Augment(crop=2, flip=True)
    first, again, other = (
        torch.cat([x for x, _ in data.epoch(10, seeded(s), augment)]) for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("batch_size", [0, 51])
def test_batch_size_out_of_range(batch_size):
    with pytest.raises(ConfigError, match="between 1 and the 50 images"):
        next(DeviceImages(image_set()).epoch(batch_size, seeded()))


def test_in_order_visits_all():
    data = DeviceImages(image_set())
    labels = torch.cat([y for _, y in data.in_order(16)])
    assert torch.equal(labels, data.labels)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(4, 9), st.integers(4, 9))
def test_each_crop_is_a_window_of_the_padded_image(seed, pad, h, w):
    images = torch.rand(5, 2, h, w, generator=seeded(seed))
    cropped = Augment(crop=pad)(images, seeded(seed))
    padded = F.pad(images, (pad,) * 4, mode="reflect")
    for image, crop in zip(padded, cropped, strict=True):
        windows = image.unfold(1, h, 1).unfold(2, w, 1)  # (C, 2 pad + 1, 2 pad + 1, H, W)
        same = (windows == crop[:, None, None]).flatten(3).all(3).all(0)
        assert same.any()


def test_flips_about_half():
    images = torch.arange(6.0).repeat(400, 1, 1, 1)  # (400, 1, 1, 6)
    flipped = Augment(flip=True)(images, seeded())[:, 0, 0, 0] == 5
    assert 150 < int(flipped.sum()) < 250
