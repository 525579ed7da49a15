"""One module's step under SGR: distances, and two exact ways to differentiate the penalty.

With γ = ∂ℓ/∂x the gradient at the module's input, the penalty R(γ) has the gradient
∂R/∂w = (∂γ/∂w)ᵀ v with v = ∂R/∂γ: a mixed second derivative of ℓ. Double backward goes back through
the graph that made γ. Forward-over-reverse uses (∂γ/∂w)ᵀ v = ∂/∂w ⟨∂ℓ/∂x, v⟩, the derivative of
x ↦ ∂ℓ/∂w in the direction v.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd import backward, grad
from torch.func import grad as gradient_of
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from localbook.errors import ConfigError
from localbook.local.networks import RandomState, buffers_of, call_again
from localbook.local.rules.losses import LocalLoss
from localbook.local.second_derivatives import DifferentiableTwice, ForwardOverReverse, cosines

Penalty = Callable[[Tensor, Tensor], Tensor]


def squared_distance(gamma: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of two per-sample gradients (N, ...), averaged over samples."""
    return (gamma - target).square().flatten(1).sum(1).mean()


def positions(x: Tensor) -> int:
    """Return at how many positions there are channels: of (N, C, H, W), (N, T, C) or (N, C)."""
    return math.prod(x.shape[2:] if x.ndim > 3 else x.shape[1:-1])


def per_position_distance(gamma: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance times the number of positions, over which heads average."""
    return positions(gamma) * squared_distance(gamma, target)


def relative_distance(gamma: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of two gradients (N, ...) over the square of the second."""
    gap, length = ((v / _largest(target)).square().sum() for v in (gamma - target, target))
    return gap / length  # squares of short gradients would underflow


def cosine_distance(gamma: Tensor, target: Tensor) -> Tensor:
    """Return one minus the cosine of two per-sample gradients (N, ...), averaged over samples."""
    return 1 - cosines(gamma, target).mean()


def _largest(x: Tensor) -> Tensor:
    """Return the largest absolute value, or 1 if all are zero."""
    largest = x.detach().abs().amax()
    return torch.where(largest > 0, largest, 1.0)


@dataclass(frozen=True)
class Step:
    """What a module's step leaves for the next module; its gradients are in ``.grad``.

    Attributes
    ----------
    loss : float tensor, shape ()
        The local loss, N times its mean over the samples, without the penalty.
    out : float tensor, shape (N, ...)
        The module's output x_l.
    delta : float tensor, shape (N, ...)
        The per-sample gradient δ_l of the loss at the output.
    """

    loss: Tensor
    out: Tensor
    delta: Tensor


@dataclass(frozen=True)
class Task:
    """A module, its head and local loss on one batch, and the image that the network was given."""

    module: nn.Module
    head: nn.Module
    local: LocalLoss
    y: Tensor
    image: Tensor

    def loss(self, out: Tensor) -> Tensor:
        """Return the local loss of an output, N times its mean: so its gradients are per sample."""
        return self.local(self.head, out, self.y, self.image)


class _LossOfInput(nn.Module):
    """A task's local loss as a function of the module's input, for torch.func to differentiate."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module, self.head = task.module, task.head
        self.task = task

    def forward(self, x: Tensor) -> Tensor:
        return self.task.loss(self.module(x))


def plain(task: Task, x: Tensor) -> Step:
    """Add the gradients of the local loss alone."""
    out = task.module(x)
    seen = out.detach().requires_grad_()  # so that one pass through the head gives δ and gradients
    loss = task.loss(seen)
    with no_autocast(x):
        backward(loss / len(x))
        scaled = seen.grad
        assert scaled is not None
        backward(out, scaled)
    return Step(loss.detach(), out.detach(), scaled * len(x))


def _back_to_input(task: Task, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return output, summed loss, and its gradients at output and input, with their graph."""
    twice = DifferentiableTwice()
    with twice:
        out = task.module(x)
        loss = task.loss(out)
    with no_autocast(x), twice.by_inputs_alone():
        (delta,) = grad(loss, out, create_graph=True)
        (gamma,) = grad(out, x, delta, create_graph=True)
    return out, loss, delta, gamma


def double_backward(task: Task, x: Tensor, target: Tensor, penalty: Penalty) -> Step:
    """Add the gradients of local loss and penalty by differentiating the backward pass."""
    out, loss, delta, gamma = _back_to_input(task, x.requires_grad_())
    with no_autocast(x):
        total = loss / len(x) + penalty(precise(gamma), precise(target))
        del gamma  # as large as the input, and nothing looks at it again
        backward(total)
    return Step(loss.detach(), out.detach(), delta.detach())


def sampled(task: Task, x: Tensor, target: Tensor, penalty: Penalty, share: float) -> Step:
    """Add the gradients of the local loss, and those of the penalty on a share of the samples.

    They are drawn from torch's global generator. For a penalty that is a mean over samples which
    do not depend on each other the expected gradient is that of all of them.
    """
    step = plain(task, x)
    rows = torch.randperm(len(x))[: max(1, round(share * len(x)))].to(x.device)
    some = Task(task.module, task.head, task.local, task.y[rows], task.image[rows])
    start = x[rows].requires_grad_()
    gamma = _back_to_input(some, start)[-1]
    with no_autocast(x):
        backward(penalty(precise(gamma), precise(target[rows])))
    return step


def forward_over_reverse(task: Task, x: Tensor, target: Tensor, penalty: Penalty) -> Step:
    """Add the gradients of local loss and penalty by a Jacobian-vector product of the gradient.

    Two passes: the first gives γ and with it the direction v, the second, with the same dropout
    masks, the gradient of the loss and its derivative in that direction.
    """
    whole, state = _LossOfInput(task), RandomState.now(x.device)
    before = buffers_of(whole)  # a module may read what its own first pass changes
    x.requires_grad_()
    out = task.module(x)
    loss = task.loss(out)
    with no_autocast(x):
        delta, gamma = grad(loss, (out, x))
        gamma.requires_grad_()
        (direction,) = grad(penalty(precise(gamma), precise(target)), gamma)

    trained = {name: p for name, p in whole.named_parameters() if p.requires_grad}

    def local_loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return call_again(whole, parameters, x, before)

    def gradient_at(x: Tensor) -> dict[str, Tensor]:
        fixed = {name: p.detach() for name, p in trained.items()}
        found: dict[str, Tensor] = gradient_of(local_loss)(fixed, x)
        return found

    with state.again(), differentiable_twice(whole, x):
        slopes, tangents = jvp(gradient_at, (x.detach(),), (direction,))[:2]
    for name, parameter in trained.items():
        total = slopes[name] / len(x) + tangents[name]
        parameter.grad = total if parameter.grad is None else parameter.grad + total
    return Step(loss.detach(), out.detach(), delta)


@dataclass(frozen=True)
class Penalised:
    """A module's step under a penalty, differentiated in one of two ways.

    The ``path`` is :func:`double_backward` or :func:`forward_over_reverse`, the ``distance`` goes
    from γ and its target to a scalar.
    """

    path: Callable[[Task, Tensor, Tensor, Penalty], Step]
    distance: Penalty

    def __call__(self, task: Task, x: Tensor, target: Tensor, weight: float | Tensor) -> Step:
        """Add the gradients of the local loss plus ``weight`` times the distance."""
        return self.path(task, x, target, lambda *pair: weight * _one_number(self.distance(*pair)))


def _one_number(distance: Tensor) -> Tensor:
    if distance.ndim:
        raise ConfigError(
            f"the distance returns shape {tuple(distance.shape)}, not one number; average it over "
            "the samples."
        )
    return distance


@cache
def load_forward_mode() -> None:
    """Make torch load its formulas for forward mode; some versions warn of themselves then."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        jvp(torch.sin, (torch.zeros(()),), (torch.zeros(()),))


def precise(gradient: Tensor) -> Tensor:
    """Return a gradient in float32 or better: squares of bfloat16 would lose their sum."""
    return gradient.to(torch.promote_types(gradient.dtype, torch.float32))


def no_autocast(x: Tensor) -> torch.autocast:
    """Return the context of a backward pass: each step in the precision of the forward pass."""
    return torch.autocast(x.device.type, enabled=False)


@contextmanager
def differentiable_twice(module: nn.Module, x: Tensor) -> Iterator[None]:
    """Make a module's forward pass one that torch.func can differentiate forward over reverse."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # no fused kernel has a tangent
        stack.enter_context(ForwardOverReverse())
        device = x.device.type
        if torch.is_autocast_enabled(device):
            # A cached cast would carry a transform's tensors out of it.
            dtype = torch.get_autocast_dtype(device)
            stack.enter_context(torch.autocast(device, dtype, cache_enabled=False))
            # BatchNorm of bfloat16 with weights of float32 has a tangent of another type than its
            # output, which the next convolution refuses.
            for part in module.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    hook = part.register_forward_pre_hook(lambda _, args: (args[0].float(),))
                    stack.callback(hook.remove)
        yield
