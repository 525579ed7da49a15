"""A module's whole step as one graph of tensor operations, compiled.

torch.compile reads code, and gives up where a gradient is differentiated again. But such a step can
be written down by running it once and noting every operation, those of the derivatives included.
What is noted has no derivative left to take, and compiles.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from localbook.errors import ConfigError
from localbook.local.rules.sgr.step import Step, Task

State = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Compiler:
    """Compiles the steps of modules, each when it is taken first and again for other shapes.

    The ``backend`` is one of torch.compile, such as ``"inductor"``.
    """

    backend: str
    _graphs: dict[Any, Callable[..., Any]] = field(default_factory=dict, repr=False)

    def step(self, take: Callable[..., Step], task: Task, *values: Tensor | float) -> Step:
        """Take a module's step, compiled, with the values that it depends on beside the task.

        ``take`` gives the step and adds gradients to ``.grad``; two that are equal must do the
        same. A module that draws random numbers is refused: compiled they would be others than in
        training that is not, or differ between two passes that need the same.
        """
        whole = _WholeStep(task, take)
        parameters, buffers = dict(whole.named_parameters()), dict(whole.named_buffers())
        device = task.image.device
        tensors = [torch.as_tensor(value, device=device) for value in values]
        inputs = (
            {name: parameter.detach() for name, parameter in parameters.items()},
            buffers,
            *(task.y, task.image, *tensors),
        )
        compiled = self._compiled(whole, inputs)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):  # casts are in the graph
            step, gradients, changed = compiled(*inputs)
        for name, gradient in gradients.items():
            so_far = parameters[name].grad
            parameters[name].grad = gradient if so_far is None else so_far + gradient
        for name, buffer in changed.items():
            buffers[name].copy_(buffer)
        return Step(*step)

    def _compiled(self, whole: "_WholeStep", inputs: tuple[Any, ...]) -> Callable[..., Any]:
        device, task = inputs[2].device.type, whole.task
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs[2:])
        key = (whole.take, task.module, task.head, task.local, shapes, autocast)
        if key not in self._graphs:
            self._graphs[key] = torch.compile(_graph(whole, inputs), backend=self.backend)
        return self._graphs[key]


class _WholeStep(nn.Module):
    """A step as a function of the state of module and head, and of tensors."""

    def __init__(self, task: Task, take: Callable[..., Step]) -> None:
        super().__init__()
        self.module, self.head = task.module, task.head
        self.task, self.take = task, take

    def forward(self, y: Tensor, image: Tensor, *tensors: Tensor) -> tuple[Any, State]:
        step = self.take(replace(self.task, y=y, image=image), *(t.detach() for t in tensors))
        gradients = {n: p.grad for n, p in self.named_parameters() if p.grad is not None}
        return (step.loss, step.out, step.delta), gradients


def _graph(whole: _WholeStep, inputs: tuple[Any, ...]) -> GraphModule:
    """Return what computes the step's loss, output and δ, the gradients, and the new buffers."""
    trained = {name for name, parameter in whole.named_parameters() if parameter.requires_grad}

    def step(parameters: State, buffers: State, *tensors: Tensor) -> tuple[Any, ...]:
        fresh = {name: p.detach().requires_grad_(name in trained) for name, p in parameters.items()}
        changed = {name: buffer.clone() for name, buffer in buffers.items()}
        return *functional_call(whole, {**fresh, **changed}, tensors), changed

    graph = _traced(step, inputs)
    if any(map(_is_random, graph.graph.nodes)):
        raise ConfigError(
            "a module draws random numbers, as dropout and stochastic depth do, and compiled they "
            "would be others; set their probability to zero or train without compile."
        )
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _traced(step: Callable[..., Any], inputs: tuple[Any, ...]) -> GraphModule:
    try:
        graph: GraphModule = make_fx(step)(*inputs)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            "the step of a module cannot be written down as operations on tensors, perhaps because "
            f"it looks at their values as .item() does ({reason}); train without compile."
        ) from error
    return graph


def _is_random(node: torch.fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
