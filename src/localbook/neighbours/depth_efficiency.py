"""Late layers of language models add little, and harder questions go no deeper (csordas2025depth).

Layer l adds Δ_l to the residual stream h_l, by attention and MLP. Its contribution is the length of
Δ_l over that of h_l; its effect is what changes where it is skipped: the Δ of later layers, and the
probabilities at the end. Effects of all layers have a centre of mass, the depth score.

Chasing a pointer k times is a task of ours that needs more depth with k: one token is a fact,
x -> f(x), or a question, (x, k), for f(f(...x)).
"""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local import IsolatedNetwork
from localbook.streams import Stream, Sublayer

RIDGE = 1e-3  # the penalty of maps, as a share of the source's mean variance


def contributions(states: Sequence[Tensor], at: slice = slice(None)) -> dict[str, Floats]:
    """Return what attention, MLP and layer add, against the stream they add to, for each layer.

    From :meth:`localbook.streams.Stream.states` (N, T, C), at some positions. ``attention``,
    ``mlp`` and ``layer`` are means over tokens of the length added over that of the stream before;
    ``attention_cosine``, ...: of the angle's cosine, negative where it erases.
    """
    found: dict[str, Floats] = {}
    h = [state[:, at] for state in states]
    for name, first, length in (("attention", 0, 1), ("mlp", 1, 1), ("layer", 0, 2)):
        pairs = [(h[i], h[i + length] - h[i]) for i in range(first, len(h) - length, 2)]
        share = [(new.norm(dim=-1) / old.norm(dim=-1)).mean().item() for old, new in pairs]
        turn = [F.cosine_similarity(old, new, dim=-1).mean().item() for old, new in pairs]
        found |= {name: np.array(share), f"{name}_cosine": np.array(turn)}
    return found


def skips(
    stream: Stream, states: Sequence[Tensor], *, first: int = 0, until: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Skip each layer alone, the first one first, and yield what that changes.

    Parameters
    ----------
    stream : Stream
    states : sequence of Tensor, shape (N, T, C)
        Of the whole stream.
    first : int
        The first position at which a layer is skipped, or that is looked at: 1 leaves out a text's
        first token, on which attention rests.
    until : int, optional
        A layer is skipped before this position only, and what is looked at begins with it: what the
        future reads from the past.

    Yields
    ------
    later : Tensor, shape (L, N, t)
        By how much Δ_l changes, over its length, for each layer l behind the skipped one; zero for
        the others.
    scores : Tensor, shape (N, t, V)
        At the end of the stream.

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
            length = added[layer].norm(dim=-1).clamp_min(1e-12)
            later[layer] = (new - added[layer]).norm(dim=-1) / length
        with torch.no_grad():
            yield later, stream.read(h[-1][:, seen])


def moved(scores: Tensor, others: Tensor) -> Tensor:
    """Return the distance (...) of the probabilities that belong to two scores (..., V)."""
    return cast(Tensor, (scores.softmax(-1) - others.softmax(-1)).norm(dim=-1))


def depth_score(effects: ArrayLike) -> tuple[Floats, Floats]:
    """Return the centre of mass of effects (..., L), in layers from 1, and how many are in use.

    The second is (Σ e)² / Σ e², between 1 and L. No effect may be negative, and not all zero.
    """
    e = np.asarray(effects, dtype=float)
    if e.min() < 0 or not (e.sum(-1) > 0).all():
        raise ConfigError("effects are at least 0, and one layer has to have some.")
    sums, layers = e.sum(-1), np.arange(1, e.shape[-1] + 1)
    return (e * layers).sum(-1) / sums, sums**2 / (e**2).sum(-1)


def puzzles(
    count: int, n: int, hops: int, questions: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return facts of a map f that turns a random ring of n things, in random order, and questions.

    These ask for f applied 1 to ``hops`` times, fewer than n, by turns. Tokens x, (count, n +
    questions, 2 n + hops), are one-hot x, then one-hot f(x) or k; answers y are (count, questions).
    """
    if not 0 < hops < n:
        raise ConfigError(f"{hops} hops on a ring of {n}: ask for at least 1, and fewer than n.")
    ring, order = (torch.rand(count, n, generator=generator).argsort(1) for _ in range(2))
    f = torch.empty_like(ring).scatter_(1, ring, ring.roll(-1, 1))
    start = torch.randint(n, (count, questions), generator=generator)
    k = torch.arange(questions) % hops
    y = f.gather(1, start)
    for hop in range(1, hops):
        y = torch.where(k >= hop, f.gather(1, y), y)
    about = torch.cat([order, start], dim=1)
    said = torch.cat([f.gather(1, order), n + k.expand(count, -1)], dim=1)
    return torch.cat([F.one_hot(about, n), F.one_hot(said, n + hops)], dim=2).float(), y


class Block(nn.Module):
    """Attention to earlier positions, then an MLP; questions, at the end, see no other question."""

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
    """Take the scores (N, V, questions) of the last positions from all (N, T, V)."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.questions = questions

    def forward(self, scores: Tensor) -> Tensor:
        """Return them as the cross-entropy wants them."""
        return scores[:, -self.questions :].transpose(1, 2)


def chaser(
    n: int, hops: int, questions: int, *, depth: int, width: int, heads: int, seed: int
) -> IsolatedNetwork:
    """Return a transformer for puzzles; each layer is a module, with a head that answers."""
    with seeded(seed):
        blocks: list[nn.Module] = [Block(width, heads, questions) for _ in range(depth)]
        blocks[0] = nn.Sequential(nn.Linear(2 * n + hops, width), blocks[0])
        parts = [(nn.LayerNorm(width), nn.Linear(width, n), Answers(questions)) for _ in blocks]
        return IsolatedNetwork(blocks, [nn.Sequential(*part) for part in parts])


def stream_of(net: IsolatedNetwork) -> Stream:
    """Return the stream of a network that :func:`chaser` made; it reads scores (N, T, V)."""
    begin, *rest = net.local_modules
    sublayers = [
        Sublayer(kind, layer, getattr(block, kind), 0)
        for layer, block in enumerate((begin.get_submodule("1"), *rest))
        for kind in ("attention", "mlp")
    ]
    norm, linear = (net.heads[-1].get_submodule(name) for name in "01")
    return Stream(begin.get_submodule("0"), sublayers, lambda h: linear(norm(h)))


@torch.no_grad()
def stitching(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Floats:
    """Return how badly affine maps turn one network's states into another's, layer by layer.

    From states (M, C) and (M, D) behind each layer, for the same M tokens, to squared errors over
    the target's variance, shape (layers of the source, layers of the target). Ridge regression fits
    the maps on the first half of the tokens, and the other half judges.
    """
    if len({len(part) for part in (*sources, *targets)}) > 1 or len(sources[0]) < 4:
        raise ConfigError("give both networks' states at the same tokens, of which there are four.")
    half = len(sources[0]) // 2
    found = np.empty((len(sources), len(targets)))
    for i, source in enumerate(sources):
        x = source.double() - source[:half].double().mean(0)
        gram = x[:half].T @ x[:half]
        gram += RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=gram.dtype)
        for j, target in enumerate(targets):
            y = target.double() - target[:half].double().mean(0)
            missed = x[half:] @ torch.linalg.solve(gram, x[:half].T @ y[:half]) - y[half:]
            found[i, j] = missed.square().sum() / (y - y[half:].mean(0))[half:].square().sum()
    return found
