"""Settings: flags, then environment (``HYPERHIVE_*``), then ``hyperhive.toml`` in the home, then defaults."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hyperhive.errors import Refused


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


def _place(value: object) -> object:
    """A folder's path, made absolute: it goes into other processes and into files that are JSON."""
    text = str(value)
    if not text:
        raise ValueError("it is empty; name a folder")
    if not text.isprintable():
        raise ValueError("it holds characters that are not printable UTF-8; choose another name")
    return whole_path(text)


def _host(value: object) -> object:
    """An address or a host's name: on what can be neither the resolver fails with what is no OSError."""
    text = str(value)
    with suppress(UnicodeError):
        if text.isprintable() and text.encode("idna"):
            return value
    raise ValueError("it is neither an address nor the name of a host")


def _names(value: object) -> object:
    """A list; as JSON where it comes from a variable."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('it is no JSON; write a list, e.g. ["hive.lan"]') from None


_PREFIX = "HYPERHIVE_"
_WEEK = 604_800.0
_Place = Annotated[Path, BeforeValidator(_place)]
_Host = Annotated[str, BeforeValidator(_host)]
_Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class Settings(BaseModel):
    """Everything that can be set. Durations in seconds, at most a week.

    Raises:
        ValidationError: a value is not as it must be, or the file holds something that cannot be set.
        ValueError, OSError: the file is not TOML, or cannot be read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    home: _Place = Field(default_factory=default_home)
    run: _Place = Field(default_factory=default_run)
    name: str = Field(default="hive", max_length=64)
    host: _Host = "127.0.0.1"
    port: int = Field(default=7000, ge=0, le=65535)
    public: bool = False  # binding beyond loopback wants it
    allowed_hosts: _Names = ()  # further Host headers to answer to, when public
    runtime: Literal["auto", "nixos", "nspawn", "bubblewrap", "process"] = "auto"
    rehearse: bool = False
    scenario: Path | None = None  # a scenario file for rehearsal; absent: the built-in one
    rehearsal_port: int = Field(default=0, ge=0, le=65535)
    claude: Path | None = None  # the Claude Code binary; absent: the newest found
    tick: float = Field(default=10.0, gt=0, le=3600)
    builds: int = Field(default=4, ge=1, le=64)  # rebuilds and starts at once
    ready_deadline: float = Field(default=30.0, gt=0, le=_WEEK)  # a started harness says hello within it
    stop_grace: float = Field(default=5.0, ge=0, le=_WEEK)
    turn_deadline: float = Field(default=1800.0, gt=0, le=_WEEK)
    warm: float = Field(default=20.0, ge=0, le=_WEEK)  # an idle Claude process is kept so long
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __init__(self, **flags: Any) -> None:
        home = flags.get("home")
        file = (whole_path(str(home)) if home else default_home()) / "hyperhive.toml"
        super().__init__(**{**_from_file(file), **_from_environment(), **flags})


def _from_environment() -> dict[str, Any]:
    """What is set by variables; their names may be in small letters."""
    found = {key.upper(): value for key, value in os.environ.items()} | dict(os.environ)
    wanted = {name: _PREFIX + name.upper() for name in Settings.model_fields}
    return {name: found[variable] for name, variable in wanted.items() if variable in found}


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import tomllib  # few have such a file, and a start waits for what it imports

    with path.open("rb") as file:
        return tomllib.load(file)
