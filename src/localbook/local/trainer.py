"""Training that can be interrupted at any moment and continued to the same numbers."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from localbook.data.batches import Augment, DeviceImages
from localbook.errors import ConfigError, TrainingError
from localbook.local.diagnostics import accuracy, discord
from localbook.local.diagnostics_alignment import telescope
from localbook.local.network import IsolatedNetwork
from localbook.local.rules import Rule, Scheduled

Row = dict[str, Any]
_EVAL_BATCH = 512
_DISCORD_IMAGES = 256
_ALIGNED_IMAGES = 32  # few: this one goes back through the whole network, and must not set the peak


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: SGD with Nesterov momentum, warm-up, then cosine to zero.

    Attributes
    ----------
    epochs, batch_size : int
    lr : float
        The peak learning rate.
    warmup : float
        The share of all steps in which the learning rate rises linearly.
    momentum, weight_decay : float
    augment : Augment
    """

    epochs: int
    batch_size: int
    lr: float
    warmup: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Augment = field(default_factory=Augment)

    def factor(self, step: int, total: int) -> float:
        """Return the share of the peak learning rate used at ``step`` of ``total``."""
        rise = max(1, round(self.warmup * total))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def train(
    net: IsolatedNetwork,
    rule: Rule,
    data: DeviceImages,
    held_out: DeviceImages,
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Train a network by a rule and return one row of measurements for each epoch.

    Everything random in an epoch is drawn from (seed, epoch), so a run that continues from its
    checkpoint takes the same steps as one that was never interrupted.

    Parameters
    ----------
    net : IsolatedNetwork
        Trained in place; on the device of ``data``.
    rule : Rule
        One with a schedule (:class:`localbook.local.rules.Scheduled`) is asked anew each epoch.
    data, held_out : DeviceImages
        Images to train on, and to measure accuracy and discord on after each epoch.
    schedule : Schedule
    seed : int
    checkpoint : Path, optional
        Written after each epoch, in one rename; if it exists, training continues from it.
    on_epoch : callable, optional
        Called with each new row, for progress displays.

    Returns
    -------
    list of dict
        Keys ``epoch`` (from 1), ``loss``, ``accuracy``, ``discord``, ``cosine`` and ``alignment``
        (a list with one number for each module; NaN becomes None), ``seconds`` and
        ``images_per_s``. Alignment is the cosine between the gradient of a module's own
        cross-entropy and that of the last loss, whatever rule trains it.

    Raises
    ------
    TrainingError
        When a module's loss is no longer finite; the checkpoint of the last good epoch is kept.
    ConfigError
        When labels and heads do not fit, or the checkpoint belongs to another run.
    """
    _check_heads(net, data)
    optimiser = torch.optim.SGD(
        net.parameters(),
        schedule.lr,
        schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.momentum > 0,
    )
    identity = f"{rule} {schedule} seed={seed} modules={len(net)} images={len(data)}"
    identity = re.sub(r" at 0x[0-9a-f]+", "", identity)  # a function's address differs each time
    history = _restore(checkpoint, identity, net, optimiser)
    for epoch in range(len(history) + 1, schedule.epochs + 1):
        start = time.perf_counter()
        progress = (epoch - 1) / schedule.epochs
        current = rule.at(progress) if isinstance(rule, Scheduled) else rule
        loss = _one_epoch(net, current, data, schedule, optimiser, seed, epoch)
        seconds = time.perf_counter() - start
        row = {"epoch": epoch, "loss": _numbers(loss)} | _measure(net, held_out)
        row |= {"seconds": round(seconds, 3), "images_per_s": round(len(data) / seconds, 1)}
        history.append(row)
        if checkpoint is not None:
            _save(checkpoint, identity, net, optimiser, history)
        on_epoch(row)
    return history


def _one_epoch(
    net: IsolatedNetwork,
    rule: Rule,
    data: DeviceImages,
    schedule: Schedule,
    optimiser: torch.optim.Optimizer,
    seed: int,
    epoch: int,
) -> Tensor:
    """Take one epoch's steps and return the mean loss of each head, shape (L,)."""
    net.train()
    generator = torch.Generator(data.labels.device).manual_seed(1_000_003 * seed + epoch)
    steps = len(data) // schedule.batch_size
    total = torch.zeros(len(net), device=data.labels.device)
    batches = data.epoch(schedule.batch_size, generator, schedule.augment)
    devices = [data.labels.device] if data.labels.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # dropout and the like draw from the global state
        torch.manual_seed(1_000_003 * seed + epoch)
        for step, (x, y) in enumerate(batches, start=(epoch - 1) * steps):
            for group in optimiser.param_groups:
                group["lr"] = schedule.lr * schedule.factor(step, schedule.epochs * steps)
            optimiser.zero_grad(set_to_none=True)
            total += rule.gradients(net, x, y)
            optimiser.step()
    _check_finite(total, epoch)
    return total / steps


def _measure(net: IsolatedNetwork, held_out: DeviceImages) -> Row:
    x, y = held_out.at(slice(0, _DISCORD_IMAGES))
    found = discord(net, x, y)
    return {
        "accuracy": _numbers(accuracy(net, held_out.in_order(_EVAL_BATCH))),
        "discord": _numbers(found.relative),
        "cosine": _numbers(found.cosine),
        "alignment": _numbers(telescope(net, *held_out.at(slice(0, _ALIGNED_IMAGES))).cosine()),
    }


def _numbers(values: Tensor) -> list[float | None]:
    return [round(value, 6) if math.isfinite(value) else None for value in values.tolist()]


def _check_heads(net: IsolatedNetwork, data: DeviceImages) -> None:
    x, _ = data.at(slice(0, 2))
    was_training = net.training
    with torch.no_grad():
        scores = net.eval().all_scores(x)
    net.train(was_training)
    needed = int(data.labels.max()) + 1
    for number, score in enumerate(scores, start=1):
        if score.shape[1] < needed:
            raise ConfigError(
                f"head {number} has {score.shape[1]} classes but the labels need {needed}; "
                "build the head with as many classes as the data has."
            )


def _check_finite(losses: Tensor, epoch: int) -> None:
    broken = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if broken:
        raise TrainingError(
            f"the loss of module {broken[0] + 1} is not a number in epoch {epoch}; "
            "lower the learning rate or λ. The checkpoint of the epoch before is kept."
        )


def _save(
    path: Path,
    identity: str,
    net: IsolatedNetwork,
    optimiser: torch.optim.Optimizer,
    history: list[Row],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {"identity": identity, "net": net.state_dict(), "history": history}
    torch.save(state | {"optimiser": optimiser.state_dict()}, partial)
    partial.replace(path)


def _restore(
    path: Path | None, identity: str, net: IsolatedNetwork, optimiser: torch.optim.Optimizer
) -> list[Row]:
    """Load a checkpoint into net and optimiser if there is one; return its history."""
    if path is None or not path.exists():
        return []
    device = next(net.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise ConfigError(
            f"the checkpoint {path} cannot be read; delete it to start over."
        ) from error
    if state["identity"] != identity:
        raise ConfigError(
            f"the checkpoint {path} belongs to another run ({state['identity']}); "
            "delete it or choose another --out."
        )
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    history: list[Row] = state["history"]
    return history
