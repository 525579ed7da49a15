r"""Adversarial attacks that move the polytope: input and first layer are perturbed together.

For a network :math:`g(A x + c)` and an input x the attack looks for a perturbation :math:`\eta` of
the input and :math:`\xi` of the first layer's weights that do the same,

.. math::

    A \eta = \xi x, \qquad x + \eta \in [0, 1]^n, \quad \|\eta\|_\infty \le \epsilon_1, \quad
    \|\xi\|_{\infty,\infty} \le \epsilon_2,

and with which both :math:`g(A(x + \eta) + c)` and :math:`g((A + \xi) x + c)` choose a wrong class.
:math:`A + \xi` are the generators of the theorem's zonotopes, so such an attack moves the dual
polytope and the boundary across an input that stays where it is. After "On the Decision Boundaries
of Neural Networks: A Tropical Geometry Perspective" (arXiv 2002.08838), application to adversarial
attacks; the objective, the losses and the solver are our reconstruction, and
:math:`\|\xi\|_{\infty,\infty}` is read as the largest absolute entry.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.tropical.attacks.gradient import (
    check_batch,
    check_bound,
    feasible_box,
)
from localbook.tropical.attacks.penalty import (
    Parts,
    Penalty,
    State,
    least_weights,
    met,
    residual,
    solve,
)


@dataclass(frozen=True, eq=False)
class TropicalAttack:
    r"""What :func:`tropical_attack` found, for a batch of N inputs.

    Attributes
    ----------
    eta : Tensor (N, n)
    xi : Tensor (N, p, n)
    success : Tensor (N,), bool
        Whether both perturbed networks choose a wrong class and the coupling holds. The bounds
        always hold.
    residual : Tensor (N,)
        :math:`\|A\eta - \xi x\|_\infty / \|A\eta\|_\infty`, 0 where both sides are 0.
    iterations : Tensor (N,), int64
        Updates of the pair until success, or all of them.
    """

    eta: Tensor
    xi: Tensor
    success: Tensor
    residual: Tensor
    iterations: Tensor


def tropical_attack(
    model: nn.Sequential,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    weight_eps: float,
    penalty: Penalty | None = None,
) -> TropicalAttack:
    r"""Look for the perturbations :math:`\eta` and :math:`\xi` of a batch of inputs.

    The penalty method minimises, for a growing :math:`\mu` and within the bounds,

    .. math::

        \begin{gathered}
        \tfrac12 \|\eta\|^2 + \tfrac12 \|\xi\|_F^2 + \tfrac\mu2 \|A \eta - \xi x\|^2 \\
        + \tfrac\mu2 \big( h(A(x + \eta) + c)^2 + h((A + \xi) x + c)^2 \big), \\
        h(z) = \max(g_y(z) - \max_{k \ne y} g_k(z) + \kappa, 0),
        \end{gathered}

    by projected steps in :math:`\eta` and in :math:`\xi` in turn. An input leaves the batch
    when a round ends with all its conditions met: with :math:`\mu` growing from below, the first
    such pair is close to a smallest one.

    Parameters
    ----------
    model : nn.Sequential
        Its first layer must be an nn.Linear with n inputs and p outputs; the rest is g.
    x : Tensor
        Inputs (N, n) in [0, 1].
    y : Tensor
        Right classes (N,), int64.
    eps, weight_eps : float
        Bounds of :math:`|\eta_i|` and :math:`|\xi_{ji}|`.
    penalty : Penalty, optional

    Returns
    -------
    TropicalAttack
        :math:`\xi` takes N p n numbers: attack large sets in several batches.

    Raises
    ------
    ConfigError
        If the model does not begin with an nn.Linear that takes such inputs, or as for
        :func:`localbook.tropical.attacks.gradient.fgsm`.

    Examples
    --------
    >>> import torch
    >>> from localbook import tropical
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> x, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    >>> found = tropical.tropical_attack(model, x, y, eps=0.1, weight_eps=0.1)
    >>> bool(found.eta.abs().max() <= 0.1)
    True
    """
    first, rest = split_first(model, x)
    check_batch(model, x, y)
    low, high = feasible_box(x, eps)
    bound = check_bound("weight_eps", weight_eps)
    with torch.no_grad(), evaluating(model):
        stiffness = float(torch.linalg.matrix_norm(first.weight, 2)) ** 2
        parts = Parts(first, rest, stiffness)
        reach = bound * x.sum(dim=1, keepdim=True)
        u = x.new_zeros(len(x), first.out_features)
        start = State(x, y, low, high, reach, torch.zeros_like(x), u)
        schedule = penalty or Penalty()
        found, iterations = solve(parts, start, schedule)
        xi = least_weights(x, found.u, bound)
        found = replace(found, u=torch.einsum("npk,nk->np", xi, x))
        success = met(parts, found, schedule.tolerance)
        error = residual(found.eta @ first.weight.T, found.u)
    return TropicalAttack(found.eta, xi, success, error, iterations)


def weight_change_needed(model: nn.Sequential, x: Tensor, eta: Tensor) -> Tensor:
    r"""Return the norm :math:`\|\xi\|_{\infty,\infty}` of the least change that does what eta does.

    By Hölder's inequality :math:`|a_j \eta| = |\xi_j x| \le \|\xi_j\|_\infty \|x\|_1`, and
    :math:`\xi_j = (a_j \eta / \|x\|_1) \, \mathrm{sign}(x)` attains it. So an attack on the input
    keeps the bound of the weights exactly if this is at most :math:`\epsilon_2`.

    Parameters
    ----------
    model : nn.Sequential
        Its first layer is an nn.Linear.
    x, eta : Tensor
        Inputs (N, n), not negative, and their perturbations (N, n).

    Returns
    -------
    Tensor (N,)
        :math:`\|A\eta\|_\infty / \|x\|_1`.

    Raises
    ------
    ConfigError
        If an input is zero, so that no change of the weights moves it.
    """
    first, _ = split_first(model, x)
    if not x.any(dim=1).all():
        raise ConfigError("an input is zero: no change of the first layer's weights moves it.")
    return (eta @ first.weight.detach().T).abs().amax(dim=1) / x.sum(dim=1)


def split_first(model: nn.Sequential, x: Tensor) -> tuple[nn.Linear, nn.Sequential]:
    """Return the first layer and the rest of a model that takes the inputs ``x``."""
    if not (isinstance(model, nn.Sequential) and len(model) and isinstance(model[0], nn.Linear)):
        kind = type(model[0] if isinstance(model, nn.Sequential) and len(model) else model).__name__
        raise ConfigError(
            f"the model begins with {kind}: the first layer to be perturbed must be an nn.Linear, "
            "so give an nn.Sequential that begins with one and flatten the images before."
        )
    if x.ndim != 2 or x.shape[1] != model[0].in_features:
        raise ConfigError(
            f"inputs of shape {tuple(x.shape)} for a first layer of {model[0].in_features} inputs: "
            f"give x of shape (N, {model[0].in_features})."
        )
    return model[0], model[1:]
