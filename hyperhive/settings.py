"""Settings: flags, then environment (``HYPERHIVE_*``), then ``hyperhive.toml`` in the home, then defaults."""

import ipaddress
import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from hyperhive.errors import Invalid, Refused

_PREFIX = "HYPERHIVE_"
_WEEK = 604_800.0
_YES = frozenset({"1", "true", "yes", "on", "y", "t"})
_NO = frozenset({"0", "false", "no", "off", "n", "f"})


class BadSettings(Invalid):
    """Values that are not as they must be, or names that are no settings.

    Args:
        reasons: what is wrong, by the setting's name.
    """

    code = "bad-setting"

    def __init__(self, reasons: dict[str, str]) -> None:
        told = (
            f"Setting '{name}': {reason}; see docs/operate.md for what it may be."
            for name, reason in reasons.items()
        )
        super().__init__(" ".join(told))
        self.reasons = reasons


def whole_path(text: str) -> Path:
    """``text`` as an absolute path; ``~`` and ``~user`` are home folders.

    Raises:
        Refused: nobody knows that user's, or where this runs.
    """
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise Refused(f"{text}: that user has no home folder here; write the path in full.") from None
    except FileNotFoundError:
        raise Refused(
            f"{text}: the current folder was deleted; change to another, or write the path in full."
        ) from None


def default_home() -> Path:
    """The hive's home: ``$HYPERHIVE_HOME``, else by user as ``docs/operate.md`` says."""
    if home := os.environ.get("HYPERHIVE_HOME"):
        return whole_path(home)
    if os.geteuid() == 0:
        return Path("/var/lib/hyperhive")
    return whole_path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "hyperhive"


def default_run() -> Path:
    """Where the sockets are: ``$HYPERHIVE_RUN``, else by user; short, for a socket's path has 107 bytes."""
    if run := os.environ.get("HYPERHIVE_RUN"):
        return whole_path(run)
    if os.geteuid() == 0:
        return Path("/run/hyperhive")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "hyperhive" if runtime else Path(f"/tmp/hyperhive-{os.geteuid()}")


def _place(value: object) -> Path:
    """A folder's path, made absolute: it goes into other processes and into files that are JSON."""
    text = str(value)
    if not text:
        raise ValueError("it is empty; name a folder")
    if not text.isprintable():
        raise ValueError("it holds characters that are not printable UTF-8; choose another name")
    return whole_path(text)


def _host(value: object) -> str:
    """An address or a host's name: on what can be neither the resolver fails with what is no OSError."""
    text = value if isinstance(value, str) else ""  # a bare number would be an address, by the resolver
    with suppress(ValueError):
        ipaddress.ip_address(text)
        return text
    with suppress(UnicodeError):
        if text.isprintable() and text.encode("idna"):
            return text
    raise ValueError("it is neither an address nor the name of a host")


def _file(value: object) -> Path | None:
    if not isinstance(value, str | Path | None):
        raise ValueError("name a file")
    return None if value is None else Path(value)


def _names(value: object) -> tuple[str, ...]:
    """A list; as JSON where it comes from a variable."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError('it is no JSON; write a list, e.g. ["hive.lan"]') from None
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError('give a list of names, e.g. ["hive.lan"]')
    return tuple(value)


def _flag(value: object) -> bool:
    said = str(value).strip().lower()
    if said not in _YES | _NO:
        raise ValueError("give true or false")
    return said in _YES


def _text(most: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"give a text of at most {most} characters")
        try:
            value.encode()  # each page shows it
        except UnicodeEncodeError:
            raise ValueError("it is no UTF-8; write it anew") from None
        return value

    return read


def _one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(f"give one of {', '.join(choices)}")
        return str(value)

    return read


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        number = _number(value)
        if not least <= number <= most or number != int(number):
            raise ValueError(f"give a whole number from {least} to {most}")
        return int(number)

    return read


def _seconds(most: float = _WEEK, *, zero: bool = False) -> Callable[[object], float]:
    def read(value: object) -> float:
        number = _number(value)
        if not 0 <= number <= most or (number == 0 and not zero):
            raise ValueError(f"give seconds, {'0' if zero else 'more than 0'} to {most:g}")
        return number

    return read


def _number(value: object) -> float:
    """A number; not one where it is none, which is in no range."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


_LEVELS = ("debug", "info", "warning", "error")
_RUNTIMES = ("auto", "nixos", "nspawn", "bubblewrap", "process")
_READ: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("home", "run"), _place),
    **dict.fromkeys(("public", "rehearse"), _flag),
    **dict.fromkeys(("scenario", "claude"), _file),
    **dict.fromkeys(("port", "rehearsal_port"), _whole(0, 65_535)),
    **dict.fromkeys(("ready_deadline", "turn_deadline"), _seconds()),
    **dict.fromkeys(("stop_grace", "warm"), _seconds(zero=True)),
    "tick": _seconds(3600),
    "builds": _whole(1, 64),
    "name": _text(64),
    "host": _host,
    "allowed_hosts": _names,
    "runtime": _one_of(*_RUNTIMES),
    "log_level": _one_of(*_LEVELS),
}
"""How a value of each setting is read; raises ``ValueError`` with what is wrong."""


@dataclass(frozen=True, init=False)
class Settings:
    """Everything that can be set. Durations in seconds, at most a week.

    Raises:
        BadSettings: a value is not as it must be, or something is named that cannot be set.
        ValueError, OSError: the file is not TOML, or cannot be read.
    """

    home: Path = field(default_factory=default_home)
    run: Path = field(default_factory=default_run)
    name: str = "hive"
    host: str = "127.0.0.1"
    port: int = 7000
    public: bool = False  # binding beyond loopback wants it
    allowed_hosts: tuple[str, ...] = ()  # further Host headers to answer to, when public
    runtime: Literal["auto", "nixos", "nspawn", "bubblewrap", "process"] = "auto"
    rehearse: bool = False
    scenario: Path | None = None  # a scenario file for rehearsal; absent: the built-in one
    rehearsal_port: int = 0
    claude: Path | None = None  # the Claude Code binary; absent: the newest found
    tick: float = 10.0
    builds: int = 4  # rebuilds and starts at once
    ready_deadline: float = 30.0  # a started harness says hello within it
    stop_grace: float = 5.0
    turn_deadline: float = 1800.0
    warm: float = 20.0  # an idle Claude process is kept so long
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __init__(self, **flags: Any) -> None:
        home = flags.get("home")
        file = (whole_path(str(home)) if home else default_home()) / "hyperhive.toml"
        given = {**_from_file(file), **_from_environment(), **flags}
        wrong = dict.fromkeys(given.keys() - _READ.keys(), "there is no such setting")
        for setting in fields(self):
            value = given[setting.name] if setting.name in given else _default(setting)
            try:
                object.__setattr__(self, setting.name, _READ[setting.name](value))
            except ValueError as error:
                wrong[setting.name] = str(error)
        if wrong:
            raise BadSettings(wrong)


def _default(setting: Field[Any]) -> object:
    return setting.default_factory() if setting.default_factory is not MISSING else setting.default


def _from_environment() -> dict[str, Any]:
    """What is set by variables; their names may be in small letters."""
    found = {key.upper(): value for key, value in os.environ.items()} | dict(os.environ)
    wanted = {name: _PREFIX + name.upper() for name in _READ}
    return {name: found[variable] for name, variable in wanted.items() if variable in found}


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import tomllib  # few have such a file, and a start waits for what it imports

    with path.open("rb") as file:
        return tomllib.load(file)
