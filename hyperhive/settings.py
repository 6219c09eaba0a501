"""Settings: flags, then environment (``HYPERHIVE_*``), then ``hyperhive.toml`` in the home, then defaults."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hyperhive.errors import Refused


def whole_path(text: str) -> Path:
    """``text`` as an absolute path; ``~`` and ``~user`` are home folders.

    Raises:
        Refused: nobody knows that user's.
    """
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise Refused(f"{text}: that user has no home folder here; write the path in full.") from None


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


_WEEK = 604_800.0
_Place = Annotated[Path, BeforeValidator(_place)]


class Settings(BaseSettings):
    """Everything that can be set. Durations in seconds, at most a week."""

    model_config = SettingsConfigDict(env_prefix="HYPERHIVE_", extra="forbid", frozen=True)

    home: _Place = Field(default_factory=default_home)
    run: _Place = Field(default_factory=default_run)
    name: str = Field(default="hive", max_length=64)
    host: str = "127.0.0.1"
    port: int = Field(default=7000, ge=0, le=65535)
    public: bool = False  # binding beyond loopback wants it
    allowed_hosts: tuple[str, ...] = ()  # further Host headers to answer to, when public
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, the home's file."""
        flags: dict[str, Any] = init_settings()
        home = flags.get("home")
        file = (whole_path(str(home)) if home else default_home()) / "hyperhive.toml"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)
