"""Training that can be interrupted at any moment and continued to the same numbers."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import TrainingError
from localbook.local.diagnostics import accuracy, discord, telescope
from localbook.local.networks import IsolatedNetwork, check_batch_norm, check_trainable
from localbook.local.rules import Rule, check_rule
from localbook.local.training import checkpoint as checkpoints
from localbook.local.training.batches import batches
from localbook.local.training.checks import check_fit
from localbook.local.training.compute import Compute
from localbook.local.training.ranks import Ranks
from localbook.local.training.schedule import Schedule, optimiser
from localbook.local.training.steps import NotFiniteError, Steps

_EVAL_BATCH = 512
_DISCORD_IMAGES = 256
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
    on_epoch: Callable[[Row, IsolatedNetwork], None] = lambda row, net: None,
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
        Called with each new row and its ``memory_bytes``, for progress displays (see
        :func:`localbook.local.figures`), and with the network as it is measured.
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
        Keys ``epoch`` (from 1), ``loss``, ``accuracy``, ``discord`` of the rule's own loss,
        ``cosine`` and ``alignment`` (a list with one number for each module; NaN becomes None),
        ``seconds`` and ``images_per_s``. All but the loss are measured in eval mode. An epoch that
        is not measured has no accuracy, discord, cosine and alignment. Alignment is the cosine
        between the gradient of a module's own cross-entropy and that of the last loss, whatever
        rule trains it.

    Raises
    ------
    TrainingError
        When a module's loss or weights are no longer finite. The network is put back in its state
        after the last good epoch, and so is the checkpoint.
    ConfigError
        When network, data, rule, device or checkpoint do not fit each other.

    Examples
    --------
    >>> from localbook import data, local
    >>> digits = data.DeviceImages(data.load("digits", "train", limit=200), "cpu")
    >>> held_out = data.DeviceImages(data.load("digits", "val"), "cpu", stats=digits.stats)
    >>> net = local.ConvNet((8, 8), (1, 2)).build(in_channels=1, classes=10, seed=0)
    >>> schedule = local.Schedule(epochs=2, batch_size=50, lr=0.05)
    >>> rows = local.train(net, local.SGR(weight=3.0), digits, held_out, schedule, seed=0)
    >>> len(rows), len(rows[-1]["accuracy"])
    (2, 2)
    """
    job = _Job.checked(net, rule, data, held_out, schedule, seed, compute or Compute())
    run = job.run
    ranks = job.steps.ranks
    history = run.resume(checkpoint)
    ranks.check_same(len(history), "how many epochs are done")
    ranks.follow_first([*net.parameters(), *net.buffers()])
    good = run.packed(history)
    for epoch in range(len(history) + 1, schedule.epochs + 1):
        start, busy = time.perf_counter(), time.process_time()
        try:
            loss = job.epoch(epoch)
        except NotFiniteError as error:
            run.restore(good)
            kept = "" if checkpoint is None else ", and the checkpoint holds the same"
            raise TrainingError(
                f"{error.what} of module {error.module + 1} is not a number in epoch {epoch}; "
                "lower the learning rate or λ. The network is back in its state after epoch "
                f"{epoch - 1}{kept}."
            ) from None
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        row = {"epoch": epoch, "loss": _numbers(loss)}
        if measure_epochs or epoch == schedule.epochs:
            row |= _measure(job.measured, job.rule, held_out)
        row |= {"seconds": round(seconds, 3), "images_per_s": round(len(data) / seconds, 1)}
        row |= {"processor_seconds": round(busy, 3)} if processor else {}
        history.append(row)
        good = run.packed(history)
        if ranks.rank == 0:
            if checkpoint is not None:
                checkpoints.write(checkpoint, good)
            on_epoch(row | {"memory_bytes": memory_used(data.labels.device)}, job.measured)
    if run.average is not None:
        net.load_state_dict(job.measured.state_dict())
    return history


@dataclass(frozen=True)
class _Job:
    """A training run that has passed its checks; ``fast`` is the network as its rule sees it."""

    steps: Steps
    run: checkpoints.Run
    fast: IsolatedNetwork
    rule: Rule
    data: DeviceImages
    compute: Compute
    classes: int

    @classmethod
    def checked(
        cls,
        net: IsolatedNetwork,
        rule: Rule,
        data: DeviceImages,
        held_out: DeviceImages,
        schedule: Schedule,
        seed: int,
        compute: Compute,
    ) -> "_Job":
        check_rule(rule)
        ranks = Ranks.here()
        ranks.check_batch(schedule.batch_size)
        check_trainable(net)
        check_batch_norm(net.train(), schedule.batch_size // ranks.size)
        classes = check_fit(net, data, held_out, schedule, seed)
        fast = compute.prepared(net, rule, data.at(slice(0, 2))[0])
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
        count = len(data) // schedule.batch_size
        steps = Steps(net, average, own, schedule, seed, count, ranks, ranks.rank)
        return cls(steps, run, fast, compute.rule(rule), data, compute, classes)

    @property
    def measured(self) -> IsolatedNetwork:
        """The network to measure: the one that is trained, or its average."""
        average = self.steps.average
        return self.steps.net if average is None else cast(IsolatedNetwork, average.module)

    def epoch(self, epoch: int) -> Tensor:
        """Take an epoch's steps; return the mean loss of each module, shape (L,)."""
        rule = self.rule.at((epoch - 1) / self.steps.schedule.epochs)
        self.fast.train()

        def gradients(batch: tuple[Tensor, Tensor]) -> Tensor:
            with self.compute.precision(batch[0].device):
                return rule.gradients(self.fast, *batch)

        return self.steps.epoch(epoch, self._batches(epoch), gradients)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's share of the epoch's batches, in the form the rule gets them.

        Every process draws the joint batch, so that together they see what one would.
        """
        steps, share = self.steps, self.steps.ranks.share
        for x, y in batches(self.data, steps.schedule, self.classes, steps.seed, epoch):
            yield self.compute.arranged(share(x)), share(y)


def _averaged(net: IsolatedNetwork, decay: float) -> AveragedModel:
    def moved(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        # BatchNorm counts its batches in an integer, which has no mean
        return torch.lerp(mean, new, 1 - decay) if mean.is_floating_point() else new

    return AveragedModel(net, avg_fn=moved, use_buffers=True)


def _measure(net: IsolatedNetwork, rule: Rule, held_out: DeviceImages) -> Row:
    x, y = held_out.at(slice(0, _DISCORD_IMAGES))
    found = discord(net, x, y, loss=rule.loss)
    return {
        "accuracy": _numbers(accuracy(net, held_out.in_order(_EVAL_BATCH))),
        "discord": _numbers(found.relative),
        "cosine": _numbers(found.cosine),
        "alignment": _numbers(telescope(net, *held_out.at(slice(0, _ALIGNED_IMAGES))).cosine()),
    }


def _numbers(values: Tensor) -> list[float | None]:
    return [round(value, 6) if math.isfinite(value) else None for value in values.tolist()]


def figures(row: Row) -> str:
    """Return what a progress display says of an epoch.

    Parameters
    ----------
    row : dict
        What :func:`localbook.local.train` gives to ``on_epoch``.

    Returns
    -------
    str
        The last head's accuracy and the mean discord of the modules, as far as they were measured,
        speed and memory.
    """
    known = [value for value in row.get("discord", []) if value is not None]
    parts = [f"accuracy {row['accuracy'][-1]:.3f}"] if "accuracy" in row else []
    parts += [f"discord {sum(known) / len(known):.2f}"] if known else []
    parts.append(f"{row['images_per_s']:.0f} images/s")
    if row["memory_bytes"] is not None:
        parts.append(f"{row['memory_bytes'] / 2**30:.1f} GiB")
    return ", ".join(parts)


def memory_used(device: torch.device) -> int | None:
    """Return the most memory used so far, in bytes; None where the system does not say.

    On a GPU, what torch's allocator gave out since its peak was last reset; else, what the process
    held.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
