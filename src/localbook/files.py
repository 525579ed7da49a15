"""Records as files: a dataclass as JSON with one line a row, strict when read, written at once."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_args, get_origin, get_type_hints

from localbook.errors import RecordError


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Kind = TypeVar("Kind")


def check_types(record: _Dataclass) -> None:
    """Raise RecordError if a field is not of its annotated type, or its date not ISO 8601."""
    for field, hint in get_type_hints(type(record)).items():
        kinds = tuple(get_origin(kind) or kind for kind in get_args(hint) or (hint,))
        if get_origin(hint) in (dict, list):
            kinds = (get_origin(hint),)
        if not isinstance(value := getattr(record, field), kinds):
            raise RecordError(f"the key {field!r} must be {hint}, not {value!r:.60}.")
    date = getattr(record, "date", "")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", date):
        raise RecordError(f"the date {date!r} must be ISO 8601 in UTC, to the second.")


def exactly(raw: Any, kind: type, called: str) -> dict[str, Any]:
    """Return a JSON object that has the fields of a dataclass and no others."""
    if not isinstance(raw, dict):
        raise RecordError(f"a {called} must be a JSON object.")
    names = {field.name for field in dataclasses.fields(kind)}
    if missing := sorted(names - raw.keys()):
        raise RecordError(f"the {called} lacks the keys {', '.join(missing)}.")
    if unknown := sorted(raw.keys() - names):
        raise RecordError(f"the {called} has unknown keys {', '.join(unknown)}.")
    return raw


def as_json(record: Any) -> str:
    """Return JSON with one line for each row, so that a diff of records can be read."""
    fields = []
    for key, value in dataclasses.asdict(record).items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and (key == "rows" or (value and isinstance(value[0], dict))):
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            text = f"[\n{rows}\n ]"
        fields.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a place to write to that becomes the file in one rename, if nothing is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    yield partial
    partial.replace(path)


def write_text(path: Path, text: str) -> Path:
    """Write a text to a file, all of it or nothing."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_json(record: Any, path: Path) -> Path:
    """Write a dataclass to a file, all of it or nothing."""
    return write_text(path, as_json(record) + "\n")


def read_json(path: Path, build: Callable[[Any], Kind], called: str, hint: str) -> Kind:
    """Read and check one file; whatever is wrong with it is a RecordError that names it."""
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecordError(f"cannot read the {called} {path} ({error.strerror}); {hint}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}); restore it or run it again.") from error
    except RecordError as error:
        raise RecordError(f"{path} is not a {called}: {error}") from error
