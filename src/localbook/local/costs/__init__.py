"""What a step of a rule costs: memory that is saved and memory that is alive, and time."""

from localbook.local.costs.account import Account as Account
from localbook.local.costs.account import account as account
from localbook.local.costs.live import live_bytes as live_bytes
from localbook.local.costs.live import symbolic_bytes as symbolic_bytes
from localbook.local.costs.saved import SavedBytes as SavedBytes
from localbook.local.costs.saved import saved_bytes as saved_bytes
from localbook.local.costs.saved import saved_course as saved_course
