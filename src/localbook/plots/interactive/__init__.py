"""Pictures that answer to the reader in the page itself, without a kernel."""

from localbook.plots.interactive.slider import slider
from localbook.plots.interactive.turn import Body, turn

__all__ = ["Body", "slider", "turn"]
