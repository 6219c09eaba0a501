"""How an agent stands, in the screen's words; ``static/js/standing.js`` says the same in the browser."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hyperhive.domain.approvals import Kind
from hyperhive.domain.names import OPERATOR, natural
from hyperhive.domain.records import FAILED_BUILD
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView, ApprovalView, HiveSnapshot, MessageView

GROUPS = {"attention": "Needs attention", "working": "Working", "idle": "Idle", "stopped": "Stopped"}

_TURN = {
    TurnState.IDLE: "Idle",
    TurnState.THINKING: "Thinking",
    TurnState.COMPACTING: "Compacting",
    TurnState.WAITING: "Waiting for you",
    TurnState.RATE_LIMITED: "Rate-limited",
    TurnState.OFFLINE: "API unreachable",
}
ALIKE = 3
"""So many agents with the same trouble become one card."""
FEW = 3
"""So many agents, the manager included, a newcomer may have."""
ROOM = 7
"""How much of the list shows at first, in lines of about 48 px; the rest unfolds."""
_TAKES = {"approval": 2, "question": 3}

_ASKED = {
    Kind.SPAWN: "New agent",
    Kind.SPAWN_COMMIT: "New agent from a draft",
    Kind.APPLY_COMMIT: "Config change",
}

_BUSY = {TurnState.THINKING, TurnState.COMPACTING}


class Chip(NamedTuple):
    """A fact that is off, in a word. ``tone``: attention, fault, off."""

    tone: str
    text: str


class Standing(NamedTuple):
    """Where an agent belongs and how it shows.

    Args:
        group: a key of ``GROUPS``.
        tone: fine, working, attention, fault or off.
        state: what it does, in words; ``since``: since when, ``None`` where nobody knows.
        why: what is wrong, as it was said.
        saying: the tone of the state's word, which a fault elsewhere does not colour.
    """

    group: str
    tone: str
    state: str
    since: datetime | None
    saying: str
    chips: tuple[Chip, ...]
    why: str


class Waiting(NamedTuple):
    """One thing only the operator can settle. ``agents``: all it is about, where it is the same for several."""

    kind: str
    tone: str
    agent: str | None
    text: str
    since: datetime | None = None
    command: str | None = None
    options: tuple[str, ...] = ()
    item: Any = None
    agents: tuple[str, ...] = ()


def beginning(snapshot: HiveSnapshot, messages: Iterable[MessageView]) -> bool:
    """Whether this is a hive's first hour: hardly an agent, and the operator has written to nobody."""
    few = len(snapshot.agents) <= FEW and not snapshot.kept
    return few and all(message.sender != OPERATOR for message in messages)


def words(slug: str) -> str:
    """A slug as a word on the screen: ``rate-limited`` is ``Rate-limited``."""
    return slug[:1].upper() + slug[1:]


def asked(approval: ApprovalView) -> str:
    """What is asked for, in two or three words."""
    return _ASKED[approval.kind]


def asks(approval: ApprovalView) -> str:
    """What is asked for, where no commit says it."""
    asker = approval.requested_by
    return (
        f"{'You asked' if asker == OPERATOR else f'{asker} asks'} for a new agent, {approval.agent}, "
        "with the first config. Approved, it starts at once."
    )


def changed_since(approval: ApprovalView, agents: Iterable[AgentView]) -> str:
    """What ``approval``'s agent runs now, where that is not what it ran when it was proposed; else empty."""
    runs = next((agent.commit for agent in agents if agent.name == approval.agent), "")
    return runs if approval.sha is not None and runs not in ("", approval.base or "") else ""


def failed_build(agent: AgentView) -> bool:
    """Whether the last rebuild failed and nothing is under way to mend it."""
    return agent.transient is None and (agent.last_error or "").startswith(FAILED_BUILD)


def of(agent: AgentView) -> Standing:
    """How ``agent`` stands."""
    group, tone, state, since = _stands(agent)
    saying = _saying(agent) if failed_build(agent) and state == _TURN[agent.turn.state] else tone
    error = _bare(agent.last_error or "") if failed_build(agent) else agent.last_error
    why = agent.quarantined or error or agent.turn.note or next(iter(agent.warnings), "")
    return Standing(group, tone, state, since, saying, _chips(agent), why)


def _stands(agent: AgentView) -> tuple[str, str, str, datetime | None]:
    turn = agent.turn
    if agent.quarantined is not None:
        return "attention", "fault", "Quarantined", None
    if agent.transient is not None:
        return "working", "working", words(agent.transient), agent.transient_since or agent.since
    if agent.container == "unknown":
        return "attention", "attention", "Unknown", None
    if agent.container == "stopped":
        if agent.restart_at is not None:
            return "attention", "fault", "Crashed", agent.since
        if agent.last_error:
            return "attention", "fault", "Stopped", agent.since
        return "stopped", "off", "Stopped", agent.since
    if agent.login == "needs-login":
        return "attention", "attention", "Needs login", None
    if failed_build(agent):
        return "attention", "fault", _TURN[turn.state], turn.since
    if agent.paused:
        return "idle", "off", "Paused", None
    if turn.state in _BUSY:
        return "working", "working", _TURN[turn.state], turn.since
    if turn.state in (TurnState.WAITING, TurnState.OFFLINE):
        return "attention", "attention", _TURN[turn.state], turn.since
    if turn.state is TurnState.RATE_LIMITED:
        return "idle", "attention", _TURN[turn.state], turn.since
    if not agent.ready:
        return "working", "working", "Connecting", agent.since
    return "idle", "fine", _TURN[turn.state], turn.since


def _saying(agent: AgentView) -> str:
    if agent.turn.state is TurnState.IDLE:
        return "fine"
    return "working" if agent.turn.state in _BUSY else "attention"


def _chips(agent: AgentView) -> tuple[Chip, ...]:
    chips: list[Chip] = []
    if agent.login == "needs-login" and agent.container != "running":
        chips.append(Chip("attention", "Needs login"))
    if agent.container == "running" and agent.quarantined is not None:
        chips.append(Chip("off", "Still running"))
    if failed_build(agent):
        chips.append(Chip("fault", "Build failed"))
    if agent.revision == "stale" and agent.transient != "rebuilding":
        chips.append(Chip("attention", "Stale"))
    if agent.paused and (agent.container != "running" or agent.login == "needs-login"):
        chips.append(Chip("off", "Paused"))
    if agent.warnings:
        count = len(agent.warnings)
        chips.append(Chip("attention", "1 warning" if count == 1 else f"{count} warnings"))
    return tuple(chips)


def groups(agents: Iterable[AgentView]) -> list[tuple[str, str, list[tuple[AgentView, Standing]]]]:
    """All groups in their order, each with its agents: the manager first, then by name."""
    members: dict[str, list[tuple[AgentView, Standing]]] = {key: [] for key in GROUPS}
    for agent in sorted(agents, key=lambda one: (one.role != "manager", *natural(one.name))):
        stand = of(agent)
        members[stand.group].append((agent, stand))
    return [(key, title, members[key]) for key, title in GROUPS.items()]


def breadth(agents: Iterable[AgentView]) -> str:
    """How wide the column of names has to be: one for all rows, so that they align."""
    longest = max((len(agent.name) for agent in agents), default=0)
    return "short" if longest <= 17 else "medium" if longest <= 24 else "long"


def _bare(error: str) -> str:
    """The reason alone: that it is a failed rebuild, the card's head says."""
    return error[len(FAILED_BUILD) :].lstrip(": ") or error


def _left_alone(reason: str) -> str:
    reason = reason.strip() or "It failed too often"
    return f"{reason}{'' if reason.endswith(('.', '!', '?')) else '.'} It is left alone until you resume it."


def waiting(snapshot: HiveSnapshot) -> list[Waiting]:
    """What waits for the operator, in the order in which it should be dealt with."""
    items = [Waiting("trouble", "fault", None, text) for text in snapshot.hive.trouble]
    agents = sorted(snapshot.agents, key=lambda one: (one.role != "manager", *natural(one.name)))
    for agent in agents:
        if agent.quarantined is not None:
            items.append(
                Waiting("quarantine", "fault", agent.name, _left_alone(agent.quarantined), item=agent)
            )
    for approval in snapshot.approvals:
        if approval.state == "pending":
            text = approval.summary or asks(approval)
            items.append(
                Waiting("approval", "attention", approval.agent, text, approval.requested, item=approval)
            )
    for question in snapshot.questions:
        if question.state == "open":
            items.append(
                Waiting(
                    "question",
                    "attention",
                    question.agent,
                    question.question,
                    question.asked,
                    options=question.options,
                    item=question,
                )
            )
    for agent in agents:
        if failed_build(agent):
            items.append(Waiting("build", "fault", agent.name, _bare(agent.last_error or ""), item=agent))
    for agent in agents:
        if agent.login == "needs-login" and agent.quarantined is None:
            command = f"hyperhive login {agent.name}"
            text = "Claude has no usable login here. Type this on the hive's machine:"
            items.append(Waiting("login", "attention", agent.name, text, command=command, item=agent))
    return items


def gathered(items: Iterable[Waiting]) -> list[Waiting]:
    """The same list with one card for what is the same for several agents: five builds that failed alike."""
    alike: dict[tuple[str, str], list[Waiting]] = {}
    for item in items:
        alone = item.kind not in ("quarantine", "build", "login")
        alike.setdefault((item.kind, str(id(item)) if alone else item.text), []).append(item)
    found: list[Waiting] = []
    for same in alike.values():
        if len(same) < ALIKE:
            found += same
        else:
            names = tuple(item.agent or "" for item in same)
            found.append(same[0]._replace(agent=None, command=None, item=None, agents=names))
    return found


def first(items: Sequence[Waiting]) -> list[Waiting]:
    """What of the list shows at first: in its order, of each kind one, and more as long as there is room for it."""
    heads = {item.kind: at for at, item in reversed(list(enumerate(items)))}
    room, shown = ROOM - sum(_TAKES.get(kind, 1) for kind in heads), list[Waiting]()
    for at, item in enumerate(items):
        takes = _TAKES.get(item.kind, 1)
        if heads[item.kind] == at:
            shown.append(item)
        elif takes <= room:
            room -= takes
            shown.append(item)
    return shown
