"""A residual stream, to which sublayers add: run whole, or without some of them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from localbook.errors import ConfigError

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sublayer:
    """What adds f(h) to the stream h.

    Attributes
    ----------
    kind : str
        ``attention`` or ``mlp``.
    layer : int
        Of the network, from 0; a layer has one sublayer of each kind.
    add : callable
        f, from (N, T, C) to (N, T, C): the norm in front belongs to it.
    parameters : int
    """

    kind: str
    layer: int
    add: Map
    parameters: int


@dataclass(frozen=True)
class Stream:
    """A pre-norm transformer as h_0 = embed(x), h_{i+1} = h_i + f_i(h_i), scores = read(h_n).

    Attributes
    ----------
    embed : callable
        From inputs to h_0 (N, T, C).
    sublayers : sequence of Sublayer
        f_0, ..., f_{n-1}.
    read : callable
        From h_n to scores.

    Examples
    --------
    >>> half = Sublayer("mlp", 0, lambda h: h / 2, 0)
    >>> stream = Stream(lambda x: x, [half, half], lambda h: h)
    >>> stream(torch.ones(1)).item(), stream(torch.ones(1), without=[1]).item()
    (2.25, 1.5)
    """

    embed: Map
    sublayers: Sequence[Sublayer]
    read: Map

    @torch.no_grad()
    def states(
        self,
        h: Tensor,
        *,
        first: int = 0,
        without: Collection[int] = (),
        where: Tensor | None = None,
    ) -> list[Tensor]:
        """Return h_first, ..., h_n.

        Parameters
        ----------
        h : Tensor, shape (N, T, C)
            h_first.
        first : int
        without : collection of int
            The numbers of sublayers that add nothing: none of 0 to n - 1 twice.
        where : bool tensor, shape (T,), optional
            They add nothing at these positions only.
        """
        return [h, *self._after(h, first, without, where)]

    @torch.no_grad()
    def __call__(self, x: Tensor, *, without: Collection[int] = ()) -> Tensor:
        """Return the scores of inputs, of a stream that lacks some sublayers."""
        h = self.embed(x)
        for after in self._after(h, 0, without, None):
            h = after  # the others are let go
        return self.read(h)

    def _after(
        self, h: Tensor, first: int, without: Collection[int], where: Tensor | None
    ) -> Iterator[Tensor]:
        if not set(without) <= set(range(len(self.sublayers))):
            raise ConfigError(f"the sublayers are 0 to {len(self.sublayers) - 1}, not {without}.")
        for i, sublayer in enumerate(self.sublayers[first:], start=first):
            if i not in without:
                h = h + sublayer.add(h)
            elif where is not None:
                h = h + sublayer.add(h).masked_fill(where[:, None], 0)
            yield h
