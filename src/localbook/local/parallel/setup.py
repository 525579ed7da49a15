"""What is checked and agreed on before the first message."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, check_batch_norm, check_trainable
from localbook.local.parallel import checkpoints as kept
from localbook.local.parallel.channel import Form, Inbox, Outbox, form_of
from localbook.local.parallel.join import Team
from localbook.local.parallel.part import check_local, form_after, rule_at, shape_after
from localbook.local.parallel.seat import Options
from localbook.local.rules import Rule, smoothed
from localbook.local.training import Ranks, Schedule, Steps, check_fit, checkpoints, optimiser

EVAL_BATCH = 512


@dataclass(frozen=True)
class Images:
    """What only the processes of module 1 have."""

    data: DeviceImages
    held_out: DeviceImages
    classes: int


@dataclass(frozen=True)
class Plan:
    """What module 1 tells all: the numbers of images, steps, and images in held-out batches."""

    images: int
    steps: int
    held_out: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """One process's part of a run that has passed its checks.

    Attributes
    ----------
    team : Team
    steps : Steps
        Of the module with its head, whose replicas share every batch.
    rule : Rule
        Local, or with a schedule whose rules are.
    source : Images or Inbox
    outbox : Outbox or None
    options, plan
    run : checkpoints.Run
    history : list of dict
        Of the epochs that are finished; grows.
    """

    team: Team
    steps: Steps
    rule: Rule
    source: Images | Inbox
    outbox: Outbox | None
    options: Options
    plan: Plan
    run: checkpoints.Run
    history: list[Row]


def prepared(
    team: Team,
    net: IsolatedNetwork,
    rule: Rule,
    data: DeviceImages | None,
    held_out: DeviceImages | None,
    schedule: Schedule,
    seed: int,
    options: Options,
) -> Job:
    """Check everything, agree with the other processes and find out where to continue."""
    seat = team.seat
    check(net, rule, schedule, seat.modules, seat.replicas)
    if options.pace and len(options.pace) != seat.modules:
        raise ConfigError(f"pace has {len(options.pace)} numbers for {seat.modules} modules.")
    module, head = list(net.pairs())[seat.module]
    part = IsolatedNetwork([module], [head]).train()
    replicas = Ranks(seat.replica, seat.replicas, team.replicas)
    images = _images(net, data, held_out, schedule, seed) if seat.module == 0 else None
    plan = _agreed(images, schedule)
    run = checkpoints.Run(
        checkpoints.identity(rule, schedule, f"seed={seed}", seat.place, plan, options.replay),
        part,
        optimiser(part, schedule, next(part.parameters()).device),
        None,
    )
    history = _resumed(team, run, options)
    source = images or _inbox(team, part, rule, plan, schedule.epochs - len(history), options)
    if images is not None:
        _introduce(team, part, rule, _first_form(images, rule, schedule, seat.replicas))
    replicas.follow_first([*part.parameters(), *part.buffers()])
    return Job(
        team, Steps(part, None, run.optimiser, schedule, seed, plan.steps, replicas, seat.rank),
        rule, source, Outbox(seat.after) if seat.after is not None else None,
        options, plan, run, history,
    )  # fmt: skip


def check(
    net: IsolatedNetwork, rule: Rule, schedule: Schedule, modules: int, replicas: int
) -> None:
    """Refuse what cannot be trained one module a process.

    Raises
    ------
    ConfigError
    """
    if len(net) != modules:
        raise ConfigError(
            f"the network has {len(net)} modules but the processes joined for {modules}; "
            "give one number to both."
        )
    check_local(rule)
    if schedule.ema:
        raise ConfigError("module-parallel training keeps no moving average; take ema=0.")
    if schedule.batch_size % replicas:
        raise ConfigError(
            f"batch_size={schedule.batch_size} cannot be shared evenly by {replicas} replicas; "
            f"take a multiple of {replicas}."
        )
    check_trainable(net)
    check_batch_norm(net.train(), schedule.batch_size // replicas)


def _images(
    net: IsolatedNetwork,
    data: DeviceImages | None,
    held_out: DeviceImages | None,
    schedule: Schedule,
    seed: int,
) -> Images:
    if data is None or held_out is None:
        raise ConfigError("the processes of module 1 need the images to train and to measure on.")
    return Images(data, held_out, check_fit(net, data, held_out, schedule, seed))


def _agreed(images: Images | None, schedule: Schedule) -> Plan:
    """Return module 1's plan, in every process."""
    told: list[Plan | None] = [None]
    if images is not None:
        whole, rest = divmod(len(images.held_out), EVAL_BATCH)
        sizes = (EVAL_BATCH,) * whole + ((rest,) if rest else ())
        told = [Plan(len(images.data), len(images.data) // schedule.batch_size, sizes)]
    dist.broadcast_object_list(told, src=0)
    assert told[0] is not None
    return told[0]


def _resumed(team: Team, run: checkpoints.Run, options: Options) -> list[Row]:
    """Continue from the last epoch that all modules have finished; return this one's history."""
    seat, folder = team.seat, options.checkpoint
    epoch = 0 if folder is None else kept.last_common(folder, seat.modules)
    found: list[int | None] = [None] * (seat.modules * seat.replicas)
    dist.all_gather_object(found, epoch)
    if len(set(found)) > 1:
        raise ConfigError(
            f"the processes do not agree on how many epochs are done ({found}); "
            "give all of them the same checkpoint folder, one that all can read."
        )
    if folder is None or epoch == 0:
        return []
    return run.resume(kept.path(folder, epoch, seat.module))


def _first_form(images: Images, rule: Rule, schedule: Schedule, replicas: int) -> Form:
    x, y = images.data.at(slice(0, schedule.batch_size // replicas))
    if schedule.soft:
        y = smoothed(y, images.classes, schedule.label_smoothing)
    message = {"x": x, "y": y}
    return form_of(message | {"image": x} if rule.at(0.0).uses_image else message)


def _inbox(
    team: Team, part: IsolatedNetwork, rule: Rule, plan: Plan, epochs: int, options: Options
) -> Inbox:
    """Learn from the module before what its messages look like, and tell the one after."""
    source = team.seat.before
    assert source is not None
    told: list[Form | None] = [None]
    dist.recv_object_list(told, src=source)
    form = told[0]
    assert form is not None
    _introduce(team, part, rule, form)
    evaluated = plan.held_out if team.seat.replica == 0 else ()
    forms = _all_forms(form, plan.steps, evaluated, epochs)
    return Inbox(source, forms, options.queue, next(part.parameters()).device)


def _introduce(team: Team, part: IsolatedNetwork, rule: Rule, form: Form) -> None:
    """Tell the module after what the messages to it look like, given those to this one."""
    if team.seat.after is not None:
        sent = form_after(rule_at(rule, 0.0), part, team.seat.place, form)
        told = dict(sent) | {"evaluated": shape_after(part, form)}
        dist.send_object_list([told], dst=team.seat.after)


def _all_forms(form: Form, steps: int, evaluated: tuple[int, ...], epochs: int) -> Iterator[Form]:
    """Yield the forms of all messages that will come: each epoch's batches, then the held-out."""
    features, kind = form["evaluated"]
    trained = {name: field for name, field in form.items() if name != "evaluated"}
    for _ in range(epochs):
        for _ in range(steps):
            yield trained
        for size in evaluated:
            yield {"x": ((size, *features), kind), "y": ((size,), torch.int64)}
