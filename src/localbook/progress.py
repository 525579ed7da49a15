"""Progress bars that are told where the work stands."""

from tqdm import tqdm


class Progress:
    """A bar over a known number of steps, with the latest figures beside it."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._bar = tqdm(desc=title, total=total, unit=unit)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def at(self, step: int, figures: str = "") -> None:
        """Show that ``step`` of the total is done."""
        self._bar.set_postfix_str(figures, refresh=False)
        self._bar.update(step - self._bar.n)
