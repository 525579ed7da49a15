"""One deep network in two to sixteen modules: the accuracy by their number, and by the images'.

The rules are those of `regime`; in one module local learning is back-propagation.
"""

from dataclasses import replace

from localbook.experiments.comparisons.cells import Regime
from localbook.experiments.comparisons.regime import (
    PHOTOGRAPHS,
    PHOTOGRAPHS_QUICK,
    compared,
    methods_of,
)
from localbook.experiments.harness import Experiment, fewer_images

# Images, epochs and the early strides are sized for an hour of one core.
_CUT = tuple(f"none-trained-{modules}" for modules in (2, 4, 8, 16))
_MODULES = replace(
    PHOTOGRAPHS,
    methods=(
        *methods_of(_CUT, "local sgr-0.1"),
        *methods_of(("none-trained-1",), "local"),
        *methods_of(_CUT, "zero-0.1 sgr-0.3 sid shuffled-0.1"),
        # where modules are four or eight layers long, 0.1 is too much at plain's rate
        *methods_of(_CUT[:2], "sgr-0.01 zero-0.01"),
    ),
    widths=(8,) * 2 + (16,) * 14,
    strides=(2,) * 3 + (1,) * 13,
    train=300,
    schedule=replace(PHOTOGRAPHS.schedule, epochs=150),
    rates=(0.02, 0.05, 0.1),
    seeds=8,
    together=8,
    gain=5 / 3,  # tanh's
)
_MODULES_QUICK = replace(
    PHOTOGRAPHS_QUICK,
    methods=methods_of(("none-trained-1",), "local")
    + methods_of(("none-trained-2", "none-trained-4"), "local sgr-0.1"),
    widths=(4,) * 4,
    strides=(2, 2, 1, 1),
    gain=5 / 3,
)
_MODULES_GPU = replace(
    _MODULES,
    widths=(16,) * 4 + (32,) * 12,
    strides=(1, 1, 2, 1, 2) + (1,) * 11,
    train=1_000,
    schedule=replace(PHOTOGRAPHS.schedule, epochs=120),
)
SGR_MODULES = Experiment(
    {"quick": _MODULES_QUICK, "cpu": _MODULES, "gpu": _MODULES_GPU}, compared, fewer_images
)


def _many(profile: Regime) -> Regime:
    """Return the comparison on many images, all seeds having the same, as the papers draw it."""
    return replace(
        profile,
        methods=(
            *methods_of(("none-trained-1", *_CUT), "local"),
            *methods_of(_CUT[:2], "sgr-0.01 zero-0.01"),
            *methods_of(_CUT[2:], "sgr-0.1 zero-0.1 sgr-0.03"),
        ),
        train=10_000,
        schedule=replace(PHOTOGRAPHS.schedule, epochs=20),
        seeds=4,
        together=4,
    )


SGR_MODULES_10000 = Experiment(
    {"quick": _MODULES_QUICK, "cpu": _many(_MODULES), "gpu": _many(_MODULES_GPU)},
    compared,
    fewer_images,
)

# Wide enough to learn four fifths of all photographs, in two hours of one core for one seed.
_WHOLE = replace(
    _MODULES,
    methods=(
        *methods_of(_CUT[-1:], "local sgr-0.03 zero-0.03 sgr-0.1 sid"),
        *methods_of(("none-trained-1",), "local"),
    ),
    widths=(32,) * 2 + (64,) * 14,
    train=45_000,
    schedule=replace(PHOTOGRAPHS.schedule, epochs=24),
    rates=(0.05, 0.1),
    seeds=1,
    tuning_seeds=1,
    together=1,
    images=(45_000, 1_000, None),
)
SGR_MODULES_45000 = Experiment(
    {"quick": _MODULES_QUICK, "cpu": _WHOLE, "gpu": replace(_WHOLE, seeds=4)},
    compared,
    fewer_images,
)
