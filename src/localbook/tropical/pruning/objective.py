r"""Pruning that keeps the dual polytope: the objective, its two steps, and its minimum.

One zonotope for each class decides the boundary of f(x) = B relu(A x + c) + b; its generators are
:math:`w^i_j a_j`, where :math:`a_j` is row j of (A, c). Tropical pruning looks for a sparser
network whose generators stay close:

.. math::

    \min_{\tilde A, \tilde B} \; \tfrac12 \sum_i \| \tilde G_i - G_i \|_F^2
        + \sum_i \lambda_i \| \tilde G_i \|_{2,1},
    \qquad G_i = \mathrm{Diag}(w^i) A ,

with the sum of the rows' lengths as the second norm. For two classes in the paper's form
:math:`w^1 = \mathrm{relu}(B_1) + \mathrm{relu}(-B_2)`. After "On the Decision Boundaries of Neural
Networks: A Tropical Geometry Perspective" (arXiv 2002.08838, section on pruning), our
reconstruction; several classes, biases by lifting, the reduced form and the minimum in closed form
are ours.

The objective is a sum over neurons. For one of them, with the rows' lengths as :math:`|a|`:

- in :math:`\tilde w` with the row held fixed it is convex, and its minimum is the soft threshold
  :math:`\tilde w^i = (w^i \langle a, \tilde a \rangle - \lambda_i |\tilde a|)_+ / |\tilde a|^2`;
  every :math:`\tilde w \ge 0` belongs to some :math:`\tilde B`;
- in :math:`\tilde a` with the weights held fixed it is convex, and its minimum is the group soft
  threshold :math:`\tilde a = (1 - \sum_i \lambda_i \tilde w^i / (|\tilde w|^2 |t|))_+ \, t`,
  :math:`t = (\langle \tilde w, w \rangle / |\tilde w|^2) \, a`;
- its global minimum is :math:`\tilde a = a`, :math:`\tilde w^i = (w^i - \lambda_i / |a|)_+`,
  because generators of the best length lie along a. The first step in :math:`\tilde w` gives it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.tropical.dual import Form, class_weights
from localbook.tropical.networks import ReLUNetwork, as_network
from localbook.tropical.tolerance import TOLERANCE

Mask = NDArray[np.bool_]

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class Generators:
    """The generators weights[i, j] * rows[j] of all classes, in factors.

    Attributes
    ----------
    rows : ndarray (p, n + 1)
        The rows (a_j, c_j).
    weights : ndarray (k, p)
        w^i_j, not negative.
    """

    rows: Floats
    weights: Floats

    @property
    def lengths(self) -> Floats:
        """The generators' lengths (k, p)."""
        lengths: Floats = self.weights * np.linalg.norm(self.rows, axis=1)
        return lengths


@dataclass(frozen=True, eq=False)
class PrunedNetwork:
    """A pruned network, and how the objective fell.

    Attributes
    ----------
    network : ReLUNetwork
        Of the old shape; a removed neuron has a zero row, bias and column.
    kept : bool ndarray (p,)
    objective : ndarray (steps + 1,)
        At the start and after each step.
    """

    network: ReLUNetwork
    kept: Mask
    objective: Floats


def generators(model: "ReLUNetwork | nn.Module", form: Form = "reduced") -> Generators:
    r"""Return the generators of all classes of a network with one hidden layer.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
    form : "reduced" or "paper"
        :math:`w^i = B_i - \min_l B_l` or :math:`w^i = B_i^+ + \sum_{l \ne i} B_l^-`.

    Raises
    ------
    ConfigError
        If the network does not have exactly one hidden layer and two classes, or the form is
        another.
    """
    network = as_network(model).with_relus_only()
    if len(network.weights) != 2 or len(network.biases[1]) < 2:
        raise ConfigError(
            f"tropical pruning of a block needs one hidden layer and two classes, not "
            f"{len(network.weights) - 1} and {len(network.biases[-1])}; "
            "weight_costs() takes any number of layers."
        )
    rows = np.column_stack([network.weights[0], network.biases[0]])
    return Generators(rows, class_weights(network.weights[1], form))


def pruning_objective(new: Generators, old: Generators, penalty: ArrayLike) -> float:
    """Return the objective at ``new``, without forming the k generators of each neuron.

    Parameters
    ----------
    new, old : Generators
    penalty : float or array (k,)
        The lambda of every class.
    """
    lam = _penalties(penalty, old)
    along, squared, target = _products(new.rows, old.rows)
    # |w~ a~ - w a|^2 = (part along a)^2 + (part across it)^2: differences of squares would cancel.
    difference = new.weights * along - old.weights * target
    across = np.maximum(squared - along**2, 0)
    data = (difference**2 + new.weights**2 * across).sum() / 2
    return float(data + (lam[:, None] * new.lengths).sum())


def fit_weights(rows: Floats, old: Generators, penalty: ArrayLike) -> Generators:
    """Return the objective's minimum in the weights, for fixed rows (p, n + 1)."""
    lam = _penalties(penalty, old)
    along, squared, target = _products(rows, old.rows)
    length = np.sqrt(squared)
    safe = np.where(length > 0, length, 1)
    weights = np.maximum(old.weights * (target * along / safe) - lam[:, None], 0) / safe
    return Generators(rows, np.where(length > 0, weights, 0))


def fit_rows(weights: Floats, old: Generators, penalty: ArrayLike) -> Generators:
    """Return the objective's minimum in the rows, for fixed weights (k, p)."""
    lam = _penalties(penalty, old)
    squared = (weights**2).sum(axis=0)
    safe = np.where(squared > 0, squared, 1)
    scale = (weights * old.weights).sum(axis=0) / safe
    length = scale * np.linalg.norm(old.rows, axis=1)
    loss = lam @ weights / safe
    kept = length > loss
    shrunk = np.where(kept, 1 - loss / np.where(kept, length, 1), 0) * scale
    return Generators(shrunk[:, None] * old.rows, weights)


def prune_block(
    model: "ReLUNetwork | nn.Module", penalty: ArrayLike, form: Form = "reduced"
) -> PrunedNetwork:
    """Minimise the objective by alternating its two steps, the weights first.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        With one hidden layer and two or more classes.
    penalty : float or array (k,)
        The lambda of every class; a neuron goes when its generators are all shorter than these.
    form : "reduced" or "paper"

    Raises
    ------
    ConfigError
        As :func:`generators`, and on a penalty that is negative or of another shape.
    """
    network = as_network(model).with_relus_only()
    old = generators(network, form)
    new, values = old, [pruning_objective(old, old, penalty)]
    while len(values) < 3 or values[-3] - values[-1] > TOLERANCE.settled * values[0]:
        new = fit_weights(new.rows, old, penalty)
        values.append(pruning_objective(new, old, penalty))
        new = fit_rows(new.weights, old, penalty)
        values.append(pruning_objective(new, old, penalty))
    kept: Mask = np.any(new.lengths > 0, axis=0)
    rows = np.where(kept[:, None], new.rows, 0)
    outputs = np.where(kept, _output_weights(new.weights, network.weights[1], form), 0)
    pruned = ReLUNetwork((rows[:, :-1], outputs), (rows[:, -1], network.biases[1]))
    return PrunedNetwork(pruned, kept, np.array(values))


def penalty_keeping(
    model: "ReLUNetwork | nn.Module", neurons: int, form: Form = "reduced"
) -> float:
    """Return a penalty, the same for every class, with which that many neurons remain.

    No search is needed: neuron j remains while the penalty is below its longest generator.

    Raises
    ------
    ConfigError
        As :func:`generators`; if there are not so many neurons with generators, or two neurons are
        so equal that no penalty separates them.
    """
    longest = np.sort(generators(model, form).lengths.max(axis=0))[::-1]
    there = np.count_nonzero(longest)
    if not 0 <= neurons <= there:
        raise ConfigError(f"neurons={neurons} must lie between 0 and the {there} that do anything.")
    last = longest[neurons - 1] if neurons else 2 * longest.max(initial=1)
    next_one = longest[neurons] if neurons < len(longest) else 0.0
    if last <= next_one * (1 + TOLERANCE.alike):
        raise ConfigError(
            f"neurons {neurons} and {neurons + 1} in the order of length are equal: no penalty "
            f"keeps {neurons} neurons; ask for one more or one fewer."
        )
    return float((last + next_one) / 2)


def _penalties(penalty: ArrayLike, old: Generators) -> Floats:
    """Return the penalties (k,), checked."""
    lam = np.asarray(penalty, dtype=np.float64)
    if lam.shape not in ((), (len(old.weights),)) or not (np.isfinite(lam) & (lam >= 0)).all():
        raise ConfigError(
            f"penalty must be one number or one for each of the {len(old.weights)} classes, finite "
            "and not negative."
        )
    return np.broadcast_to(lam, (len(old.weights),))


def _products(rows: Floats, old: Floats) -> tuple[Floats, Floats, Floats]:
    """Return each row's part along the old row, its squared length, and the old row's length."""
    target = np.linalg.norm(old, axis=1)
    along = (rows * old).sum(axis=1) / np.where(target > 0, target, 1)
    return along, (rows**2).sum(axis=1), target


def _output_weights(weights: Floats, B: Floats, form: Form) -> Floats:
    r"""Return a B whose class weights are ``weights``: the one that is nearest in kind to ``B``.

    In the paper's form :math:`B_i = w^i - S` with :math:`S = \sum_l (S - w^l)_+`. The solutions S
    are 0 and :math:`S^* = \min_{m \ge 2} \sum_{l \le m} w^{(l)} / (m - 1)` over the sorted weights,
    and all between them if the smallest weight is 0.
    """
    if form == "reduced":
        shifted: Floats = weights + B.min(axis=0)
        return shifted
    ordered = np.sort(weights, axis=0)
    means = np.cumsum(ordered, axis=0)[1:] / np.arange(1, len(weights))[:, None]
    largest = means.min(axis=0)
    before = np.maximum(-B, 0).sum(axis=0)
    free = np.minimum(before, largest)
    chosen: Floats = weights - np.where((ordered[0] > 0) & (before > 0), largest, free)
    return chosen
