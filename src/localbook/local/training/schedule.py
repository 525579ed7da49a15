"""How long, how fast and on which targets to train, and the optimiser that does it."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from localbook.data import Augment
from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork

OPTIMISERS = ("sgd", "adamw")


@dataclass(frozen=True)
class Schedule:
    """What decides the steps of a training run: by default warm-up, then cosine to zero.

    Attributes
    ----------
    epochs, batch_size : int
        Under ``torchrun`` the batch is shared out to the processes.
    lr : float
        The peak learning rate.
    warmup : float
        The share of all steps in which the learning rate rises linearly.
    momentum, weight_decay : float
    augment : Augment
    optimiser : str
        ``"sgd"``, with Nesterov momentum, or ``"adamw"``, whose first beta is ``momentum``.
    clip : float
        The largest norm that the gradient of a module and its head may have; each module is clipped
        on its own, so that none depends on a later one. 0: no clipping.
    label_smoothing : float
        The share of each target that is spread evenly over all classes.
    mixup : float
        Each batch is mixed with itself in reverse, with shares drawn from Beta(mixup, mixup). 0: no
        mixing. Zhang et al., "mixup: beyond empirical risk minimization" (2018).
    ema : float
        The decay of an exponential moving average of the weights, which is then what is measured
        and what the network ends with. 0: no average.
    cycles : int
        How often warm-up and cosine are gone through, in equal shares of the epochs: K for greedy
        learning of K modules, so that each stage has a learning rate that decays.
    ends : tuple of (float, float) or None
        The shares of the peak learning rate at which training begins and ends, with straight lines
        in between; None for warm-up from zero and cosine.
    decoupled : bool
        Weights shrink in a step as if ``lr`` were one, times the share of the peak: so that lr can
        be tuned alone.
    bias_rate : float
        How many times larger the learning rate of BatchNorm's biases is. Their decay is not.
    stem : float
        The share of training after which a bias whose layer has a frozen weight stays as it is.

    Raises
    ------
    ConfigError
        If a number is out of its range, the optimiser is unknown, or the cycles do not divide the
        epochs.

    References
    ----------
    ``ends`` to ``stem``: Keller Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv
    2404.00498, 2024).
    """

    epochs: int
    batch_size: int
    lr: float
    warmup: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Augment = field(default_factory=Augment)
    optimiser: str = "sgd"
    clip: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    ema: float = 0.0
    cycles: int = 1
    ends: tuple[float, float] | None = None
    decoupled: bool = False
    bias_rate: float = 1.0
    stem: float = 1.0

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ConfigError(
                f"there is no optimiser '{self.optimiser}'; choose from: {', '.join(OPTIMISERS)}."
            )
        for name in ("epochs", "batch_size", "cycles"):
            value = getattr(self, name)
            if value != int(value) or value < (name != "epochs"):
                raise ConfigError(f"{name}={value} must be a whole number, one or larger.")
        for name in ("epochs", "lr", "weight_decay", "clip", "mixup", "stem"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name}={value} must be a number, zero or larger.")
        for name in ("momentum", "label_smoothing", "ema"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigError(f"{name}={value} must be at least 0 and less than 1.")
        for name in ("bias_rate", *(["lr"] if self.decoupled else [])):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name}={getattr(self, name)} must be larger than zero.")
        for name, shares in (("warmup", (self.warmup,)), ("ends", self.ends or ())):
            if not all(0 <= share <= 1 for share in shares):
                raise ConfigError(f"{name}={getattr(self, name)} must be between 0 and 1.")
        if self.augment.crop < 0:
            raise ConfigError(f"crop={self.augment.crop} must be zero or more pixels.")
        if self.epochs % self.cycles:
            raise ConfigError(
                f"{self.epochs} epochs cannot be shared equally by {self.cycles} cycles; choose a "
                "multiple."
            )

    @property
    def soft(self) -> bool:
        """Say whether targets are shares of all classes (N, classes) rather than labels (N,)."""
        return self.label_smoothing > 0 or self.mixup > 0

    def factor(self, step: int, total: int) -> float:
        """Return the share of the peak learning rate used at ``step`` of ``total``."""
        total //= self.cycles
        step %= total
        rise = max(1, round(self.warmup * total))
        if self.ends is not None:
            first, last = self.ends
            if step < rise:
                return first + (1 - first) * step / rise
            return 1 + (last - 1) * (step - rise) / max(1, total - rise)
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def optimiser(
    net: IsolatedNetwork, schedule: Schedule, device: torch.device
) -> torch.optim.Optimizer:
    """Return the schedule's optimiser for all parameters of a network."""
    groups, fused = _groups(net, schedule), device.type in ("cpu", "cuda")
    if schedule.optimiser == "adamw":
        return torch.optim.AdamW(groups, schedule.lr, (schedule.momentum, 0.999), fused=fused)
    return torch.optim.SGD(
        groups, schedule.lr, schedule.momentum, nesterov=schedule.momentum > 0, fused=fused
    )


def _groups(net: IsolatedNetwork, schedule: Schedule) -> list[dict[str, Any]]:
    """Return the parameters in groups of one learning rate, which ends after a share of training.

    An optimiser multiplies its decay by the learning rate of the group; what is to be decoupled
    from it is divided by it first.
    """
    decay = schedule.weight_decay / (schedule.lr if schedule.decoupled else 1)
    norms, stems = _biases(net)
    special = {id(p) for p in (*norms, *stems)}
    others = [p for p in net.parameters() if id(p) not in special]
    groups = [(others, 1.0, 1.0), (norms, schedule.bias_rate, 1.0), (stems, 1.0, schedule.stem)]
    if schedule.bias_rate == schedule.stem == 1:
        groups = [(list(net.parameters()), 1.0, 1.0)]
    return [
        {"params": params, "rate": rate, "until": until, "weight_decay": decay / rate}
        for params, rate, until in groups
        if params
    ]


def _biases(net: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return BatchNorm's biases, and those of layers whose weight is frozen."""
    norms, stems = [], []
    for layer in net.modules():
        bias = layer._parameters.get("bias")
        weight = layer._parameters.get("weight")
        if bias is not None and isinstance(layer, nn.modules.batchnorm._BatchNorm):
            norms.append(bias)
        elif bias is not None and weight is not None and not weight.requires_grad:
            stems.append(bias)
    return norms, stems


def set_rate(optimiser: torch.optim.Optimizer, schedule: Schedule, step: int, total: int) -> None:
    """Give an optimiser the learning rate of ``step`` of ``total``."""
    for group in optimiser.param_groups:
        on = step < group["until"] * total
        group["lr"] = group["rate"] * schedule.lr * schedule.factor(step, total) if on else 0.0
