"""Pictures of image sets."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from localbook.plots.figure import new_figure
from localbook.plots.style import house_style


@house_style()
def image_grid(images: NDArray[np.uint8], titles: Sequence[str]) -> Figure:
    """Draw images (N, C, H, W), C = 1 or 3, in one row, each below its title."""
    figure = new_figure(6.4, 1.1)
    for axes, image, title in zip(
        figure.subplots(1, len(images), squeeze=False)[0], images, titles, strict=True
    ):
        axes.imshow(image.transpose(1, 2, 0), cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure
