"""Builds generations: a commit of an agent's config rendered into what its container runs, whole or not at all."""

import json
import os
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hyperhive.actors.environments import Environments
from hyperhive.actors.layout import AgentPaths, Layout
from hyperhive.actors.observer import read_regular
from hyperhive.actors.sources import Aim, Source, Sources
from hyperhive.domain.agent_config import DEFAULT, MAX_CONFIG, AgentConfig, parse
from hyperhive.domain.launch import Launch, permission_rules
from hyperhive.domain.limits import Limits
from hyperhive.domain.names import MANAGER, role_of
from hyperhive.domain.records import AgentRecord
from hyperhive.errors import Broken
from hyperhive.repos.repositories import Repositories
from hyperhive.runtimes.base import Bind, LaunchSpec, Runtime

KEPT_GENERATIONS = 5
"""Folders of generations that an agent keeps, besides the one it runs."""

INSIDE_ROOMS = ("domain", "harness")
"""What of hyperhive runs inside a container, beside its errors."""
INSIDE_RUN = Path("/run/hive")
INSIDE_STATE = Path("/state")
INSIDE_CLAUDE = Path("/claude")
INSIDE_RECORDS = Path("/harness")
INSIDE_GENERATION = Path("/generation")
INSIDE_ENVIRONMENT = Path("/run/environment")
_MAX_FILE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Generation:
    """What one rebuild made, or went back to.

    Args:
        config: the text of its ``agent.toml``.
        commit, summary: what it was built from.
        warnings: what of its config does not hold, one sentence each.
        approval: which one led to it.
        again: it was there before.
    """

    number: int
    revision: str
    config: str
    model: str
    commit: str
    summary: str = ""
    warnings: tuple[str, ...] = ()
    approval: int | None = None
    again: bool = False


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
        repos: Repositories,
        environments: Environments,
        own: str,
        package: Path,
        claude: Path | None,
        turn_deadline: float,
        warm: float,
    ) -> None:
        self._layout = layout
        self._runtime = runtime
        self._repos = repos
        self._environments = environments
        self._package = package
        self._claude = claude
        self._turn_deadline = turn_deadline
        self._warm = warm
        self.sources = Sources(layout=layout, repos=repos, own=own, check=self.check)

    # -- building

    def current(self, name: str, record: AgentRecord | None = None) -> str | None:
        """The revision that a rebuild would give now, see ``Sources.current``."""
        return self.sources.current(name, record)

    def check(self, text: str) -> AgentConfig:
        """Whether a config can work here.

        Raises:
            Invalid: with file, key and reason.
        """
        config = parse(text)
        self._environments.check(config)
        return config

    def folders(self, name: str) -> None:
        """Make what of an agent's folders is missing, besides its repositories."""
        self._layout.agent(name).create()

    def prepare(self, name: str, *, first: bool = True) -> None:
        """Make an agent's folders and repositories; what is there stays. Runs no process.

        Args:
            first: it may be built from the first config as long as nothing was deployed.
        """
        paths = self._layout.agent(name)
        self.folders(name)
        self._environments.prepare()
        self._repos.prepare(name, first=first)
        if first and not paths.config.exists() and self._repos.main(name) is None:
            _write(paths.config, DEFAULT)  # for the operator to edit

    def build(self, name: str, last: int, aim: Aim) -> Generation:
        """Render a commit into the next generation.

        Args:
            last: number of the generation that is recorded.

        Raises:
            Invalid: the config cannot work; nothing was changed.
            Broken: the disk refused; nothing was changed.
        """
        return self._render(name, last, aim, self.sources.source(name, aim.commit))

    def _render(self, name: str, last: int, aim: Aim, source: Source) -> Generation:
        paths, config = self._layout.agent(name), self.check(source.config)
        number = max([last, *_numbers(paths.generations)]) + 1
        launch = self._launch(name, number, paths, config, source.prompt)
        final = paths.generation(number)
        draft = paths.generations / f".{number}.tmp"
        needs = {"limits": config.limits.model_dump(mode="json"), "environment": config.environment}
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            _copy_own(self._package, draft / "lib" / self._package.name)
            _write(draft / "launch.json", launch.model_dump_json(indent=2))
            _write(draft / "container.json", json.dumps(needs, indent=2))
            _write(draft / "agent.toml", source.config)
            draft.rename(final)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise Broken(f"Generation {number} could not be written: {error.strerror or error}.") from None
        return Generation(
            number=number,
            revision=aim.revision,
            config=source.config,
            model=config.model,
            commit=aim.commit,
            summary=source.summary,
            warnings=self._runtime.unheld(config.limits),
        )

    # -- the folders

    def here(self, name: str, number: int) -> bool:
        """Whether a generation's folder is there, whole: one that a power loss or a hand spoiled is built anew."""
        folder = self._layout.agent(name).generation(number)
        launch, needs = (read_regular(folder / file, _MAX_FILE) for file in ("launch.json", "container.json"))
        try:
            if needs is not None:
                AgentConfig.model_validate_json(needs)
            # Only its own harness, copied beside it, knows what else must be in it.
            return launch is not None and isinstance(json.loads(launch), dict)
        except (ValueError, RecursionError):
            return False

    def tidy(self, name: str, *, recorded: Collection[int], keep: Collection[int]) -> None:
        """Remove what builds that did not end left, and all recorded generations but the newest. Never fails.

        Args:
            recorded: numbers of generations that an agent can go back to.
            keep: those that stay in any case.
        """
        kept = {*keep, *sorted(recorded, reverse=True)[:KEPT_GENERATIONS]}
        try:
            entries = list(self._layout.agent(name).generations.iterdir())
        except OSError:  # there is none, or no descriptor is left: there is another time
            return
        for entry in entries:
            doomed = int(entry.name) not in kept if entry.name.isdecimal() else entry.name.endswith(".tmp")
            if doomed:
                shutil.rmtree(entry, ignore_errors=True)

    # -- launching

    def spec(self, name: str, generation: int) -> LaunchSpec:
        """What the runtime starts for a generation.

        Raises:
            Invalid: the environment file that its config names cannot be used any more.
        """
        paths = self._layout.agent(name)
        limits, environment = self._needs(paths.generation(generation) / "container.json")
        binds = self._binds(paths, generation, environment)
        launch = self._runtime.inside(binds, paths.generation(generation) / "launch.json")
        shares = {"HYPERHIVE_AGENTS": str(self._runtime.shared(paths.container))} if name == MANAGER else {}
        return LaunchSpec(
            name=name,
            folder=paths.container,
            argv=(sys.executable, "-m", "hyperhive.harness", str(launch)),
            env={
                "CLAUDE_CONFIG_DIR": str(self._runtime.inside(binds, paths.claude)),
                "PYTHONPATH": str(self._runtime.inside(binds, paths.generation(generation) / "lib")),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONSAFEPATH": "1",  # the working folder is the agent's: its json.py is not ours
                "PYTHONUNBUFFERED": "1",
                **{f"GIT_{who}_NAME": name for who in ("AUTHOR", "COMMITTER")},
                **{f"GIT_{who}_EMAIL": f"{name}@hive" for who in ("AUTHOR", "COMMITTER")},
                **shares,
            },
            binds=binds,
            programs=self._programs(),
            workdir=paths.state,
            limits=limits,
            shares=name == MANAGER,
        )

    def _needs(self, file: Path) -> tuple[Limits, Path | None]:
        """What a generation's container needs of the host; one from before this was written down needs nothing."""
        raw = read_regular(file, MAX_CONFIG)
        if raw is None:
            return Limits(), None
        config = AgentConfig.model_validate_json(raw)
        return config.limits, self._environments.check(config)

    def _programs(self) -> tuple[Path, ...]:
        own = {Path(sys.prefix), Path(sys.base_prefix)}
        claude = {self._claude} if self._claude is not None else set()
        return tuple(sorted(own | claude))

    def _binds(self, paths: AgentPaths, generation: int, environment: Path | None) -> tuple[Bind, ...]:
        more = () if environment is None else (Bind(host=environment, inside=INSIDE_ENVIRONMENT),)
        return (
            Bind(host=paths.state, inside=INSIDE_STATE, writable=True),
            Bind(host=paths.claude, inside=INSIDE_CLAUDE, writable=True),
            Bind(host=paths.records, inside=INSIDE_RECORDS, writable=True),
            Bind(host=paths.generation(generation), inside=INSIDE_GENERATION),
            Bind(host=paths.run, inside=INSIDE_RUN),
            *more,
        )

    def _launch(self, name: str, number: int, paths: AgentPaths, config: AgentConfig, prompt: str) -> Launch:
        environment = self._environments.check(config)
        binds = self._binds(paths, number, environment)

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
            agents=str(self._runtime.shared(paths.container)) if name == MANAGER else None,
            environment=None if environment is None else inside(environment),
            prompt=prompt,
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
