"""Sequences that are drawn, with one question at their end."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from localbook.errors import ConfigError


class SequenceTask(Protocol):
    """Sequences, what is to be said at their end, and how wrong an answer is."""

    @property
    def inputs(self) -> int:
        """How many numbers there are at each step."""

    @property
    def outputs(self) -> int:
        """How many are to be read out at the end."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return sequences (T, count, inputs) and answers (count, ...)."""

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        """Return the loss (R, N) of outputs (R, N, outputs) for answers (R, N, ...)."""

    def score(self, out: Tensor, y: Tensor) -> Tensor:
        """Return how good outputs are, shape (R,); larger is better."""


@dataclass(frozen=True)
class Adding:
    """Numbers in [0, 1], of which one in each half is marked, and the sum of the two marked.

    Parameters
    ----------
    T : int
        Steps, at least 2.

    Examples
    --------
    >>> import torch
    >>> from localbook import data
    >>> x, y = data.Adding(T=20).draw(5, torch.Generator().manual_seed(0))
    >>> x.shape, bool((x[..., 1].sum(dim=0) == 2).all())
    (torch.Size([20, 5, 2]), True)
    """

    T: int
    inputs = 2
    outputs = 1

    def __post_init__(self) -> None:
        _at_least(2, T=self.T)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return numbers and marks (T, count, 2), and sums (count, 1)."""
        x = torch.zeros(self.T, count, 2)
        x[..., 0] = torch.rand(self.T, count, generator=generator)
        half, row = self.T // 2, torch.arange(count)
        for low, high in ((0, half), (half, self.T)):
            x[torch.randint(low, high, (count,), generator=generator), row, 1] = 1
        return x, x.prod(dim=2).sum(dim=0)[:, None]

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        """Return the squared errors."""
        return (out - y).square().squeeze(-1)

    def score(self, out: Tensor, y: Tensor) -> Tensor:
        """Return one less the squared error over that of the constant 1, which is 1/6."""
        return 1 - 6 * self.losses(out, y).mean(dim=1)


@dataclass(frozen=True)
class Copying:
    """A few letters, then blanks; at the end the letters are asked for, all in one answer.

    Parameters
    ----------
    T : int
        Steps, with the letters' own.
    symbols, alphabet : int
        How many letters, of how many.
    """

    T: int
    symbols: int = 4
    alphabet: int = 8

    def __post_init__(self) -> None:
        _at_least(1, symbols=self.symbols, alphabet=self.alphabet - 1)
        _at_least(self.symbols, T=self.T)

    @property
    def inputs(self) -> int:
        """One for each letter; a blank is all zeros."""
        return self.alphabet

    @property
    def outputs(self) -> int:
        """A score for each letter at each place."""
        return self.symbols * self.alphabet

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return letters and blanks (T, count, alphabet), and which letters (count, symbols)."""
        y = torch.randint(self.alphabet, (count, self.symbols), generator=generator)
        x = torch.zeros(self.T, count, self.alphabet)
        x[: self.symbols] = nn.functional.one_hot(y.T, self.alphabet)
        return x, y

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross-entropy of the letters."""
        each = cross_entropy(out.reshape(-1, self.alphabet), y.flatten(), reduction="none")
        return each.view(y.shape).mean(dim=-1)

    def score(self, out: Tensor, y: Tensor) -> Tensor:
        """Return the share of letters that are right."""
        scores = out.reshape(*out.shape[:-1], self.symbols, self.alphabet)
        return (scores.argmax(-1) == y).double().mean(dim=(1, 2))


def _at_least(least: int, **sizes: int) -> None:
    if min(sizes.values()) < least:
        raise ConfigError(f"{sizes}: give at least {least}.")
