"""Where an agent's folders are, on the host and inside its container."""

from pathlib import Path
from typing import NamedTuple

from hyperhive.domain.names import check_name
from hyperhive.errors import Broken


class AgentPaths(NamedTuple):
    """The folders of one agent, all 0700 and all below the hive's home; sockets below its run folder."""

    root: Path
    run: Path

    @property
    def applied(self) -> Path:
        """The config the container is built from; only the daemon writes."""
        return self.root / "applied"

    @property
    def config(self) -> Path:
        """``agent.toml`` in it."""
        return self.applied / "agent.toml"

    @property
    def proposed(self) -> Path:
        """Where changes to the config are thought out; the manager's."""
        return self.root / "proposed"

    @property
    def state(self) -> Path:
        """The agent's own; ``/state`` inside."""
        return self.root / "state"

    @property
    def claude(self) -> Path:
        """Credentials and sessions; ``CLAUDE_CONFIG_DIR`` inside."""
        return self.root / "claude"

    @property
    def records(self) -> Path:
        """The harness's own records."""
        return self.root / "harness"

    @property
    def generations(self) -> Path:
        """One folder a rebuild."""
        return self.root / "generations"

    def generation(self, number: int) -> Path:
        """The folder of one of them."""
        return self.generations / str(number)

    def has_generation(self, number: int) -> bool:
        """Whether the folder of one of them is there, whole."""
        return (self.generation(number) / "launch.json").is_file()

    @property
    def container(self) -> Path:
        """The daemon's own for the container: status file and log; never visible inside."""
        return self.root / "container"

    @property
    def log(self) -> Path:
        """The container's log."""
        return self.container / "log"

    @property
    def build_log(self) -> Path:
        """What the last or present build said."""
        return self.root / "build.log"

    @property
    def hive_sock(self) -> Path:
        """The harness's socket."""
        return self.run / "hive.sock"

    @property
    def mcp_sock(self) -> Path:
        """The agent's MCP socket."""
        return self.run / "mcp.sock"

    def create(self) -> None:
        """Make what is missing; ``applied`` and ``proposed`` are the repositories' to make.

        Raises:
            Broken: something else is in the place of one.
        """
        folders = (self.state, self.claude, self.records, self.generations, self.container)
        for folder in (self.root.parent, self.root, *folders, self.run):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise Broken(
                    f"{folder} is no folder, as it must be; move away what is there, then resume the agent.",
                    code="not-ours",
                ) from None


class Layout:
    """Finds an agent's folders by its name, which is checked here once more."""

    def __init__(self, *, home: Path, run: Path) -> None:
        self.home = home
        self.run = run

    @property
    def environments(self) -> Path:
        """The operator's files of variables that configs name."""
        return self.home / "environments"

    def agent(self, name: str) -> AgentPaths:
        """The folders of the agent called ``name``."""
        checked = check_name(name)
        return AgentPaths(root=self.home / "agents" / checked, run=self.run / "agents" / checked)
