"""Plain values: what the hive makes itself and tells, and the one form that it has as JSON.

What comes from outside is read by models (``value.py``), which refuse what does not hold. These are made by the hive
itself and are not checked again: dataclasses, so that the first page of a start waits for nothing more.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pydantic import ConfigDict


def spelled(field: str) -> str:
    """What ``field`` is called outside: ``from`` is a keyword in Python."""
    return "from" if field == "sender" else field


class Plain:
    """Base of plain values. They are frozen; ``dataclasses.replace`` makes another."""

    __slots__ = ()
    # Where a model holds one, or describes it, it is as strict as a model.
    __pydantic_config__: ClassVar["ConfigDict"] = {
        "extra": "forbid",
        "alias_generator": spelled,
        "validate_by_name": True,
        "validate_by_alias": True,
    }


def as_json(value: object) -> str:
    """``value`` as JSON: ASCII on one line, so that no reader breaks it, whatever an agent put into a field."""
    return _encode(value)


def as_plain(value: object) -> Any:
    """What ``json.loads`` makes of it."""
    return json.loads(_encode(value))


@cache
def _parts(kind: Any) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]]]:
    names = [field.name for field in fields(kind)]
    return tuple(map(spelled, names)), attrgetter(*names)


def _told(value: object) -> object:
    match value:
        case Plain():
            kind: Any = type(value)
            names, values = _parts(kind)
            return dict(zip(names, values(value), strict=True))
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is nothing that is told")


_encode = json.JSONEncoder(separators=(",", ":"), default=_told, check_circular=False).encode
