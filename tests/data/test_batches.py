import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.data import Augment, DeviceImages, ImageSet
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


def by_hand(raw, shift, mirrored, pad):
    """Crop and mirror one image after the other, by numpy."""
    side = raw.shape[2]
    out = []
    for image, (row, col), mirror in zip(raw, shift, mirrored, strict=True):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
        crop = padded[:, row : row + side, col : col + side]
        out.append(crop[:, :, ::-1] if mirror else crop)
    return np.stack(out)


@pytest.mark.parametrize("pad", [0, 1, 2, 5])
def test_a_whole_epoch_is_augmented_like_each_image_by_hand(pad):
    raw = image_set().images
    order = torch.randperm(50, generator=seeded(3))[:40]
    mirrored = torch.rand(50, generator=seeded(4)) < 0.5
    shift = torch.randint(2 * pad + 1, (2, 40, 1), generator=seeded(5))[..., 0].T
    found = Augment(pad, flip=True, whole=True).at_once(
        torch.from_numpy(raw), order, seeded(5), mirrored
    )
    expected = by_hand(raw[order.numpy()], shift.tolist(), mirrored[order].tolist(), pad)
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy(), expected)


def test_an_epoch_augmented_at_once_visits_each_image_once():
    data = DeviceImages(image_set())
    mirrored = torch.arange(50) % 2 == 0
    batches = list(data.epoch(10, seeded(), Augment(flip=True, whole=True), mirrored))
    seen = {
        tuple(x.flatten().tolist()): int(y)
        for xs, ys in batches
        for x, y in zip(xs, ys, strict=True)
    }
    x, y = data.at(slice(None))
    shown = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    assert seen == {tuple(a.flatten().tolist()): int(b) for a, b in zip(shown, y, strict=True)}


def test_half_of_the_images_are_mirrored_if_nothing_else_is_said():
    data = DeviceImages(image_set(n=1000))
    augment = Augment(flip=True, whole=True)
    shown = augment.at_once(data.images, torch.arange(1000), seeded())
    changed = (shown != data.images).flatten(1).any(1).sum().item()
    assert 430 < changed < 570


def test_augmenting_batch_by_batch_draws_what_it_always_drew():
    data, augment = DeviceImages(image_set()), Augment(crop=2, flip=True)
    generator = seeded(7)
    order = torch.randperm(50, generator=generator)
    for number, (x, y) in enumerate(data.epoch(10, seeded(7), augment)):
        index = order[10 * number : 10 * number + 10]
        shift = torch.randint(5, (2, 10, 1), generator=generator)[..., 0].T
        mirror = torch.rand(10, generator=generator) < 0.5
        raw = by_hand(data.images[index].numpy(), shift.tolist(), mirror.tolist(), 2)
        mean, std = (np.array(s)[:, None, None] for s in data.stats)
        assert np.allclose(x.numpy(), (raw / 255 - mean) / std, atol=1e-5)
        assert torch.equal(y, data.labels[index])
