"""One seeded loop for every small network: build it, train it by back-propagation, judge it.

What trains modules by a rule of their own goes through :func:`localbook.local.train` instead.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError, TrainingError

Net = TypeVar("Net", bound=nn.Module)
_PART = 4096  # samples judged at once


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a seed inside the context; what is drawn after it goes on as if it had not been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def mlp(
    widths: Sequence[int],
    seed: int,
    *,
    activation: Callable[[], nn.Module] = nn.ReLU,
    bias: bool = True,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """Return linear layers with an activation between them, initialised as torch does.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden neurons of each layer, outputs.
    seed : int
    activation : callable
        Makes one, such as ``nn.Tanh``.
    bias : bool
    dtype : torch.dtype

    Examples
    --------
    >>> mlp((2, 16, 3), seed=0)(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ConfigError(f"widths={tuple(widths)}: give inputs and outputs, each at least 1.")
    layers: list[nn.Module] = []
    with seeded(seed):
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs, bias, dtype=dtype), activation()]
    return nn.Sequential(*layers[:-1])


def fit(
    net: Net,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int,
    lr: float,
    seed: int,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    optimiser: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    parameters: Iterable[Tensor] | None = None,
    after_step: Callable[[int], object] = lambda step: None,
) -> Net:
    """Train a network in place, by Adam unless told otherwise, and return it in evaluation mode.

    Every epoch draws ``torch.randperm(N)`` from one CPU generator that starts at the seed, and cuts
    it into batches; the last, smaller one is used too. A batch size of N or more makes it
    full-batch: then nothing is drawn, and the samples keep their order.

    Parameters
    ----------
    net : nn.Module
    x : Tensor, shape (N, ...)
        Of the network's dtype, on its device.
    y : Tensor, shape (N, ...)
        What ``loss`` compares with: class numbers (int64) for the cross-entropy.
    epochs, steps : int
        How long: one of the two. ``steps`` counts batches, of as many epochs as it takes.
    batch_size, lr, seed
        The seed is that of the samples' order.
    loss : callable
        Of ``net(x)`` and ``y`` of a batch, such as ``nn.functional.mse_loss``.
    optimiser : callable
        Of the parameters and ``lr``: a class of ``torch.optim``, or a ``partial`` of one.
    parameters : iterable of Tensor, optional
        Those that are trained; all by default.
    after_step : callable
        Called with the number of the step, from 1, without gradients: to hold weights at zero, or
        to measure.

    Raises
    ------
    ConfigError
        If a number is not positive, there is not one y for each x, or the dtype is another.
    TrainingError
        If the loss is not finite, looked at once an epoch.

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> net = fit(mlp((1, 16, 2), seed=0), x, (x[:, 0] > 0).long(),
    ...           epochs=50, batch_size=16, lr=0.01, seed=0)
    >>> accuracy(net, x, (x[:, 0] > 0).long()) > 0.9
    True
    """
    trained = list(net.parameters() if parameters is None else parameters)
    if (epochs is None) == (steps is None):
        raise ConfigError("give either epochs or steps, how long to train.")
    long = epochs if steps is None else steps
    if min(batch_size, long or 0) < 1 or not lr > 0:
        raise ConfigError(
            f"epochs or steps {long}, batch_size={batch_size}, lr={lr}: not positive."
        )
    if not trained or not len(x) or len(x) != len(y):
        raise ConfigError(
            f"{len(trained)} parameters, {len(x)} samples, {len(y)} answers: give one y for each x."
        )
    if x.is_floating_point() and x.dtype != trained[0].dtype:
        raise ConfigError(f"samples of {x.dtype} do not fit a network of {trained[0].dtype}.")
    optimizer = optimiser(trained, lr=lr)
    generator = torch.Generator().manual_seed(seed)
    in_epoch = -(-len(x) // batch_size)
    total = steps or (epochs or 0) * in_epoch
    batches: tuple[Tensor | slice, ...] = (slice(None),)
    net.train()
    for step in range(total):
        place = step % in_epoch
        if in_epoch > 1 and place == 0:
            order = torch.randperm(len(x), generator=generator).to(x.device)
            batches = torch.split(order, batch_size)
        value = loss(net(x[batches[place]]), y[batches[place]])
        optimizer.zero_grad()
        torch.autograd.backward(value, inputs=trained)
        optimizer.step()
        with torch.no_grad():
            after_step(step + 1)
        if step + 1 in (total, step - place + in_epoch) and not torch.isfinite(value):
            raise TrainingError(
                f"the loss is not a number after step {step + 1}: take a smaller lr than {lr:g}."
            )
    return net.eval()


@contextmanager
def evaluating(*modules: nn.Module, training: bool = False) -> Iterator[None]:
    """Put modules in eval mode inside the context, and each submodule back in its own after it."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for part, _ in modes:
        part.training = training
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@torch.no_grad()
def accuracy(net: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Return the share of the samples (N, ...) whose class (N,) has the highest score.

    ``net`` gives scores (N, classes), such as a network in evaluation mode.
    """
    parts = zip(torch.split(x, _PART), torch.split(y, _PART), strict=True)
    return torch.cat([net(part).argmax(1) == of for part, of in parts]).double().mean().item()
