"""Cut an existing model into gradient-isolated modules."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import cast

import torch
from torch import Tensor, fx, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks.saved_tensors import SavedTensors
from localbook.local.networks.trace import Place, Trace, parameters_of, places, trace

_RUNS = 3  # of which the fastest counts, for times


@dataclass(frozen=True)
class Split:
    """A model cut into modules that, one after the other, compute what the model computes.

    The modules share their parameters and buffers with the model, under the same names: the union
    of their state dicts is the model's.

    Attributes
    ----------
    modules : tuple of nn.Module, length K
        Each takes and returns one tensor; the last one ends with the model's own classifier.
    cuts : tuple of str, length K - 1
        The submodule (or the step of the forward pass) after which each cut was made.
    saved_bytes : tuple of int, length K
        What each module saves for backward on the example, in eval mode.
    """

    modules: tuple[nn.Module, ...]
    cuts: tuple[str, ...]
    saved_bytes: tuple[int, ...]


def split(
    model: nn.Module,
    k: int,
    example: Tensor,
    *,
    at: Sequence[str] = (),
    shares: Sequence[float] = (),
    by: str = "memory",
) -> Split:
    """Cut a model into ``k`` modules, balanced by the memory that their activations take.

    The model is traced by torch.fx and cut where exactly one tensor passes from what comes before
    to what comes after: between a residual network's blocks, not inside them. Left to itself, the
    function keeps each layer together with the normalisation and activation that follow it, and
    makes the module that saves most for backward as small as it can be.

    A model may read ``self.training`` where that changes nothing in its own forward pass.

    Parameters
    ----------
    model : nn.Module
        Takes one tensor and returns one tensor. Neither it nor its mode is changed.
    k : int
        How many modules, K >= 1.
    example : float tensor, shape (N, ...)
        A batch of the size to balance for, on the model's device.
    at : sequence of str, optional
        Names of the K - 1 submodules to cut after, instead of balancing; see :func:`cut_points`.
    shares : sequence of float, optional
        How the memory is to be shared between the K modules, equally if not given. Under SGR by
        double backward each module but the first saves about twice as much as here: (2, 1, 1, 1)
        makes its peak with four modules smaller than equal shares do.
    by : str
        What is balanced: ``"memory"``, or ``"time"`` as the forward pass takes here and now, so
        that modules in processes of their own wait little for each other.

    Raises
    ------
    ConfigError
        If the model cannot be traced, ``k`` is more than it can be cut into, a name is no place to
        cut, a module would have no parameter that requires grad, the shares are not K positive
        numbers, or ``by`` is neither of the two.

    Notes
    -----
    All 80 classification models of torchvision 0.29 can be cut in two and take a step of SGR on two
    images, with finite gradients:

    ========================  ==================================================================
    googlenet, inception_v3   with ``aux_logits=False``; in train mode they return more otherwise
    regnet_x_400mf            from 64 pixels, or three images: else BatchNorm sees two values a
                              channel and the gradient, 1e50, overflows
    vit_l_16, _l_32, _h_14    the step was tried on symbolic tensors alone, without values
    the other 75              as they are
    ========================  ==================================================================

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> model = local.cifar_resnet(20, classes=10, seed=0)
    >>> parts = local.split(model, k=2, example=torch.zeros(1, 3, 32, 32))
    >>> len(parts.modules)
    2
    """
    if k < 1:
        raise ConfigError(f"a model cannot be cut into k={k} modules; give one or more.")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            f"{type(model).__name__} is frozen: no parameter requires grad; "
            "unfreeze at least one for each module."
        )
    shares = shares or [1.0] * k
    if len(shares) != k or not all(share > 0 for share in shares):
        raise ConfigError(f"shares={tuple(shares)} must be k={k} numbers larger than zero.")
    if by not in ("memory", "time"):
        raise ConfigError(f"a model is balanced by memory or time, not by '{by}'.")
    look = Inspection.of(model, example, by)
    chosen = _named(look, k, at) if at else _balanced(look, k, shares)
    ends = [-1, *(place.after for place in chosen), len(look.found.steps) - 1]
    return Split(
        tuple(parts(model, look, chosen)),
        tuple(place.name for place in chosen),
        tuple(sum(look.saved[a + 1 : b + 1]) for a, b in pairwise(ends)),
    )


def cut_points(model: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Return the names at which :func:`split` can cut a model, from its input to its output.

    Parameters
    ----------
    model : nn.Module
    example : float tensor, shape (N, ...)

    Raises
    ------
    ConfigError
        If the model cannot be traced.
    """
    return tuple(place.name for place in Inspection.of(model, example).good)


@dataclass(frozen=True)
class Inspection:
    """What is known of a model before it is cut.

    ``saved``, ``costs``, ``trainable`` and ``weighty`` say of each step how many bytes it saves,
    what it costs (these bytes, or nanoseconds), and whether it has a parameter that requires grad,
    and one with two or more axes.
    """

    found: Trace
    good: list[Place]
    refused: dict[fx.Node, str]
    saved: list[int]
    costs: list[int]
    trainable: list[bool]
    weighty: list[bool]
    result: fx.Node

    @classmethod
    def of(cls, model: nn.Module, example: Tensor, by: str = "memory") -> "Inspection":
        """Trace a model and run it on an example."""
        found = trace(model)
        good, refused = places(found, model)
        with evaluating(model):  # so that nothing is random and BatchNorm's buffers stay
            run = _Measuring(model, found, good)
            refused |= run.refuse(example)
            saved = [run.ledger.peak_of[index] for index in range(len(found.steps))]
            costs = run.times(example) if by == "time" else saved
        parameters = [[p for _, p in parameters_of(step, model)] for step in found.steps]
        (output,) = (node for node in found.graph.nodes if node.op == "output")
        return cls(
            found,
            [place for place in good if place.value not in refused],
            refused,
            saved,
            costs,
            [any(p.requires_grad for p in used) for used in parameters],
            [any(p.ndim > 1 for p in used) for used in parameters],
            cast(fx.Node, output.args[0]),
        )


class _Measuring(fx.Interpreter):
    """Runs a trace; notes what each step saves for backward and what crosses each place."""

    def __init__(self, model: nn.Module, found: Trace, good: list[Place]) -> None:
        super().__init__(model, graph=found.graph)
        self.ledger = SavedTensors([*model.parameters(), *model.buffers()])
        self._index = {node: index for index, node in enumerate(found.steps)}
        self._value_after = {place.after: place.value for place in good}
        self._crossed: dict[fx.Node, tuple[object, int]] = {}
        self._taken = [sys.maxsize] * len(found.steps)

    def run_node(self, n: fx.Node) -> object:
        """Run one step."""
        index = self._index.get(n, len(self._index))
        self.ledger.owner = index
        start = time.perf_counter_ns()
        result: object = super().run_node(n)
        if isinstance(result, Tensor) and result.is_cuda:
            torch.cuda.synchronize(result.device)
        if n in self._index:
            self._taken[index] = min(self._taken[index], time.perf_counter_ns() - start)
        value = self._value_after.get(index)
        if value is not None:
            crossing = result if value is n else self.env[value]
            self._crossed[value] = (crossing, getattr(crossing, "_version", 0))
        return result

    def times(self, example: Tensor) -> list[int]:
        """Return the nanoseconds that each step takes forward, the least of some runs."""
        with torch.no_grad():
            for _ in range(_RUNS):
                self.run(example.detach().clone())
        return self._taken

    def refuse(self, example: Tensor) -> dict[fx.Node, str]:
        """Run the example; return the values at which the model cannot be cut after all."""
        model = self.module
        with torch.no_grad():
            expected = model(example)
        with self.ledger.hooks(), torch.enable_grad():
            result = self.run(example.detach().clone())
        if not isinstance(expected, Tensor):
            raise ConfigError(
                f"{type(model).__name__} cannot be cut: it returns a {type(expected).__name__}; "
                "wrap it in a module that returns one tensor of class scores."
            )
        if not torch.allclose(result.detach(), expected, rtol=1e-3, atol=1e-4, equal_nan=True):
            raise ConfigError(
                f"{type(model).__name__} cannot be cut: run step by step it gives another result; "
                "its forward pass must be the same at every call in eval mode."
            )
        refused = {}
        for node, (value, version) in self._crossed.items():
            if not isinstance(value, Tensor) or not value.is_floating_point():
                refused[node] = "what passes it is no tensor of floating-point numbers"
            elif value.shape[:1] != example.shape[:1]:
                refused[node] = f"what passes it has no batch axis (shape {tuple(value.shape)})"
            elif value._version > version:
                refused[node] = "the next step changes its output in place"
        return refused


def _named(look: Inspection, k: int, at: Sequence[str]) -> list[Place]:
    """Return the places of the given names, from the input to the output."""
    if len(at) != k - 1:
        raise ConfigError(f"k={k} modules need {k - 1} names to cut at, but at has {len(at)}.")
    place_of = {place.value: place for place in look.good}
    known = {node.name: node for node in look.found.steps} | look.found.value_of
    chosen = []
    for name in at:
        if name not in known or known[name] not in place_of:
            why = look.refused.get(known[name], "") if name in known else "there is no such step"
            listed = ", ".join(place.name for place in look.good)
            raise ConfigError(
                f"the model cannot be cut at '{name}'{': ' + why if why else ''}; "
                f"choose from: {listed}."
            )
        chosen.append(place_of[known[name]])
    chosen.sort(key=lambda place: place.after)
    ends = [-1, *(place.after for place in chosen), len(look.found.steps) - 1]
    for number, (a, b) in enumerate(pairwise(ends), start=1):
        if not any(look.trainable[a + 1 : b + 1]):
            raise ConfigError(
                f"module {number} would have no parameter that requires grad; "
                "cut elsewhere or unfreeze its parameters."
            )
    return chosen


def _balanced(look: Inspection, k: int, shares: Sequence[float]) -> list[Place]:
    """Return the k - 1 places that make the costliest module cheapest, for its share."""
    candidates = between_layers(look)
    ends = [-1, *(place.after for place in candidates), len(look.found.steps) - 1]
    useful = [any(look.trainable[a + 1 : b + 1]) for a, b in pairwise(ends)]
    if k > sum(useful):
        listed = ", ".join(place.name for place in candidates) or "none"
        one_of_each = {why: path for path, why in look.found.opaque.items()}
        closed = "".join(
            f"; '{path}' is a single step ({why})" for why, path in one_of_each.items()
        )
        raise ConfigError(
            f"k={k} modules, but at most {sum(useful)} can be cut that each have a parameter that "
            f"requires grad; cut points between layers: {listed}{closed}."
        )
    costs = [sum(look.costs[a + 1 : b + 1]) for a, b in pairwise(ends)]
    return [candidates[size - 1] for size in partition(costs, useful, shares)]


def between_layers(look: Inspection) -> list[Place]:
    """Return of the places between two layers the last: norm and activation stay with a layer."""
    layers = list(accumulate(look.weighty))
    last = {layers[place.after]: place for place in look.good if layers[place.after] > 0}
    return [place for number, place in last.items() if number < layers[-1]]


def parts(model: nn.Module, look: Inspection, chosen: Sequence[Place]) -> Iterator[nn.Module]:
    """Yield the modules between the model's ends and some places."""
    steps = look.found.steps
    ends = [-1, *(place.after for place in chosen), len(steps) - 1]
    values = [steps[0], *(place.value for place in chosen), look.result]
    for (a, b), (into, out) in zip(pairwise(ends), pairwise(values), strict=True):
        yield _part(model, steps[a + 1 : b + 1], into, out)


def partition(costs: Sequence[int], useful: Sequence[bool], shares: Sequence[float]) -> list[int]:
    """Return where all runs but the first begin, each with something useful, for k shares.

    Of the divisions whose costliest run, for its share, is cheapest, one with few squares.
    """
    n = len(costs)
    cost = [0, *accumulate(costs)]
    use = [0, *accumulate(useful)]
    # best[j]: largest cost, sum of squares and starts of the best runs that cover the first j
    best: dict[int, tuple[float, float, list[int]]] = {0: (0, 0, [])}
    for share in shares:
        following = {}
        for j in range(1, n + 1):
            options = []
            for i, (largest, squares, starts) in best.items():
                if i < j and use[j] > use[i]:
                    run = (cost[j] - cost[i]) / share
                    options.append((max(largest, run), squares + run**2, [*starts, i]))
            if options:
                following[j] = min(options)
        best = following
    return best[n][2][1:]


def _part(
    model: nn.Module, steps: Sequence[fx.Node], into: fx.Node, out: fx.Node
) -> fx.GraphModule:
    """Return the module that computes ``out`` from ``into`` by the given steps."""
    graph = fx.Graph()
    copy_of = {into: graph.placeholder("x")}

    def copied(node: fx.Node) -> fx.Node:
        if node not in copy_of:
            assert node.op == "get_attr" or node in steps, f"{node} crosses the cut"
            copy_of[node] = graph.node_copy(node, copied)
        return copy_of[node]

    for step in steps:
        if step.op not in ("placeholder", "get_attr"):
            copied(step)
    graph.output(copied(out))
    return fx.GraphModule(model, graph, class_name=f"{type(model).__name__}Part")
