r"""The dual side of the theorem: decision polynomial, zonotopes and their hull.

For a network f(x) = B relu(A x + c) + b the decision polynomial R, the maximum of one branch F_i
for each class, attains its maximum twice wherever the two largest scores tie, except inside areas
in which they tie all over. Its Newton polytope is the convex hull of one zonotope for each class.
After "On the Decision Boundaries of Neural Networks: A Tropical Geometry Perspective" (arXiv
2002.08838, theorem on (Affine, ReLU, Affine) networks); biases by lifting, several classes and the
reduced form are our reconstruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from localbook.arrays import Floats
from localbook.errors import ConfigError, GeometryError
from localbook.tropical.dual.branches import Form, LiftedZonotopes, paper_branches, reduced_branches
from localbook.tropical.networks import ReLUNetwork, as_network
from localbook.tropical.polynomials import TropicalPolynomial
from localbook.tropical.zonotopes import Zonotope, ZonotopeHull, hull_of_zonotopes

if TYPE_CHECKING:
    from torch import nn

MOST_MONOMIALS = 5_000_000
"""A branch with more is refused: its monomials would take hours and all memory."""


@dataclass(frozen=True, eq=False)
class DualPolytope:
    """One zonotope for each compared class; their convex hull is the polytope dual to R.

    Attributes
    ----------
    zonotopes : tuple of Zonotope
        In the order of the classes.
    lifted : bool
        Whether they lie in R^(n+1), where the last coordinate is the coefficient of a monomial. A
        network without biases does not need it: its zonotopes lie in R^n.
    """

    zonotopes: tuple[Zonotope, ...]
    lifted: bool

    def hull(self) -> ZonotopeHull:
        """Return the convex hull of the zonotopes.

        Computed on demand: in many dimensions its vertices are beyond reach, while the zonotopes
        are only their generators.
        """
        return hull_of_zonotopes(*self.zonotopes)


def dual_polytope(
    model: "ReLUNetwork | nn.Module", classes: Sequence[int] | None = None, form: Form = "reduced"
) -> DualPolytope:
    r"""Return the zonotopes of the theorem.

    Class i has the generators :math:`w^i_j a_j`, for a network with biases :math:`w^i_j (a_j, c_j)`
    and the translation :math:`(0, b_i)`. In the paper's form
    :math:`w^i = B_i^+ + \sum_{k \ne i} B_k^-`, and all zonotopes share a further shift; in the
    reduced form (ours) :math:`w^i = B_i - \min_k B_k`.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        With one hidden layer.
    classes : sequence of int, optional
        Those to compare, such as (0, 1); all of them when left out.
    form : "reduced" or "paper"

    Raises
    ------
    ConfigError
        If the network does not have exactly one hidden layer, there are not two different classes
        of it to compare, or the form is another.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> fold = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> net = tropical.ReLUNetwork((fold, np.eye(2)), (np.zeros(2), np.zeros(2)))
    >>> [len(z.generators) for z in tropical.dual_polytope(net).zonotopes]
    [2, 2]
    """
    branches = _branches(as_network(model), classes, form)
    lifted = bool(branches.generators[..., -1].any() or branches.shifts[:, -1].any())
    width = branches.shifts.shape[1] - (not lifted)
    pairs = zip(branches.generators[..., :width], branches.shifts[:, :width], strict=True)
    return DualPolytope(tuple(Zonotope(g, shift) for g, shift in pairs), lifted)


def decision_polynomial(
    model: "ReLUNetwork | nn.Module", classes: Sequence[int] | None = None, form: Form = "reduced"
) -> TropicalPolynomial:
    r"""Return R = ⊕_i F_i, in the paper's form :math:`F_i = H_i \odot \bigodot_{k \ne i} Q_k`.

    The monomials of F_i are the upper vertices of its lifted zonotope, those that can attain the
    maximum: at most :math:`\sum_{m \le n} \binom{p}{m}` of the :math:`2^p` products. Some may be
    exceeded by other classes everywhere: ``essential`` removes them.

    Parameters are those of :func:`dual_polytope`.

    Raises
    ------
    ConfigError
        As :func:`dual_polytope`.
    GeometryError
        If a branch may have millions of monomials.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> fold = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> net = tropical.ReLUNetwork((fold, np.eye(2)), (np.zeros(2), np.zeros(2)))
    >>> len(tropical.decision_polynomial(net).exponents)
    3
    """
    branches = _branches(as_network(model), classes, form)
    _check_size(branches)
    upper = np.vstack(
        [
            _upper_vertices(Zonotope(generators, shift))
            for generators, shift in zip(branches.generators, branches.shifts, strict=True)
        ]
    )
    return TropicalPolynomial(upper[:, :-1], upper[:, -1])


def _branches(network: ReLUNetwork, classes: Sequence[int] | None, form: Form) -> LiftedZonotopes:
    forms = {"reduced": reduced_branches, "paper": paper_branches}
    if form not in forms:
        raise ConfigError(f"there is no form {form!r}: choose 'reduced' or 'paper'.")
    return forms[form](network, classes)


def _check_size(branches: LiftedZonotopes) -> None:
    dimension = branches.shifts.shape[1] - 1
    neurons = int(branches.generators.any(axis=2).sum(axis=1).max())
    count = sum(comb(neurons, m) for m in range(dimension + 1))
    if count > MOST_MONOMIALS:
        raise GeometryError(
            f"a branch of R may have {float(count):.0e} monomials ({neurons} neurons in "
            f"{dimension} dimensions): restrict the network to a plane first, as in "
            "plane_through(a, b, c).restrict(network)."
        )


def _upper_vertices(zonotope: Zonotope) -> Floats:
    """Return the vertices that are highest, in the last coordinate, for some direction (x, 1).

    A vertical generator, longer than the zonotope is high, lifts exactly these above all others.
    """
    heights = zonotope.generators[:, -1]
    low = zonotope.shift[-1] + np.minimum(heights, 0).sum()
    length = 1 + 2 * np.abs(heights).sum()
    vertical = np.zeros((1, zonotope.dimension))
    vertical[0, -1] = length
    vertices = zonotope.minkowski_sum(Zonotope(vertical, np.zeros(zonotope.dimension))).vertices()
    upper: Floats = vertices[vertices[:, -1] > low + 0.75 * length]
    upper[:, -1] -= length
    return upper
