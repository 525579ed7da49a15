"""Module-parallel training: what one process does for its module."""

import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.distributed as dist

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import TrainingError
from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork
from localbook.local.parallel import checkpoints as kept
from localbook.local.parallel.channel import fields
from localbook.local.parallel.join import Team
from localbook.local.parallel.part import rule_at
from localbook.local.parallel.result import Trained, Updates, joint
from localbook.local.parallel.seat import Options
from localbook.local.parallel.setup import EVAL_BATCH, Images, Job, prepared
from localbook.local.rules import Rule, Signal
from localbook.local.training import LostError, NotFiniteError, Schedule, batches


def train(
    team: Team,
    net: IsolatedNetwork,
    rule: Rule,
    data: DeviceImages | None,
    held_out: DeviceImages | None,
    schedule: Schedule,
    *,
    seed: int,
    options: Options | None = None,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> Trained:
    """Train this process's module, on what the one before sends, for the one after.

    Messages flow forward only, each once and in order, and no module ever waits for an answer. So
    each takes the steps it would take in :func:`localbook.local.train`, to the last bit with one
    replica, however the processes are timed; only dropout draws other masks, in each process its
    own. Module 1 draws the batches; accuracy is measured in passing, on held-out images that go the
    same way.

    Parameters
    ----------
    team : Team
        See :func:`localbook.local.parallel.joined`.
    net : IsolatedNetwork
        The same in every process, which trains its own module and head in place.
    rule : Rule
        Local (:class:`localbook.local.rules.LocalRule`), or with a schedule of such rules.
    data, held_out : DeviceImages or None
        Only the processes of module 1 need them.
    schedule : Schedule
        Without a moving average.
    seed : int
    options : Options, optional
    on_epoch : callable, optional
        Called by the last module's first replica, with its own row.

    Returns
    -------
    Trained
        The same in every process.

    Raises
    ------
    TrainingError
        When this module's loss or weights are no longer finite.
    ConfigError
        When network, data, rule, schedule or checkpoints do not fit.
    """
    options = options or Options()
    job = prepared(team, net, rule, data, held_out, schedule, seed, options)
    updates = Updates()
    for epoch in range(len(job.history) + 1, schedule.epochs + 1):
        row = _one_epoch(job, epoch, updates)
        if team.seat.after is None and team.seat.replica == 0:
            on_epoch(row)
    return _gathered(job, updates)


def _one_epoch(job: Job, epoch: int, updates: Updates) -> Row:
    """Train for an epoch, measure and keep; return this module's row."""
    seat, schedule = job.team.seat, job.steps.schedule
    rule = rule_at(job.rule, (epoch - 1) / schedule.epochs)

    def gradients(signal: Signal) -> torch.Tensor:
        loss, out = rule.step(*next(job.steps.net.pairs()), seat.place, signal)
        if job.outbox is not None:
            job.outbox.send(fields(out, image=rule.uses_image))
        return loss.reshape(1)

    begin = time.time()
    try:
        (loss,) = job.steps.epoch(epoch, _timed(job, epoch, updates), gradients).tolist()
    except NotFiniteError as error:
        raise TrainingError(
            f"{error.what} of {seat} is not a number in epoch {epoch}; lower the learning rate or "
            "λ. The checkpoints hold the epochs before."
        ) from None
    row = {"epoch": epoch, "loss": round(loss, 6), "begin": begin, "end": time.time()}
    if seat.replica != 0:
        return row
    job.history.append(row | {"accuracy": round(_accuracy(job), 6)})
    if job.options.checkpoint is not None:
        state = job.run.packed(job.history)
        kept.keep(job.options.checkpoint, epoch, seat.module, seat.modules, state)
    return job.history[-1]


def _timed(job: Job, epoch: int, updates: Updates) -> Iterator[Signal]:
    """Yield the epoch's signals and note when each is there and when its update is made."""
    rest = job.options.pace[job.team.seat.module] if job.options.pace else 0.0
    before = len(updates.used)
    for number, signal in _signals(job, epoch):
        time.sleep(rest)
        updates.begin.append(time.time())
        updates.used.append(before + number)
        yield signal
        updates.end.append(time.time())


def _signals(job: Job, epoch: int) -> Iterator[tuple[int, Signal]]:
    """Yield the epoch's signals, each with the number of its message."""
    seat, source, steps = job.team.seat, job.source, job.steps
    if isinstance(source, Images):
        drawn = batches(source.data, steps.schedule, source.classes, steps.seed, epoch)
        for number, (x, y) in enumerate(drawn):
            x, y = steps.ranks.share(x), steps.ranks.share(y)
            yield number, Signal(x, y, x)
        return
    newest: deque[tuple[int, Signal]] = deque(maxlen=job.options.replay)
    choose = np.random.default_rng([steps.seed, epoch, seat.module])
    for number in range(job.plan.steps):
        newest.append((number, source.take()))
        yield newest[choose.integers(len(newest))]


@torch.no_grad()
def _accuracy(job: Job) -> float:
    """Return the head's accuracy on the held-out images, and pass their activations on."""
    part = job.steps.net
    module, head = next(part.pairs())
    hits, count = torch.zeros(()), 0  # float32, to round as localbook.local.accuracy does
    with evaluating(part):
        for signal in _held_out(job):
            out = module(signal.x)
            if job.outbox is not None:
                job.outbox.send({"x": out.contiguous(), "y": signal.y.contiguous()})
            hits += (head(out).argmax(1) == signal.y).sum().cpu()
            count += len(signal.y)
    return float(hits / count)


def _held_out(job: Job) -> Iterator[Signal]:
    if isinstance(job.source, Images):
        for x, y in job.source.held_out.in_order(EVAL_BATCH):
            yield Signal(x, y, x)
    else:
        for _ in job.plan.held_out:
            yield job.source.take()


def _gathered(job: Job, updates: Updates) -> Trained:
    """Wait for all modules to end, and return what they have measured."""
    if job.outbox is not None:
        job.outbox.flush()
    seat = job.team.seat
    found: list[tuple[list[Row], Updates] | None] = [None] * (seat.modules * seat.replicas)
    try:
        dist.all_gather_object(found, (job.history, updates))
    except RuntimeError as error:
        raise LostError(seat.after if seat.after is not None else seat.before) from error
    own = [pair for pair in found[:: seat.replicas] if pair is not None]
    history = joint([rows for rows, _ in own], job.plan.images)
    return Trained(history, [times for _, times in own])
