"""The board: the snapshot that every reader reads, replaced by the EventHub alone."""

from dataclasses import fields, replace
from functools import cached_property
from typing import Any

from hyperhive.domain.names import MANAGER, natural
from hyperhive.domain.parts import (
    AgentGone,
    AgentShown,
    Approvals,
    Drafts,
    Inbox,
    InboxDepth,
    Kept,
    Questions,
)
from hyperhive.domain.plain import as_json
from hyperhive.domain.recorded import Recorded
from hyperhive.domain.views import AgentView, HiveSnapshot, HiveView
from hyperhive.store.sql import clean

_SECTIONS = ("approvals", "questions", "inbox", "kept", "drafts")


class _State:
    """One state of the board; never changed once it is shown. What is derived from it is computed once."""

    def __init__(
        self,
        *,
        seq: int,
        hive: HiveView,
        agents: dict[str, AgentView],
        depths: dict[str, int],
        sections: dict[str, Any],
        order: tuple[str, ...] | None = None,
    ) -> None:
        self.order = order
        self.seq = seq
        self.hive = hive
        self.agents = agents
        self.depths = depths
        self.sections = sections

    @property
    def names(self) -> tuple[str, ...]:
        if self.order is None:
            self.order = tuple(sorted(self.agents, key=lambda name: (name != MANAGER, *natural(name))))
        return self.order

    @cached_property
    def ordered(self) -> tuple[AgentView, ...]:
        return tuple(self.agents[name] for name in self.names)

    @cached_property
    def snapshot(self) -> HiveSnapshot:
        return HiveSnapshot(seq=self.seq, hive=self.hive, agents=self.ordered, **self.sections)

    @cached_property
    def json(self) -> bytes:
        return as_json(self.snapshot).encode()


class _Draft:
    """The next state while a commit is laid over the last one."""

    def __init__(self, last: _State) -> None:
        self._last = last
        self.hive = last.hive
        self.agents = last.agents  # copied when it first changes, for most commits change neither
        self.depths = last.depths
        self.order = last.order  # names are sorted anew only when there are others: thousands take 50 ms
        self.sections = dict(last.sections)
        self.changed: set[str] = set()
        self.gone: set[str] = set()
        self.touched: set[str] = set()

    def lay(self, part: object) -> None:
        match part:
            case AgentShown(view):
                self._agent(view)
            case AgentGone(name):
                self._own_agents().pop(name, None)
                self.order = None
                self._own_depths().pop(name, None)
                self.changed.discard(name)
                self.gone.add(name)
            case InboxDepth(name, depth):
                if self.depths.get(name) != depth:
                    self._own_depths()[name] = depth
                    self._again(name)
            case Inbox(messages):
                self._section("inbox", messages)
            case Questions(questions):
                asked = self._asking()
                self._section("questions", questions)
                for name in asked ^ self._asking():
                    self._again(name)
            case Approvals(approvals):
                self._section("approvals", approvals)
            case Kept(kept):
                self._section("kept", kept)
            case Drafts(drafts):
                self._section("drafts", drafts)
            case HiveView():
                self.hive = replace(part, trouble=tuple(map(clean, part.trouble)))  # as in _whole
                self.touched.add("hive")

    def _own_agents(self) -> dict[str, AgentView]:
        if self.agents is self._last.agents:
            self.agents = dict(self.agents)
        return self.agents

    def _own_depths(self) -> dict[str, int]:
        if self.depths is self._last.depths:
            self.depths = dict(self.depths)
        return self.depths

    def _asking(self) -> set[str]:
        return {question.agent for question in self.sections["questions"]}

    def _again(self, name: str) -> None:
        if (shown := self.agents.get(name)) is not None and (known := self._known(shown)) is not shown:
            self._show(known)

    def _agent(self, view: AgentView) -> None:
        """Show an agent as its actor told it, with what only the board knows: its mail, and whom it waits for."""
        view = self._known(view)
        if self.agents.get(view.name) != view and self.agents.get(view.name) != (view := _whole(view)):
            self._show(view)

    def _known(self, view: AgentView) -> AgentView:
        return view.known(depth=self.depths.get(view.name, 0), asks=view.name in self._asking())

    def _show(self, view: AgentView) -> None:
        if view.name not in self.agents:
            self.order = None
        self._own_agents()[view.name] = view
        self.changed.add(view.name)
        self.gone.discard(view.name)

    def _section(self, name: str, items: tuple[Any, ...]) -> None:
        if self.sections[name] != items:
            self.sections[name] = items
            self.touched.add(name)

    def patch(self) -> dict[str, Any]:
        patch: dict[str, Any] = {}
        if self.changed:
            patch["agents"] = [self.agents[name] for name in sorted(self.changed)]
        if self.gone:
            patch["gone"] = sorted(self.gone)
        for section in sorted(self.touched - {"hive"}):
            patch[section] = self.sections[section]
        if "hive" in self.touched:
            patch["hive"] = self.hive
        return patch


class Board:
    """Holds an immutable state that is swapped whole; reading takes no lock and asks no actor.

    ``handed_up``: the newest event that the stream's readers were handed; the EventHub's own note, kept here
    because the board outlives it.

    Args:
        hive: the hive's own view.
        seq: the newest recorded event at start.
    """

    def __init__(self, *, hive: HiveView, seq: int) -> None:
        self.handed_up = seq
        self._state = _State(seq=seq, hive=hive, agents={}, depths={}, sections=dict.fromkeys(_SECTIONS, ()))

    @property
    def seq(self) -> int:
        """The newest event in the snapshot."""
        return self._state.seq

    @property
    def snapshot(self) -> HiveSnapshot:
        """Everything a page shows, as of now."""
        return self._state.snapshot

    @property
    def json(self) -> bytes:
        """The snapshot as JSON, encoded once per change."""
        return self._state.json

    @property
    def hive(self) -> HiveView:
        """The hive's own view."""
        return self._state.hive

    @property
    def names(self) -> tuple[str, ...]:
        """The agents there are, the manager first."""
        return self._state.names

    def agent(self, name: str) -> AgentView | None:
        """The view of one agent."""
        return self._state.agents.get(name)

    def apply(self, events: tuple[Recorded, ...], parts: tuple[object, ...]) -> tuple[str, frozenset[str]]:
        """Take over what a commit showed.

        Returns:
            The patch for readers of views, one line of JSON, empty if nothing changed; the names of changed agents.
        """
        draft = _Draft(self._state)
        last = {part.agent: place for place, part in enumerate(parts) if isinstance(part, InboxDepth)}
        for place, part in enumerate(parts):
            if (
                not isinstance(part, InboxDepth) or last[part.agent] == place
            ):  # a busy inbox changes many times
                draft.lay(part)
        self._state = _State(
            seq=events[-1].seq if events else self._state.seq,
            hive=draft.hive,
            agents=draft.agents,
            depths=draft.depths,
            sections=draft.sections,
            order=draft.order,
        )
        patch = draft.patch()
        return as_json(patch) if patch else "", frozenset(draft.changed | draft.gone)


def _whole(view: AgentView) -> AgentView:
    """The view with U+FFFD for what UTF-8 cannot say: an error may quote the name of any file, and no page that
    shows it could be encoded."""
    told = ((field.name, getattr(view, field.name)) for field in fields(view))
    whole: dict[str, Any] = {
        name: clean(text) for name, text in told if isinstance(text, str) and not text.isascii()
    }
    if view.warnings:
        whole["warnings"] = tuple(map(clean, view.warnings))
    if view.turn.note is not None:
        whole["turn"] = replace(view.turn, note=clean(view.turn.note))
    return replace(view, **whole) if whole else view
