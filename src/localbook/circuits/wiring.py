"""How a term is connected: which axes its letters stand for, and how long these are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from localbook.circuits.boxes import Call
from localbook.circuits.terms import Box, Letters, Pair, Term, Wires, arity
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
            return first + self.rows(term.second, _ends(first))
        cut = arity(term.first)
        left, right = self.rows(term.first, wires[:cut]), self.rows(term.second, wires[cut:])
        for rows, other in ((left, right), (right, left)):
            out = _ends(rows)
            straight = Step(Wires(tuple(range(len(out)))), out, out)
            rows += [(straight,)] * (len(other) - len(rows))
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
        learned = [
            self.learned(name, tuple(self.bound(label, letter) for letter in letters))
            for letters, name in zip(args[len(wires) :], box.names.split(), strict=True)
        ]
        for token in [letter for letters in args for letter in letters if "+" in letter]:
            place, span = self.window(box, label, token)
            last = (self.sizes[label[token]] + 2 * box.padding - span) // box.stride
            label[place] = self.resized(label[token], last + 1)
        for k, token in enumerate(result):
            if "+" in token:
                place, span = self.window(box, label, token)
                last = box.stride * (self.sizes[label[place]] - 1)
                label[token] = self.resized(label[place], last + span - 2 * box.padding)
            elif token not in label and box.kind == "concat":
                parts = [label[letters[k]] for letters in args]
                label[token] = "+".join(parts)
                self.sizes[label[token]] = sum(self.sizes[part] for part in parts)
        out = Wire(tuple(self.bound(label, letter) for letter in result))
        size = self.sizes | {letter: self.sizes[axis] for letter, axis in label.items()}
        window = (box.stride, box.padding, box.dilation)
        call = Call(args, result, size, tuple(box.over.split()), *window)
        plain = dict.fromkeys(x for a in args for letter in a for x in letter.split("+"))
        factors = tuple(label[x] for x in plain) if box.kind == "linear" and len(args) > 1 else ()
        return Step(box, (*wires, *learned), (out,), call, factors)

    def learned(self, name: str, axes: Letters) -> Wire:
        """Return the wire of a learned array, the same wherever it is used."""
        wire = self.weights.setdefault(name, Wire(axes, name))
        if wire.axes != axes:
            raise ConfigError(f"{name!r} has the axes {wire.axes} in one place, {axes} in another.")
        return wire

    def bound(self, label: dict[str, str], letter: str) -> str:
        """Return the axis of a letter, which is new if the letter is."""
        if letter not in label:
            (label[letter],) = self.known([letter.strip("'")])
        return label[letter]

    def known(self, axes: Sequence[str]) -> Letters:
        """Return axes of which the length is known, or say of which it is not."""
        for axis in axes:
            if self.sizes.get(axis, 0) < 1:
                raise ConfigError(f"how long is the axis {axis!r}? Give it in sizes, at least 1.")
        return tuple(axes)

    def window(self, box: Box, label: dict[str, str], token: str) -> tuple[str, int]:
        """Return the letter of a window's place, and over how much of the axis it reaches."""
        place, inner = token.split("+")
        length = self.sizes[self.bound(label, inner)] if inner else 1
        return place, box.dilation * (length - 1) + 1

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


def _ends(rows: Sequence[tuple[Step, ...]]) -> tuple[Wire, ...]:
    return tuple(wire for step in rows[-1] for wire in step.outs)
