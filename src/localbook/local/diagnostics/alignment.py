"""How far a module's own update is from back-propagation's, and the identity that explains it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import grad

from localbook.local.networks import (
    IsolatedNetwork,
    check_labels,
    explained,
    unchanged,
)
from localbook.local.rules import PlainLocal, Rule


@dataclass(frozen=True)
class Alignment:
    """How each module's update compares with the gradient of the last loss.

    NaN where there is nothing to compare: the cosine of a module that the rule gives no gradient.

    Attributes
    ----------
    cosine : float tensor, shape (L,)
        1 when a small step of this module alone lowers the last loss as fast as a step of its
        length can, and negative when it raises it.
    ratio : float tensor, shape (L,)
        The length of the rule's update over that of back-propagation's.
    """

    cosine: Tensor
    ratio: Tensor


def alignment(net: IsolatedNetwork, rule: Rule, x: Tensor, y: Tensor) -> Alignment:
    """Compare a rule's updates with back-propagation of the last loss, on one batch.

    Both are taken in eval mode, over a module's own parameters without its head's. Gradients,
    buffers, mode and random state are left as they were. It costs one step of the rule and one of
    back-propagation.

    Parameters
    ----------
    net : IsolatedNetwork
    rule : Rule
        What it gives is compared as it is: SGR's penalty counts as part of the update.
    x : float tensor, shape (N, ...)
    y : int64 tensor, shape (N,)

    Raises
    ------
    ConfigError
        If a head has too few classes for the labels.
    """
    parameters = [_trained(module) for module in net.local_modules]
    with unchanged(net, x.device), torch.enable_grad(), explained(net, x, y):
        truth = _last_loss_gradients(net, parameters, x, y)
        found = _gradients(net, rule, parameters, x, y)
    cosine, ratio = [], []
    for ours, theirs in zip(found, truth, strict=True):
        a, b = _flat(ours), _flat(theirs)
        cosine.append(_cosine(a, b))
        ratio.append(a.norm() / b.norm())
    return Alignment(torch.stack(cosine), torch.stack(ratio))


@dataclass(frozen=True)
class ErrorBudget:
    r"""What separates a rule's step from back-propagation's, as shares of |∇F|².

    With F the last loss, d_k module k's local direction and d_k + p_k the rule's step, the error is
    E_k = ∂F/∂w_k - (d_k + p_k) = e_k - p_k. A step of gradient descent lowers F for certain where
    ``total`` is below 1.

    Attributes
    ----------
    discord : float
        \|e\|² / \|∇F\|²: what local learning lacks, the discord of later modules pulled back.
    penalty : float
        \|p\|² / \|∇F\|²: what the rule adds to the local direction.
    total : float
        \|E\|² / \|∇F\|².
    cosine : float
        Of the rule's step and ∇F.
    """

    discord: float
    penalty: float
    total: float
    cosine: float


def error_budget(
    net: IsolatedNetwork, rule: Rule, x: Tensor, y: Tensor, *, training: bool = False
) -> ErrorBudget:
    """Measure the error of a rule's step against back-propagation of the last loss, on one batch.

    Over all modules' weights and the last head's; the book's chapter on convergence has the
    theorem. Gradients, buffers, mode and random state are left as they were.

    Parameters
    ----------
    net : IsolatedNetwork
    rule : Rule
        Its local losses make the local direction: cross-entropy where it has no ``loss``.
    x : float tensor, shape (N, ...)
    y : int64 tensor, shape (N,)
    training : bool
        In train mode, in which BatchNorm ties samples together; else in eval mode.

    Raises
    ------
    ConfigError
        If a head has too few classes for the labels.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> net = local.ConvNet((4, 4, 4), (1, 1, 1), norm="none").build(1, classes=10, seed=0)
    >>> x, y = torch.randn(8, 1, 8, 8), torch.arange(8)
    >>> local.error_budget(net, local.BP(), x, y).total
    0.0
    >>> plain = local.error_budget(net, local.PlainLocal(), x, y)
    >>> plain.penalty, plain.total == plain.discord
    (0.0, True)
    """
    parameters = [_trained(module) for module in net.local_modules]
    parameters[-1] = parameters[-1] + _trained(net.heads[-1])
    plain = PlainLocal(rule.loss)
    with unchanged(net, x.device, training=training), torch.enable_grad(), explained(net, x, y):
        truth = _whole(_last_loss_gradients(net, parameters, x, y))
        local = _whole(_gradients(net, plain, parameters, x, y))
        step = local if rule == plain else _whole(_gradients(net, rule, parameters, x, y))
    e, p, both = (v.norm().item() ** 2 / truth.norm().item() ** 2
                  for v in (truth - local, step - local, truth - step))  # fmt: skip
    return ErrorBudget(e, p, both, _cosine(step, truth).item())


@dataclass(frozen=True)
class Telescope:
    r"""Both sides of the telescoping identity, and what they are made of, for each module.

    With δ_l the gradient of module l's mean loss at its output, γ_l at its input, r_l = γ_l -
    δ_{l-1} the discord, J_l and A_l the derivatives of x_l by the module's weights and input, and F
    the last loss,

    .. math::

        \frac{\partial F}{\partial w_k} - J_k^\top \delta_k = e_k, \qquad
        e_k = J_k^\top \sum_{j=k+1}^{L} A_{k+1}^\top \cdots A_{j-1}^\top r_j .

    Attributes
    ----------
    bp, local : tuple of L float tensors, each of as many numbers as its module has parameters
        ∂F/∂w_k, and the local direction J_kᵀδ_k, flattened.
    error : tuple of L float tensors
        e_k, from the discord alone: no loss but the module's own was differentiated for it.
    """

    bp: tuple[Tensor, ...]
    local: tuple[Tensor, ...]
    error: tuple[Tensor, ...]

    def cosine(self) -> Tensor:
        """Return the cosine of each local direction and ∂F/∂w_k, shape (L,); NaN if one is zero."""
        return torch.stack([_cosine(a, b) for a, b in zip(self.local, self.bp, strict=True)])


def telescope(net: IsolatedNetwork, x: Tensor, y: Tensor) -> Telescope:
    """Compute both sides of the telescoping identity on one batch, in eval mode.

    The identity is derived in the book's chapter on convergence. Gradients, buffers, mode and
    random state are left as they were.

    Parameters
    ----------
    net : IsolatedNetwork
        All of its modules' parameters that require grad take part; heads do not.
    x : float tensor, shape (N, ...)
        The network's precision decides how closely the two sides agree.
    y : int64 tensor, shape (N,)

    Raises
    ------
    ConfigError
        If a head has too few classes for the labels.
    """
    parameters = [_trained(module) for module in net.local_modules]
    with unchanged(net, x.device), torch.enable_grad(), explained(net, x, y):
        bp = tuple(map(_flat, _last_loss_gradients(net, parameters, x, y)))
        inputs, outs, discords, local = [], [], [], []
        before: Tensor | None = None  # δ of the module before
        for (module, head), own in zip(net.pairs(), parameters, strict=True):
            x = x.detach().requires_grad_()
            out = module(x)
            scores = head(out)
            check_labels(y, scores.shape[1])
            (delta,) = grad(F.cross_entropy(scores, y), out)
            gamma, *direction = _pull(out, delta, (x, *own))
            discords.append(None if before is None else gamma - before)
            inputs.append(x)
            outs.append(out)
            local.append(_flat(direction))
            before, x = delta, out
        error = _pulled_back(inputs, outs, discords, parameters)
    return Telescope(bp, tuple(local), error)


def _pulled_back(
    inputs: Sequence[Tensor],
    outs: Sequence[Tensor],
    discords: Sequence[Tensor | None],
    parameters: Sequence[Sequence[Tensor]],
) -> tuple[Tensor, ...]:
    """Return e_k by s_{k-1} = r_k + A_kᵀ s_k, s_L = 0 and e_k = J_kᵀ s_k."""
    error = []
    s = torch.zeros_like(outs[-1])
    for x, out, r, own in reversed(list(zip(inputs, outs, discords, parameters, strict=True))):
        through, *mine = _pull(out, s, (x, *own))
        error.append(_flat(mine))
        if r is not None:
            s = r + through
    return tuple(reversed(error))


def _pull(out: Tensor, v: Tensor, sources: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the product of v and the derivative of an output by each source."""
    return grad(out, tuple(sources), v, retain_graph=True, materialize_grads=True)


def _last_loss_gradients(
    net: IsolatedNetwork, parameters: Sequence[Sequence[Tensor]], x: Tensor, y: Tensor
) -> list[list[Tensor]]:
    flat = [p for own in parameters for p in own]
    if not flat:  # only heads are trained
        return [[] for _ in parameters]
    scores = net(x)
    check_labels(y, scores.shape[1])
    found = iter(grad(F.cross_entropy(scores, y), flat, materialize_grads=True))
    return [[next(found) for _ in own] for own in parameters]


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    # 0 / 0 is NaN, which is what is meant: there is no direction to speak of.
    cosine: Tensor = (a @ b) / a.norm() / b.norm()
    return cosine


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors]) if tensors else torch.zeros(0)


def _gradients(
    net: IsolatedNetwork, rule: Rule, parameters: Sequence[Sequence[Tensor]], x: Tensor, y: Tensor
) -> list[list[Tensor]]:
    """Return what a rule gives parameters, zero for those that it gives none."""
    with _gradients_put_aside(net):
        rule.gradients(net, x, y)
        return [
            [torch.zeros_like(p) if p.grad is None else p.grad for p in own] for own in parameters
        ]


def _whole(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.cat([_flat(own) for own in gradients]).double()


@contextmanager
def _gradients_put_aside(net: nn.Module) -> Iterator[None]:
    kept = [(p, p.grad) for p in net.parameters()]
    for p, _ in kept:
        p.grad = None
    try:
        yield
    finally:
        for p, gradient in kept:
            p.grad = gradient
