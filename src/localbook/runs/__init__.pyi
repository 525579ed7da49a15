from .captions import caption
from .origin import now, provenance
from .paired import Difference, by_seed, paired
from .record import Record
from .store import load, read, write
from .tables import compare, table

__all__ = [
    "Difference",
    "Record",
    "by_seed",
    "caption",
    "compare",
    "load",
    "now",
    "paired",
    "provenance",
    "read",
    "table",
    "write",
]
