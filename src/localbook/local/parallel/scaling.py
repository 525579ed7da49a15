"""What module-parallel training would gain with more modules: a model of measured figures."""

from dataclasses import dataclass
from typing import Literal

from localbook.errors import ConfigError

Limit = Literal["slowest module", "messages", "cores"]


@dataclass(frozen=True)
class Scaling:
    """A network whose body is cut into equal modules, each with a head and a process of its own.

    All modules work at once, so that a step takes as long as the slowest part: the module with the
    most work, or the connection with the most bytes. Heads and messages do not become smaller when
    the body is cut more finely: that is what ends the gain. The formula is that of the book's
    chapter on the update lock.

    Attributes
    ----------
    body : float
        Seconds that a step takes in all modules together, without heads.
    head : float
        Seconds that it takes in one head.
    message : float
        Bytes that pass between two modules in a step.
    bandwidth : float
        Bytes a second of a connection.
    handling : float
        Seconds of their own time that a message costs the sender, and the receiver.
    imbalance : float
        The work of the slowest module over the mean.

    Raises
    ------
    ConfigError
        If a figure is negative, or body, bandwidth or imbalance is nothing.
    """

    body: float
    head: float
    message: float
    bandwidth: float
    handling: float = 0.0
    imbalance: float = 1.0

    def __post_init__(self) -> None:
        figures = (self.body, self.head, self.message, self.bandwidth, self.handling)
        if min(figures) < 0 or not (self.body and self.bandwidth) or self.imbalance < 1:
            raise ConfigError(
                "a scaling model needs figures that are not negative, a body and a bandwidth "
                "larger than zero, and an imbalance of at least 1."
            )

    def one_process(self, modules: int) -> float:
        """Return the seconds of a step of all modules in one process."""
        return self.body + modules * self.head

    def parts(self, modules: int, cores: int | None = None) -> dict[Limit, float]:
        """Return the seconds of a step as each limit alone would have them.

        Parameters
        ----------
        modules : int
        cores : int, optional
            How many processes can work at once; as many as there are modules if not given.
        """
        work = self.body / modules + self.head
        own = (self.imbalance if modules > 1 else 1.0) * work
        own += min(2, modules - 1) * self.handling  # inner modules receive and send
        total = self.one_process(modules) + 2 * (modules - 1) * self.handling
        return {
            "slowest module": own,
            "messages": self.message / self.bandwidth if modules > 1 else 0.0,
            "cores": total / min(cores or modules, modules),
        }

    def step(self, modules: int, cores: int | None = None) -> float:
        """Return the seconds of a step when every module has a process."""
        return max(self.parts(modules, cores).values())

    def limit(self, modules: int, cores: int | None = None) -> Limit:
        """Return what decides how long a step takes."""
        parts = self.parts(modules, cores)
        return max(parts, key=lambda name: parts[name])

    def speed_up(self, modules: int, cores: int | None = None) -> float:
        """Return how many times as many images a second there are as in one process."""
        return self.one_process(modules) / self.step(modules, cores)

    def filled(self, modules: int, steps: int) -> float:
        """Return the share of the speed-up that is left of a run of so many steps.

        The last module can begin when the first batch has come through all others.
        """
        return steps / (steps + modules - 1)
