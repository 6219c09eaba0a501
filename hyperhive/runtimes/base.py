"""The port to what makes containers. One file per runtime implements it; one contract test holds for all."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hyperhive.domain.records import Handle

if TYPE_CHECKING:  # who makes a container has them; a start waits for what it imports
    from hyperhive.domain.limits import Limits


class Bind(NamedTuple):
    """A folder or file of the host that the container sees. Without walls ``inside`` is not used."""

    host: Path
    inside: Path
    writable: bool = False


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """What to run in a container.

    Args:
        name: the agent.
        folder: the daemon's own folder for this container (status file, log); never visible inside.
        argv: the command to run inside, host paths; every path of it is visible inside at the same place.
        limits: what it may use; see ``Runtime.unheld``.
        env: its whole environment besides what the runtime itself must add; may be host paths under
            ``process``, see ``Runtime.inside``.
        binds: what it sees besides the host's programs.
        programs: host files or folders, read-only inside at the same path (interpreter, packages, claude).
        workdir: a path inside one of the binds, on the host.
        shares: whether folders can be shown in it while it runs; see ``Runtime.share``.
    """

    name: str
    folder: Path
    argv: tuple[str, ...]
    limits: "Limits"
    env: dict[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    programs: tuple[Path, ...] = ()
    workdir: Path | None = None
    shares: bool = False


class Probe(NamedTuple):
    """Whether a runtime works here. ``reason``: why not; ``fix``: what to type."""

    works: bool
    reason: str = ""
    fix: str = ""


class Runtime(Protocol):
    """Starts, ends and finds again one container per agent. All calls block; they run in Jobs.

    A container outlives the daemon: no pipe to it, no death signal from it. Its leader's end is the end of
    everything in it. stdout and stderr go to ``spec.folder / "log"``, opened for appending.
    """

    @property
    def name(self) -> str:
        """``bubblewrap``, ``process`` …"""

    @property
    def confined(self) -> bool:
        """Whether there are walls around a container."""

    def probe(self) -> Probe:
        """Whether this runtime really works here: it starts something and looks."""

    def inside(self, spec_binds: tuple[Bind, ...], host: Path) -> Path:
        """Where a host path appears inside a container with these binds."""

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        """Start a container and return when its leader runs.

        Args:
            deadline: seconds until it is given up, and whatever came of it is ended.

        Raises:
            Refused: it already runs.
            Broken: it did not start; the message carries the tail of what was said.
        """

    def unheld(self, limits: "Limits") -> tuple[str, ...]:
        """Which of these limits would not hold here, one sentence each: which, and why."""

    def shared(self, folder: Path) -> Path:
        """Where the shares of a container with this ``folder`` appear inside it."""

    def share(self, folder: Path, handle: Handle, shares: tuple[Bind, ...]) -> None:
        """Show exactly these in a running container that was started with ``shares``; others disappear.

        Args:
            shares: ``inside`` is relative to ``shared``, e.g. ``alice/config``.

        Raises:
            Broken: it could not be; calling again is safe.
        """

    def stop(self, handle: Handle, *, grace: float) -> None:
        """End the container: ask it to (SIGTERM to the payload), after ``grace`` seconds kill it.

        Returns when nothing of it is left. One that has ended already is no error.

        Raises:
            Broken: something of it is still there after the kill.
        """

    def find(self, folder: Path, recorded: Handle | None) -> Handle | None:
        """The container that was started with this ``folder`` and still runs, or ``None``.

        Works without ``recorded`` too: a daemon killed between start and record finds what it started.
        """

    def alive(self, handle: Handle) -> bool:
        """Whether the container still runs: the same process, not a later one with its number, no zombie."""

    def exit_note(self, folder: Path, handle: Handle) -> str | None:
        """How the container ended, in words (``exit status 3``, ``killed by SIGKILL``), where it is known."""

    def sweep(self, folder: Path, name: str) -> None:
        """End and remove whatever an ended container of this agent left behind (orphans, status files)."""

    def enter(self, handle: Handle, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The host command that runs ``argv`` inside the container with a terminal of the caller's."""
