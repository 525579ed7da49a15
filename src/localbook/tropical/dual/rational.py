"""A ReLU network of any depth as tropical rational functions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.networks import ReLUNetwork, as_network
from localbook.tropical.polynomials import (
    TropicalPolynomial,
    TropicalRational,
    checked_product,
    essential,
)

if TYPE_CHECKING:
    from torch import nn


def rational(model: "ReLUNetwork | nn.Module") -> tuple[TropicalRational, ...]:
    r"""Return each output of a network as a quotient of tropical polynomials with real exponents.

    Layer by layer, :math:`\sum_j w_j (F_j \oslash G_j) + b = \bigl(b \odot \bigodot_j
    F_j^{\odot w_j^+} \odot G_j^{\odot w_j^-}\bigr) \oslash \bigl(\bigodot_j G_j^{\odot w_j^+} \odot
    F_j^{\odot w_j^-}\bigr)` and :math:`\max(F \oslash G, 0) = (F \oplus G) \oslash G` [1]_.
    Monomials that never win are dropped after every product.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        Of any depth; see :func:`from_torch` for the modules.

    Returns
    -------
    tuple of TropicalRational
        One for each output, in as many variables as there are inputs.

    Raises
    ------
    ConfigError
        If the model cannot be converted.
    GeometryError
        If a product has too many monomials to prune: more than 100,000 in one or two variables,
        2,000 in three or four, 300 in five or six.

    References
    ----------
    .. [1] L. Zhang, G. Naitzat, L.-H. Lim, "Tropical Geometry of Deep Neural Networks", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> fold = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> net = tropical.ReLUNetwork((fold, np.array([[1.0, -1.0]])), (np.zeros(2), np.zeros(1)))
    >>> print(*tropical.rational(net))
    max(0, x1 + x2) - max(0, x1 - x2)
    """
    network = as_network(model).with_relus_only()
    layers = zip(network.weights, network.biases, strict=True)
    first = zip(*next(layers), strict=True)
    functions = [TropicalPolynomial(row[None], np.array([b])) / 0 for row, b in first]
    for weight, bias in layers:
        hidden = [essential(f.numerator + f.denominator) / f.denominator for f in functions]
        functions = [_affine(row, b, hidden) for row, b in zip(weight, bias, strict=True)]
    return tuple(functions)


def _affine(
    weights: Floats, bias: float, functions: Sequence[TropicalRational]
) -> TropicalRational:
    """Return Σ_j w_j f_j + b."""
    above = below = functions[0].numerator ** 0
    for weight, f in zip(weights, functions, strict=True):
        if weight:
            power = f**weight
            above = _product(above, power.numerator)
            below = _product(below, power.denominator)
    return (above * float(bias)) / below


def _product(one: TropicalPolynomial, other: TropicalPolynomial) -> TropicalPolynomial:
    product = checked_product(one, other)
    return product if 1 in (len(one), len(other)) else essential(product)
