"""Two recurrent policies make a teacher small: one removes layers, one shrinks them (ashok2018n2n).

A student with the share 1 - C of the teacher's numbers and A times its accuracy has the reward
R = C (2 - C) A, and -1 if it is not smaller. A policy draws students, one action for each layer;
its gradient is estimated from their rewards. Symbols are the paper's. Teachers are MLPs here: all
their students can be trained once, and in a table of them a search costs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor, nn

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError
from localbook.fit import seeded

FACTORS = (0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""What a layer is shrunk to, in the authors' code: a policy that knows nothing halves 5 of 11."""

SMALLEST = 10  # neurons of a layer that is shrunk, there as well
ROLLOUTS = 5  # N, the students of a step

Actions = Sequence[int] | Indices
Evaluate = Callable[[Actions], float]
"""From a student's actions, (L,), to the reward of one training."""


def hidden(widths: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    """Return the widths of what is left of hidden layers; a factor of zero removes one.

    >>> hidden((64, 40, 20), (0.5, 0, 0.25))
    (32, 10)
    """
    pairs = zip(widths, factors, strict=True)
    return tuple(min(w, max(SMALLEST, round(a * w))) for w, a in pairs if a)


def actions(k: int, layers: int) -> Indices:
    """Return all students as rows of L actions, each of k, (k^L, L)."""
    return np.array(list(product(range(k), repeat=layers))).reshape(-1, layers)


def parameters(widths: Sequence[int]) -> int:
    """Return the number of weights and biases of an MLP, from inputs to outputs."""
    return sum((n + 1) * m for n, m in pairwise(widths))


def compression(widths: Sequence[int], choices: Sequence[float]) -> Floats:
    """Return C of all students (S,) of a teacher, whose widths go from inputs to outputs."""
    n, *inner, m = widths
    rows = actions(len(choices), len(inner))
    sizes = [parameters((n, *hidden(inner, [choices[i] for i in row]), m)) for row in rows]
    return 1 - np.array(sizes) / parameters(widths)


def reward(C: Floats, A: Floats) -> Floats:
    """Return R = C (2 - C) A, elementwise, and -1 where C is not positive."""
    return np.where(C > 0, C * (2 - C) * A, -1.0)


@dataclass(frozen=True, eq=False)
class Table:
    """All students of T teachers of the same layers, each trained several times.

    Attributes
    ----------
    widths : tuple of int
        The teachers', from inputs to outputs.
    choices : tuple of float
        Factors of a hidden layer.
    rewards : ndarray (T, trainings, S)
        Of the student in each row of ``actions``; T is at least 2.
    """

    widths: tuple[int, ...]
    choices: tuple[float, ...]
    rewards: Floats

    def __post_init__(self) -> None:
        shape, S = self.rewards.shape, len(self.actions)
        if len(shape) != 3 or shape[2] != S or len(self.rewards) < 2:
            raise ConfigError(f"rewards {shape}: give (teachers, trainings, {S}), teachers of two.")

    @cached_property
    def actions(self) -> Indices:
        """For each student and layer the place of its factor in ``choices``, (S, L)."""
        return actions(len(self.choices), len(self.widths) - 2)

    def number(self, student: Actions) -> int:
        """Return the row of a student."""
        return int(np.ravel_multi_index(tuple(student), (len(self.choices),) * len(student)))

    def quality(self, teacher: int) -> Floats:
        """Return students' mean rewards under all *other* teachers, (S,): unseen by a search."""
        mean: Floats = np.delete(self.rewards, teacher, axis=0).mean(axis=(0, 1))
        return mean

    def training(self, teacher: int, seed: int) -> Evaluate:
        """Return what trains a student of a teacher: it looks up a training, drawn by the seed."""
        rng, rewards = np.random.default_rng([seed, 7]), self.rewards[teacher]
        return lambda student: float(rewards[rng.integers(len(rewards)), self.number(student)])


class Policy(nn.Module):
    """Probabilities of actions: ``policy(widths, actions)`` is their log, (n, L, k).

    Those of a layer depend on the teacher's hidden widths, and in :class:`Shrinkage` on earlier
    actions. (The paper describes a layer by five numbers; those of an MLP differ in one of them.)
    """

    sequential = False

    def log_prob(self, widths: Sequence[int], actions: Tensor) -> Tensor:
        """Return log π of n students, (n,), from their actions (n, L)."""
        steps: Tensor = self(widths, actions).gather(2, actions[..., None])
        return steps[..., 0].sum(1)

    @torch.no_grad()
    def draw(self, widths: Sequence[int], n: int, draw: torch.Generator) -> Tensor:
        """Return the actions of n students, (n, L)."""
        actions = torch.zeros(n, len(widths), dtype=torch.int64)
        for t in range(len(widths)) if self.sequential else [slice(None)]:
            p = self(widths, actions)[:, t].exp()  # (n, k) or (n, L, k)
            drawn = torch.multinomial(p.flatten(0, -2), 1, generator=draw)
            actions[:, t] = drawn.view(p.shape[:-1])
        return actions


class Free(Policy):
    """Two numbers for each layer, and no network."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers, 2))

    def forward(self, widths: Sequence[int], actions: Tensor) -> Tensor:
        """Return the same for all students."""
        return self.logits.log_softmax(1).expand(len(actions), -1, -1)


class Recurrent(Policy):
    """An LSTM of two layers with one input, a layer's width over 64, and a head of k actions."""

    k, both_ways = 2, True

    def __init__(self, seed: int, neurons: int = 30) -> None:
        super().__init__()
        with seeded(seed):
            self.lstm = nn.LSTM(1, neurons, 2, bidirectional=self.both_ways)
            self.head = nn.Linear((1 + self.both_ways) * neurons, self.k)

    def scores(self, x: Tensor) -> Tensor:
        """Return log-probabilities (n, L, k) from inputs (n, L)."""
        logits: Tensor = self.head(self.lstm(x.T[..., None].to(self.head.weight))[0])
        return logits.log_softmax(2).transpose(0, 1)


class Removal(Recurrent):
    """The first stage: it sees all layers, both ways, then removes (0) or keeps each (1)."""

    def forward(self, widths: Sequence[int], actions: Tensor) -> Tensor:
        """Return the same for all students."""
        return self.scores(torch.tensor([list(widths)]) / 64).expand(len(actions), -1, -1)


class Shrinkage(Recurrent):
    """The second stage: it sees a layer times the factor of the layer before; k is 11."""

    k, both_ways, sequential = len(FACTORS), False, True

    def forward(self, widths: Sequence[int], actions: Tensor) -> Tensor:
        """Return log-probabilities of places in ``FACTORS``, given the actions before."""
        before = torch.tensor(FACTORS)[actions[:, :-1]]  # (n, L - 1)
        x = torch.tensor(list(widths)) / 64
        return self.scores(x * nn.functional.pad(before, (1, 0), value=1.0))


def surrogate(log_prob: Tensor, rewards: Floats, b: float, *, own: bool = True) -> Tensor:
    """Return minus what has the estimate of the policy gradient as its gradient.

    That is 1/N Σ_k (R_k - b) ∇ log π(a^k), each student with its ``own`` reward, as the paper says;
    else all with the mean of the N, as in the authors' code, which has 1/N of its expectation.
    """
    R = torch.tensor(rewards).to(log_prob)
    return -((((R if own else R.mean()) - b) * log_prob).mean())


def reinforce(
    policy: Policy,
    widths: Sequence[int],
    evaluate: Evaluate,
    *,
    students: int,
    lr: float,
    seed: int,
    own: bool = True,
    after: Callable[[int], object] = lambda seen: None,
) -> tuple[Indices, Floats]:
    """Train a policy in place by Adam, a step for every N students; return all that was tried.

    Those are actions (students, L) and rewards (students,), in order; ``evaluate`` trains a student
    of a teacher of such widths. The baseline b is the mean of all earlier rewards, and ``own`` is
    as in :func:`surrogate`. ``after`` is called with the number of students so far, after each
    step.
    """
    if students < 1 or students % ROLLOUTS or not lr > 0:
        raise ConfigError(
            f"{students=}, {lr=}: give a positive multiple of {ROLLOUTS}, and a rate."
        )
    optimiser = torch.optim.Adam(policy.parameters(), lr=lr)
    draw = torch.Generator().manual_seed(seed)
    tried: list[Indices] = []
    rewards = np.zeros(0)
    for step in range(1, students // ROLLOUTS + 1):
        actions = policy.draw(widths, ROLLOUTS, draw)
        found = np.array([evaluate(one) for one in actions.tolist()])
        b = float(rewards.mean()) if len(rewards) else 0.0
        optimiser.zero_grad()
        loss = surrogate(policy.log_prob(widths, actions), found, b, own=own)
        torch.autograd.backward(loss)
        optimiser.step()
        tried.append(actions.numpy())
        rewards = np.append(rewards, found)
        after(step * ROLLOUTS)
    return np.concatenate(tried), rewards


def expected(policy: Policy, widths: Sequence[int], actions: Indices, rewards: Floats) -> Tensor:
    """Return J = Σ π(a) R(a) over all students, exactly: their actions (S, L), rewards (S,)."""
    pi = policy.log_prob(widths, torch.tensor(actions)).exp()
    return pi @ torch.tensor(rewards).to(pi)
