r"""The penalty method of :func:`localbook.tropical.attacks.tropical.tropical_attack`.

The change :math:`\xi` of the weights enters the conditions only by what it adds to the hidden
layer, :math:`u = \xi x`. By Hölder's inequality exactly the u with
:math:`|u_j| \le \epsilon_2 \|x\|_1` can be had, so the solver looks for :math:`(\eta, u)`, p
numbers for each input in place of p n; :func:`least_weights` turns u into :math:`\xi` at the end.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.tropical.attacks.gradient import check_bound

_TINY = 1e-30  # keeps a quotient finite; no tolerance: what it divides counts as it is


@dataclass(frozen=True)
class Penalty:
    r"""The schedule of the penalty method.

    Attributes
    ----------
    first, growth : float
        Penalty :math:`\mu` of the first round, and the factor from one round to the next.
    rounds, steps : int
        The most rounds, and how often each round updates :math:`\eta` and :math:`\xi` in turn.
    margin : float
        By how much the score of a wrong class is asked to exceed the right one's.
    tolerance : float
        The coupling holds when
        :math:`\|A\eta - \xi x\|_\infty \le` ``tolerance`` :math:`\|A\eta\|_\infty`.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    first: float = 1.0
    growth: float = 4.0
    rounds: int = 7
    steps: int = 25
    margin: float = 0.02
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        for field in fields(self):
            check_bound(field.name, getattr(self, field.name))
        if not (self.first > 0 and self.growth > 1 and self.rounds > 0 and self.steps > 0):
            raise ConfigError(
                f"first={self.first}, rounds={self.rounds} and steps={self.steps} must be above 0, "
                f"and growth={self.growth} above 1."
            )


@dataclass(frozen=True, eq=False)
class Parts:
    """The network g(A x + c): its first layer, the rest g, and the squared spectral norm of A."""

    first: nn.Linear
    rest: nn.Sequential
    stiffness: float


@dataclass(frozen=True, eq=False)
class State:
    """A batch: inputs, labels, the bounds, and the pair (eta, u) that is looked for."""

    x: Tensor  # (N, n)
    y: Tensor  # (N,)
    low: Tensor  # (N, n), as high: what eta may be
    high: Tensor
    reach: Tensor  # (N, 1), the largest |u_j|
    eta: Tensor  # (N, n)
    u: Tensor  # (N, p)

    def rows(self, keep: Tensor) -> "State":
        """Return some of the inputs with all that belongs to them."""
        return State(*(getattr(self, field.name)[keep] for field in fields(self)))


def solve(model: Parts, start: State, penalty: Penalty) -> tuple[State, Tensor]:
    """Return the pairs found for a batch, and the updates that each took (N,).

    An input leaves the batch when a round ends with all its conditions met.
    """
    eta, u = start.eta.clone(), start.u.clone()
    iterations = torch.zeros_like(start.y)
    active = torch.nonzero(~met(model, start, penalty.tolerance))[:, 0]
    state, mu = start.rows(active), penalty.first
    for _ in range(penalty.rounds):
        if not len(active):
            break
        state = _round(model, state, mu, penalty)
        eta[active], u[active] = state.eta, state.u
        iterations[active] += penalty.steps
        left = ~met(model, state, penalty.tolerance)
        active, state, mu = active[left], state.rows(left), mu * penalty.growth
    return replace(start, eta=eta, u=u), iterations


def met(model: Parts, s: State, tolerance: float) -> Tensor:
    """Return whether each pair is misclassified on both sides and coupled (N,)."""
    beside = model.rest(model.first(s.x) + s.u)
    wrong = (lead(model.rest(model.first(s.x + s.eta)), s.y) < 0) & (lead(beside, s.y) < 0)
    return wrong & (residual(s.eta @ model.first.weight.T, s.u) <= tolerance)


def residual(change: Tensor, u: Tensor) -> Tensor:
    """Return the coupling's relative error (N,): infinite where only u is not zero."""
    off, size = ((t.abs().amax(dim=1)) for t in (change - u, change))
    return torch.where(off > 0, off / size, 0)


def lead(scores: Tensor, y: Tensor) -> Tensor:
    """Return by how much the right class leads the best wrong one (N,)."""
    right = scores.gather(1, y[:, None])[:, 0]
    return right - scores.scatter(1, y[:, None], -torch.inf).amax(dim=1)


def least_weights(x: Tensor, u: Tensor, bound: float) -> Tensor:
    r"""Return the :math:`\xi` (N, p, n) of least Frobenius norm with entries within ``bound``.

    The conditions of optimality say that each row is :math:`\mathrm{clip}(t_j x, \pm\epsilon_2)`;
    :math:`\xi_j x` then grows with :math:`t_j`, linearly from one pixel's clipping to the next, so
    sorting the pixels finds :math:`t_j`.

    Parameters
    ----------
    x : Tensor (N, n)
        Not negative.
    u : Tensor (N, p)
        At most ``bound`` times the sum of x.
    bound : float
    """
    pixels = x.double().sort(dim=1, descending=True).values  # the brightest is clipped first
    none = pixels.new_zeros(len(x), 1)
    clipped = torch.cat([none, pixels.cumsum(dim=1)], dim=1) * bound  # (N, n + 1), k of them
    free = torch.cat([pixels.square().flip(1).cumsum(dim=1).flip(1), none], dim=1)
    kinks = clipped[:, :-1] + free[:, :-1] * (bound / pixels.clamp(min=_TINY))
    wanted = u.double().abs()
    count = torch.searchsorted(kinks, wanted)  # (N, p), pixels that are clipped
    free, clipped = free.gather(1, count), clipped.gather(1, count)
    t = torch.where(free > 0, (wanted - clipped) / free.clamp(min=_TINY), 1 / _TINY) * u.sign()
    return (t.to(x.dtype)[:, :, None] * x[:, None, :]).clamp(-bound, bound)


def _round(model: Parts, state: State, mu: float, penalty: Penalty) -> State:
    """Update eta and u in turn; Nesterov's momentum in eta starts anew with each round."""
    before = state.eta
    for step in range(penalty.steps):
        ahead = state.eta + step / (step + 3) * (state.eta - before)
        before = state.eta
        state = replace(state, eta=torch.clamp(ahead, state.low, state.high))
        state = _move_input(model, state, mu, penalty.margin)
        state = _move_weights(model, state, mu, penalty.margin)
    return state


def _move_input(model: Parts, s: State, mu: float, margin: float) -> State:
    """Take a projected gradient step in eta.

    Its length is one over a bound of the curvature: 1 of the norm, of the squared hinge what its
    gradient spans (Gauss-Newton), and of the coupling the largest singular value of A, squared.
    """
    weight = model.first.weight
    change = s.eta @ weight.T
    hinge, slope = _hinge(model.rest, model.first(s.x) + change, s.y, margin)
    gradient = s.eta + mu * (hinge * slope + change - s.u) @ weight
    steep = (slope @ weight).square().sum(dim=1, keepdim=True)
    eta = s.eta - gradient / (1 + mu * (steep + model.stiffness))
    return replace(s, eta=torch.clamp(eta, s.low, s.high))


def _move_weights(model: Parts, s: State, mu: float, margin: float) -> State:
    """Take a projected Gauss-Newton step in u.

    The norm of the least xi with xi x = u is that of u over that of x, where no entry reaches its
    bound. So all curvature is a multiple of the identity, but for the hinge's direction, and
    Sherman and Morrison's formula inverts it.
    """
    hinge, slope = _hinge(model.rest, model.first(s.x) + s.u, s.y, margin)
    weight = mu * s.x.square().sum(dim=1, keepdim=True)  # all terms times the norm of x, squared
    gradient = s.u + weight * (hinge * slope + s.u - s.eta @ model.first.weight.T)
    along = (slope * gradient).sum(dim=1, keepdim=True)
    steep = slope.square().sum(dim=1, keepdim=True)
    step = gradient - slope * (weight * along / (1 + weight + weight * steep))
    u = s.u - step / (1 + weight)
    return replace(s, u=torch.maximum(torch.minimum(u, s.reach), -s.reach))


def _hinge(rest: nn.Sequential, z: Tensor, y: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return h(z) (N, 1) and its gradient (N, p), which is zero where h is."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        hinge = (lead(rest(z), y) + margin).relu()
        (slope,) = torch.autograd.grad(hinge.sum(), z)
    return hinge.detach()[:, None], slope
