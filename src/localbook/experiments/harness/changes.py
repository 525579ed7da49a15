"""Settings with other values: from words such as ``schedule.lr=0.1``, checked field by field."""

import dataclasses
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from localbook.arrays import Row
from localbook.errors import ConfigError

Chosen = TypeVar("Chosen")


def changed(setting: Chosen, words: Sequence[str]) -> Chosen:
    """Return a setting with other values of some fields.

    Parameters
    ----------
    setting : Setting
    words : sequence of str
        Such as ``"lr=0.1"``, ``"schedule.epochs=3"`` or ``"candidates.pgd=[{"step": 0.1}]"``: a
        field, nested by dots, and its value in JSON. A text needs no quotes, a list of numbers or
        words no brackets, and None is ``none``. A field of one part alone needs no dots.

    Raises
    ------
    ConfigError
        If there is no such field, its value is of another type, or it has no effect.
    """
    for word in words:
        path, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r}: give a field and its value, such as lr=0.1.")
        names = _full(setting, path.split("."))
        reason = getattr(setting, "overruled", {}).get(".".join(names))
        if reason:
            raise ConfigError(f"{path} has no effect here: {reason}.")
        setting = _with(setting, type(setting), names, text, path)
    return setting


def differences(own: Any, chosen: Any, before: str = "") -> Row:
    """Return the fields in which a setting differs from another, by their names with dots."""
    found: Row = {}
    for field in dataclasses.fields(chosen):
        one, other = getattr(own, field.name), getattr(chosen, field.name)
        if type(one) is type(other) and dataclasses.is_dataclass(one):
            found |= differences(one, other, f"{before}{field.name}.")
        elif plain(one) != plain(other):
            found[before + field.name] = plain(other)
    return found


def label(changes: Row) -> str:
    """Return what a changed profile's name has at its end: short, and fit for a file's name."""
    text = "".join(f"+{name}={_short(value)}" for name, value in changes.items())
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if name != text or len(name) > 80:  # what was cut off or replaced must still tell names apart
        name = f"{name[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def _short(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(v, list | dict) for v in value):
        return ",".join(map(_short, value))
    return value if isinstance(value, str) else json.dumps(value)


def plain(value: Any) -> Any:
    """Return a value as JSON would give it back: dicts for dataclasses, lists for tuples."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def _fields(value: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []


def _full(setting: Any, names: list[str]) -> list[str]:
    """Return the names with that of the one part that has the first of them."""
    if names[0] in _fields(setting):
        return names
    parts = [part for part in _fields(setting) if names[0] in _fields(getattr(setting, part))]
    return [*parts, *names] if len(parts) == 1 else names


def _with(value: Any, hint: Any, names: list[str], text: str, path: str) -> Any:
    """Return a value in which the field at ``names`` has the value of ``text``."""
    if not names and dataclasses.is_dataclass(value):
        first = _fields(value)[0]
        raise ConfigError(f"{path} has fields of its own: set one of them, such as {path}.{first}.")
    if not names:
        return _read(text, hint, path)
    name, *rest = names
    known = list(value) if isinstance(value, Mapping) else _fields(value)
    if name not in known:
        raise ConfigError(f"no field {path!r} to set; there are {', '.join(known) or 'none'}.")
    if isinstance(value, Mapping):
        kind = typing.get_args(hint)[1]
        return {**value, name: _with(value[name], kind, rest, text, path)}
    kind = typing.get_type_hints(type(value))[name]
    inner = _with(getattr(value, name), kind, rest, text, path)
    return dataclasses.replace(value, **{name: inner})


def _read(text: str, hint: Any, path: str) -> Any:
    """Return the value that a text stands for, of the type that a field asks for."""
    listed = [_meant(part.strip()) for part in text.split(",") if part.strip()]
    for attempt in (_meant(text), text, listed):
        fits, found = _fit(attempt, hint)
        if fits:
            return found
    kind = str(hint) if typing.get_args(hint) else getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{path}={text}: the value must be {kind.replace('typing.', '')}.")


def _meant(text: str) -> Any:
    """Return a text as JSON, or as it is; ``none`` is None."""
    try:
        return None if text == "none" else json.loads(text)
    except ValueError:
        return text


def _fit(value: Any, hint: Any) -> tuple[bool, Any]:
    """Return whether a value of JSON is of a type, and the value as that type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return next((f for f in (_fit(value, arg) for arg in args) if f[0]), (False, None))
    if origin is typing.Literal:
        return value in args, value
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        parts = [_fit(v, kind) for v, kind in zip(value, kinds, strict=False)]
        fits = len(value) == len(kinds) and all(fit for fit, _ in parts)
        return fits, tuple(part for _, part in parts)
    if origin is not None and isinstance(value, dict) and issubclass(origin, Mapping):
        found = {key: _fit(v, args[1]) for key, v in value.items()}
        return all(fit for fit, _ in found.values()), {key: v for key, (_, v) in found.items()}
    if hint is Any:
        return True, value
    if hint is float and type(value) is int:
        return True, float(value)
    kind = type(None) if hint is None else hint
    return isinstance(kind, type) and type(value) is kind, value
