"""Questions that tell a reader whether the answer is right: in the page, and in a notebook."""

from collections.abc import Mapping
from html import escape
from types import EllipsisType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from localbook.errors import ConfigError

if TYPE_CHECKING:
    from IPython.display import HTML


def profile(given: str, *known: str) -> None:
    """Refuse a notebook's parameter ``profile`` that the notebook does not have.

    Parameters
    ----------
    given : str
    *known : str
        Every profile of the notebook.

    Raises
    ------
    ConfigError
        If ``given`` is none of them.
    """
    if given not in known:
        only = f"must be one of {', '.join(known)}" if len(known) > 1 else f"must be {known[0]}"
        raise ConfigError(f"profile={given!r} {only}: this notebook has no other.")


def choices(question: str, answers: Mapping[str, str], right: str) -> "HTML":
    """Return a question whose answers unfold what is right or wrong about them.

    It is plain HTML: it works on the published page, without a kernel and without JavaScript,
    and by keyboard.

    Parameters
    ----------
    question : str
    answers : mapping of str to str
        Each answer, and why it is right or wrong, in the order they are shown.
    right : str
        The answer that is right.

    Raises
    ------
    ConfigError
        If there are fewer than two answers, or ``right`` is none of them.
    """
    from IPython.display import HTML

    if len(answers) < 2:
        raise ConfigError("give at least two answers to choose from.")
    if right not in answers:
        raise ConfigError(f"right={right!r} must be one of the answers: {', '.join(answers)}.")
    folded = "".join(
        f"<details><summary>{escape(answer)}</summary><p><strong>"
        f"{'Right.' if answer == right else 'Not so.'}</strong> {escape(why)}</p></details>"
        for answer, why in answers.items()
    )
    return HTML(
        '<div class="check-yourself" role="group" aria-label="Check yourself">'
        f"<p><strong>Check yourself.</strong> {escape(question)}</p>{folded}</div>"
    )


def check(
    answer: ArrayLike | EllipsisType,
    right: ArrayLike,
    *,
    hint: str,
    because: str,
    tolerance: float = 1e-6,
) -> None:
    """Print whether a reader's answer is right.

    Parameters
    ----------
    answer : array_like or ...
        Dots, until the reader has replaced them.
    right : array_like
        The right answer, of any shape.
    hint : str
        Printed while the answer is missing or wrong.
    because : str
        Printed once it is right.
    tolerance : float
        Relative, and absolute where the right answer is zero.
    """
    if isinstance(answer, EllipsisType):
        print(f"Put your answer in place of the dots and run this cell again.\nHint: {hint}")
        return
    wanted = np.asarray(right, dtype=float)
    try:
        given = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        print(f"Not yet: the answer is a number or an array of numbers.\nHint: {hint}")
        return
    if given.shape != wanted.shape:
        print(f"Not yet: the answer has shape {wanted.shape}, yours {given.shape}.\nHint: {hint}")
    elif np.allclose(given, wanted, rtol=tolerance, atol=tolerance):
        print(f"Right. {because}")
    else:
        print(f"Not yet. Hint: {hint}")
