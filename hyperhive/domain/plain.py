"""Plain values: what the hive makes itself and tells, and the one form that it has as JSON.

What comes from outside is read by models (``value.py``), which refuse what does not hold. These are made by the hive
itself and are not checked again: dataclasses, so that the first page of a start waits for nothing more.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import datetime
from json.encoder import encode_basestring_ascii as _quoted
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pydantic import ConfigDict


def spelled(field: str) -> str:
    """What ``field`` is called outside: ``from`` is a keyword in Python."""
    return "from" if field == "sender" else field


class Plain:
    """Base of plain values: frozen dataclasses, made with ``eq=False``; ``dataclasses.replace`` makes another.

    That they are equal by their fields is said here, once: what ``dataclass`` would generate for each of them takes
    more than half of the time that it takes for all the rest.
    """

    __slots__ = ()
    # Where a model holds one, or describes it, it is as strict as a model.
    __pydantic_config__: ClassVar["ConfigDict"] = {
        "extra": "forbid",
        "alias_generator": spelled,
        "validate_by_name": True,
        "validate_by_alias": True,
    }

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        values = _VALUES[type(self)]
        return bool(values(self) == values(other))

    def __hash__(self) -> int:
        return hash((type(self), _VALUES[type(self)](self)))


class ToldOften(Plain):
    """A plain value that keeps its JSON once it was told: it is in patches and in every snapshot after them."""

    __slots__ = ("_json",)
    _json: str


def as_json(value: object) -> str:
    """``value`` as JSON: ASCII on one line, so that no reader breaks it, whatever an agent put into a field.

    Raises:
        TypeError: it holds something that is not told.
    """
    return _FORMS[type(value)](value)


def as_plain(value: object) -> Any:
    """What ``json.loads`` makes of it."""
    return json.loads(as_json(value))


class _Values(dict[type, Callable[[Any], Any]]):
    """What gives the fields of a plain value; made when the first of its class is asked for them."""

    def __missing__(self, kind: Any) -> Callable[[Any], Any]:
        getter = self[kind] = attrgetter(*(field.name for field in fields(kind)))
        return getter


_VALUES = _Values()
_Form = Callable[[Any], str]


class _Forms(dict[type, _Form]):
    """How the values of a class are written; found out when the first of them is."""

    def __missing__(self, kind: type) -> _Form:
        form = self[kind] = _form_of(kind)
        return form


def _form_of(kind: type) -> _Form:
    if issubclass(kind, ToldOften):
        return _kept(_fields_of(kind))
    if issubclass(kind, Plain):
        return _fields_of(kind)
    if not hasattr(kind, "_fields"):  # named tuples are records of ours: nobody meant to tell one
        for known in (str, int, float, datetime, tuple, list, dict):  # enums, for one
            if issubclass(kind, known):
                return _FORMS[known]
    raise TypeError(f"{kind.__name__} is nothing that is told")


def _fields_of(kind: Any) -> _Form:
    names, values = [field.name for field in fields(kind)], _VALUES[kind]
    shape = f"{{{','.join(f'{_quoted(spelled(name))}:%s' for name in names)}}}"
    return lambda value: shape % tuple(_each(values(value)))


def _kept(form: _Form) -> _Form:
    def once(value: ToldOften) -> str:
        try:
            return value._json
        except AttributeError:
            text = form(value)
            object.__setattr__(value, "_json", text)
            return text

    return once


def _each(values: Iterable[object]) -> list[str]:
    return [_FORMS[type(value)](value) for value in values]


def _list(values: Iterable[object]) -> str:
    return f"[{','.join(_each(values))}]"


def _object(entries: dict[str, object]) -> str:
    return f"{{{','.join(f'{_quoted(key)}:{as_json(value)}' for key, value in entries.items())}}}"


def _float(number: float) -> str:
    # JSON has no word for what is not finite, and no page could be read that has Python's; a model says null too.
    return float.__repr__(number) if isfinite(number) else "null"


def _moment(moment: datetime) -> str:
    return f'"{moment.isoformat().replace("+00:00", "Z")}"'


_FORMS = _Forms(
    {
        type(None): lambda none: "null",
        bool: lambda flag: "true" if flag else "false",
        int: int.__repr__,
        float: _float,
        str: _quoted,
        datetime: _moment,
        tuple: _list,
        list: _list,
        dict: _object,
    }
)
