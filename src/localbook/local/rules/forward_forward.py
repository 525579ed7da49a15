"""Forward-Forward: each module tells images with their true label from images with a wrong one."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork
from localbook.local.rules.base import LocalRule, Signal
from localbook.local.rules.targets import one_label


@dataclass(frozen=True)
class ForwardForward(LocalRule):
    r"""Local learning by the goodness of two forward passes.

    With g(x_l) the sum of squares of a sample's D outputs, every module minimises

    .. math::

        \log(1 + e^{\theta D - g(x_l^+)}) + \log(1 + e^{g(x_l^-) - \theta D}),

    where x⁺ carries the image's label and x⁻ a wrong one; or the same with g/D and θ, which makes
    the logits D times smaller. Hinton, "The forward-forward algorithm:
    some preliminary investigations" (2022). Our reconstruction, so that it fits networks of
    convolutions and needs no random numbers:

    - a label is a fixed random pattern of ±1 added to the image, for a convolution would see
      Hinton's ten marked pixels in one corner only; the image itself is the neutral input;
    - the wrong labels walk through the classes along the batch, which is shuffled anyway;
    - one pass runs both kinds and the neutral images, so that BatchNorm's buffers see them once.

    The heads are trained on detached activations of the neutral images and give the network's
    scores; :meth:`scores` gives Hinton's other classifier. A module must not see how large the
    goodness before it was: build the network by :func:`with_length_norm`.

    Attributes
    ----------
    classes : int
    threshold : float
        θ, of the mean square of an output.
    seed : int
        Of the patterns, which are drawn again at every call: the rule keeps no state.
    goodness : str
        ``"sum"`` of squares, as published, or ``"mean"``.

    Raises
    ------
    ConfigError
        If there are fewer than two classes, the threshold is not positive or the goodness unknown.
    """

    uses_image = False
    classifies = True

    classes: int
    threshold: float = 1.0
    seed: int = 0
    goodness: str = "sum"

    def __post_init__(self) -> None:
        if self.classes < 2 or not 0 < self.threshold < math.inf:
            raise ConfigError(
                f"Forward-Forward needs two or more classes (not {self.classes}) and a positive "
                f"threshold (not {self.threshold})."
            )
        if self.goodness not in ("sum", "mean"):
            raise ConfigError(f"the goodness is a 'sum' or a 'mean', not '{self.goodness}'.")

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch.

        Returns
        -------
        Tensor, shape (L,)
            The mean cross-entropy of each head, detached, as for every rule that has probes.

        Raises
        ------
        ConfigError
            If there are labels of more classes than the rule has.
        """
        return super().gradients(net, x, y)

    def step(
        self, module: nn.Module, head: nn.Module, place: tuple[int, int], signal: Signal
    ) -> tuple[Tensor, Signal]:
        """Add one module's gradients; see :class:`localbook.local.rules.LocalRule`."""
        x, y = signal.x, signal.y
        if place[0] == 0:
            self._check_labels(y)
            x = torch.cat([self.marked(x, y), self.marked(x, self.wrong(y)), x])
        x = module(x.detach())  # gradient isolation: nothing flows back across this line
        true, wrong, neutral = x.chunk(3)
        size = true[0].numel() if self.goodness == "sum" else 1
        hurt = F.softplus(size * (self.threshold - mean_square(true)))
        hurt = hurt + F.softplus(size * (mean_square(wrong) - self.threshold))
        probe = F.cross_entropy(head(neutral.detach()), y)
        torch.autograd.backward(hurt.mean() + probe)
        return probe.detach(), replace(signal, x=x.detach())

    def _check_labels(self, y: Tensor) -> None:
        one_label(y, "Forward-Forward")
        if int(y.max()) >= self.classes:
            raise ConfigError(
                f"the labels go up to {int(y.max())} but Forward-Forward was given {self.classes} "
                "classes; give it as many as the data has."
            )

    def marked(self, x: Tensor, y: Tensor) -> Tensor:
        """Return images (N, ...) that carry labels (N,)."""
        generator = torch.Generator().manual_seed(self.seed)
        signs = torch.randint(0, 2, (self.classes, *x.shape[1:]), generator=generator)
        return x + (2 * signs - 1).to(x)[y]

    def wrong(self, y: Tensor) -> Tensor:
        """Return for each label (N,) another one."""
        step = 1 + torch.arange(len(y), device=y.device) % (self.classes - 1)
        return (y + step) % self.classes

    @torch.no_grad()
    def scores(self, net: IsolatedNetwork, x: Tensor) -> Tensor:
        """Return how good each label is for each image: the sum over the modules, (N, classes).

        The first module does not count when there are others, as in Hinton's classifier. The
        network should be in eval mode.
        """
        columns = []
        for label in range(self.classes):
            out = self.marked(x, torch.full((len(x),), label, device=x.device))
            found = []
            for module in net.local_modules:
                out = module(out)
                size = out[0].numel() if self.goodness == "sum" else 1
                found.append(size * mean_square(out))
            columns.append(torch.stack(found[1:] or found).sum(0))
        return torch.stack(columns, 1)


def mean_square(x: Tensor) -> Tensor:
    """Return the mean square of each sample, shape (N,)."""
    return x.square().flatten(1).mean(1)


class LengthNorm(nn.Module):
    """Scale each sample to mean square 1, so that only its direction is left."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, ...) to (N, ...)."""
        # First by the largest entry, for squares of small ones are zero; a sample of zeros stays.
        largest = x.detach().abs().flatten(1).amax(1)
        x = x / torch.where(largest > 0, largest, 1.0).view(-1, *[1] * (x.ndim - 1))
        square = mean_square(x)
        return x / torch.where(square > 0, square, 1.0).sqrt().view(-1, *[1] * (x.ndim - 1))


def with_length_norm(net: IsolatedNetwork) -> IsolatedNetwork:
    """Return a network of the same parts with a :class:`LengthNorm` before each module but one.

    The first module sees images, whose length tells nothing of a goodness.
    """
    first, *rest = net.local_modules
    modules = [first, *(nn.Sequential(LengthNorm(), module) for module in rest)]
    return IsolatedNetwork(modules, list(net.heads))
