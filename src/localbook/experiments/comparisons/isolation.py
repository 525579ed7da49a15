"""The first experiment: back-propagation, plain local learning and SGR on one small network."""

from dataclasses import replace

from localbook.data import Augment
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment
from localbook.local import ConvNet, Schedule

_COLOUR = Augment(crop=4, flip=True)
_CPU = Comparison(
    data="cifar10",
    model=ConvNet((16, 32, 32, 64, 64, 64), (1, 2, 1, 2, 1, 1)),
    schedule=Schedule(epochs=4, batch_size=128, lr=0.1, augment=_COLOUR),
    methods=("bp", "local", "sgr"),
    # Six candidates for each method; a first scan on the validation split placed the best learning
    # rates inside this range. SGR has λ to choose as well and so tries fewer learning rates.
    rates=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
    pairs=tuple((lr, weight) for lr in (0.4, 0.8) for weight in (1.0, 10.0, 100.0)),
    tuning_epochs=1,
    seeds=3,
)

GRADIENT_ISOLATION = Experiment(
    {
        "quick": Comparison(
            data="digits",
            model=ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1)),
            schedule=Schedule(epochs=6, batch_size=64, lr=0.05),
            methods=("bp", "local", "sgr"),
            weights=(3.0,),
            seeds=3,
        ),
        "cpu": _CPU,
        "gpu": replace(
            _CPU,
            model=ConvNet((64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1)),
            schedule=Schedule(epochs=60, batch_size=256, lr=0.1, augment=_COLOUR),
            tuning_epochs=15,
            seeds=5,
        ),
    },
    compare,
)
