"""Terms: operations on axes, one after the other or side by side."""

from dataclasses import dataclass, replace

from localbook.circuits.boxes import BOXES, Letters
from localbook.errors import ConfigError


class Term:
    """What turns wires into wires: ``f >> g`` is f, then g; ``f @ g`` is f beside g."""

    def __rshift__(self, then: "Term") -> "Term":
        return Pair(self, then)

    def __matmul__(self, other: "Term") -> "Term":
        return Pair(self, other, beside=True)


@dataclass(frozen=True)
class Pair(Term):
    """Two terms, one after the other or side by side."""

    first: Term
    second: Term
    beside: bool = False


@dataclass(frozen=True)
class Wires(Term):
    """No operation: the places of the wires that go on."""

    picks: tuple[int, ...]


SAME, SWAP, COPY = Wires((0,)), Wires((1, 0)), Wires((0, 0))


@dataclass(frozen=True)
class Box(Term):
    """One operation.

    Attributes
    ----------
    kind : str
        A key of ``BOXES``: what it does.
    spec : str
        The letters of its arguments and of its result. "i+r" is an axis seen through windows: one
        at each i, in which r is the place. A letter that no argument brings is a new axis, whose
        label is the letter, without a dash.
    names : str
        Those of the last arguments, which are learned.
    over : str
        The letters that a softmax or norm works over; the axis by the root of whose length a scale
        divides.
    stride, padding, dilation : int
        Of windows.
    """

    kind: str
    spec: str = "... -> ..."
    names: str = ""
    over: str = ""
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        (first, *rest), result = self.sides
        letters = [{*"+".join(a).split("+")} for a in (first, *rest)]
        over = tuple(self.over.split())
        if self.kind not in BOXES:
            raise ConfigError(f"there is no box {self.kind!r}; choose of {', '.join(BOXES)}.")
        if self.kind == "norm" and over not in (first[-len(over) :], (first[0], *first[2:])):
            says = "give the last letters, or all but the second"
            raise ConfigError(f"a norm over '{self.over}' of '{' '.join(first)}': {says}.")
        for k, own in enumerate(letters if self.kind == "linear" else ()):
            others = {*"+".join(result).split("+")}.union(*letters[:k], *letters[k + 1 :])
            if alone := own - others:
                raise ConfigError(f"in '{self.spec}' {alone} are in one argument only.")

    @property
    def sides(self) -> tuple[list[Letters], Letters]:
        """The letters of each argument, and those of the result."""
        left, _, right = self.spec.partition("->")
        return [tuple(part.split()) for part in left.split(",")], tuple(right.split())


def arity(term: Term) -> int:
    """Return how many wires enter a term."""
    if isinstance(term, Pair):
        return arity(term.first) + (arity(term.second) if term.beside else 0)
    if isinstance(term, Wires):
        return 1 + max(term.picks)
    assert isinstance(term, Box)
    return len(term.sides[0]) - len(term.names.split())


def broadcast(term: Term, letter: str) -> Term:
    """Return a term that does for each place of a new first axis what ``term`` does once.

    Learned arrays are the same for all places.
    """
    if isinstance(term, Pair):
        return Pair(broadcast(term.first, letter), broadcast(term.second, letter), term.beside)
    if not isinstance(term, Box) or "..." in term.spec:
        return term
    args, result = term.sides
    if any(letter in side for side in (*args, result)):
        raise ConfigError(f"'{term.spec}' has a letter {letter}; broadcast over another.")
    sides = [" ".join((letter, *a) if k < arity(term) else a) for k, a in enumerate(args)]
    return replace(term, spec=f"{', '.join(sides)} -> {letter} {' '.join(result)}")
