"""How a term is connected: which axes its letters stand for, and how long these are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from localbook.circuits.boxes import Call, Letters
from localbook.circuits.terms import Box, Pair, Term, Wires, arity
from localbook.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Wire:
    """An array: the labels of its axes and, if it is learned, its name."""

    axes: Letters
    name: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """A box at its place in a circuit, or mere wires: with what enters and what leaves.

    ``call`` has the letters and lengths, and ``factors`` the axes whose lengths multiplied are the
    multiply-adds; both are empty for mere wires.
    """

    term: Box | Wires
    ins: tuple[Wire, ...]
    outs: tuple[Wire, ...]
    call: Call = field(default_factory=Call)
    factors: Letters = ()

    @property
    def kind(self) -> str:
        """What it does, or nothing."""
        return self.term.kind if isinstance(self.term, Box) else ""

    @property
    def picks(self) -> tuple[int, ...]:
        """The places of wires that go on."""
        return self.term.picks if isinstance(self.term, Wires) else ()


@dataclass(frozen=True)
class Builder:
    """Connects terms to wires, and notes lengths and learned arrays."""

    sizes: dict[str, int]
    weights: dict[str, Wire]

    def rows(self, term: Term, wires: tuple[Wire, ...]) -> list[tuple[Step, ...]]:
        """Return a term's steps on some wires, row by row."""
        if arity(term) != len(wires):
            raise ConfigError(f"{len(wires)} wires enter where {arity(term)} should: {term}.")
        if isinstance(term, Box):
            return [(self.step(term, wires),)]
        if isinstance(term, Wires):
            return [(Step(term, wires, tuple(wires[k] for k in term.picks)),)]
        assert isinstance(term, Pair)
        if not term.beside:
            first = self.rows(term.first, wires)
            return first + self.rows(term.second, ends(first[-1]))
        cut = arity(term.first)
        left, right = self.rows(term.first, wires[:cut]), self.rows(term.second, wires[cut:])
        for rows, other in ((left, right), (right, left)):
            out = ends(rows[-1])
            rows += self.rows(Wires(tuple(range(len(out)))), out) * (len(other) - len(rows))
        return [one + other for one, other in zip(left, right, strict=True)]

    def step(self, box: Box, wires: tuple[Wire, ...]) -> Step:
        """Return a box's step: bind its letters to axes, and find how long new ones are."""
        args, result = box.sides
        if args == [("...",)]:
            result = tuple(str(k) for k in range(len(wires[0].axes)))
            args = [result]
        label: dict[str, str] = {}
        for letters, wire in zip(args, wires, strict=False):
            if len(letters) != len(wire.axes):
                raise ConfigError(f"'{box.spec}' meets a wire with the axes {wire.axes}.")
            for letter, axis in zip(letters, wire.axes, strict=True):
                if label.setdefault(letter, axis) != axis:
                    met = f"the axes {label[letter]} and {axis}"
                    raise ConfigError(f"in '{box.spec}' the letter {letter} meets {met}.")
        for k, letter in enumerate(result if box.kind == "concat" else ()):
            if letter not in label:
                parts = [label[letters[k]] for letters in args]
                label[letter] = "+".join(parts)
                self.sizes[label[letter]] = sum(self.sizes[part] for part in parts)
        given = sum(args, ())
        # What no argument brought is a new axis.
        for letter in [*given, *result, *"+".join([*given, *result]).split("+")]:
            label.setdefault(letter, letter.strip("'"))
        for token in [letter for letter in [*given, *result] if "+" in letter]:
            place, inner = token.split("+")
            span = box.dilation * (self.length(label[inner]) - 1 if inner else 0) + 1
            if token in given:
                last = (self.length(label[token]) + 2 * box.padding - span) // box.stride
                label[place] = self.resized(label[token], last + 1)
            else:
                last = box.stride * (self.length(label[place]) - 1)
                label[token] = self.resized(label[place], last + span - 2 * box.padding)
        size = self.sizes | {letter: self.length(axis) for letter, axis in label.items() if letter}
        *sides, out = (tuple(label[letter] for letter in side) for side in (*args, result))
        learned = map(self.learned, box.names.split(), sides[len(wires) :])
        window = (box.stride, box.padding, box.dilation)
        call = Call(args, result, size, tuple(box.over.split()), *window)
        plain = dict.fromkeys("+".join(given).split("+"))
        factors = tuple(label[x] for x in plain) if box.kind == "linear" and len(args) > 1 else ()
        return Step(box, (*wires, *learned), (Wire(out),), call, factors)

    def learned(self, name: str, axes: Letters) -> Wire:
        """Return the wire of a learned array, the same wherever it is used."""
        wire = self.weights.setdefault(name, Wire(axes, name))
        if wire.axes != axes:
            raise ConfigError(f"{name!r} has the axes {wire.axes} in one place, {axes} in another.")
        return wire

    def length(self, axis: str) -> int:
        """Return how long an axis is, or say that this is not known."""
        if self.sizes.get(axis, 0) < 1:
            raise ConfigError(f"how long is the axis {axis!r}? Give it in sizes, at least 1.")
        return self.sizes[axis]

    def resized(self, axis: str, length: int) -> str:
        """Return the label of an axis of another length: i/2 for half of i, i-2 for two less."""
        root = re.split(r"[/+-]", axis)[0]
        whole = self.sizes[root]
        if length < 1:
            raise ConfigError(f"no window fits on the axis {axis!r} of length {self.sizes[axis]}.")
        new = f"{root}/{whole // length}" if whole % length == 0 else f"{root}{length - whole:+d}"
        new = root if length == whole else new
        self.sizes[new] = length
        return new


def ends(row: Sequence[Step]) -> tuple[Wire, ...]:
    """Return the wires that leave a row."""
    return tuple(wire for step in row for wire in step.outs)
