"""Zeros of the ReLU do not help pruned networks: prune on purpose so that more fire (liu2023ap).

Iterative pruning trains, removes a share p of the weights w that are left, sets the others back to
their initial values, and trains again. *Activating while pruning* leaves a part q < p of that share
to another choice: negative weights, those that training moved least. Behind a ReLU every input x of
a neuron is at least 0, so that z - w x >= z for w < 0. The other choices here are its controls.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from localbook import tropical
from localbook.arrays import floats
from localbook.errors import ConfigError

Host = Callable[[nn.Module], list[Tensor]]
"""Gives a score for every weight of a trained network; the lowest are pruned."""

Trainer = Callable[[nn.Module, Callable[[int], None]], object]
"""Trains a network in place; after every step it calls what it is given, which holds the masks."""


@dataclass(frozen=True)
class Choice:
    """Which weights the share q is taken from: their sign, 0 for both, and their order.

    Those with the smallest change in training go first, or else a random order decides.
    """

    sign: Literal[-1, 0, 1]
    least_moved: bool


CHOICES: Mapping[str, Choice] = {
    "ap": Choice(-1, True),
    "mirror": Choice(1, True),
    "least-moved": Choice(0, True),
    "negative": Choice(-1, False),
    "random": Choice(0, False),
}
"""The paper's choice and its controls."""


def prunable(net: nn.Module) -> list[nn.Parameter]:
    """Return the weights of all linear and convolutional layers; no biases, no norms."""
    return [weight for layer in _layers(net) if isinstance(weight := layer.weight, nn.Parameter)]


def _layers(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ConfigError("the network has no linear or convolutional layer to prune.")
    return layers


def magnitude(net: nn.Module) -> list[Tensor]:
    """Return |w|, the score of the lottery tickets."""
    return [w.detach().abs() for w in prunable(net)]


def tropical_costs(net: nn.Module) -> list[Tensor]:
    """Return how far the removal of each weight moves the generators of the dual zonotopes.

    Of linear layers with ReLUs between them; see :func:`localbook.tropical.weight_costs`.
    """
    weights = [floats(layer.weight) for layer in _layers(net)]
    biases = [floats(layer.bias) for layer in _layers(net)]
    return [torch.from_numpy(cost) for cost in tropical.weight_costs(weights, biases)]


def pruned(
    masks: Sequence[Tensor],
    scores: Sequence[Tensor],
    count: int,
    eligible: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Return masks with so many weights fewer: those of the lowest scores, in all layers together.

    Of equal scores the first weight goes first; of weights that are not ``eligible`` one goes only
    where those are too few.
    """
    left, score = _flat(masks), _flat(scores)
    if not 0 <= count <= int(left.sum()):
        raise ConfigError(f"count={count}: prune at least 0 and at most {int(left.sum())} weights.")
    if score.isnan().any():
        raise ConfigError("a score is not a number: check the training for divergence.")
    last = torch.zeros_like(left) if eligible is None else ~_flat(eligible)
    order = score.argsort(stable=True)
    order = order[last[order].int().argsort(stable=True)]
    left[order[left[order]][:count]] = False
    parts = torch.split(left, [mask.numel() for mask in masks])
    return [part.view_as(mask) for part, mask in zip(parts, masks, strict=True)]


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])


def activate_while_pruning(
    net: nn.Module,
    train: Trainer,
    *,
    cycles: int,
    choice: Choice | None,
    host: Host = magnitude,
    p: float = 0.2,
    q: float = 0.02,
    seed: int,
) -> Iterator[list[Tensor]]:
    """Train and prune a network in place, by turns; yield the masks (bool) after every one.

    The dense network is trained first. Then every cycle removes the share ``p`` of the weights that
    are left, the share ``q`` of them by the choice and the others by the host's lowest scores. All
    the rest, biases and norms too, is set back to where it started and trained, once a cycle.

    Parameters
    ----------
    net : nn.Module
        At its initial values.
    train : callable
        Such as ``lambda net, hold: fit(net, x, y, after_step=hold, ...)``.
    cycles : int
        Of pruning: there is one training more.
    choice : Choice or None
        None leaves all to the host: lottery tickets, if that is :func:`magnitude`.
    host : callable
    p, q : float
    seed : int
        Of random choices.

    Raises
    ------
    ConfigError
        If 0 < q < p < 1 does not hold, or cycles is negative.
    """
    if not (0 < q < p < 1 and cycles >= 0):
        raise ConfigError(f"p={p}, q={q}, cycles={cycles}: let 0 < q < p < 1, cycles at least 0.")
    return _trainings(net, train, cycles, choice, host, p, q, seed)


def _trainings(
    net: nn.Module, train: Trainer, cycles: int, choice: Choice | None, host: Host,
    p: float, q: float, seed: int,
) -> Iterator[list[Tensor]]:  # fmt: skip
    weights, start = prunable(net), copy.deepcopy(net.state_dict())
    initial = [w.detach().clone() for w in weights]
    masks = [torch.ones_like(w, dtype=torch.bool) for w in weights]
    total, plan = sum(w.numel() for w in weights), tropical.Pruning(p, max(cycles, 1))
    generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def hold(step: int) -> None:
        for w, mask in zip(weights, masks, strict=True):
            w.mul_(mask)  # an optimiser's momentum would bring pruned weights back

    for number in range(cycles + 1):
        if number:
            before = plan.left(total, number - 1)
            count = before - plan.left(total, number)
            chosen = round(q * before) if choice else 0
            masks = pruned(masks, host(net), count - chosen)
            if choice:
                scores = (
                    [(w.detach() - w0).abs() for w, w0 in zip(weights, initial, strict=True)]
                    if choice.least_moved
                    else [torch.rand(w.shape, generator=generator) for w in weights]
                )
                masks = pruned(masks, scores, chosen, [_of_sign(w, choice.sign) for w in weights])
            net.load_state_dict(start)
            hold(0)
        train(net, hold)
        yield masks


def _of_sign(w: Tensor, sign: int) -> Tensor:
    return w.detach() * sign > 0 if sign else torch.ones_like(w, dtype=torch.bool)


@torch.no_grad()
def firing(net: nn.Module, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return for every ReLU which neurons are above zero (N, ...), and which have weights left.

    Functional ReLUs count as well. The weights are the incoming ones of the last layer before: in a
    residual block of the convolution, not of the shortcut. Their shape broadcasts with the first.
    """
    found: list[tuple[Tensor, Tensor]] = []
    fed: list[Tensor] = []

    def note(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        weight = next(layer.parameters())
        channels = weight.flatten(1).any(1)
        fed.append(channels if isinstance(layer, nn.Linear) else channels[:, None, None])

    class Watch(TorchDispatchMode):  # so that functional ReLUs are seen
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            if func in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default) and fed:
                found.append((out > 0, fed[-1]))
            return out

    hooks = [layer.register_forward_hook(note) for layer in _layers(net)]
    try:
        with Watch():  # type: ignore[no-untyped-call]
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ConfigError("the network has no ReLU behind a layer with weights.")
    return found


def dead_rates(net: nn.Module, x: Tensor) -> dict[str, float]:
    """Return the shares of dead neurons on inputs (N, ...), over all ReLUs.

    ``dead`` is the mean share of outputs that are zero for an input; ``static`` the share of
    neurons that have no incoming weight and fire on no input; ``dynamic`` their difference;
    ``silent`` the share of neurons that fire on no input, for whatever reason. In a convolution
    every place is a neuron.
    """
    neurons = dead = static = silent = 0.0
    for active, fed in firing(net, x):
        never = ~active.any(0)
        neurons += never.numel()
        dead += (~active).double().mean(0).sum().item()
        silent += never.sum().item()
        static += (never & ~fed).sum().item()
    rates = {"dead": dead, "static": static, "dynamic": dead - static, "silent": silent}
    return {name: value / neurons for name, value in rates.items()}
