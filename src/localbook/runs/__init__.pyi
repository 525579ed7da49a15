from .captions import caption
from .origin import now, provenance
from .record import Record
from .store import load, read, write
from .tables import compare, table

__all__ = [
    "Record",
    "caption",
    "compare",
    "load",
    "now",
    "provenance",
    "read",
    "table",
    "write",
]
