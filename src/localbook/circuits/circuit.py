"""A term on wires of known lengths: the function, its gradient, and what both take."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from localbook.circuits.boxes import BOXES, Letters
from localbook.circuits.terms import Term
from localbook.circuits.wiring import Builder, Step, Wire, ends
from localbook.errors import ConfigError

Arrays = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Circuit:
    """A term on wires of known lengths.

    Attributes
    ----------
    sizes : mapping of str to int
        How long axes are, by their labels.
    rows : tuple of tuples of Step
        What stands side by side in a row.
    levels : tuple of tuples of Wire
        The wires before each row, and those at the end.
    weights : mapping of str to Wire
        The learned arrays.
    """

    sizes: Mapping[str, int]
    rows: tuple[tuple[Step, ...], ...]
    levels: tuple[tuple[Wire, ...], ...]
    weights: Mapping[str, Wire]

    @classmethod
    def of(cls, term: Term, inputs: str, sizes: Mapping[str, int]) -> "Circuit":
        """Connect a term to inputs such as "n y m, n x m"; refuse what does not fit."""
        build = Builder(dict(sizes), {})
        level = tuple(Wire(tuple(part.split())) for part in inputs.split(","))
        for axis in [axis for wire in level for axis in wire.axes]:
            build.length(axis)
        rows = build.rows(term, level)
        return cls(build.sizes, tuple(rows), (level, *map(ends, rows)), build.weights)

    @cached_property
    def steps(self) -> list[Step]:
        """Its boxes, in order."""
        return [step for row in self.rows for step in row if step.kind]

    def __call__(self, weights: Arrays, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs; ``weights`` may be a module's ``state_dict``."""
        values, _ = self._run(weights, inputs)
        return tuple(values[wire] for wire in self.levels[-1])

    def gradient(
        self, weights: Arrays, inputs: Sequence[Tensor], deltas: Sequence[Tensor]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return the gradients by weights and by inputs, from those by the outputs.

        Boxes are replaced by their mirror images, from the last to the first, and where a wire was
        copied, gradients are added. Only weights and what is :meth:`kept` stay between both passes.
        """
        values, extra = self._run(weights, inputs)
        stay = {*self.kept(inputs=True), *self.weights.values()}
        kept = {wire: value for wire, value in values.items() if wire in stay}
        del values
        sums: dict[Wire, Tensor] = {}

        def add(wires: Sequence[Wire], found: Sequence[Tensor]) -> None:
            for wire, delta in zip(wires, found, strict=True):
                sums[wire] = sums[wire] + delta if wire in sums else delta

        add(self.levels[-1], deltas)
        for step in reversed(self.steps):
            (out,), x = step.outs, [kept.get(wire) for wire in step.ins]
            back = BOXES[step.kind].back
            add(step.ins, back(step.call, sums.pop(out), x, kept.get(out), *extra[step]))
        learned = {name: sums[wire] for name, wire in self.weights.items()}
        return learned, [sums[wire] for wire in self.levels[0]]

    def kept(self, *, inputs: bool = False) -> dict[Wire, Step]:
        """Return the wires kept for the gradients by weights, and by the inputs too if asked.

        A wire is kept once, however many boxes need it: it comes with the first of them. Weights
        are there anyway.
        """
        need, found = self._need(inputs), dict[Wire, Step]()
        for step in self.steps:
            for wire in _keeps(step, need):
                found.setdefault(wire, step)
        return {wire: step for wire, step in found.items() if not wire.name}

    def kept_bytes(self, itemsize: int = 4, *, inputs: bool = False) -> int:
        """Return the bytes of these wires, and of what norms and maxima keep besides."""
        need = self._need(inputs)
        extra = sum(_besides(step, itemsize) for step in self.steps if need & {*step.ins})
        return extra + itemsize * sum(self.size(wire.axes) for wire in self.kept(inputs=inputs))

    def products(self, *, backward: bool = False, inputs: bool = False) -> Counter[Letters]:
        """Return the products, by their axes; backward one for each gradient that is needed."""
        need, found = self._need(inputs), Counter[Letters]()
        for step in (step for step in self.steps if step.factors):
            found[step.factors] += sum(w in need for w in step.ins) if backward else 1
        return +found

    def multiply_adds(self, *, backward: bool = False, inputs: bool = False) -> int:
        """Return how many multiply-adds all products take."""
        counted = self.products(backward=backward, inputs=inputs)
        return sum(times * self.size(axes) for axes, times in counted.items())

    def size(self, axes: Letters) -> int:
        """Return how many numbers an array of these axes has."""
        return math.prod(self.sizes[axis] for axis in axes)

    def places(self) -> list[int]:
        """Return the levels that one wire alone crosses, and no array learned on both sides."""
        tied: set[int] = set()
        for wire in self.weights.values():
            used = [k for k, row in enumerate(self.rows) if any(wire in step.ins for step in row)]
            tied |= {*range(used[0] + 1, used[-1] + 1)}
        inner = range(1, len(self.rows))
        return [k for k in inner if len(self.levels[k]) == 1 and k not in tied]

    def _need(self, inputs: bool) -> set[Wire]:
        need = {*self.weights.values(), *(self.levels[0] if inputs else ())}
        for step in self.steps:
            need |= {*step.outs} if need & {*step.ins} else set()
        return need

    def _run(
        self, weights: Arrays, inputs: Sequence[Tensor]
    ) -> tuple[dict[Wire, Tensor], dict[Step, Sequence[Tensor]]]:
        """Return the arrays on all wires, and what boxes keep besides."""
        values = dict(zip(self.levels[0], inputs, strict=True))
        extra: dict[Step, Sequence[Tensor]] = {}
        for wire, array in values.items():
            if array.shape != (shape := tuple(self.sizes[axis] for axis in wire.axes)):
                raise ConfigError(f"an input is {tuple(array.shape)}; give it the shape {shape}.")
        for name, wire in self.weights.items():
            if name not in weights or weights[name].numel() != self.size(wire.axes):
                raise ConfigError(f"give {name!r}, an array of {self.size(wire.axes)} numbers.")
            values[wire] = weights[name].reshape([self.sizes[axis] for axis in wire.axes])
        for step in self.steps:
            x = [values[wire] for wire in step.ins]
            values[step.outs[0]], *extra[step] = BOXES[step.kind].run(step.call, *x)
        return values, extra


def _keeps(step: Step, need: set[Wire]) -> list[Wire]:
    """Return the wires that the gradients by some wires need again."""
    wanted = {k for k, wire in enumerate(step.ins) if wire in need}
    if step.kind == "linear":  # each gradient needs all other arguments
        return [wire for k, wire in enumerate(step.ins) if wanted - {k}]
    box = BOXES[step.kind]
    again = [*(step.ins[k] for k in box.args), *(step.outs if box.result else ())]
    return again if wanted else []


def _besides(step: Step, itemsize: int) -> int:
    """Return the bytes of what is kept besides: a norm's two statistics, a maximum's places."""
    letters = step.call.args[0] if step.kind == "norm" else step.call.result
    rest = math.prod(step.call.shape(tuple(x for x in letters if x not in step.call.over)))
    return {"norm": 2 * itemsize, "max": 8}.get(step.kind, 0) * rest
