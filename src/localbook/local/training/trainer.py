"""Training that can be interrupted at any moment and continued to the same numbers."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import TrainingError
from localbook.local.diagnostics import accuracy, discord, telescope
from localbook.local.networks import (
    IsolatedNetwork,
    check_batch_norm,
    check_heads,
    check_inputs,
    check_trainable,
)
from localbook.local.rules import Rule
from localbook.local.training import checkpoint as checkpoints
from localbook.local.training.batches import batches, epoch_seed, optimiser, set_rate
from localbook.local.training.compute import Compute
from localbook.local.training.ranks import Ranks
from localbook.local.training.reporting import memory_used
from localbook.local.training.schedule import Schedule

_EVAL_BATCH = 512
_DISCORD_IMAGES = 256
_CHECK_EVERY = 50  # steps: often enough to stop soon, seldom enough not to wait for a GPU
_ALIGNED_IMAGES = 32  # few: this one goes back through the whole network, and must not set the peak


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
    compute: Compute | None = None,
    measure_epochs: bool = True,
    processor: bool = False,
) -> list[Row]:
    """Train a network by a rule and return one row of measurements for each epoch.

    Everything random in an epoch is drawn from (seed, epoch), so a run that continues from its
    checkpoint takes the same steps as one that was never interrupted. In a process that joined
    others (:func:`localbook.local.training.ranks.joined`), each trains on its share of every batch,
    and the first one alone writes the checkpoint and calls ``on_epoch``.

    Parameters
    ----------
    net : IsolatedNetwork
        Trained in place; on the device of ``data``. Ends with the averaged weights if the schedule
        has an average.
    rule : Rule
        Asked anew each epoch (:meth:`localbook.local.Rule.at`).
    data, held_out : DeviceImages
        Images to train on, and to measure accuracy and discord on after each epoch.
    schedule : Schedule
    seed : int
    checkpoint : Path, optional
        Written after each epoch, in one rename; if it exists, training continues from it.
    on_epoch : callable, optional
        Called with each new row and its ``memory_bytes``, for progress displays; see
        :func:`localbook.local.training.reporting.figures`.
    compute : Compute, optional
        Precision, memory format and compilation; float32 as it comes if not given.
    measure_epochs : bool
        Measure after every epoch; otherwise only after the last one, which saves time where an
        epoch is as short as its measurement.
    processor : bool
        Add a column ``processor_seconds``, the processor time of all threads, which other programs
        on the same machine disturb less.

    Returns
    -------
    list of dict
        Keys ``epoch`` (from 1), ``loss``, ``accuracy``, ``discord``, ``cosine`` and ``alignment``
        (a list with one number for each module; NaN becomes None), ``seconds`` and
        ``images_per_s``. An epoch that is not measured has no accuracy, discord, cosine and
        alignment. Alignment is the cosine between the gradient of a module's own
        cross-entropy and that of the last loss, whatever rule trains it.

    Raises
    ------
    TrainingError
        When a module's loss or weights are no longer finite. The network is put back in its state
        after the last good epoch, and so is the checkpoint.
    ConfigError
        When network, data, rule, device or checkpoint do not fit each other.
    """
    job = _Job.checked(net, rule, data, schedule, seed, compute or Compute())
    run = job.run
    history = run.resume(checkpoint)
    job.ranks.check_same(len(history), "how many epochs are done")
    job.ranks.follow_first([*net.parameters(), *net.buffers()])
    good = run.packed(history)
    for epoch in range(len(history) + 1, schedule.epochs + 1):
        start, busy = time.perf_counter(), time.process_time()
        try:
            loss = _one_epoch(job, epoch)
        except _NotFiniteError as error:
            run.restore(good)
            kept = "" if checkpoint is None else ", and the checkpoint holds the same"
            raise TrainingError(
                f"{error} in epoch {epoch}; lower the learning rate or λ. The network is back in "
                f"its state after epoch {epoch - 1}{kept}."
            ) from None
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        row = {"epoch": epoch, "loss": _numbers(loss)}
        if measure_epochs or epoch == schedule.epochs:
            row |= _measure(job.measured, held_out)
        row |= {"seconds": round(seconds, 3), "images_per_s": round(len(data) / seconds, 1)}
        row |= {"processor_seconds": round(busy, 3)} if processor else {}
        history.append(row)
        good = run.packed(history)
        if job.ranks.rank == 0:
            if checkpoint is not None:
                checkpoints.write(checkpoint, good)
            on_epoch(row | {"memory_bytes": memory_used(data.labels.device)})
    if job.average is not None:
        net.load_state_dict(job.measured.state_dict())
    return history


class _NotFiniteError(Exception):
    """A sentence's beginning: what is no longer a number."""


@dataclass(frozen=True)
class _Job:
    """A training run that has passed its checks.

    ``fast`` is the network as it is trained, with the weights of ``net``; ``measured`` is the one
    that is measured, ``net`` or its average.
    """

    net: IsolatedNetwork
    fast: IsolatedNetwork
    average: AveragedModel | None
    rule: Rule
    data: DeviceImages
    schedule: Schedule
    seed: int
    compute: Compute
    classes: int
    ranks: Ranks
    optimiser: torch.optim.Optimizer
    run: checkpoints.Run

    @classmethod
    def checked(
        cls,
        net: IsolatedNetwork,
        rule: Rule,
        data: DeviceImages,
        schedule: Schedule,
        seed: int,
        compute: Compute,
    ) -> "_Job":
        ranks = Ranks.here()
        ranks.check_batch(schedule.batch_size)
        check_trainable(net)
        check_batch_norm(net.train(), schedule.batch_size // ranks.size)
        few, _ = data.at(slice(0, 2))
        check_inputs(few)
        classes = check_heads(net, few, data.labels, soft=schedule.soft)
        fast = compute.prepared(net, rule, few)
        average = _averaged(net, schedule.ema) if schedule.ema else None
        own = optimiser(net, schedule, data.labels.device)
        identity = checkpoints.identity(
            rule,
            schedule,
            compute,
            f"seed={seed} modules={len(net)} images={len(data)}",
            ranks.size,
        )
        run = checkpoints.Run(identity, net, own, average)
        swift = compute.rule(rule)
        return cls(
            net, fast, average, swift, data, schedule, seed, compute, classes, ranks, own, run
        )

    @property
    def measured(self) -> IsolatedNetwork:
        if self.average is None:
            return self.net
        return cast(IsolatedNetwork, self.average.module)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's share of the epoch's batches, in the form the rule gets them.

        Every process draws the joint batch, so that together they see what one would.
        """
        for x, y in batches(self.data, self.schedule, self.classes, self.seed, epoch):
            yield self.compute.arranged(self.ranks.share(x)), self.ranks.share(y)


def _averaged(net: IsolatedNetwork, decay: float) -> AveragedModel:
    def moved(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        # BatchNorm counts its batches in an integer, which has no mean
        return torch.lerp(mean, new, 1 - decay) if mean.is_floating_point() else new

    return AveragedModel(net, avg_fn=moved, use_buffers=True)


def _one_epoch(job: _Job, epoch: int) -> Tensor:
    """Take one epoch's steps and return the mean loss of each head, shape (L,)."""
    progress = (epoch - 1) / job.schedule.epochs
    rule = job.rule.at(progress)
    job.net.train()
    job.fast.train()
    device = job.data.labels.device
    steps = len(job.data) // job.schedule.batch_size
    total = torch.zeros(len(job.net), device=device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # dropout and the like draw from the global state, and differently in each process
        torch.manual_seed(epoch_seed(job.seed, epoch) + (job.ranks.rank << 40))
        for step, (x, y) in enumerate(job.batches(epoch), start=1):
            total += _step(job, rule, x, y, (epoch - 1) * steps + step - 1, steps)
            if step % _CHECK_EVERY == 0 or step == steps:
                job.ranks.average([total])  # so that all processes stop together
                _check_finite(total)
    job.ranks.average(b for b in job.run.buffers() if b.is_floating_point())
    _check_weights(job.net)
    return total / steps


def _step(job: _Job, rule: Rule, x: Tensor, y: Tensor, step: int, steps: int) -> Tensor:
    """Take one step and return the loss of each head, shape (L,)."""
    set_rate(job.optimiser, job.schedule, step, job.schedule.epochs * steps)
    job.optimiser.zero_grad(set_to_none=True)
    with job.compute.precision(x.device):
        losses = rule.gradients(job.fast, x, y)
    job.ranks.average(p.grad for p in job.net.parameters() if p.grad is not None)
    if job.schedule.clip:
        for pair in job.net.pairs():
            nn.utils.clip_grad_norm_(
                [p for part in pair for p in part.parameters()], job.schedule.clip
            )
    job.optimiser.step()
    if job.average is not None:
        job.average.update_parameters(job.net)
    return losses


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


def _check_finite(losses: Tensor) -> None:
    broken = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if broken:
        raise _NotFiniteError(f"the loss of module {broken[0] + 1} is not a number")


def _check_weights(net: IsolatedNetwork) -> None:
    """Raise on broken weights: the last step of an epoch makes some that no loss has seen."""
    for number, pair in enumerate(net.pairs(), start=1):
        values = [v for part in pair for v in part.state_dict().values() if v.is_floating_point()]
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise _NotFiniteError(f"a weight of module {number} is not a number")
