"""What a torch model computes, read off one run of its forward.

The model is given a tensor without numbers. Every operation of torch that meets it is noted down as
an affine map or as neurons (see :mod:`.forms`); others are refused by name. So hooks, subclasses,
parametrisations and functional calls all count by what they do.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.tropical.networks.forms import Form, Graph

Rule = Callable[["Trace", Any, Any, Any], Any]
"""From a trace, an operation of torch and its arguments to what it makes of them."""


_COMPARISONS = {"gt", "ge", "lt", "le", "eq", "ne"}


class Traced(Tensor):
    """A tensor (1, ...) whose entries are a form of a network's neurons."""

    form: Form
    owner: "Trace"

    @staticmethod
    def __new__(cls, form: Form, shape: Sequence[int], trace: "Trace") -> "Traced":
        """Make the tensor; its numbers do not exist."""
        made: Traced = Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=torch.float64)
        made.form, made.owner = form, trace
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Traced(shape={tuple(self.shape)})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note down padding, which would else be made of writing into parts of tensors."""
        if func is nn.functional.pad:
            return args[0].owner.rules["pad"](args[0].owner, func, args, kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Note down one operation."""
        flat = [x for arg in (*args, *(kwargs or {}).values()) for x in _members(arg)]
        trace = next(x.owner for x in flat if isinstance(x, Traced))
        return trace.operation(func, args, kwargs or {})


def _members(arg: Any) -> Sequence[Any]:
    return arg if isinstance(arg, (list, tuple)) else [arg]


class Trace:
    """The neurons that a model's forward makes."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], rules: Mapping[str, Rule]) -> None:
        self.model, self.shape, self.rules = model, shape, rules
        self.graph = Graph(math.prod(shape))
        self.where: list[str] = []
        self.final: Callable[[Tensor], Tensor] | None = None  # a softmax after the last scores

    def run(self) -> None:
        """Run the forward."""
        with torch.no_grad(), self._following():
            out = self.model(Traced(self.graph.values(0), (1, *self.shape), self))
        if not isinstance(out, Traced):
            same = ", which its input does not change" if isinstance(out, Tensor) else ""
            raise ConfigError(
                f"the model ({type(self.model).__name__}) returns a {type(out).__name__}{same}: "
                "return one tensor of scores."
            )
        self.network = self.graph.network(out.form)

    @contextmanager
    def _following(self) -> Iterator[None]:
        """Keep the name of the module that is at work."""
        handles = []
        for name, module in self.model.named_modules():
            what = f"layer {name}" if name else "the model"
            label = f"{what} ({type(module).__name__})"
            handles.append(module.register_forward_pre_hook(self._enter(label), prepend=True))
            handles.append(module.register_forward_hook(self._leave))
        yield
        for handle in handles:
            handle.remove()

    def _enter(self, label: str) -> Callable[..., None]:
        return lambda module, inputs: self.where.append(label)

    def _leave(self, module: nn.Module, inputs: Any, out: Any) -> None:
        self.where.pop()

    def operation(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return what an operation of torch makes of tensors, some of them traced."""
        if self.final is not None:
            raise self.refusal("goes on after a softmax, which only the last layer may be")
        name = func.overloadpacket.__name__
        changed = args[0] if name.endswith("_") and isinstance(args[0], Traced) else None
        rule = self.rules.get(name if changed is None else name[:-1])
        if name in _COMPARISONS:
            raise self.refusal(f"compares values by {name}, as for an if or a where")
        if rule is None:
            out = func.decompose(*args, **kwargs)
            if out is NotImplemented:
                raise self.refusal(f"computes {name.strip('_')}, not known as piecewise linear")
            return out
        out = rule(self, func, args, kwargs)
        if changed is None:
            return out
        if out.shape != changed.shape:
            raise self.refusal(f"changes a shape in place by {name}")
        changed.form = out.form
        return changed

    def refusal(self, why: str) -> ConfigError:
        """Return the error for what cannot be read."""
        return ConfigError(
            f"{self.where[-1]} {why}: give a model of affine layers, ReLUs (bounded, leaky), "
            "maxima, max-pooling and skip connections."
        )

    def of(self, value: Any, shape: Sequence[int] | None = None) -> Traced:
        """Return a number, a constant or a traced tensor as a traced one, of this shape."""
        if not isinstance(value, Traced):
            constant = torch.as_tensor(value, dtype=torch.float64)
            form = Form({}, constant.detach().reshape(-1).numpy())
            value = Traced(form, constant.shape, self)
        if shape is not None and tuple(value.shape) != tuple(shape):
            number = torch.arange(value.numel()).reshape(value.shape)
            index = number.expand(*shape).reshape(-1).numpy()
            value = Traced(value.form.select(index), shape, self)
        traced: Traced = value
        return traced


def constant(value: Any) -> Floats:
    """Return a number or constant tensor as an array."""
    array: Floats = torch.as_tensor(value, dtype=torch.float64).detach().numpy()
    return array


def zeros(value: Any) -> Any:
    """Return arguments with zeros where tensors are traced: for shapes, and for errors in them."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(zeros, value))
    return torch.zeros(value.shape, dtype=torch.float64) if isinstance(value, Traced) else value
