"""Pictures that answer to the reader in the page itself, without a kernel."""

from localbook.plots.interactive.slider import slider as slider
from localbook.plots.interactive.turn import Body as Body
from localbook.plots.interactive.turn import turn as turn
