"""One module as a process holds it: what its messages look like."""

from typing import cast

import torch
from torch import Tensor

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork, copied
from localbook.local.parallel.channel import Form, fields, form_of, signal_of
from localbook.local.rules import LocalRule, Rule, check_rule


def check_local(rule: Rule) -> None:
    """Refuse a rule that needs more than one module at a time."""
    check_rule(rule)
    if not rule.at(0.0).local:
        raise ConfigError(
            f"{type(rule).__name__} needs to see more than one module at a time, so its modules "
            "cannot train in processes of their own; take a local rule, such as PlainLocal, or SGR "
            "with modules_per_step=None."
        )


def rule_at(rule: Rule, progress: float) -> LocalRule:
    """Return the local rule to use when a share of training is over."""
    return cast(LocalRule, rule.at(progress))


def form_after(rule: LocalRule, part: IsolatedNetwork, place: tuple[int, int], form: Form) -> Form:
    """Return the form of what a module sends on, by a step on copies that leaves no trace."""
    part = copied(part).train()
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
