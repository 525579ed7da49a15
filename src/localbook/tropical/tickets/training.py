"""Training networks whose pruned weights stay zero, in torch.

Not imported by ``localbook.tropical`` itself, which does without torch.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from localbook.errors import ConfigError, TrainingError
from localbook.tropical.networks import ReLUNetwork
from localbook.tropical.tickets.iterative import Pair, Trainer


@dataclass(frozen=True)
class Training:
    """Adam on the cross-entropy, in single precision.

    Attributes
    ----------
    lr : float
    epochs : int
    batch_size : int
        The last, smaller batch of an epoch is used too; the whole set makes it full-batch.
    biases : bool
        Whether biases are trained; if not, they stay what they are, zero for a homogeneous network.
    """

    lr: float
    epochs: int
    batch_size: int
    biases: bool = True

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.epochs < 1 or self.batch_size < 1:
            raise ConfigError(
                f"lr={self.lr}, epochs={self.epochs} and batch_size={self.batch_size} must all be "
                "positive."
            )


def ticket_trainer(
    x: ArrayLike, y: ArrayLike, training: Training, seed: int, device: str = "cpu"
) -> Trainer:
    """Return the ``train`` that :func:`iterative_pruning` asks for.

    The seed decides the order of the images alone, and is the same in every round.

    Parameters
    ----------
    x : array_like, shape (N, n)
    y : int array_like, shape (N,)
        Class numbers from 0.
    training : Training
    seed : int
    device : str
        The torch device that trains.

    Raises
    ------
    ConfigError
        If the points are not finite, or there is not one whole number from 0 for each.
    """
    points, labels = np.asarray(x, dtype=np.float32), np.asarray(y)
    if points.ndim != 2 or labels.shape != points.shape[:1] or not len(points):
        raise ConfigError(
            f"points {points.shape} with labels {labels.shape}: give points (N, n), N at least 1, "
            "and one label for each."
        )
    if not np.isfinite(points).all():
        raise ConfigError("the points have NaN or infinite entries; remove them first.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ConfigError("labels must be whole numbers from 0, one for each class.")
    on_device = torch.from_numpy(points).to(device)
    return partial(_train, on_device, labels.astype(np.int64), training, seed)


def _train(
    x: torch.Tensor,
    y: NDArray[np.int64],
    training: Training,
    seed: int,
    start: ReLUNetwork,
    masks: Pair,
    number: int,
) -> ReLUNetwork:
    """Train a copy of ``start`` with the pruned weights held at zero."""
    if x.shape[1] != start.inputs or y.max() >= start.classes:
        raise ConfigError(
            f"points in R^{x.shape[1]} with labels up to {y.max()} do not fit a network of "
            f"{start.inputs} inputs and {start.classes} classes (labels 0 to {start.classes - 1})."
        )
    device = x.device
    weights = [torch.tensor(w, dtype=torch.float32, device=device) for w in start.weights]
    biases = [torch.tensor(b, dtype=torch.float32, device=device) for b in start.biases]
    kept = [torch.from_numpy(m).to(device, torch.float32) for m in masks]
    trained = [t.requires_grad_() for t in (weights + biases if training.biases else weights)]
    optimiser = torch.optim.Adam(trained, training.lr)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.from_numpy(y).to(device)
    loss = torch.zeros(())
    for _ in range(training.epochs):
        order = torch.randperm(len(x), generator=generator).to(device)
        for batch in torch.split(order, training.batch_size):
            hidden = torch.relu(torch.addmm(biases[0], x[batch], weights[0].T))
            scores = torch.addmm(biases[1], hidden, weights[1].T)
            loss = torch.nn.functional.cross_entropy(scores, labels[batch])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                for w, k in zip(weights, kept, strict=True):
                    w.mul_(k)  # Adam's momentum would bring pruned weights back
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss of round {number} is not a number: take a smaller lr than {training.lr:g}."
        )
    first, second = (w.detach().cpu().double().numpy() for w in weights)
    return ReLUNetwork((first, second), tuple(b.detach().cpu().double().numpy() for b in biases))


def accuracy(network: ReLUNetwork, x: ArrayLike, y: ArrayLike) -> float:
    """Return the share of the points (N, n) whose label (N,) has the highest score."""
    return float((network(x).argmax(axis=1) == np.asarray(y)).mean())
