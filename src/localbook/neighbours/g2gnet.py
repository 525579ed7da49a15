"""Sparse layers of groups, regrown by a Hebbian rule, beat dense ones (konstantaropoulos2025neuro).

The units of every layer lie in k groups. All connections within a group exist, and of those from
group to group a share p_inter. While the network trains, a share of a layer's connections is
dropped again and again, and as many others grow: where the activations of both ends are alike. Of
the paper we read the abstract; details are those of a third party's code, in words of ours. Here
the number of connections across is exact, and where one was dropped or grown Adam begins anew.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.errors import ConfigError
from localbook.fit import fit

Wiring = Literal["dense", "index", "random", "mixer", "scattered"]
Rule = Literal["set", "hebb", "random"]


def patches(images: Tensor, side: int) -> Tensor:
    """Return square patches (N, P, C, side, side), row by row, of images (N, C, H, W).

    >>> patches(torch.arange(16).view(1, 1, 4, 4), 2)[0, 1].tolist()
    [[[2, 3], [6, 7]]]
    """
    if images.ndim != 4 or side < 1 or any(length % side for length in images.shape[2:]):
        raise ConfigError(f"images {tuple(images.shape)} cannot be cut into patches of {side}.")
    cut = images.unfold(2, side, side).unfold(3, side, side)  # (N, C, a, b, side, side)
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


def partition(units: int, k: int, *, interleaved: bool = False) -> Tensor:
    """Return the group of each unit, (units,): of consecutive units, or of every k-th one.

    >>> partition(6, 3).tolist(), partition(6, 3, interleaved=True).tolist()
    ([0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2])
    """
    if not 1 <= k <= units:
        raise ConfigError(f"{units} units do not make {k} groups.")
    index = torch.arange(units)
    return index % k if interleaved else index * k // units


def connections(inside: Tensor, p: float, draw: torch.Generator) -> Tensor:
    """Return a mask: all pairs that are ``inside`` a group, and exactly a share p of the others."""
    if not 0 <= p <= 1:
        raise ConfigError(f"p_inter={p} is not a share.")
    across = (~inside).flatten().nonzero()[:, 0]
    mask = inside.flatten().clone()
    mask[across[torch.randperm(len(across), generator=draw)[: round(p * len(across))]]] = True
    return mask.view_as(inside)


def wire(
    widths: Sequence[int], wiring: Wiring, *, k: int, p: float, seed: int
) -> list[tuple[Tensor, Tensor]]:
    """Return for each layer which pairs (outputs, inputs) are inside a group, and its mask.

    ``index`` groups are consecutive units, ``random`` ones a random partition of each layer's, the
    inputs too; ``mixer`` takes consecutive units in one layer and every k-th in the next.
    ``scattered`` has as many connections as ``index``, anywhere, and ``dense`` has all.
    """
    if wiring not in get_args(Wiring) or len(widths) < 2:
        raise ConfigError(f"{wiring=}, {widths=}: one of {get_args(Wiring)}, and two widths.")
    draw = torch.Generator().manual_seed(seed)
    groups = [partition(n, k) for n in widths]
    if wiring == "random":
        groups = [g[torch.randperm(len(g), generator=draw)] for g in groups]
    layers = []
    for number, (before, after) in enumerate(pairwise(groups)):
        if wiring == "mixer" and number % 2:
            before, after = (partition(len(g), k, interleaved=True) for g in (before, after))
        inside = after[:, None] == before
        mask = connections(inside, 1.0 if wiring == "dense" else p, draw)
        if wiring == "scattered":
            mask = mask.flatten()[torch.randperm(mask.numel(), generator=draw)].view_as(mask)
        layers.append((inside, mask))
    return layers


class SparseLayer(nn.Module):
    """max(Wx + b, 0), (N, inputs) to (N, outputs), where W is zero outside of a mask.

    W starts normal with the variance 2 / (active inputs of its row), b at zero. In training it
    remembers its last batch, from which :func:`rewire` computes.
    """

    mask: Tensor
    inside: Tensor

    def __init__(self, inside: Tensor, mask: Tensor, draw: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("inside", inside)
        self.register_buffer("mask", mask.clone())
        self.weight = nn.Parameter(torch.randn(mask.shape, generator=draw) * mask)
        self.weight.data *= self.spread()[:, None]
        self.bias = nn.Parameter(torch.zeros(len(mask)))
        self.seen: tuple[Tensor, Tensor] | None = None

    def spread(self) -> Tensor:
        """Return the standard deviation of each row's first weights, (outputs,)."""
        return (2 / self.mask.sum(1).clamp_min(1)).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """Return activations (N, outputs)."""
        out = F.relu(F.linear(x, self.weight, self.bias))
        if self.training:
            self.seen = x.detach(), out.detach()
        return out


def network(
    layers: Sequence[tuple[Tensor, Tensor]], classes: int, seed: int, first: nn.Module | None = None
) -> nn.Sequential:
    """Return sparse layers of :func:`wire` between ``first`` and a dense layer of scores.

    One seed gives the same normal numbers behind the weights, whatever the masks.
    """
    draw = torch.Generator().manual_seed(seed)
    sparse = [SparseLayer(inside, mask, draw) for inside, mask in layers]
    last = nn.Linear(len(layers[-1][1]), classes, device="meta").to_empty(device="cpu")
    nn.init.normal_(last.weight, 0, last.in_features**-0.5, generator=draw)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first or nn.Flatten(), *sparse, last)


def active(net: nn.Module) -> int:
    """Return the number of parameters that are not masked."""
    masked = sum(int((~part.mask).sum()) for part in net.modules() if isinstance(part, SparseLayer))
    return sum(weight.numel() for weight in net.parameters()) - masked


def hebb(pre: Tensor, post: Tensor, *, centred: bool = False) -> Tensor:
    """Return C (outputs, inputs), the cosine of activations (N, inputs) and (N, outputs).

    Centred it is their correlation. A silent unit has zeros.

    >>> pre, post = torch.tensor([[1.0, 1], [0, 2]]), torch.tensor([[3.0], [0]])
    >>> [[round(c, 2) for c in hebb(pre, post, centred=how)[0].tolist()] for how in (False, True)]
    [[1.0, 0.45], [1.0, -1.0]]
    """
    if centred:
        pre, post = pre - pre.mean(0), post - post.mean(0)
    return F.normalize(post, dim=0).T @ F.normalize(pre, dim=0)


@dataclass(frozen=True)
class Rewiring:
    """When and how connections change.

    Attributes
    ----------
    drop, grow : str
        ``set`` drops the smallest weights, ``hebb`` the smallest C, and grows the largest.
    centred, zero : bool
        Whether C is a correlation; whether new weights start at zero, and not as all did.
    every, share, until
        After how many steps, how many of a layer's connections, up to which share of training.
    """

    drop: Rule = "set"
    grow: Rule = "hebb"
    centred: bool = False
    zero: bool = False
    every: int = 10
    share: float = 0.025
    until: float = 0.75

    def __post_init__(self) -> None:
        known = self.drop in get_args(Rule) and self.grow in get_args(Rule)[1:]
        if not known or self.every < 1 or not (0 < self.share < 1 and 0 < self.until <= 1):
            raise ConfigError(f"{self}: give known rules, every of 1 or more, and shares.")


@torch.no_grad()
def rewire(
    layer: SparseLayer, rule: Rewiring, draw: torch.Generator, moments: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor]:
    """Drop and grow connections in place; return which, as places in the flat weight.

    None that is dropped grows at once. ``moments``, the optimiser's, become zero where it changed.
    """
    if layer.seen is None:
        raise ConfigError("the layer has seen no batch yet: let it train for a step.")
    there = layer.mask.flatten()
    count = min(round(rule.share * int(there.sum())), int((~there).sum()))
    either, other = torch.rand(2, there.numel(), generator=draw)
    alike = hebb(*layer.seen, centred=rule.centred).flatten() + 1e-7 * either  # no ties
    worth = {"set": layer.weight.abs().flatten(), "hebb": alike, "random": either}[rule.drop]
    wish = {"hebb": alike, "random": other}[rule.grow]
    dropped = worth.masked_fill(~there, math.inf).topk(count, largest=False).indices
    grown = wish.masked_fill(there, -math.inf).topk(count).indices
    changed = torch.cat([dropped, grown])
    for tensor in (layer.weight, *moments):
        tensor.view(-1)[changed] = 0.0
    layer.mask.view(-1)[changed] = ~there[changed]
    if not rule.zero:
        rows = grown // layer.mask.shape[1]
        layer.weight.view(-1)[grown] = torch.randn(count, generator=draw) * layer.spread()[rows]
    return dropped, grown


def train(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    rewiring: Rewiring | None = None,
    look: Callable[[int], object] = lambda count: None,
) -> int:
    """Train in place by Adam, with weights outside of masks at zero; return how often it rewired.

    ``look`` is called with their number after each rewiring of all sparse layers.
    """
    layers = [p for p in net.modules() if isinstance(p, SparseLayer) and not p.mask.all()]
    draw, count = torch.Generator().manual_seed(seed), 0
    last = rewiring.until * epochs * -(-len(x) // batch_size) if rewiring else 0
    made: list[torch.optim.Optimizer] = []

    def optimiser(parameters: Any, lr: float) -> torch.optim.Optimizer:
        made.append(torch.optim.Adam(parameters, lr=lr, fused=True))
        return made[0]

    def after_step(step: int) -> None:
        nonlocal count
        for layer in layers:
            layer.weight.mul_(layer.mask)
        if rewiring and step % rewiring.every == 0 and step <= last:
            for layer in layers:
                state = made[0].state[layer.weight]
                rewire(layer, rewiring, draw, [state["exp_avg"], state["exp_avg_sq"]])
            count += 1
            look(count)

    fit(
        net, x, y, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed,
        optimiser=optimiser, after_step=after_step,
    )  # fmt: skip
    return count
