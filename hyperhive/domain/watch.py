"""The heart: what happened, from what was recorded, what is seen and what is under way. No clock, no I/O."""

from hyperhive.domain.axes import Axes, Container, Login, Observation, Operation, Revision
from hyperhive.domain.events import ContainerCrash, HelperEvent, LoggedIn, NeedsLogin, NeedsUpdate


def step(
    agent: str, recorded: Axes | None, seen: Observation, under: Operation | None
) -> tuple[Axes, tuple[HelperEvent, ...]]:
    """Decide what happened to ``agent`` since it was last recorded.

    Args:
        agent: whom the events are about.
        recorded: the axes of the last step that was recorded; ``None`` for an agent never seen.
        seen: the observation; an axis that could not be told is ``None`` and stays as recorded.
        under: the operation under way, if any.

    Returns:
        The axes to record and the events to tell, in order. An axis seen for the first time is recorded and
        not told; so is the container axis after a reboot of the host.
    """
    before = recorded or Axes()
    after = before.merged(seen.axes)
    return after, (
        *_container(agent, before, seen, under),
        *_login(agent, before, after),
        *_revision(agent, before, seen),
    )


def _container(
    agent: str, before: Axes, seen: Observation, under: Operation | None
) -> tuple[HelperEvent, ...]:
    if before.container is not Container.RUNNING or seen.container is not Container.STOPPED:
        return ()
    if before.boot != seen.boot:
        return ()
    if under is not None and under.ending:
        return ()
    note = f"while {under.kind.value}" if under is not None else ""
    return (ContainerCrash(agent=agent, note=note, exit=seen.exit),)


def _login(agent: str, before: Axes, after: Axes) -> tuple[HelperEvent, ...]:
    match before.login, after.login:
        case Login.LOGGED_IN, Login.NEEDS_LOGIN:
            return (NeedsLogin(agent=agent),)
        case Login.NEEDS_LOGIN, Login.LOGGED_IN:
            return (LoggedIn(agent=agent),)
    return ()


def _revision(agent: str, before: Axes, seen: Observation) -> tuple[HelperEvent, ...]:
    if before.revision is Revision.UP_TO_DATE and seen.revision is Revision.STALE:
        return (NeedsUpdate(agent=agent, recorded=seen.recorded, current=seen.current),)
    return ()
