r"""The theorem's parameters in closed form, for networks f(x) = B relu(A x + c) + b.

The scores are tropical rational functions f_i = H_i - Q_i (max-plus polynomials H_i, Q_i with real
exponents), and classes i and k tie for the top where the decision polynomial

.. math::

    R(x) = \max_i F_i(x), \qquad F_i = H_i + \sum_{k \ne i} Q_k,

attains its maximum twice, since :math:`F_i - F_k = f_i - f_k`. Every polynomial here is a sum of
maxima of two affine functions: its Newton polytope, lifted by the coefficients, is a zonotope in
:math:`R^{n+1}`. After "On the Decision Boundaries of Neural Networks: A Tropical Geometry
Perspective" (arXiv 2002.08838); signs, biases, several classes and the reduced form are our
reconstruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.tropical.networks import ReLUNetwork

Form = Literal["reduced", "paper"]


@dataclass(frozen=True)
class LiftedZonotopes:
    """Zonotopes shifts[i] + sum_j [0, 1] generators[i, j] in R^(n+1); the last axis is the lift.

    Attributes
    ----------
    generators : ndarray (k, p, n + 1)
    shifts : ndarray (k, n + 1)
    """

    generators: Floats
    shifts: Floats

    def evaluate(self, x: ArrayLike) -> Floats:
        """Return the polynomials (N, k) at the points x (N, n): support functions at (x, 1)."""
        points = np.asarray(x, dtype=np.float64)
        points = np.column_stack([points, np.ones(len(points))])
        terms = np.einsum("kpd,nd->nkp", self.generators, points)
        value: Floats = points @ self.shifts.T + np.maximum(terms, 0).sum(axis=2)
        return value


def quotient(network: ReLUNetwork) -> tuple[LiftedZonotopes, LiftedZonotopes]:
    r"""Return numerators H_i and denominators Q_i of all scores, f_i = H_i - Q_i.

    With plus and minus for the positive and negative parts,
    :math:`h_j = \max(a_j^+ x + c_j, a_j^- x)`,
    :math:`H_i = \sum_j B^+_{ij} h_j + \sum_j B^-_{ij} a_j^- x + b_i` and
    :math:`Q_i = \sum_j B^-_{ij} h_j + \sum_j B^+_{ij} a_j^- x`.

    Raises
    ------
    ConfigError
        If the network does not have exactly one hidden layer.
    """
    rows, B, b = _parameters(network)
    shift = np.abs(B) @ _negative_part(rows)
    return (
        LiftedZonotopes(_weighted(np.maximum(B, 0), rows), _lift(shift, b)),
        LiftedZonotopes(_weighted(np.maximum(-B, 0), rows), shift),
    )


def paper_branches(network: ReLUNetwork, classes: Sequence[int] | None = None) -> LiftedZonotopes:
    r"""Return the branches F_i of R as the paper writes them.

    The generators are :math:`w^i_j (a_j, c_j)`, :math:`w^i = B_i^+ + \sum_{k \ne i} B_k^-`; the
    shifts are :math:`\sum_j \sum_k |B_{kj}| a_j^-`, the same for all i, with b_i as the lift.

    Parameters
    ----------
    network : ReLUNetwork
        With one hidden layer.
    classes : sequence of int, optional
        Those to compare, such as (0, 1); all of them when left out.

    Raises
    ------
    ConfigError
        If the network does not have exactly one hidden layer, or there are not two different
        classes of it to compare.
    """
    rows, B, b = _compared(network, classes)
    shift = np.broadcast_to(np.abs(B).sum(axis=0) @ _negative_part(rows), (len(B), rows.shape[1]))
    return LiftedZonotopes(_weighted(class_weights(B, "paper"), rows), _lift(shift, b))


def reduced_branches(network: ReLUNetwork, classes: Sequence[int] | None = None) -> LiftedZonotopes:
    r"""Return the branches of R without their common factor; the boundary stays the same.

    The weights are :math:`w^i - \min_k w^k = B_i - \min_k B_k`, for two classes the positive parts
    of :math:`\pm(B_1 - B_2)`, and the shifts only keep the lift b_i. Parameters and errors are
    those of :func:`paper_branches`.
    """
    rows, B, b = _compared(network, classes)
    shift = np.zeros((len(B), rows.shape[1]))
    return LiftedZonotopes(_weighted(class_weights(B), rows), _lift(shift, b))


def common_factor(network: ReLUNetwork, classes: Sequence[int] | None = None) -> LiftedZonotopes:
    r"""Return what all branches of the paper's R share: paper_branches = reduced_branches + this.

    One zonotope with generators :math:`\min_i w^i_j (a_j, c_j)`. Those that are not zero belong to
    neurons whose fold lies in the hypersurface of R but not in the boundary on its account.
    Parameters and errors are those of :func:`paper_branches`.
    """
    rows, B, _ = _compared(network, classes)
    shift = np.abs(B).sum(axis=0, keepdims=True) @ _negative_part(rows)
    return LiftedZonotopes(
        _weighted(class_weights(B, "paper").min(axis=0, keepdims=True), rows), shift
    )


def _parameters(network: ReLUNetwork) -> tuple[Floats, Floats, Floats]:
    """Return the rows (a_j, c_j) (p, n + 1), B and b."""
    if len(network.weights) != 2:
        raise ConfigError(
            f"the network has {len(network.weights) - 1} hidden layers: the closed form is for "
            "one; decision_boundary() takes any number."
        )
    network = network.with_relus_only()
    rows = np.column_stack([network.weights[0], network.biases[0]])
    return rows, network.weights[1], network.biases[1]


def _compared(network: ReLUNetwork, classes: Sequence[int] | None) -> tuple[Floats, Floats, Floats]:
    """Return the parameters with only the rows of B and b that are compared."""
    rows, B, b = _parameters(network)
    if len(b) < 2:
        raise ConfigError(
            "the network has one class and nothing to compare it with: give it a second output."
        )
    chosen = list(range(len(b)) if classes is None else classes)
    if len(set(chosen)) < max(2, len(chosen)) or not set(chosen) <= set(range(len(b))):
        raise ConfigError(
            f"classes {tuple(chosen)} of a network with {len(b)}: name two or more different ones "
            f"from 0 to {len(b) - 1}."
        )
    return rows, B[chosen], b[chosen]


def class_weights(B: Floats, form: Form = "reduced") -> Floats:
    r"""Return the weights :math:`w^i_j` of the theorem's generators (k, p), of B's type.

    In the paper's form :math:`w^i = B_i^+ + \sum_{k \ne i} B_k^-`, in the reduced one
    :math:`w^i - \min_k w^k = B_i - \min_k B_k`.

    Parameters
    ----------
    B : float array, shape (k, p)
        The output weights of the compared classes.
    form : "reduced" or "paper"

    Raises
    ------
    ConfigError
        If there is no such form.
    """
    if form == "reduced":
        weights: Floats = B - B.min(axis=0)
    elif form == "paper":
        negative = np.maximum(-B, 0)
        weights = np.maximum(B, 0) + (negative.sum(axis=0) - negative)
    else:
        raise ConfigError(f"there is no form {form!r}: choose 'reduced' or 'paper'.")
    return weights


def _negative_part(rows: Floats) -> Floats:
    """Return a_j^- with lift 0 (p, n + 1), where a_j = a_j^+ - a_j^-."""
    negative = np.maximum(-rows, 0)
    negative[:, -1] = 0
    return negative


def _weighted(weights: Floats, rows: Floats) -> Floats:
    return weights[..., None] * rows  # (k, p, n + 1)


def _lift(shift: Floats, b: Floats) -> Floats:
    lifted = shift.copy()
    lifted[:, -1] += b
    return lifted
