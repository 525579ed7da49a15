"""A model's forward pass as a list of steps, and the places where one value alone passes on."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating


@dataclass(frozen=True)
class Trace:
    """A traced forward pass.

    Attributes
    ----------
    graph : fx.Graph
        With one placeholder.
    steps : tuple of fx.Node
        The graph's nodes in order, without its output.
    value_of : dict from str to fx.Node
        The output of each submodule; of its last call, if there are several.
    opaque : dict from str to str
        Submodules that could not be looked into, and why.
    """

    graph: fx.Graph
    steps: tuple[fx.Node, ...]
    value_of: dict[str, fx.Node]
    opaque: dict[str, str]


@dataclass(frozen=True)
class Place:
    """A place between two steps that exactly one value crosses.

    It is behind step number ``after``; its name is the outermost submodule's whose output the value
    is, or else the step's own.
    """

    after: int
    value: fx.Node
    name: str


def trace(model: nn.Module) -> Trace:
    """Trace a model by torch.fx, treating submodules that cannot be traced as single steps.

    A submodule is not looked into if its forward pass branches on its input's values, or is another
    one in train mode than in eval mode: a traced graph would freeze that. If the model's own
    forward pass cannot be traced, the error says where and why.
    """
    opaque: dict[str, str] = {}
    while True:
        tracers = [_Tracer(opaque) for _ in range(2)]
        try:
            for tracer, training in zip(tracers, (True, False), strict=True):
                with evaluating(model, training=training):
                    tracer.trace(model)
        except _OpaqueError as found:
            opaque[found.path] = found.reason  # and once more from the start, around it
            continue
        except Exception as error:
            raise ConfigError(
                f"{type(model).__name__} cannot be cut: {_where_and_why(error)}; "
                "move that part into a submodule of its own."
            ) from error
        changing = _depending_on_the_mode(*tracers)
        if "" in changing:
            once_more = _Tracer(opaque)
            with evaluating(model):
                once_more.trace(model)
            if _depending_on_the_mode(tracer, once_more):
                raise ConfigError(
                    f"{type(model).__name__} cannot be cut: its forward pass must be the same at "
                    "every call in eval mode."
                )
            raise ConfigError(
                f"{type(model).__name__} cannot be cut: its own forward pass reads self.training "
                f"and does something else in train mode (at step '{changing['']}'); switch that "
                "off, as aux_logits=False does for torchvision's models, or move it into a "
                "submodule of its own, such as nn.Dropout."
            )
        opaque |= dict.fromkeys(changing, "its forward pass reads self.training")
        if not changing:
            break
    graph = tracer.graph
    for node in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        if node.users:
            raise ConfigError(
                f"{type(model).__name__} cannot be cut: its forward pass needs '{node.target}' "
                "beside its input; wrap it in a module that takes one tensor."
            )
        graph.erase_node(node)
    steps = tuple(node for node in graph.nodes if node.op != "output")
    return Trace(graph, steps, tracer.outputs, opaque)


def places(found: Trace, model: nn.Module) -> tuple[list[Place], dict[fx.Node, str]]:
    """Return where the graph can be cut by handing over one value, and why not at other values.

    A parameter that is used on both sides of a place rules it out: two losses would train it.
    """
    last_use = _last_uses(found)
    shared = _shared_parameters(found, model)
    names = {node: path for path, node in found.value_of.items()}  # the outermost comes last
    good: list[Place] = []
    refused: dict[fx.Node, str] = {}
    alive: list[fx.Node] = []
    for index, node in enumerate(found.steps[:-1]):
        if node.op != "get_attr":  # weights are fetched where they are used
            alive.append(node)
        alive = [value for value in alive if last_use[value] > index]
        tied = [name for name, first, last in shared if first <= index < last]
        if len(alive) != 1:
            listed = ", ".join(sorted(value.name for value in alive))
            refused.setdefault(node, f"several values pass it side by side ({listed})")
        elif tied:
            refused.setdefault(node, f"parameter {tied[0]} is used before and after it")
        elif alive[0].op != "placeholder" and not (good and good[-1].value is alive[0]):
            good.append(Place(index, alive[0], names.get(alive[0], alive[0].name)))
    return good, refused


def parameters_of(step: fx.Node, model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the name and value of each parameter that a step uses."""
    if step.op == "call_module":
        target = str(step.target)
        yield from model.get_submodule(target).named_parameters(prefix=target)
    for source in step.all_input_nodes:
        if source.op == "get_attr":
            path, _, name = str(source.target).rpartition(".")
            value = getattr(model.get_submodule(path), name)
            if isinstance(value, nn.Parameter):
                yield str(source.target), value


def _last_uses(found: Trace) -> dict[fx.Node, int]:
    """Return the index of the last step that uses each value; the end for the model's output."""
    position = {node: index for index, node in enumerate(found.steps)}
    end = len(found.steps)
    return {
        node: max((position.get(user, end) for user in node.users), default=index)
        for node, index in position.items()
    }


def _shared_parameters(found: Trace, model: nn.Module) -> list[tuple[str, int, int]]:
    """Return name, first and last step of each parameter that several steps use."""
    spans: dict[int, tuple[str, int, int]] = {}
    for index, step in enumerate(found.steps):
        for name, value in parameters_of(step, model):
            name, first, _ = spans.get(id(value), (name, index, index))
            spans[id(value)] = (name, first, index)
    return [span for span in spans.values() if span[1] < span[2]]


def _depending_on_the_mode(training: "_Tracer", evaluating: "_Tracer") -> dict[str, str]:
    """Return the paths of modules that took other steps in train mode, with the name of a step."""
    one, other = (tracer.said() for tracer in (training, evaluating))
    found = [
        (training.taken_in[node], node.name)
        for (node, text), (_, expected) in zip(one, other, strict=False)
        if text != expected
    ]
    if len(one) != len(other):  # all after the first is out of step
        longer = max(training, evaluating, key=lambda tracer: len(tracer.taken_in))
        rest = longer.said()[min(len(one), len(other))][0]
        found = [*found, (longer.taken_in[rest], rest.name)][:1]
    return dict(reversed(found))


class _OpaqueError(Exception):
    """A submodule that has to be a single step."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path)
        self.path = path
        self.reason = reason


class _Tracer(fx.Tracer):
    """Notes each submodule's output, and gives up on submodules that cannot be traced."""

    def __init__(self, opaque: dict[str, str]) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}
        self.taken_in: dict[fx.Node, str] = {}  # the module whose forward pass takes the step
        self._inside = [""]
        self._opaque = opaque

    def said(self) -> list[tuple[fx.Node, Any]]:
        """Return what each step does, in words that are equal if two graphs are."""
        place = {node: index for index, node in enumerate(self.taken_in)}

        def inputs(of: Any) -> Any:
            return fx.node.map_arg(of, lambda node: place[node])

        return [(n, (n.op, n.target, inputs(n.args), inputs(n.kwargs))) for n in self.taken_in]

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Note where the step is taken."""
        node = super().create_node(*args, **kwargs)
        self.taken_in[node] = self._inside[-1]
        return node

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether the submodule is a single step."""
        known = super().is_leaf_module(m, module_qualified_name)
        return known or module_qualified_name in self._opaque

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Trace the call of a submodule."""
        path = self.path_of_module(m)

        def inside(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(path)
            try:
                return forward(*args, **kwargs)
            finally:
                self._inside.pop()

        try:
            out = super().call_module(m, inside, args, kwargs)
        except _OpaqueError:
            raise
        except Exception as error:
            raise _OpaqueError(path, _where_and_why(error)) from error
        if isinstance(out, fx.Proxy):
            self.outputs.pop(path, None)
            self.outputs[path] = out.node
        return out


def _where_and_why(error: Exception) -> str:
    """Say in half a sentence which line of the model's code an error comes from."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "torch" not in Path(frame.filename).parts and Path(frame.filename) != Path(__file__)
    ]
    reason = str(error).split("\n")[0].rstrip(".")
    if not frames:
        return reason
    last = frames[-1]
    return f"{last.name}, line {last.lineno} of {Path(last.filename).name}: {reason}"
