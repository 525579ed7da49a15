"""Late layers of language models add little, and harder questions go no deeper (csordas2025depth).

Layer l adds Δ_l = h_{l+1} - h_l to the residual stream h_l: attention a_l and MLP m_l. Its share is
|Δ_l| / |h_l|; its effect is what changes where it is skipped: the Δ of later layers, and the
probabilities at the end. Effects e_l of a question have a centre of mass, the depth score.

Of the paper's tasks nobody knows how much depth they need. Chasing a pointer k times needs more
with k, and the networks here are made for it: one token a fact, x -> f(x), and one a question,
(x, k), for f(f(...x)).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.local import IsolatedNetwork
from localbook.streams import Stream, Sublayer

TOO_SMALL = 1e-12


def contributions(states: Sequence[Tensor], at: slice = slice(None)) -> dict[str, Floats]:
    """Return what attention, MLP and layer add, against the stream they add to, for each layer.

    Parameters
    ----------
    states : sequence of Tensor, shape (N, T, C)
        h before and behind each sublayer, as :meth:`localbook.streams.Stream.states` returns them.
    at : slice
        Of positions.

    Returns
    -------
    dict of ndarray, shape (L,)
        ``attention``, ``mlp`` and ``layer``: mean over tokens of the length added over that of the
        stream before; ``attention_cosine``, ...: of the angle between both, zero where the
        direction is new and negative where something is erased.
    """
    found = {}
    h = [state[:, at] for state in states]
    for name, first, length in (("attention", 0, 1), ("mlp", 1, 1), ("layer", 0, 2)):
        pairs = [(h[i], h[i + length] - h[i]) for i in range(first, len(h) - length, 2)]
        share = [(new.norm(dim=-1) / old.norm(dim=-1)).mean().item() for old, new in pairs]
        turn = [F.cosine_similarity(old, new, dim=-1).mean().item() for old, new in pairs]
        found |= {name: np.array(share), f"{name}_cosine": np.array(turn)}
    return found


@dataclass(frozen=True, eq=False)
class Skip:
    """What a stream does without one layer, at the positions that are looked at.

    Attributes
    ----------
    layer : int
        The layer that is skipped, from 0.
    later : Tensor, shape (L, N, t)
        Entry l: |Δ_l - Δ'_l| / |Δ_l|, where the layer is in front of l; zero otherwise.
    scores : Tensor, shape (N, t, V)
    """

    layer: int
    later: Tensor
    scores: Tensor


def skips(
    stream: Stream, states: Sequence[Tensor], *, first: int = 0, until: int | None = None
) -> Iterator[Skip]:
    """Skip each layer alone, and yield what it changes.

    Parameters
    ----------
    stream : Stream
    states : sequence of Tensor, shape (N, T, C)
        Of the whole stream.
    first : int
        The first position at which a layer is skipped, or that is looked at: 1 leaves out a text's
        first token, on which attention rests.
    until : int, optional
        A layer is skipped before this position only, and what is looked at begins with it: what
        the future reads from the past. By default positions are skipped and looked at alike.

    Raises
    ------
    ConfigError
        If no position is left.
    """
    T, L = states[0].shape[1], len(states) // 2
    where = torch.zeros(T, dtype=torch.bool)
    where[first:until] = True
    seen = slice(first if until is None else until, None)
    if not where.any() or not range(T)[seen]:
        raise ConfigError(f"first={first}, until={until}: of {T} positions none is left.")
    added = [(b - a)[:, seen] for a, b in zip(states[:-2:2], states[2::2], strict=True)]
    for s in range(L):
        gone = (2 * s, 2 * s + 1)
        h = stream.states(states[2 * s], first=2 * s, without=gone, where=where)[::2]
        later = torch.zeros(L, *added[0].shape[:2])
        for layer in range(s + 1, L):
            new = (h[layer - s + 1] - h[layer - s])[:, seen]
            length = added[layer].norm(dim=-1).clamp_min(TOO_SMALL)
            later[layer] = (new - added[layer]).norm(dim=-1) / length
        with torch.no_grad():
            yield Skip(s, later, stream.read(h[-1][:, seen]))


def moved(scores: Tensor, others: Tensor) -> Tensor:
    """Return |p - p'| (...) of the probabilities of two scores (..., V)."""
    return (scores.softmax(-1) - others.softmax(-1)).norm(dim=-1)


def depth_score(effects: ArrayLike) -> Floats:
    """Return the centre of mass of effects (..., L), in layers from 1."""
    e = np.asarray(effects, dtype=float)
    return e @ np.arange(1, e.shape[-1] + 1) / e.sum(-1)


def in_use(effects: ArrayLike) -> Floats:
    """Return how many layers have an effect (..., L): (Σ e)² / Σ e², between 1 and L."""
    e = np.asarray(effects, dtype=float)
    found: Floats = e.sum(-1) ** 2 / (e**2).sum(-1)
    return found


def puzzles(
    count: int, n: int, hops: int, questions: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return facts of a map f that turns a random ring of n things, in random order.

    Parameters
    ----------
    count, n : int
    hops : int
        A question asks for f applied 1 to so many times, by turns.
    questions : int
    generator : torch.Generator

    Returns
    -------
    x : Tensor, shape (count, n + questions, 2 n + hops)
        A token a fact and a question: one-hot x, then one-hot f(x) or one-hot k.
    y : int64 tensor, shape (count, questions)
        The answers.
    """
    ring, order = (torch.rand(count, n, generator=generator).argsort(1) for _ in range(2))
    f = torch.empty_like(ring).scatter_(1, ring, ring.roll(-1, 1))
    start = torch.randint(n, (count, questions), generator=generator)
    k = torch.arange(questions) % hops
    y = f.gather(1, start)
    for hop in range(1, hops):
        y = torch.where(k >= hop, f.gather(1, y), y)
    x = torch.zeros(count, n + questions, 2 * n + hops)
    x[:, :n, :n] = F.one_hot(order, n).float()
    x[:, :n, n : 2 * n] = F.one_hot(f.gather(1, order), n).float()
    x[:, n:, :n] = F.one_hot(start, n).float()
    x[:, n:, 2 * n :] = F.one_hot(k, hops).float()
    return x, y


class Block(nn.Module):
    """A layer of a language model: attention to earlier positions, then an MLP.

    The last positions are questions, which do not see each other.
    """

    def __init__(self, width: int, heads: int, questions: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads, self.questions = heads, questions

    def forward(self, h: Tensor) -> Tensor:
        """Map (N, T, C) to (N, T, C)."""
        h = h + self.attention(h)
        return h + self.mlp(h)

    def attention(self, h: Tensor) -> Tensor:
        """Return what attention adds."""
        T, facts = h.shape[1], h.shape[1] - self.questions
        seen = torch.ones(T, T, dtype=torch.bool).tril()
        seen[facts:, facts:] = torch.eye(self.questions, dtype=torch.bool)
        qkv = self.qkv(self.norm1(h)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, T, C / heads) each
        mixed = F.scaled_dot_product_attention(q, k, v, seen)
        return cast(Tensor, self.project(mixed.transpose(1, 2).flatten(2)))

    def mlp(self, h: Tensor) -> Tensor:
        """Return what the MLP adds."""
        return cast(Tensor, self.down(F.gelu(self.up(self.norm2(h)))))


class Answers(nn.Module):
    """Take the questions' scores, as the cross-entropy wants them."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.questions = questions

    def forward(self, scores: Tensor) -> Tensor:
        """Map (N, T, V) to (N, V, questions)."""
        return scores[:, -self.questions :].transpose(1, 2)


def chaser(
    n: int, hops: int, questions: int, *, depth: int, width: int, heads: int, seed: int
) -> IsolatedNetwork:
    """Return a transformer for puzzles; each layer is a module, with a head that answers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        blocks: list[nn.Module] = [Block(width, heads, questions) for _ in range(depth)]
        blocks[0] = nn.Sequential(nn.Linear(2 * n + hops, width), blocks[0])
        ends = [
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n), Answers(questions))
            for _ in blocks
        ]
        return IsolatedNetwork(blocks, ends)


def stream_of(net: IsolatedNetwork) -> Stream:
    """Return the stream of a network that :func:`chaser` made; it reads scores (N, T, V)."""
    (embed, first), *rest = net.local_modules
    sublayers = []
    for layer, block in enumerate((first, *rest)):
        for kind, add in (("attention", block.attention), ("mlp", block.mlp)):
            sublayers.append(Sublayer(kind, layer, add, 0))
    return Stream(embed, sublayers, net.heads[-1][:2])


def stitching(
    sources: Sequence[Tensor], targets: Sequence[Tensor], *, train: int, ridge: float = 1e-3
) -> Floats:
    """Return how badly an affine map turns one network's states into another's.

    Parameters
    ----------
    sources, targets : sequence of Tensor, shape (M, C) and (M, D)
        Behind each layer, for the same M tokens.
    train : int
        The map is fitted on so many of the tokens, by ridge regression, and judged on the others.
    ridge : float
        The penalty, as a share of the mean variance of the source.

    Returns
    -------
    ndarray, shape (layers of the source, layers of the target)
        Squared errors over the target's variance, both on the tokens held out.

    Raises
    ------
    ConfigError
        If tokens are not there to fit and to judge.
    """
    if not 1 < train < len(sources[0]) - 1 or not ridge > 0:
        raise ConfigError(
            f"train={train} of {len(sources[0])} tokens, ridge={ridge}: leave at least two tokens "
            "on each side, and let the penalty be positive."
        )
    wide = [y.double() for y in targets]
    sizes = [y.shape[1] for y in wide]
    y = torch.cat([(y - y[:train].mean(0)) for y in wide], dim=1)
    variance = (y[train:] - y[train:].mean(0)).square().mean(0).split(sizes)
    found = []
    for source in sources:
        x = source.double() - source[:train].double().mean(0)
        gram = x[:train].T @ x[:train]
        gram += ridge * gram.trace() / len(gram) * torch.eye(len(gram), dtype=gram.dtype)
        w = torch.linalg.solve(gram, x[:train].T @ y[:train])
        missed = (x[train:] @ w - y[train:]).square().mean(0).split(sizes)
        pairs = zip(missed, variance, strict=True)
        found.append([(m.sum() / v.sum()).item() for m, v in pairs])
    return np.array(found)
