"""Does reconciliation show in the geometry? Decision boundaries at every depth, on image slices.

A chain of fully connected modules is trained by each method; then the decisions of all heads are
compared exactly on planes through three test images of different classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.depths import agreement, head_networks
from localbook.experiments.comparisons.compare import Candidate, compare
from localbook.experiments.harness import Experiment, Job, Outcome
from localbook.experiments.image_planes import image_plane
from localbook.local import BP, SGR, IsolatedNetwork, PlainLocal, Rule, Schedule
from localbook.tropical import decision_boundary, linear_regions


@dataclass(frozen=True)
class BoundariesSetting:
    """One comparison of the boundaries of all depths, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    width, modules : int
        Neurons in each module, and how many modules.
    schedule : Schedule
        Its ``lr`` stands only until tuning replaces it.
    candidates : mapping of method to tuple of dict
        The hyper-parameters tried for each method, as many for each; a method with one candidate
        is not tuned.
    tuning_epochs : int
        How long each candidate is trained before it is judged on the validation split.
    seeds : int
        How many seeds the chosen candidate is run with.
    slices : int
        Through how many triples of test images the geometry is measured, the same for all networks.
    """

    data: str
    width: int
    modules: int
    schedule: Schedule
    candidates: Mapping[str, tuple[Candidate, ...]]
    tuning_epochs: int
    seeds: int
    slices: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Those with candidates, in their order."""
        return tuple(self.candidates)

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the candidates of a method."""
        return self.candidates[method]

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the network, the same for all methods."""
        classes = int(data.labels.max()) + 1
        pixels = data.images[0].numel()
        net = chain((pixels, *[self.width] * self.modules), classes, seed)
        return net.to(data.labels.device)

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the rule; λ is the candidate's ``weight``."""
        if method == "bp":
            return BP()
        return SGR(weight=candidate["weight"]) if method == "sgr" else PlainLocal()


def chain(widths: tuple[int, ...], classes: int, seed: int) -> IsolatedNetwork:
    """Return modules of one linear layer and ReLU each, with linear heads and seeded weights.

    Parameters
    ----------
    widths : tuple of int
        The inputs, then the neurons of each module.
    classes, seed : int
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = [
            nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU())
            for inputs, width in pairwise(widths)
        ]
        return IsolatedNetwork(modules, [nn.Linear(width, classes) for width in widths[1:]])


def geometry(net: IsolatedNetwork, test: DeviceImages, slices: int) -> Row:
    """Measure what the heads decide on slices through test images, and on the images themselves.

    Parameters
    ----------
    net : IsolatedNetwork
        As :func:`chain` returns it, in evaluation mode.
    test : DeviceImages
    slices : int

    Returns
    -------
    dict
        Means over the slices, a number for each module: ``regions`` and ``pieces`` of the boundary;
        a number for each module from the second: ``agreement``, the share of the area where it
        decides as the one before it, and ``same_on_images``, the share of all test images on which
        it does. ``first_and_last``: the share of the area where these two decide alike.
    """
    heads = head_networks(net)
    images = test.at(slice(0, len(test)))[0].flatten(1).double().cpu().numpy()
    labels = test.labels.cpu().numpy()
    counts, shares, ends = [], [], []
    for number in range(slices):
        plane, box = image_plane(images, labels, number)
        flat = [plane.restrict(head) for head in heads]
        counts.append(
            [
                [len(linear_regions(head, box)) for head in flat],
                [len(decision_boundary(head, box).segments) for head in flat],
            ]
        )
        shares.append([agreement(a, b, box) for a, b in pairwise(flat)])
        ends.append(agreement(flat[0], flat[-1], box))
    decided = np.stack([head(images).argmax(axis=1) for head in heads])
    regions, pieces = np.mean(counts, axis=0).round(1).tolist()
    return {
        "regions": regions,
        "pieces": pieces,
        "agreement": np.mean(shares, axis=0).round(6).tolist(),
        "first_and_last": round(float(np.mean(ends)), 6),
        "same_on_images": (decided[1:] == decided[:-1]).mean(axis=1).round(6).tolist(),
    }


def _run(job: Job) -> Outcome:
    return compare(job, partial(geometry, slices=job.setting.slices))


_RATES: tuple[Candidate, ...] = tuple({"lr": lr} for lr in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2))
# SGR has λ to choose as well and so tries fewer learning rates. With λ = 10 some seeds diverged.
_TUNED: Mapping[str, tuple[Candidate, ...]] = {
    "bp": _RATES,
    "local": _RATES,
    "sgr": tuple({"lr": lr, "weight": w} for lr in (0.03, 0.1) for w in (0.1, 0.3, 1.0)),
}

BOUNDARIES = Experiment(
    {
        "quick": BoundariesSetting(
            data="digits",
            width=16,
            modules=3,
            schedule=Schedule(epochs=10, batch_size=64, lr=0.05),
            candidates={
                "bp": ({"lr": 0.05},),
                "local": ({"lr": 0.05},),
                "sgr": ({"lr": 0.05, "weight": 1.0},),
            },
            tuning_epochs=0,
            seeds=2,
            slices=2,
        ),
        "cpu": BoundariesSetting(
            data="mnist",
            width=24,
            modules=4,
            schedule=Schedule(epochs=8, batch_size=64, lr=0.1),
            candidates=_TUNED,
            tuning_epochs=2,
            seeds=3,
            slices=5,
        ),
    },
    _run,
)
