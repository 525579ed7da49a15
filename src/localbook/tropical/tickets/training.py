"""Training networks whose pruned weights stay zero, in torch.

Not imported by ``localbook.tropical`` itself, which does without torch.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from localbook.errors import ConfigError, TrainingError
from localbook.fit import fit, mlp
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
    net = mlp((start.inputs, len(start.biases[0]), start.classes), seed=0)
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, w, b in zip(layers, start.weights, start.biases, strict=True):
            layer.weight.copy_(torch.from_numpy(w))
            layer.bias.copy_(torch.from_numpy(b))
    net.to(x.device)
    weights = [layer.weight for layer in layers]
    kept = [torch.from_numpy(m).to(x) for m in masks]

    def hold(step: int) -> None:
        for w, k in zip(weights, kept, strict=True):
            w.mul_(k)  # Adam's momentum would bring pruned weights back

    try:
        fit(
            net,
            x,
            torch.from_numpy(y).to(x.device),
            epochs=training.epochs,
            batch_size=training.batch_size,
            lr=training.lr,
            seed=seed,
            parameters=None if training.biases else weights,
            after_step=hold,
        )
    except TrainingError as error:
        raise TrainingError(f"round {number}: {error}") from error
    first, second, *biases = (
        t.detach().cpu().double().numpy() for t in (*weights, *(layer.bias for layer in layers))
    )
    return ReLUNetwork((first, second), tuple(biases))


def accuracy(network: ReLUNetwork, x: ArrayLike, y: ArrayLike) -> float:
    """Return the share of the points (N, n) whose label (N,) has the highest score."""
    return float((network(x).argmax(axis=1) == np.asarray(y)).mean())
