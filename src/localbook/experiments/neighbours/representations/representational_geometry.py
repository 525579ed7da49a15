"""What hidden layers take over of targets and inputs: on clusters, digits and photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook import neighbours
from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.experiments.harness import Experiment, Job, each_seed, fewer_images
from localbook.fit import seeded
from localbook.local import linear_cka

geometry = neighbours.representational_geometry


def on_clusters(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train one activation on all tasks: the first task's numbers, and all rows."""
    setting, splits = job.setting, job.splits(seed)
    rows = []
    for target, structure, gain in setting.tasks:
        train, test = splits["train"], splits["test"]
        x = torch.tensor(train.points(structure), dtype=torch.float32)
        t = torch.tensor(geometry.targets(train.bits, target)[train.cluster], dtype=torch.float32)
        net = geometry.network(
            (x.shape[1], setting.width, t.shape[1]), job.method, gain=gain, seed=seed
        )
        found = geometry.looks(
            net, x, t, partial(geometry.geometry, net, test, target, structure),
            losses=setting.losses, every=1, steps=setting.steps, batch_size=len(x), lr=setting.lr,
            seed=seed,
        )  # fmt: skip
        rows += [{"target": target, "structure": structure, "gain": gain} | row for row in found]
    return {k: rows[1][k] for k in ("with_target", "with_input")} | {"step": rows[1]["step"]}, rows


_FIRST = ("bit", 0.0, 1.0)
_TASKS = (
    _FIRST,
    *(("bit", s, 1.0) for s in (0.33, 0.67, 1.0)),
    *(("xor", s, 1.0) for s in (0.33, 0.67, 1.0)),
    ("two bits", 0.0, 1.0),
    *(("bit", 0.0, gain) for gain in (0.1, 3.0, 10.0, 30.0)),
)
CLUSTERS = Experiment(
    {
        "quick": geometry.Setting(
            (_FIRST, ("xor", 1.0, 1.0)), 2, ("tanh", "relu", "linear", "clamp"), steps=100
        ),
        "cpu": geometry.Setting(_TASKS, 10),
    },
    each_seed(on_clusters),
    draw=geometry.draw,
)
"""Clusters with tunable structure, targets and gains."""


@dataclass(frozen=True)
class ImageSetting:
    """Networks on images, at one profile.

    Attributes
    ----------
    channels : tuple of int
        Of convolutions 3 x 3 with stride 2; none for one hidden layer of ``width``.
    losses : tuple of float
        Falling training losses at which networks are compared.
    """

    data: str
    seeds: int
    channels: tuple[int, ...] = ()
    width: int = 100
    images: tuple[int | None, int | None, int | None] = (None, None, None)
    methods: tuple[str, ...] = ("tanh", "relu", "linear", "softplus", "clamp")
    losses: tuple[float, ...] = (0.3, 0.1, 0.03)
    epochs: int = 40
    batch_size: int = 100
    lr: float = 0.003


def parts(
    setting: ImageSetting, shape: Sequence[int], outputs: int, activation: str, seed: int
) -> list[nn.Sequential]:
    """Return each hidden layer with its activation, and the read-out, initialised as torch does."""
    found: list[nn.Sequential] = []
    with seeded(seed):
        image = torch.zeros(1, *shape)
        for count in setting.channels or (setting.width,):
            if setting.channels:
                layer: list[nn.Module] = [nn.Conv2d(image.shape[1], count, 3, 2, 1)]
            else:
                layer = [nn.Flatten(), nn.Linear(image.numel(), count)]
            found.append(nn.Sequential(*layer, geometry.Activation(activation)))
            image = found[-1](image)
        found.append(nn.Sequential(nn.Flatten(), nn.Linear(image.numel(), outputs)))
    return found


def signs(labels: Tensor, target: str, classes: int) -> Tensor:
    """Return targets (N, q) of -1 and 1: the class's ``parity``, or one column a class."""
    if target == "parity":
        return 1.0 - 2 * (labels % 2)[:, None]
    return 2.0 * F.one_hot(labels, classes) - 1


@torch.no_grad()
def look(chain: Sequence[nn.Module], x: Tensor, t: Tensor) -> Row:
    """Return accuracy, and debiased alignments of every hidden layer with targets and images."""
    layers = [x]
    for part in chain:
        layers.append(part(layers[-1]))
    scores = layers[-1]
    right = scores.argmax(1) == t.argmax(1) if t.shape[1] > 1 else (scores.sign() == t)[:, 0]
    with_target, with_input = linear_cka([t, x], layers[1:-1], debiased=True).tolist()
    return {
        "test_accuracy": round(right.double().mean().item(), 4),
        "with_target": [round(value, 4) for value in with_target],
        "with_input": [round(value, 4) for value in with_input],
    }


def on_images(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train one activation for the parity of the class, and for all classes."""
    setting: ImageSetting = job.setting
    train = DeviceImages(job.sets["train"])
    test = DeviceImages(job.sets["test"], stats=train.stats)
    (x, y), (new, new_y) = train.at(slice(None)), test.at(slice(None))
    classes = len(job.sets["train"].class_names)
    rows: list[Row] = []
    for target in ("parity", "classes"):
        t, new_t = signs(y, target, classes), signs(new_y, target, classes)
        chain = parts(setting, x.shape[1:], t.shape[1], job.method, seed)
        found = geometry.looks(
            nn.Sequential(*chain), x, t, partial(look, chain, new, new_t),
            losses=setting.losses, every=-(-len(x) // setting.batch_size), epochs=setting.epochs,
            batch_size=setting.batch_size, lr=setting.lr, seed=seed,
        )  # fmt: skip
        rows += [{"target": target} | row for row in found]
    return {"test_accuracy": rows[-1]["test_accuracy"]}, rows


_SMALL: dict[str, Any] = {"seeds": 2, "methods": ("tanh", "relu"), "images": (300, None, 100)}
DIGITS = Experiment(
    {"quick": ImageSetting("digits", **_SMALL), "cpu": ImageSetting("digits", 10)},
    each_seed(on_images),
    fewer_images,
)
PHOTOGRAPHS = Experiment(
    {
        "quick": ImageSetting("shapes", channels=(4, 8), epochs=5, **_SMALL),
        "cpu": ImageSetting(
            "cifar10",
            5,
            (8, 16),
            images=(1000, None, 500),
            methods=("tanh", "relu", "softplus", "clamp"),
            losses=(0.3, 0.1),
        ),
    },
    each_seed(on_images),
    fewer_images,
)
