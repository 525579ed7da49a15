"""Half of a model's attention layers can be dropped, and their inputs tell which (he2024matters).

A sublayer adds f(h) to the residual stream h, and its norm belongs to f. It is redundant where
h + f(h) points where h does: S = mean over tokens of cos(h, h + f(h)), and with S the largest are
dropped, all at once and without training. Sublayers that go together, such as the two of a block,
are a group. That the order of damage may be another, and is measured here too, is our addition.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError
from localbook.streams import Stream

PARTS = ("attention", "mlp", "block", "joint")
"""What is ranked together: sublayers of one kind, both of a layer as one, or all single ones."""

Group = tuple[int, ...]
"""Sublayers that follow each other and are dropped together, by their numbers in the stream."""

Judge = Callable[[Tensor], float]
"""From scores to a loss."""

Score = Callable[[Sequence[Tensor], Sequence[Group], Collection[int]], Floats]
"""From a stream's states, groups that are left and sublayers that are gone to who goes next: the
highest."""


def groups(stream: Stream, part: str) -> list[Group]:
    """Return the groups of one of ``PARTS``, in the order of the stream."""
    if part not in PARTS:
        raise ConfigError(f"part={part!r}: choose one of {', '.join(PARTS)}.")
    if part == "block":
        return [(i, i + 1) for i in range(0, len(stream.sublayers), 2)]
    return [(i,) for i, one in enumerate(stream.sublayers) if part in (one.kind, "joint")]


def similarity(states: Sequence[Tensor], some: Sequence[Group]) -> Floats:
    """Return S (G,) of groups, the mean over all tokens of cos(h before it, h after it).

    ``states`` are those of the whole stream, h_0, ..., h_n.
    """
    return np.array(
        [F.cosine_similarity(states[g[0]], states[g[-1] + 1], dim=-1).mean().item() for g in some]
    )


def ranked(scores: ArrayLike) -> Indices:
    """Return the groups' numbers by falling score, the first of equal ones first."""
    return np.argsort(-np.asarray(scores), kind="stable")


def damage(
    stream: Stream,
    states: Sequence[Tensor],
    some: Sequence[Group],
    judge: Judge,
    without: Collection[int] = (),
) -> Floats:
    """Return by how much the loss rises (G,) where one group alone is dropped.

    ``states`` are those of the stream that lacks ``without`` already; what stands before the group
    is not computed again.
    """
    before = judge(stream.read(states[-1]))

    def after(group: Group) -> float:
        rest = stream.states(states[group[0]], first=group[-1] + 1, without=without)
        return judge(stream.read(rest[-1]))

    return np.array([after(group) - before for group in some])


def one_by_one(stream: Stream, h: Tensor, some: Sequence[Group], n: int, score: Score) -> Indices:
    """Return n groups' numbers in the order in which they go, each judged without those before.

    With :func:`similarity` it is the paper's iterative variant; with the least :func:`damage`, the
    greedy oracle.
    """
    if not 0 < n <= len(some):
        raise ConfigError(f"n={n}: drop at least one of {len(some)} groups, and at most all.")
    left, gone = list(range(len(some))), set[int]()
    chosen = []
    for _ in range(n):
        states = stream.states(h, without=gone)
        best = int(np.argmax(score(states, [some[k] for k in left], gone)))
        chosen.append(left.pop(best))
        gone |= set(some[chosen[-1]])
    return np.array(chosen, dtype=np.intp)


def oracle(stream: Stream, judge: Judge) -> Score:
    """Return the score by which the group goes that does least damage."""
    return lambda states, left, gone: -damage(stream, states, left, judge, gone)


def curve(
    stream: Stream,
    h: Tensor,
    some: Sequence[Group],
    order: ArrayLike,
    counts: Sequence[int],
    judge: Judge,
) -> Floats:
    """Return the loss without the first n groups of an order, for each n of the counts."""
    at = np.asarray(order, dtype=int).tolist()
    if not 0 <= min(counts) <= max(counts) <= len(at):
        raise ConfigError(f"counts={tuple(counts)}: the order has {len(at)} groups.")

    def loss(n: int) -> float:
        gone = [i for k in at[:n] for i in some[k]]
        return judge(stream.read(stream.states(h, without=gone)[-1]))

    return np.array([loss(n) for n in counts])


def parameters(stream: Stream, some: Sequence[Group]) -> Indices:
    """Return how many numbers (G,) go with each group."""
    return np.array([sum(stream.sublayers[i].parameters for i in group) for group in some])


def next_token_loss(tokens: Tensor) -> Judge:
    """Return the judge of a language model on token numbers (N, T): nats a token but the first."""
    return lambda scores: F.cross_entropy(
        scores[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
    ).item()


def shuffled(weights: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return matrices with their numbers in another order: an untrained model of the same sizes."""
    draw = torch.Generator().manual_seed(seed)
    return {
        name: w.flatten()[torch.randperm(w.numel(), generator=draw)].view_as(w) if w.ndim > 1 else w
        for name, w in weights.items()
    }
