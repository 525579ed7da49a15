"""One module's step under SGR that keeps no activations but those at the borders of its blocks.

Let a module be blocks f_1, ..., f_m with x_i = f_i(x_{i-1}), δ_i the gradient of the local loss at
x_i, γ = δ_0, and v = ∂R/∂γ the slope of the penalty. Its gradient in the weights is that of
⟨δ_m, t_m⟩, where t_i = J_i t_{i-1} are the tangents of t_0 = v: the derivative of the loss in the
direction v. Three passes forward and two back find it, of which each looks at one block at a time,
computed anew: values; gradients δ_i backward; tangents t_i forward; and one last sweep backward, in
which block i adds the gradient of

    ⟨a_i, f_i(x_{i-1})⟩ + ⟨J_iᵀ δ_i, t_{i-1}⟩

to its weights' and hands its gradient by x_{i-1} on as a_{i-1}. So three tensors a border are
alive, and the second derivative of one block. That is exact: no term of double backward is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import backward, grad

from localbook.local.networks import RandomState, blocks, buffers_of, call_again
from localbook.local.rules.sgr.step import (
    Penalty,
    Step,
    Task,
    no_autocast,
    precise,
)
from localbook.local.second_derivatives import DifferentiableTwice

_KNOWN: WeakKeyDictionary[nn.Module, tuple[nn.Module, ...]] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Block:
    """A block that can be run again: the same random numbers, the same state, nothing counted."""

    part: nn.Module
    state: RandomState
    buffers: dict[str, Tensor]
    mixed: Callable[[], torch.autocast]

    def again(self, x: Tensor, *, trained: bool = True) -> Tensor:
        fixed = {} if trained else {name: p.detach() for name, p in self.part.named_parameters()}
        with self.state.again(), self.mixed():
            return call_again(self.part, fixed, x, self.buffers)


def plain(task: Task, x: Tensor) -> Step:
    """Add the gradients of the local loss alone; see :func:`localbook.local.rules.sgr.step.plain`.

    What is kept are the blocks' inputs, the last block's activations excepted.
    """
    chain, inputs, out = _run(task.module, x)
    seen = out.detach().requires_grad_()
    loss = task.loss(seen)
    with no_autocast(x):
        backward(loss / len(x))
    assert seen.grad is not None
    slope = seen.grad
    delta = slope * len(x)
    while chain:
        block, start = chain.pop(), inputs.pop().requires_grad_(bool(chain))
        again = block.again(start)
        with no_autocast(x):
            backward(again, slope)
        if chain:
            assert start.grad is not None
            slope = start.grad
        del again, start
    return Step(loss.detach(), out.detach(), delta)


def penalised(task: Task, x: Tensor, target: Tensor, penalty: Penalty) -> Step:
    """Add the gradients of local loss and penalty, block by block."""
    chain, inputs, out = _run(task.module, x)
    seen = out.detach().requires_grad_()
    with DifferentiableTwice():
        loss = task.loss(seen)
    with no_autocast(x):
        (slope,) = grad(loss, seen, create_graph=True)
    delta = slope.detach()
    deltas = _gradients(chain, inputs, delta)
    gamma = deltas[0].requires_grad_()
    (direction,) = grad(penalty(precise(gamma), precise(target)), gamma)
    deltas[0] = gamma = x.new_empty(0)  # as large as the input, and nothing looks at it again
    tangents = _tangents(chain, inputs, direction)
    with no_autocast(x):
        share = torch.full_like(loss, 1 / len(x))
        _add((loss, share), (slope, tangents.pop()))
    total = seen.grad
    del seen, slope, direction
    while chain:
        block, start = chain.pop(), inputs.pop().requires_grad_()
        twice = DifferentiableTwice()
        with twice:
            again = block.again(start)
        with no_autocast(x):
            with twice.by_inputs_alone():
                (back,) = grad(again, start, deltas.pop(), create_graph=True)
            assert total is not None
            _add((again, total), (back, tangents.pop()))
        total = start.grad
        del again, back, start
    return Step(loss.detach(), out.detach(), delta)


def _add(*products: tuple[Tensor, Tensor]) -> None:
    """Add the gradients of the sum of ⟨value, factor⟩; a value without a graph has none."""
    live = [(value, factor.to(value.dtype)) for value, factor in products if value.requires_grad]
    backward([value for value, _ in live], [factor for _, factor in live])


def _run(module: nn.Module, x: Tensor) -> tuple[list[_Block], list[Tensor], Tensor]:
    """Run a module's blocks without a graph; return them, their inputs and the output."""
    device = x.device.type
    enabled = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device)
    chain, inputs, out = [], [], x.detach()
    with torch.no_grad():
        for part in _parts(module, x):
            before = _Block(
                part,
                RandomState.now(x.device),
                buffers_of(part),
                lambda: torch.autocast(device, dtype, enabled=enabled),
            )
            chain.append(before)
            inputs.append(out)
            out = part(out)
    return chain, inputs, out


def _parts(module: nn.Module, x: Tensor) -> tuple[nn.Module, ...]:
    if module not in _KNOWN:
        _KNOWN[module] = blocks(module, x[:2])
    return _KNOWN[module]


def _gradients(chain: list[_Block], inputs: list[Tensor], delta: Tensor) -> list[Tensor]:
    """Return the gradient of the local loss at each border, the module's input first."""
    found = [delta]
    for block, value in zip(reversed(chain), reversed(inputs), strict=True):
        start = value.detach().requires_grad_()
        again = block.again(start, trained=False)
        with no_autocast(start):
            found += grad(again, start, found[-1])
        del again, start
    return found[::-1]


def _tangents(chain: list[_Block], inputs: list[Tensor], direction: Tensor) -> list[Tensor]:
    """Return the tangent at each border of a direction at the module's input.

    J u is the gradient of ⟨Jᵀ s, u⟩ by s: two backward passes are exact where forward mode has no
    formula, or one that cannot be run on symbolic tensors.
    """
    found = [direction]
    for block, value in zip(chain, inputs, strict=True):
        start = value.detach().requires_grad_()
        with DifferentiableTwice():
            again = block.again(start, trained=False)
        slope = torch.zeros_like(again, requires_grad=True)
        with no_autocast(start):
            (back,) = grad(again, start, slope, create_graph=True)
            found += grad(back, slope, found[-1].to(back.dtype))
        del again, back, start, slope
    return found
