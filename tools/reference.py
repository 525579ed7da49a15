"""The parts of the reference pages that are made when the book is built: one for each face.

What a face shows is its ``__all__``; where a name lies in the library says under which heading it
stands; autodoc writes the rest from the docstrings.
"""

import inspect
from importlib import import_module
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any


def write(pages: Path, folder: Path) -> None:
    """Write a part for each page of the folder ``reference`` into another, from which it includes.

    Parameters
    ----------
    pages : path
        The folder with one page a face, named like it.
    folder : path
    """
    folder.mkdir(parents=True, exist_ok=True)
    for page in pages.glob("*.md"):
        face = import_module(f"localbook.{page.stem}")
        (folder / f"reference-{page.stem}.md").write_text(markdown(face))


def markdown(face: ModuleType) -> str:
    """Return every name of a face: by room a table that links, and then each in full.

    A module that the face shows, such as ``local.parallel``, is a section of its own.
    """
    values = {name: getattr(face, name) for name in _names(face)}
    modules = {name for name, value in values.items() if inspect.ismodule(value)}
    names = sorted(values.keys() - modules, key=lambda name: (_room(face, name), name.lower()))
    sections = [_section(face, "", [])]
    for room, some in groupby(names, key=lambda name: _room(face, name)):
        title = room.replace("_", " ").capitalize() or "General"
        sections.append(_section(face, f"## {title}\n\n", list(some)))
    for name in sorted(modules):
        inside = sorted(_names(values[name]), key=str.lower)
        title = f"## `{values[name].__name__}`\n\n"
        sections += [_section(values[name], title, []), _section(values[name], "", inside)]
    return "\n".join(sections)


def _section(face: ModuleType, title: str, names: list[str]) -> str:
    """Return some names of a face, or what it says of itself."""
    said = inspect.getdoc(face)
    if names:
        table = "".join(f"   {name}\n" for name in names if callable(getattr(face, name)))
        entries = "\n".join(_entry(face, name) for name in names)
        said = f".. autosummary::\n   :nosignatures:\n\n{table}\n{entries}"
    return f"{title}```{{eval-rst}}\n.. currentmodule:: {face.__name__}\n\n{said}\n```\n"


def _room(face: ModuleType, name: str) -> str:
    """Return the room that a name comes from, or nothing if it lies beside the rooms."""
    home = getattr(getattr(face, name), "__module__", face.__name__)
    inside = home.removeprefix(f"{face.__name__}.").split(".")
    return inside[0] if len(inside) > 1 and home.startswith(f"{face.__name__}.") else ""


def _entry(face: ModuleType, name: str) -> str:
    value: Any = getattr(face, name)
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:\n"
    if callable(value):
        return f".. autofunction:: {name}\n"
    said = (
        " ".join(f"``{key!r}``" for key in value) if isinstance(value, dict) else f"``{value!r}``"
    )
    return f".. py:data:: {name}\n   :type: {type(value).__name__}\n\n   {said}\n"


def _names(face: ModuleType) -> list[str]:
    own = (
        name
        for name, value in vars(face).items()
        if getattr(value, "__module__", "") == face.__name__ and not name.startswith("_")
    )
    return list(getattr(face, "__all__", own))
