"""A state holds what came long ago if its gate is open; to train it is hard (lipton2015critical).

With s_t = F(s_{t-1}, x_t) and a loss ℓ at the end, back-propagation through time pulls the gradient
through one step after the other: g_{t-1} = A_tᵀ g_t with A_t = ∂s_t/∂s_{t-1}. Cut the sequence into
segments and stop the gradient at the cuts, and each segment is a module of local learning, with the
incoming state as its input. The penalty that reconciles the gradients on both sides of a cut
(successive gradient reconciliation, yang2024sgr) is taken over to time here; that is ours.

R networks of one shape are computed side by side.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.autograd import grad

from localbook.arrays import Floats
from localbook.data import SequenceTask
from localbook.errors import ConfigError

State = tuple[Tensor, ...]
"""The tensors (R, N, H) that one step hands to the next: h, and the LSTM's cell s as well."""

GATES: Mapping[str, int] = {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}
"""By cell, how many times H numbers it computes from the input and from the state."""


class Recurrent(nn.Module):
    """R recurrent networks with a linear read-out of h, side by side.

    Weights are drawn as torch draws them, with one bias for each gate in place of two.

    Parameters
    ----------
    cell : str
        Of ``GATES``.
    inputs, units, outputs : int
        d, H, and what is read out.
    seeds : sequence of R ints
    keep : float
        The bias at the start of the gate that keeps the state: the LSTM's forget gate, the GRU's
        update gate.
    frozen : bool
        A control: that gate stays at sigmoid(``keep``), whatever comes.

    Raises
    ------
    ConfigError
        If the cell is unknown or has no such gate, or a size is not positive.

    Examples
    --------
    >>> from localbook.data import Adding
    >>> x, y = Adding(20).draw(5, torch.Generator().manual_seed(0))
    >>> net = Recurrent("gru", 2, 16, 1, seeds=(0, 1))
    >>> net.read(net.end(x[None])).shape
    torch.Size([2, 5, 1])
    """

    W: Tensor
    U: Tensor
    b: Tensor
    a: Tensor  # inside the GRU's reset
    V: Tensor
    c: Tensor

    def __init__(
        self,
        cell: str,
        inputs: int,
        units: int,
        outputs: int,
        seeds: Sequence[int],
        *,
        keep: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        gated = GATES.get(cell, 0) > 1
        if cell not in GATES or ((keep or frozen) and not gated) or min(inputs, units, outputs) < 1:
            raise ConfigError(f"{cell=}, {keep=}, {frozen=}, {inputs=}, {units=}, {outputs=}: give "
                              f"one of {', '.join(GATES)}, sizes of 1 or more, and what is said of "
                              "a gate only where there is one.")  # fmt: skip
        self.cell, self.units = cell, units
        self.fixed = 1 / (1 + math.exp(-keep)) if frozen else None
        wide = GATES[cell] * units
        shapes = {"W": (inputs, wide), "U": (units, wide), "b": (1, wide), "a": (1, units),
                  "V": (units, outputs), "c": (1, outputs)}  # fmt: skip
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        for name in [n for n in shapes if n != "a" or cell == "gru"]:
            each = [torch.rand(shapes[name], generator=draw) for draw in draws]
            value = (2 * torch.stack(each) - 1) / math.sqrt(units)
            if name == "b" and gated:
                value[..., units : 2 * units] = keep
            setattr(self, name, nn.Parameter(value))

    def start(self, count: int) -> State:
        """Return the state before the first step, zeros, for so many sequences."""
        zero = self.U.new_zeros(len(self.U), count, self.units)
        return (zero, zero) if self.cell == "lstm" else (zero,)

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """Return what the inputs (R or 1, T, N, d) give to the gates: T times (R, N, gates · H)."""
        z = torch.baddbmm(self.b, x.flatten(1, 2).expand(len(self.W), -1, -1), self.W)
        return z.view(len(z), *x.shape[1:3], -1).unbind(1)

    def step(self, z: Tensor, state: State) -> State:
        """Return the next state, from what :meth:`project` gives for its time."""
        h, H = state[0], self.units
        if self.cell == "gru":
            halves = (torch.split(part, [2 * H, H], dim=-1) for part in (z, h @ self.U))
            (z_gates, z_new), (h_gates, h_new) = halves
            r, u = (z_gates + h_gates).sigmoid().chunk(2, dim=-1)
            new = (z_new + r * (h_new + self.a)).tanh()
            return (torch.lerp(new, h, u if self.fixed is None else self.fixed),)
        z = torch.baddbmm(z, h, self.U)
        if self.cell == "lstm":
            gates, new = torch.split(z, [3 * H, H], dim=-1)
            i, f, o = gates.sigmoid().chunk(3, dim=-1)
            s = (f if self.fixed is None else self.fixed) * state[1] + i * new.tanh()
            return o * s.tanh(), s
        return (z.tanh() if self.cell == "tanh" else z.relu(),)

    def advance(self, z: Sequence[Tensor], state: State) -> list[State]:
        """Return the states after each of the steps of z."""
        return list(accumulate(z, lambda state, part: self.step(part, state), initial=state))[1:]

    def end(self, x: Tensor) -> State:
        """Return the state after inputs (R or 1, T, N, d); LSTMs run in torch's kernel, in turn."""
        start = self.start(x.shape[2])
        if self.cell != "lstm" or self.fixed is not None:
            return self.advance(self.project(x), start)[-1]
        ends, one = [], tuple(part[:1] for part in start)
        for r, inputs in enumerate(x.expand(len(self.U), -1, -1, -1)):
            gates = (part[r].mT.chunk(4) for part in (self.W, self.U, self.b))
            w, u, b = (torch.cat([i, f, new, o]) for i, f, o, new in gates)  # the order of torch
            weights = [w, u, b.flatten(), torch.zeros_like(b).flatten()]
            ends.append(torch.lstm(inputs, one, weights, True, 1, 0.0, True, False, False)[1:])
        return tuple(torch.cat(part) for part in zip(*ends, strict=True))

    def read(self, state: State) -> Tensor:
        """Return the outputs (R, N, outputs)."""
        return torch.baddbmm(self.c, state[0], self.V)


def by_lag(net: Recurrent, task: SequenceTask, x: Tensor, y: Tensor) -> Floats:
    """Return the mean length of ∂ℓ/∂s_t over the samples, for t = 1, ..., T: shape (R, T).

    s_t is all that a step hands on; samples are x (R or 1, T, N, d) and y (R or 1, N, ...).
    """
    with torch.no_grad():
        z = net.project(x)
        states = net.advance(z, net.start(x.shape[2]))
    g = [_at_end(net, task, states[-1], y)]
    for part, state in zip(z[:0:-1], states[-2::-1], strict=True):
        before = _leaves(state)
        g.append(grad(net.step(part, before), before, g[-1]))
    lengths = [torch.cat(one, dim=-1).norm(dim=-1).mean(dim=1) for one in reversed(g)]
    found: Floats = torch.stack(lengths, dim=1).double().numpy()
    return found


def _leaves(state: State) -> State:
    return tuple(part.detach().requires_grad_() for part in state)


def _at_end(net: Recurrent, task: SequenceTask, state: State, y: Tensor) -> State:
    """Return δ, the gradient of each sample's loss at a segment's outgoing state."""
    end = _leaves(state)
    loss = task.losses(net.read(end), y.expand(len(net.U), *y.shape[1:]))
    return grad(loss.sum(), end, materialize_grads=True)


PENALTIES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sgr": lambda g, d: (g - d).square().sum(dim=-1),
    "zero": lambda g, d: g.square().sum(dim=-1),
    "shuffled": lambda g, d: (g - d.roll(1, dims=1)).square().sum(dim=-1),
    "length": lambda g, d: (g.square().sum(-1).add(1e-12).sqrt() - d.norm(dim=-1)).square(),
}
"""From γ and δ (R, N, S), the gradients on both sides of a cut, to (R, N). Three are controls:
nothing as the target, that of another sample, and its length alone."""

RULES = ("bptt", "all ends", "truncated", "isolated", *PENALTIES)
"""The final loss, or one at each segment's end, through all of time; both cut; and penalised."""


def objective(
    net: Recurrent,
    task: SequenceTask,
    x: Tensor,
    y: Tensor,
    *,
    length: int,
    rule: str = "bptt",
    weight: float | Tensor = 0.0,
) -> tuple[Tensor, Tensor]:
    r"""Return what a rule minimises, (R,), and the relative discord of every cut, (R, cuts).

    Segment k > 1 with the loss ℓ_k at its end pays, averaged over the samples,

    .. math::

        \ell_k + \lambda \Big\| \frac{\partial \ell_k}{\partial s_{k-1}} -
        \mathrm{sg}\,\frac{\partial \ell_{k-1}}{\partial s_{k-1}} \Big\|^2 ,

    with s_{k-1} its incoming state, through which nothing flows back. All segments share their
    weights and their read-out, so the terms are added up. The discord is that of
    :func:`localbook.local.discord`; rules without a penalty measure none.

    Parameters
    ----------
    x, y : Tensor (R or 1, T, N, d) and (R or 1, N, ...)
    length : int
        Steps of a segment; the last may be shorter.
    rule : str
        Of ``RULES``.
    weight : float or Tensor (R,)
        λ.

    Raises
    ------
    ConfigError
        If the rule is unknown, or the length or weight makes no sense.
    """
    if rule not in RULES or length < 1 or bool(torch.lt(torch.as_tensor(weight), 0).any()):
        raise ConfigError(f"{rule=}, {length=}, {weight=}: give one of {', '.join(RULES)}, "
                          "a length of 1 or more, and a weight of 0 or more.")  # fmt: skip
    y, no_cut = y.expand(len(net.U), *y.shape[1:]), net.U.new_zeros(len(net.U), 0)
    if rule == "bptt":
        return task.losses(net.read(net.end(x)), y).mean(dim=1), no_cut
    z, state, delta = net.project(x), net.start(x.shape[2]), None
    total, discords = net.U.new_zeros(len(net.U)), [no_cut]
    for first in range(0, len(z), length):
        before = state if rule == "all ends" else _leaves(state)
        state = net.advance(z[first : first + length], before)[-1]
        if rule == "truncated" and first + length < len(z):
            continue
        losses = task.losses(net.read(state), y)  # (R, N)
        total = total + losses.mean(dim=1)
        if rule in PENALTIES:
            if delta is not None:
                gamma = torch.cat(grad(losses.sum(), before, create_graph=True), dim=-1)
                total = total + weight * PENALTIES[rule](gamma, delta).mean(dim=1)
                both = (v.detach().square().sum(-1).sum(1, True) for v in (gamma - delta, delta))
                discords.append(torch.div(*both).sqrt())
            delta = torch.cat(_at_end(net, task, state, y), dim=-1)
    return total, torch.cat(discords, dim=1)
