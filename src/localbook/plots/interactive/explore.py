"""The live version of a slider figure, for a notebook with a kernel."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from localbook.errors import ConfigError
from localbook.plots.figure import svg
from localbook.plots.interactive.slider import Value, call, check_values

if TYPE_CHECKING:
    from ipywidgets import VBox


def explore(draw: Callable[[Value], Figure], values: Sequence[Value], *, label: str) -> "VBox":
    """Return a widget that calls ``draw`` anew for each value its slider is moved to.

    For your own values while a kernel runs; :func:`slider` is what the page shows.

    Parameters are those of :func:`slider`.

    Raises
    ------
    ConfigError
        Without ipywidgets, or as :func:`slider`.
    """
    names = check_values(values, label)
    try:
        import ipywidgets as widgets
    except ImportError as error:
        raise ConfigError(
            "explore needs ipywidgets: install it with `pip install ipywidgets`, or use slider."
        ) from error

    def page(value: Value) -> str:
        return svg(call(draw, value), f"The live figure at {label} = {value}.")

    control = widgets.SelectionSlider(
        options=list(zip(names, values, strict=True)),
        value=values[0],
        description=label,
        continuous_update=False,
        style={"description_width": "initial"},
    )
    picture = widgets.HTML(page(values[0]))
    control.observe(lambda change: setattr(picture, "value", page(change["new"])), "value")
    return widgets.VBox([control, picture])
