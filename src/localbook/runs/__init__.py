"""Run records: small JSON files that say what was run, on what, and what came out."""

from localbook.runs.captions import caption
from localbook.runs.origin import now, provenance
from localbook.runs.record import Record
from localbook.runs.store import load, read, write
from localbook.runs.tables import compare, table

__all__ = ["Record", "caption", "compare", "load", "now", "provenance", "read", "table", "write"]
