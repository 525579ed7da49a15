"""How the processes of a run work together."""

from dataclasses import dataclass
from pathlib import Path

from localbook.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """How the processes of a run work together.

    Attributes
    ----------
    queue : int
        How many messages a module may have waiting before the one before it has to wait.
    replay : int
        Each update uses a random one of this many newest messages of the epoch, as in DGL with a
        replay buffer. 1, always the newest, computes what one process computes.
    pace : tuple of float
        Seconds that each module rests before an update, to imitate slower devices; none if empty.
    checkpoint : Path or None
        The folder for checkpoints, which all processes can read and write.

    Raises
    ------
    ConfigError
        If ``queue`` or ``replay`` is less than 1.
    """

    queue: int = 4
    replay: int = 1
    pace: tuple[float, ...] = ()
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if self.queue < 1 or self.replay < 1:
            raise ConfigError(
                f"queue={self.queue} and replay={self.replay} must be at least 1 message."
            )
