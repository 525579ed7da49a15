"""Progress displays: tqdm where it is installed, plain lines on a bare machine."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Progress:
    """A bar over a known number of steps, with the latest figures beside it.

    Parameters
    ----------
    title : str
    total : int
    unit : str
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:
            self._bar = tqdm(total=total, desc=title, unit=unit)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def at(self, step: int, figures: str = "") -> None:
        """Show that ``step`` of the total is done."""
        if self._bar is not None:
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.update(step - self._bar.n)
        else:
            line = f"{self._title}: {step}/{self._total} {self._unit} {figures}"
            print(line.rstrip(), file=sys.stderr, flush=True)


def progress(items: Iterable[Item], title: str, total: int, unit: str) -> Iterator[Item]:
    """Yield the items, showing about a hundred times how many have passed."""
    every = max(1, total // 100)
    with Progress(title, total, unit) as bar:
        for count, item in enumerate(items, start=1):
            yield item
            if count % every == 0 or count == total:
                bar.at(count)
