"""The prunings that are compared: each turns a trained network into masks of its parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import prune

from localbook.errors import ConfigError
from localbook.experiments.harness import Samples
from localbook.experiments.pruning.networks import linear_layers
from localbook.tropical import pruning
from localbook.tropical.pruning import Mask

_SNIP_IMAGES = 1000


@dataclass(frozen=True)
class Trained:
    """A trained network as a pruning sees it."""

    net: nn.Sequential
    train: Samples
    exponent: float

    @property
    def weights(self) -> list[NDArray[np.floating]]:
        """The weight matrices."""
        return [layer.weight.detach().cpu().numpy() for layer in linear_layers(self.net)]

    @property
    def biases(self) -> list[NDArray[np.floating]]:
        """The biases."""
        return [layer.bias.detach().cpu().numpy() for layer in linear_layers(self.net)]


Masks = tuple[list[Mask], list[Mask]]
"""Which weights and which biases stay."""


def _all_biases(dense: Trained, weights: list[Mask]) -> Masks:
    return weights, [np.ones(len(w), dtype=bool) for w in weights]


def _tropical(dense: Trained, compression: float) -> Masks:
    costs = pruning.weight_costs(dense.weights, dense.biases, dense.exponent)
    return _all_biases(dense, pruning.keep_weights(dense.weights, costs, compression))


def _path_l2(dense: Trained, compression: float) -> Masks:
    """Price as the tropical pruning does, without biases and without the mean over classes."""
    costs = pruning.path_costs(dense.weights, dense.exponent)
    return _all_biases(dense, pruning.keep_weights(dense.weights, costs, compression))


def _lookahead(dense: Trained, compression: float) -> Masks:
    costs = pruning.lookahead_costs(dense.weights, dense.exponent)
    return _all_biases(dense, pruning.keep_weights(dense.weights, costs, compression))


def _tropical_neurons(dense: Trained, compression: float) -> Masks:
    costs = pruning.neuron_costs(dense.weights, dense.biases)
    kept = pruning.keep_neurons(dense.weights, dense.biases, costs, compression)
    return pruning.without_neurons(dense.weights, kept)


def _snip(dense: Trained, compression: float) -> Masks:
    """Use the sensitivity of the trained network; the paper prunes before training."""
    layers = linear_layers(dense.net)
    scores = dense.net(dense.train.x[:_SNIP_IMAGES])
    loss = nn.functional.cross_entropy(scores, dense.train.y[:_SNIP_IMAGES])
    gradients = torch.autograd.grad(loss, [layer.weight for layer in layers])
    arrays = [g.cpu().numpy() for g in gradients]
    return _all_biases(dense, pruning.snip(dense.weights, arrays, compression))


def _torch_l1(dense: Trained, compression: float) -> Masks:
    """Take the same share of each layer by torch.nn.utils.prune.l1_unstructured."""
    counts = [int((~m).sum()) for m in pruning.class_uniform(dense.weights, compression)]
    masks = []
    for weights, count in zip(dense.weights, counts, strict=True):
        layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
        layer.weight.data = torch.from_numpy(weights.copy())
        prune.l1_unstructured(layer, "weight", amount=count)  # type: ignore[no-untyped-call]
        masks.append(_mask_of(layer))
    return _all_biases(dense, masks)


def _torch_ln(dense: Trained, compression: float) -> Masks:
    """Take the same share of each hidden layer's neurons by torch.nn.utils.prune.ln_structured."""
    widths = [dense.weights[0].shape[1], *(len(w) for w in dense.weights)]
    budget = pruning.parameters_kept(dense.weights, compression)
    removed = _rows_to_remove(widths, budget)
    kept: list[Mask] = []
    for weights, biases, count in zip(dense.weights, dense.biases, removed, strict=False):
        rows = np.column_stack([weights, biases])  # the bias goes with its neuron
        layer = nn.Linear(rows.shape[1], rows.shape[0], bias=False)
        layer.weight.data = torch.from_numpy(rows)
        prune.ln_structured(  # type: ignore[no-untyped-call]
            layer, "weight", amount=count, n=2, dim=0
        )
        kept.append(_mask_of(layer)[:, 0])
    return pruning.without_neurons(dense.weights, kept)


def _mask_of(layer: nn.Linear) -> Mask:
    mask = layer.get_buffer("weight_mask")
    return np.asarray(mask.numpy().astype(bool))


def _rows_to_remove(widths: list[int], budget: int) -> list[int]:
    """Return the fewest neurons to remove, an equal share of each hidden layer."""
    hidden = widths[1:-1]
    for step in range(max(hidden)):
        removed = [min(round(step * h / max(hidden)), h - 1) for h in hidden]
        left = [h - r for h, r in zip(hidden, removed, strict=True)]
        if pruning.parameters_of([widths[0], *left, widths[-1]]) <= budget:
            return removed
    raise ConfigError("one neuron a layer has more parameters than may stay: ask for less.")


METHODS: Mapping[str, Callable[[Trained, float], Masks]] = {
    "tropical": _tropical,
    "path-l2": _path_l2,
    "lookahead": _lookahead,
    "synflow": lambda d, c: _all_biases(d, pruning.synflow(d.weights, c)),
    "class-blind": lambda d, c: _all_biases(d, pruning.class_blind(d.weights, c)),
    "class-uniform": lambda d, c: _all_biases(d, pruning.class_uniform(d.weights, c)),
    "class-distribution": lambda d, c: _all_biases(d, pruning.class_distribution(d.weights, c)),
    "snip": _snip,
    "torch-l1": _torch_l1,
    "tropical-neurons": _tropical_neurons,
    "torch-ln": _torch_ln,
}


SCALED = ("tropical", "path-l2", "lookahead")
"""Those whose scores have an exponent: 0 makes each of them class-blind."""


def zeroing(net: nn.Sequential, masks: Masks) -> Callable[[int], None]:
    """Return a function that sets what is pruned to zero, to be called after every step."""
    pairs: list[tuple[Tensor, Tensor]] = []
    for layer, weight, bias in zip(linear_layers(net), *masks, strict=True):
        for parameter, mask in ((layer.weight.data, weight), (layer.bias.data, bias)):
            # Of the parameter's type: a product with booleans takes eight times as long.
            pairs.append((parameter, torch.from_numpy(mask).to(parameter)))

    def zero(step: int = 0) -> None:
        for parameter, mask in pairs:
            parameter.mul_(mask)

    return zero
