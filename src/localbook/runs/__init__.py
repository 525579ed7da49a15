"""Run records: small JSON files that say what was run, on what, and what came out."""

from localbook.runs.compare import compare, table
from localbook.runs.provenance import now, provenance
from localbook.runs.record import Record
from localbook.runs.store import load, read, write

__all__ = ["Record", "compare", "load", "now", "provenance", "read", "table", "write"]
