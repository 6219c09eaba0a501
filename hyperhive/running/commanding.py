"""Commanding: what is done to agents, from spawn to purge."""

import asyncio
from collections.abc import Callable

from hyperhive.actors.agent import Pause, Resume
from hyperhive.actors.approving import withdraw_all
from hyperhive.actors.entry import show_kept
from hyperhive.actors.job import Result
from hyperhive.actors.removal import SetAside, remove_tree
from hyperhive.actors.reply import Reply
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.actors.supervisor import Release
from hyperhive.domain.axes import Transient
from hyperhive.domain.generations import earlier
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.views import KeptView
from hyperhive.errors import HiveError, Refused, Unknown
from hyperhive.hive import Action, Operated
from hyperhive.running.asking import Asking
from hyperhive.running.reading import Reading
from hyperhive.store.database import Tx

_KINDS = {
    Action.START: Transient.STARTING,
    Action.STOP: Transient.STOPPING,
    Action.RESTART: Transient.RESTARTING,
    Action.UPDATE: Transient.REBUILDING,
}


class Commanding:
    """Carries out commands about agents. What the operator commands is written down first."""

    def __init__(self, *, asking: Asking, reading: Reading) -> None:
        self._asking = asking
        self._reading = reading
        self._tree = asking.tree

    async def spawn(self, name: str, *, by: str) -> Operated:
        """Make an agent and start it."""
        check_name(name)
        await self._asking.audit("spawn", name, by=by)
        return await self._spawn(name, by)

    async def _spawn(self, name: str, by: str) -> Operated:
        _: AgentRecord = await self._asking.call(lambda reply: self._tree.spawn(name, by=by, reply=reply))
        return Operated(agent=name, transient=Transient.SPAWNING.value)

    async def operate(self, action: Action, name: str, *, by: str, wait: float = 0.0) -> Operated:
        """Do ``action``; with ``wait`` until it ended."""
        address = self._asking.address(name)
        await self._asking.audit(action.value, name, by=by)
        await self._lift(action, name, by)
        match action:
            case Action.PAUSE:
                accepted: Accepted = await self._asking.call(lambda reply: address.tell(Pause(reply=reply)))
                return Operated(agent=name, transient=None, ok=True, note=accepted.note)
            case Action.RESUME:
                return await self._operate(
                    name, wait, lambda reply, done: Resume(by=by, reply=reply, done=done)
                )
        kind = _KINDS[action]
        return await self._operate(
            name, wait, lambda reply, done: Operate(kind=kind, by=by, reply=reply, done=done)
        )

    async def _lift(self, action: Action, name: str, by: str) -> None:
        """An agent whose actor was given up answers only once the operator lifts that."""
        post = self._tree.roster.get(name)
        if post is None or not post.quarantined:
            return
        if by != OPERATOR or action not in (Action.RESUME, Action.START, Action.RESTART):
            raise Refused(f"'{name}' is quarantined; the operator can resume it.", code="quarantined")
        _: bool = await self._asking.call(lambda reply: self._tree.root.address.tell(Release(name, reply)))

    async def _operate(
        self, name: str, wait: float, make: Callable[[Reply[Accepted], Reply[Result]], object]
    ) -> Operated:
        address, bridge = self._asking.address(name), self._asking.bridge
        accepted: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()

        def take(value: Accepted) -> None:
            if not accepted.done():
                accepted.set_result(value)

        if wait <= 0:
            got: Accepted = await self._asking.call(lambda reply: address.tell(make(reply, bridge.ignore)))
            done = got.transient is None
            return Operated(name, got.transient, True if done else None, got.note)
        result: Result = await self._asking.call(
            lambda done: address.tell(make(bridge.reply(take, done.fail), done)), deadline=wait
        )
        kind = accepted.result().transient if accepted.done() else None
        return Operated(name, kind, result.ok, result.note)

    async def destroy(self, name: str, *, purge: bool = False, by: str) -> Operated:
        """End an agent."""
        self._asking.address(name)
        await self._asking.audit("destroy", name, by=by, note="with its folders" if purge else "")
        return await self._operate(
            name,
            0.0,
            lambda reply, done: Operate(Transient.DESTROYING, by=by, purge=purge, reply=reply, done=done),
        )

    async def rollback(self, name: str, *, generation: int | None, by: str, wait: float = 0.0) -> Operated:
        """Go back to an earlier generation."""
        target = earlier(name, await self._reading.history(name), generation)
        await self._asking.audit("rollback", name, by=by, note=f"to generation {target}")
        return await self._operate(
            name,
            wait,
            lambda reply, done: Operate(
                Transient.REBUILDING, by=by, generation=target, reply=reply, done=done
            ),
        )

    # -- what was kept

    async def revive(self, name: str, *, by: str) -> Operated:
        """Spawn a kept agent again."""
        self._kept(name)
        await self._asking.audit("revive", name, by=by)
        return await self._spawn(name, by)

    async def purge(self, name: str, *, by: str) -> KeptView:
        """Delete a kept agent's folders."""
        view, layout = self._kept(name), self._tree.layout
        await self._asking.audit("purge", name, by=by)
        root = layout.agent(name).root
        aside = SetAside(root, root.with_name(f".purged-{name}-{view.since.timestamp():.0f}"))

        def op(tx: Tx) -> None:
            if tx.agents.get(name) is not None:
                raise Refused(f"There is an agent '{name}' again; destroy it with purge.", code="exists")
            if tx.drafts.get(name) is not None:
                raise Refused(f"'{name}' is a draft again; discard that first.", code="draft-exists")
            withdraw_all(tx, name, "what was kept was purged")
            tx.agents.forget(name)
            tx.generations.forget(name)
            show_kept(tx, layout)
            aside.move()

        try:
            await self._asking.write(op)
        except HiveError as error:
            aside.undo(error)
            raise
        for left in (
            aside.place,
            *root.parent.glob(f".purged-{name}-[0-9]*"),
        ):  # also what a daemon died over
            await asyncio.to_thread(remove_tree, left)
        return view

    def _kept(self, name: str) -> KeptView:
        check_name(name)
        kept = {view.name: view for view in self._tree.board.snapshot.kept}
        if name not in kept:
            known = ", ".join(sorted(kept)) or "none"
            raise Unknown(f"Nothing was kept of '{name}'; kept are: {known}.", code="unknown-kept")
        return kept[name]
