"""One module as a process holds it: how it steps, and how its replicas stay the same."""

import copy
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, evaluating
from localbook.local.parallel.channel import Form, fields, form_of, signal_of
from localbook.local.rules import (
    EquippedHead,
    LocalRule,
    Rule,
)


def check_rule(rule: Rule, replicas: int) -> None:
    """Refuse a rule that cannot run one module a process.

    Raises
    ------
    ConfigError
        If it needs more than one module at a time, or fills gradients in a way that
        DistributedDataParallel does not see although there are replicas.
    """
    if not rule.at(0.0).local:
        raise ConfigError(
            f"{type(rule).__name__} needs to see more than one module at a time, so its modules "
            "cannot train in processes of their own; take a local rule, such as PlainLocal, or SGR "
            "with modules_per_step=None."
        )
    if replicas > 1 and (rule.by_hand or rule.hides_saved_tensors):
        raise ConfigError(
            "DistributedDataParallel sees only gradients that a backward pass makes; with "
            'replicas take SGR(derivative="double_backward") or PlainLocal.'
        )


def rule_at(rule: Rule, progress: float) -> LocalRule:
    """Return the local rule to use when a share of training is over."""
    return cast(LocalRule, rule.at(progress))


def wants_image(rule: Rule) -> bool:
    """Say whether images have to travel with the activations."""
    return rule.uses_image


def replicated(
    module: nn.Module, head: nn.Module, group: dist.ProcessGroup | None
) -> tuple[nn.Module, nn.Module]:
    """Return a module and its head wrapped so that the replicas' gradients are averaged."""
    if group is None:
        return module, head
    if isinstance(head, EquippedHead):
        parts = {name: _wrapped(part, group) for name, part in head.parts.items()}
        return _wrapped(module, group), EquippedHead(_wrapped(head.classifier, group), parts)
    return _wrapped(module, group), _wrapped(head, group)


def _wrapped(module: nn.Module, group: dist.ProcessGroup) -> nn.Module:
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return module  # nothing to average, which DistributedDataParallel refuses
    # BatchNorm's buffers are averaged after each epoch, as in localbook.local.train
    return DistributedDataParallel(module, process_group=group, broadcast_buffers=False)


def average_buffers(net: IsolatedNetwork, group: dist.ProcessGroup | None) -> None:
    """Replace a module's floating-point buffers by their mean over its replicas."""
    if group is None:
        return
    for buffer in net.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer, group=group)
            buffer /= group.size()


def form_after(rule: LocalRule, part: IsolatedNetwork, place: tuple[int, int], form: Form) -> Form:
    """Return the form of what a module sends on, by a step on copies that leaves no trace."""
    part = copy.deepcopy(part).train()
    message = _example(form, part)
    with torch.random.fork_rng([message["x"].device] if message["x"].is_cuda else []):
        module, head = next(part.pairs())
        _, signal = rule.step(module, head, place, signal_of(message))
    return form_of(fields(signal, image="image" in message))


def shape_after(part: IsolatedNetwork, form: Form) -> tuple[tuple[int, ...], torch.dtype]:
    """Return the shape of one sample's output in eval mode, and its type."""
    shape, kind = form.get("evaluated") or (form["x"][0][1:], form["x"][1])
    device = next(part.parameters()).device
    with torch.no_grad(), evaluating(part):
        out = part.local_modules[0](torch.zeros((2, *shape), dtype=kind, device=device))
    return tuple(out.shape[1:]), out.dtype


def _example(form: Form, part: IsolatedNetwork) -> dict[str, Tensor]:
    """Return a message of a form, with numbers that mean nothing."""
    device = next(part.parameters()).device
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(shape, generator=generator).to(device, kind)
        for name, (shape, kind) in form.items()
        if name != "evaluated"
    }
