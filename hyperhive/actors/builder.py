"""Builds generations: an agent's config rendered into what its container runs, whole or not at all."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from hyperhive.actors.layout import AgentPaths, Layout
from hyperhive.actors.observer import applied_revision, read_regular
from hyperhive.domain.agent_config import DEFAULT, MAX_CONFIG, AgentConfig, parse
from hyperhive.domain.launch import Launch, permission_rules, role_of
from hyperhive.errors import Broken
from hyperhive.runtimes.base import Bind, LaunchSpec, Runtime

_KEPT_GENERATIONS = 5

INSIDE_ROOMS = ("domain", "harness")
"""What of hyperhive runs inside a container, beside its errors."""
INSIDE_RUN = Path("/run/hive")
INSIDE_STATE = Path("/state")
INSIDE_CLAUDE = Path("/claude")
INSIDE_RECORDS = Path("/harness")
INSIDE_GENERATION = Path("/generation")


@dataclass(frozen=True, slots=True)
class Generation:
    """What one rebuild made."""

    number: int
    revision: str
    config: str
    model: str


class Builder:
    """Renders configs and launch specs.

    Args:
        own: hyperhive's own revision.
        package: the hyperhive package; what of it runs inside is copied into each generation, so that a
            container goes on with what it was built from while the package is upgraded under it.
        claude: the Claude Code binary; ``None``: the one in the claude-agent-sdk wheel.
        turn_deadline, warm: seconds, see ``Launch``.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        runtime: Runtime,
        own: str,
        package: Path,
        claude: Path | None,
        turn_deadline: float,
        warm: float,
    ) -> None:
        self._layout = layout
        self._runtime = runtime
        self._own = own
        self._package = package
        self._claude = claude
        self._turn_deadline = turn_deadline
        self._warm = warm

    def current(self, name: str) -> str | None:
        """The revision a rebuild would give now."""
        return applied_revision(self._layout.agent(name).config, self._own)

    def prepare(self, name: str) -> None:
        """Make an agent's folders and its first config; what is there stays."""
        paths = self._layout.agent(name)
        paths.create()
        if not paths.config.exists():
            _write(paths.config, DEFAULT)

    def build(self, name: str, last: int) -> Generation:
        """Render the applied config into the next generation.

        Args:
            last: number of the newest generation.

        Raises:
            Invalid: the config cannot work; nothing was changed.
            Broken: the disk refused; nothing was changed.
        """
        paths = self._layout.agent(name)
        raw = read_regular(paths.config, MAX_CONFIG)
        if raw is None:
            raise Broken(f"{paths.config} cannot be read; restore it, then rebuild.")
        text = raw.decode("utf-8", errors="surrogateescape")
        config = parse(text, file="agent.toml")
        number = max([last, *_numbers(paths.generations)]) + 1
        launch = self._launch(name, number, paths, config)
        final = paths.generations / str(number)
        draft = paths.generations / f".{number}.tmp"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            _copy_own(self._package, draft / "lib" / self._package.name)
            _write(draft / "launch.json", launch.model_dump_json(indent=2))
            _write(draft / "agent.toml", text)
            draft.rename(final)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise Broken(f"Generation {number} could not be written: {error.strerror}.") from None
        _prune(paths.generations, number, running=last)
        revision = applied_revision(final / "agent.toml", self._own) or ""
        return Generation(number=number, revision=revision, config=text, model=config.model)

    def spec(self, name: str, generation: int) -> LaunchSpec:
        """What the runtime starts for a generation."""
        paths = self._layout.agent(name)
        binds = self._binds(paths, generation)
        launch = self._runtime.inside(binds, paths.generations / str(generation) / "launch.json")
        return LaunchSpec(
            name=name,
            folder=paths.container,
            argv=(sys.executable, "-m", "hyperhive.harness", str(launch)),
            env={
                "CLAUDE_CONFIG_DIR": str(self._runtime.inside(binds, paths.claude)),
                "PYTHONPATH": str(self._runtime.inside(binds, paths.generations / str(generation) / "lib")),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONSAFEPATH": "1",  # the working folder is the agent's: its json.py is not ours
                "PYTHONUNBUFFERED": "1",
            },
            binds=binds,
            programs=self._programs(),
            workdir=paths.state,
        )

    def _programs(self) -> tuple[Path, ...]:
        own = {Path(sys.prefix), Path(sys.base_prefix)}
        claude = {self._claude} if self._claude is not None else set()
        return tuple(sorted(own | claude))

    def _binds(self, paths: AgentPaths, generation: int) -> tuple[Bind, ...]:
        return (
            Bind(host=paths.state, inside=INSIDE_STATE, writable=True),
            Bind(host=paths.claude, inside=INSIDE_CLAUDE, writable=True),
            Bind(host=paths.records, inside=INSIDE_RECORDS, writable=True),
            Bind(host=paths.generations / str(generation), inside=INSIDE_GENERATION),
            Bind(host=paths.run, inside=INSIDE_RUN),
        )

    def _launch(self, name: str, number: int, paths: AgentPaths, config: AgentConfig) -> Launch:
        binds = self._binds(paths, number)

        def inside(path: Path) -> str:
            return str(self._runtime.inside(binds, path))

        return Launch(
            generation=number,
            agent=name,
            role=role_of(name),
            model=config.model,
            claude=str(self._claude) if self._claude is not None else None,
            hive_sock=inside(paths.hive_sock),
            mcp_sock=inside(paths.mcp_sock),
            state=inside(paths.state),
            claude_dir=inside(paths.claude),
            records=inside(paths.records),
            allowed=permission_rules(config),
            extra_mcp_servers=config.extraMcpServers,
            turn_deadline=self._turn_deadline,
            warm=self._warm,
            notes_compact_kib=config.notes.compactAboveKiB,
        )


def _copy_own(package: Path, target: Path) -> None:
    for room in INSIDE_ROOMS:
        shutil.copytree(package / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("__init__.py", "errors.py"):
        shutil.copyfile(package / file, target / file)


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole, also after a power loss."""
    draft = path.with_name(f".{path.name}.tmp")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _numbers(folder: Path) -> list[int]:
    return [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]


def _prune(folder: Path, newest: int, *, running: int) -> None:
    for number in sorted(_numbers(folder)):
        if number <= newest - _KEPT_GENERATIONS and number != running:
            shutil.rmtree(folder / str(number), ignore_errors=True)
