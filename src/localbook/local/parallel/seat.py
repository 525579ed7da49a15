"""Which process holds which module, and how they work together."""

from dataclasses import dataclass
from pathlib import Path

from localbook.errors import ConfigError


@dataclass(frozen=True)
class Seat:
    """A process's place among those that train a network together.

    Ranks run over the replicas of module 1 first, then over those of module 2. Replica r of a
    module sends to replica r of the next one.

    Attributes
    ----------
    rank : int
        The number of the process, from 0.
    modules, replicas : int
        The world has modules x replicas processes.

    Raises
    ------
    ConfigError
        If there are fewer than two modules.
    """

    rank: int
    modules: int
    replicas: int = 1

    def __post_init__(self) -> None:
        if self.modules < 2:
            raise ConfigError(
                "a network of one module has nothing to run in parallel; cut it into two or more, "
                "or train it with localbook.local.train."
            )

    @classmethod
    def among(cls, rank: int, processes: int, modules: int) -> "Seat":
        """Return the seat of a rank when so many processes share the modules, evenly."""
        if modules > 1 and (processes < modules or processes % modules):
            raise ConfigError(
                f"{modules} modules need {modules} processes, or a multiple of it to have replicas "
                f"of each, but there are {processes}; start them with "
                f"`torchrun --nproc-per-node={modules}`."
            )
        return cls(rank, modules, processes // modules)

    @property
    def module(self) -> int:
        """The number of its module, from 0."""
        return self.rank // self.replicas

    @property
    def replica(self) -> int:
        """Which of its module's replicas it is, from 0."""
        return self.rank % self.replicas

    @property
    def place(self) -> tuple[int, int]:
        """The module's number and how many there are, as local rules want it."""
        return self.module, self.modules

    @property
    def before(self) -> int | None:
        """The rank it receives from; None for the first module."""
        return self.rank - self.replicas if self.module else None

    @property
    def after(self) -> int | None:
        """The rank it sends to; None for the last module."""
        return self.rank + self.replicas if self.module < self.modules - 1 else None

    def at(self, rank: int) -> "Seat":
        """Return the seat of another rank."""
        return Seat(rank, self.modules, self.replicas)

    def __str__(self) -> str:
        which = f", replica {self.replica + 1}" if self.replicas > 1 else ""
        return f"module {self.module + 1}{which} (rank {self.rank})"


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
