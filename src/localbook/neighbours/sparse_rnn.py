"""Over half of a recurrent network's weights can go, and few epochs repair it (darji2024sparsity).

W_ih are the weights from a layer's inputs to its units, W_hh those from its units at one time to
its units at the next; a GRU has three of each, one below the other, an LSTM four.

The task is ours, as pairs of neighbouring letters solve the paper's to 94 %. A string of the
embedded Reber grammar is wrong after an edit, but each of its pairs occurs in right strings, too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook import tropical
from localbook.errors import ConfigError
from localbook.experiments.harness import Samples
from localbook.fit import accuracy, fit, seeded

LETTERS = "BTSXVPE"
_ARCS = ({"T": 1, "P": 2}, {"S": 1, "X": 3}, {"T": 2, "V": 4}, {"X": 2, "S": 5}, {"P": 3, "V": 5})
_END = 5

CELLS: Mapping[str, Callable[..., Any]] = {
    "tanh": nn.RNN,
    "relu": lambda *sizes, **how: nn.RNN(*sizes, nonlinearity="relu", **how),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}
CORNERS = tuple(f"B{a}BPVPXTVPXTTTVPSE{b}E" for a, b in ("TT", "PT", "TP", "PP"))
"""Corners of a square of embedded strings: those on one diagonal are right, the others wrong."""
PARTS = {"both": "weight_", "input": "weight_ih", "recurrent": "weight_hh"}


@cache
def strings(longest: int) -> tuple[str, ...]:
    """Return all strings of the grammar with at most so many letters, short ones first.

    Each is B, T or P, a string of the Reber grammar from B to E, the *same* T or P, and E.

    Examples
    --------
    >>> strings(9)
    ('BTBTXSETE', 'BPBTXSEPE', 'BTBPVVETE', 'BPBPVVEPE')
    """
    found, open_ = [], [("", 0)]
    for _ in range(longest - 6):
        open_ = [(s + a, q) for s, p in open_ if p != _END for a, q in _ARCS[p].items()]
        found += [f"B{a}B{s}E{a}E" for s, q in open_ if q == _END for a in "TP"]
    return tuple(found)


def edited(string: str, rng: np.random.Generator) -> str:
    """Replace, insert or delete one or two letters between the first and the last."""
    letters = list(string)
    for _ in range(rng.integers(1, 3)):
        place, letter = int(rng.integers(1, len(letters) - 1)), LETTERS[rng.integers(len(LETTERS))]
        letters[place : place + int(rng.integers(2))] = [letter] * int(rng.integers(2))
    return "".join(letters)


def encoded(texts: Iterable[str], longest: int) -> Tensor:
    """Return letters as numbers from 1, int64 (N, longest), zeros after the end."""
    rows = [[1 + LETTERS.index(a) for a in text] for text in texts]
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def draw(
    counts: Mapping[str, int], longest: int, seed: int, *, hard: bool = True
) -> dict[str, Samples]:
    """Return splits of so many different strings each, every second one right (class 1).

    They have at most ``longest`` letters. With ``hard`` a wrong string is kept only if each of its
    pairs of neighbours occurs in right ones.
    """
    half, right = sum(counts.values()) // 2, strings(longest)
    if any(n < 2 or n % 2 for n in counts.values()) or half > len(right):
        raise ConfigError(
            f"{dict(counts)} strings of at most {longest} letters: give even numbers, and no more "
            f"than {2 * len(right)} in all, or a larger longest."
        )
    rng = np.random.default_rng([seed, longest])
    chosen = [right[i] for i in rng.choice(len(right), half, replace=False)]
    known, wrong = set(right), dict[str, None]()
    pairs = {a + b for text in strings(16) for a, b in pairwise(text)}
    while len(wrong) < half:
        text = edited(right[rng.integers(len(right))], rng)
        allowed = not hard or all(a + b in pairs for a, b in pairwise(text))
        if allowed and len(text) <= longest and text not in known:
            wrong[text] = None
    x = encoded([text for both in zip(wrong, chosen, strict=True) for text in both], longest)
    ends = np.cumsum([0, *counts.values()])
    source = f"embedded Reber strings of at most {longest} letters"
    return {
        name: Samples(x[a:b], torch.arange(b - a) % 2, source)
        for name, (a, b) in zip(counts, pairwise(ends.tolist()), strict=True)
    }


def pair_counts(x: Tensor) -> Tensor:
    """Return how often each pair of neighbours occurs in strings (N, T): float32 (N, 49)."""
    pairs = torch.where(x[:, 1:] > 0, (x[:, :-1] - 1) * len(LETTERS) + x[:, 1:], 0)  # (N, T - 1)
    return nn.functional.one_hot(pairs, len(LETTERS) ** 2 + 1).sum(1)[:, 1:].float()


def frames(data: Samples) -> Samples:
    """Return the right strings, and as many that are wrong in their second letter only."""
    right = data.x[data.y == 1]
    wrong, letters = right.clone(), [1 + LETTERS.index(a) for a in "TP"]
    wrong[:, 1] = sum(letters) - right[:, 1]
    y = torch.arange(2 * len(right)) < len(right)
    return Samples(torch.cat([right, wrong]), y.long(), data.source)


class Network(nn.Module):
    """Letters (N, T) to scores (N, 2): an embedding, a recurrent layer, and a linear reading.

    Parameters
    ----------
    cell : str
        One of ``CELLS``.
    hidden : int
        Units.
    seed : int
    embedding : int
        Numbers that stand for a letter.
    wait : int
        Blanks after the last letter before the state is read.
    """

    def __init__(
        self, cell: str, hidden: int, seed: int, *, embedding: int = 32, wait: int = 0
    ) -> None:
        if cell not in CELLS or min(hidden, embedding) < 1 or wait < 0:
            raise ConfigError(
                f"cell={cell!r}, hidden={hidden}, embedding={embedding}, wait={wait}: give one of "
                f"{', '.join(CELLS)}, positive sizes, and no negative wait."
            )
        super().__init__()
        self.cell, self.wait = cell, wait
        with seeded(seed):
            self.embedding = nn.Embedding(1 + len(LETTERS), embedding)
            self.layer = CELLS[cell](embedding, hidden, batch_first=True)
            self.read = nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        last = (x > 0).sum(1) - 1 + self.wait
        x = nn.functional.pad(x, (0, self.wait))[:, : int(last.max()) + 1]
        states = self.layer(self.embedding(x))[0]  # (N, T, H)
        scores: Tensor = self.read(states[torch.arange(len(x)), last])
        return scores

    def matrices(self, part: str = "both") -> list[nn.Parameter]:
        """Return W_ih and W_hh, or only that of ``input`` or ``recurrent``."""
        if part not in PARTS:
            raise ConfigError(f"part={part!r}: give one of {', '.join(PARTS)}.")
        named = self.layer.named_parameters()
        return [w for name, w in named if name.startswith(PARTS[part])]


def masks(
    weights: Sequence[nn.Parameter], share: float, rng: np.random.Generator | None = None
) -> dict[nn.Parameter, Tensor]:
    """Keep all but a share of the weights: the largest of all together, or with ``rng`` any."""
    if not 0 <= share <= 1:
        raise ConfigError(f"share={share}: give one between 0 and 1.")
    stack = [w.detach().double().numpy() for w in weights]
    scores = [np.abs(w) if rng is None else rng.random(w.shape) for w in stack]
    size = sum(w.size for w in stack)
    # keep_weights counts a bias for each row, which stays.
    kept = tropical.keep_weights(stack, scores, share * size / (size + sum(map(len, stack))))
    return {w: torch.from_numpy(mask) for w, mask in zip(weights, kept, strict=True)}


def train(
    net: Network,
    data: Samples,
    test: Samples,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    kept: Mapping[nn.Parameter, Tensor] = {},
) -> list[float]:
    """Mask the weights and train what is left by Adam, gradients clipped at length 5.

    The test accuracies are returned, at once and after each epoch. A masked weight's gradient is
    zero, so that it adds nothing to the length that is clipped, and Adam does not move it.
    """
    with torch.no_grad():
        for weight, mask in kept.items():
            weight.mul_(mask)
    steps, found = -(-len(data) // batch_size), [accuracy(net, test.x, test.y)]

    def clipped(weights: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        def before(*_: object) -> None:
            for weight, mask in kept.items():
                weight.grad = None if weight.grad is None else weight.grad * mask
            nn.utils.clip_grad_norm_(weights, 5.0)

        adam = torch.optim.Adam(weights, lr=lr)
        adam.register_step_pre_hook(before)
        return adam

    def look(step: int) -> None:
        if step % steps == 0:
            found.append(accuracy(net, test.x, test.y))

    how: dict[str, Any] = {"batch_size": batch_size, "lr": lr, "seed": seed}
    fit(net, data.x, data.y, epochs=epochs, optimiser=clipped, after_step=look, **how)
    return found


def unrolled(net: Network, texts: Tensor) -> tropical.ReLUNetwork:
    """Return a ReLU cell that reads texts (3, T), on the plane through all three.

    A ReLU layer for each letter, with the same W_hh in all of them. Coordinates (0, 0), (1, 0) and
    (0, 1) are the texts as points of R^(T·E), the embeddings of their letters; the two coordinates
    are handed from layer to layer, plus one, so that no ReLU cuts them on [0, 1]².
    """
    if net.cell != "relu" or net.wait or len(texts) != 3 or not (texts > 0).all():
        raise ConfigError("give a relu cell that does not wait, and three texts of one length.")
    w_ih, w_hh, b_ih, b_hh = (w.detach().double().numpy() for w in net.layer.parameters())
    points = net.embedding(texts).detach().double().numpy() @ w_ih.T  # (3, T, H)
    units, plane, weights, biases = len(w_hh), np.eye(2), [], []
    for t, (origin, *ends) in enumerate(points.swapaxes(0, 1)):
        slope = np.stack(ends, axis=1) - origin[:, None]  # (H, 2)
        side = np.hstack([w_hh, slope]) if t else slope
        carried = np.hstack([np.zeros((2, units)), plane]) if t else plane
        weights.append(np.vstack([side, carried]))
        shift = origin + b_ih + b_hh - (slope.sum(axis=1) if t else 0)
        biases.append(np.concatenate([shift, np.zeros(2) if t else np.ones(2)]))
    read = net.read.weight.detach().double().numpy()
    weights.append(np.hstack([read, np.zeros((2, 2))]))
    return tropical.ReLUNetwork(tuple(weights), (*biases, net.read.bias.detach().double().numpy()))
