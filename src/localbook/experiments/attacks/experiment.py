"""Tropical attacks beside FGSM, PGD and attacks of two libraries, at the same budget."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from localbook.arrays import Row
from localbook.data import ImageSet
from localbook.experiments.attacks.methods import ATTACKS, Candidate
from localbook.experiments.harness import TUNING_SEED, Experiment, Job, Outcome, seed_by_seed, tune
from localbook.fit import fit, mlp
from localbook.tropical import TOLERANCE
from localbook.tropical.attacks import Penalty, weight_change_needed

_BATCH = 100


@dataclass(frozen=True)
class AttackSetting:
    """The attacks at one profile.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the attacked network's hidden layers.
    epochs, batch_size, lr
        Its training by Adam on images in [0, 1].
    eps, weight_eps : float
        The bounds of the perturbations of input and first layer.
    images : int
        How many images are attacked for each seed: the first that the network classifies rightly.
    candidates : mapping of method to tuple of dict
        The hyper-parameters tried for each method on the validation split.
    seeds : int
        How many networks.
    """

    data: str
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    lr: float
    eps: float
    weight_eps: float
    images: int
    candidates: Mapping[str, tuple[Candidate, ...]]
    seeds: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Those with candidates, in their order."""
        return tuple(self.candidates)


def compare_attacks(job: Job) -> Outcome:
    """Tune one attack on the validation split, then attack a network of each seed once."""
    setting: AttackSetting = job.setting
    sets = {split: _tensors(data, job.device) for split, data in job.sets.items()}
    networks = partial(trained, setting, sets["train"])

    def judge(candidate: Candidate) -> list[float]:
        model = networks(TUNING_SEED)
        row, _ = _attack(job, model, *sets["val"], candidate, TUNING_SEED)
        # More successes first, then more wrong answers at any distance, then smaller ones.
        return [row["success"], row["wrong"], -(row["l2"] or 0.0)]

    def measure(seed: int) -> tuple[Row, list[Row]]:
        row, images = _attack(job, networks(seed), *sets["test"], chosen, seed)
        return row, [images]

    chosen, tuning = tune(job, setting.candidates[job.method], judge, score="score")
    model = network(setting, *_shape(sets["train"]), seed=0)
    parameters = sum(p.numel() for p in model.parameters())
    return seed_by_seed(job, measure, chosen, tuning, parameters)


def network(setting: AttackSetting, pixels: int, classes: int, seed: int) -> nn.Sequential:
    """Return an untrained network."""
    return mlp((pixels, *setting.hidden, classes), seed)


def trained(setting: AttackSetting, data: tuple[Tensor, Tensor], seed: int) -> nn.Sequential:
    """Return the network of a seed, the same for every attack."""
    model = network(setting, *_shape(data), seed).to(data[0].device)
    fit(
        model,
        *data,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        lr=setting.lr,
        seed=seed,
    )
    return model.requires_grad_(False)


def _tensors(data: ImageSet, device: str) -> tuple[Tensor, Tensor]:
    """Return flat images (N, n) in [0, 1] and labels (N,)."""
    images = torch.from_numpy(np.array(data.images)).flatten(1).to(device)
    return images.float() / 255, torch.from_numpy(np.array(data.labels)).to(device)


def _shape(data: tuple[Tensor, Tensor]) -> tuple[int, int]:
    return data[0].shape[1], int(data[1].max()) + 1


def _attack(
    job: Job, model: nn.Sequential, x: Tensor, y: Tensor, candidate: Candidate, seed: int
) -> tuple[Row, Row]:
    """Return what an attack does to the first images that are classified rightly, and to each."""
    setting: AttackSetting = job.setting
    right = model(x).argmax(dim=1) == y
    rows = torch.nonzero(right)[: setting.images, 0]
    images, labels = x[rows], y[rows]
    np.random.seed(seed)  # noqa: NPY002 - the library draws its random starts from here
    start, busy = time.perf_counter(), time.process_time()
    found = [
        ATTACKS[job.method](
            model, images[k : k + _BATCH], labels[k : k + _BATCH], setting, candidate
        )
        for k in range(0, len(rows), _BATCH)
    ]
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    eta = torch.cat(found)
    wrong = model(images + eta).argmax(dim=1) != labels
    largest = eta.abs().amax(dim=1)
    success = wrong & (largest <= setting.eps + TOLERANCE.bound)
    weights = weight_change_needed(model, images, eta)
    # The coupling holds up to its tolerance, and so does the bound of the weights seen from eta.
    both = success & (weights * (1 - Penalty().tolerance) <= setting.weight_eps + TOLERANCE.bound)
    lengths = eta.norm(dim=1)
    each: Row = {
        "success": _marks(success),
        "success_both": _marks(both),
        # at any distance, null where the class is right
        "l2": [
            round(length, 4) if hit else None
            for length, hit in zip(lengths.tolist(), wrong.tolist(), strict=True)
        ],
    }
    row: Row = {
        "clean_accuracy": _share(right),
        "images": len(rows),
        "success": _share(success),
        "success_both": _share(both),
        "wrong": _share(wrong),
        "l2": _mean(lengths[success]),
        "linf": _mean(largest[success]),
        "weight_change": _mean(weights[success]),
        "cpu_ms_per_image": round(1000 * busy / len(rows), 4),  # of all threads together
        "seconds": round(seconds, 3),
    }
    return row, each


def _marks(mask: Tensor) -> str:
    """Return a 1 or a 0 for each image."""
    return "".join("01"[bit] for bit in mask.tolist())


def _share(mask: Tensor) -> float:
    return round(mask.double().mean().item(), 6)


def _mean(values: Tensor) -> float | None:
    """Return the mean, None of nothing: an attack without success has no perturbation's size."""
    return round(values.double().mean().item(), 6) if len(values) else None


_STEPS: tuple[Candidate, ...] = tuple({"step": share} for share in (0.025, 0.05, 0.1, 0.25))
_SCHEDULES: tuple[Candidate, ...] = tuple(
    {"margin": margin, "steps": steps} for margin in (0.02, 0.1) for steps in (25, 50)
)
_TUNED: Mapping[str, tuple[Candidate, ...]] = {
    "tropical": _SCHEDULES,
    "tropical-tight": _SCHEDULES,
    "fgsm": ({},),
    "pgd": _STEPS,
    "pgd-short": _STEPS,
    "descent": tuple({"length": length} for length in (0.02, 0.05, 0.1, 0.25)),
    "ddn": tuple({"start": s, "gamma": g} for s in (0.2, 1.0) for g in (0.05, 0.2)),
    "deepfool": tuple({"classes": k, "overshoot": o} for k in (3, 10) for o in (0.002, 0.02)),
    "fmn": tuple({"step": s, "gamma": g} for s in (0.1, 1.0) for g in (0.05, 0.2)),
    "art-pgd": _STEPS,
    "art-apgd": tuple({"step": share} for share in (0.25, 0.5, 1.0, 2.0)),
    "art-cw": tuple({"lr": lr, "const": c} for lr in (0.01, 0.1) for c in (0.1, 1.0)),
}
_QUICK: Mapping[str, tuple[Candidate, ...]] = {
    "tropical": ({"margin": 0.02, "steps": 25},),
    "tropical-tight": ({"margin": 0.02, "steps": 25},),
    "fgsm": ({},),
    "pgd": ({"step": 0.1},),
    "pgd-short": ({"step": 0.1},),
    "descent": ({"length": 0.1},),
}

_DIGITS = AttackSetting(
    data="digits",
    hidden=(32,),
    epochs=40,
    batch_size=64,
    lr=3e-3,
    eps=0.1,
    weight_eps=0.03,
    images=100,
    candidates=_TUNED,
    seeds=10,
)
_MNIST = AttackSetting(
    data="mnist",
    hidden=(100,),
    epochs=10,
    batch_size=64,
    lr=1e-3,
    eps=0.1,
    weight_eps=0.005,
    images=100,
    candidates=_TUNED,
    seeds=5,
)

TROPICAL_ATTACK = Experiment(
    {
        "quick": replace(_DIGITS, epochs=20, images=50, candidates=_QUICK, seeds=2),
        "cpu": _MNIST,
        "gpu": replace(_MNIST, hidden=(500, 500), images=1000, seeds=5),
    },
    compare_attacks,
)
TROPICAL_ATTACK_DIGITS = Experiment({"cpu": _DIGITS}, compare_attacks)
TROPICAL_ATTACK_DEEP = Experiment({"cpu": replace(_MNIST, hidden=(100, 100))}, compare_attacks)
