"""What a step of a rule costs: memory that is saved and memory that is alive, and time."""

from localbook.local.costs.account import Account, account
from localbook.local.costs.live import live_bytes
from localbook.local.costs.saved import SavedBytes, saved_bytes, saved_course

__all__ = [
    "Account",
    "SavedBytes",
    "account",
    "live_bytes",
    "saved_bytes",
    "saved_course",
]
