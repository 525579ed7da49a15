from .circuit import Circuit
from .terms import COPY, SAME, SWAP, Box, Term, Wires, broadcast
from .wiring import Step, Wire

__all__ = ["COPY", "SAME", "SWAP", "Box", "Circuit", "Step", "Term", "Wire", "Wires", "broadcast"]
