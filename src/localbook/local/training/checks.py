"""What is refused before training starts because network, images and schedule do not fit."""

from localbook.data import DeviceImages
from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, check_heads, check_inputs, check_labels
from localbook.local.training.schedule import Schedule


def check_fit(
    net: IsolatedNetwork, data: DeviceImages, held_out: DeviceImages, schedule: Schedule, seed: int
) -> int:
    """Return the number of classes; refuse what does not fit, in one sentence.

    Raises
    ------
    ConfigError
    """
    for what, given in (("data", data), ("held_out", held_out)):
        if not isinstance(given, DeviceImages):
            raise ConfigError(
                f"{what} is of type {type(given).__name__}; give DeviceImages, made of an ImageSet."
            )
    if seed < 0:
        raise ConfigError(f"seed={seed} must be zero or larger.")
    if schedule.batch_size > len(data):
        raise ConfigError(
            f"batch_size={schedule.batch_size} must lie between 1 and the {len(data)} images "
            "there are."
        )
    few, _ = data.at(slice(0, 2))
    form, other = (tuple(images.images.shape[1:]) for images in (data, held_out))
    if form != other:
        raise ConfigError(
            f"the images to train on have shape {form} and those to measure on {other}; give both "
            "the same channels and size."
        )
    if schedule.augment.crop >= min(form[1:]):
        raise ConfigError(
            f"crop={schedule.augment.crop} must be less than the images' sides, {form[1:]}: so "
            "many pixels are reflected at each side."
        )
    check_inputs(few)
    classes = check_heads(net, few, data.labels, soft=schedule.soft)
    check_labels(held_out.labels, classes)
    return classes
