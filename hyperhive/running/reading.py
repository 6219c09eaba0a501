"""Reading: what is asked of the record and of files, never of an actor."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

from hyperhive.actors.watcher import Watcher
from hyperhive.domain.axes import Transient
from hyperhive.domain.names import check_name
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.views import GenerationView, MessageView
from hyperhive.errors import Refused
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.tree import MAX_PROMPT, PROMPT_FILE
from hyperhive.running.asking import Asking
from hyperhive.running.streams import TurnNews, follow_file, follow_until
from hyperhive.runtimes.log import tail

MAX_STATS = 10_000
"""Rows of one series; the newest."""
_MAX_LINES = 10_000
_MAX_BYTES = 1024 * 1024
_BUILDS = (Transient.SPAWNING, Transient.REBUILDING)


class Reading:
    """Answers from the record, in threads beside the loop."""

    def __init__(self, *, asking: Asking, watcher: Watcher, news: TurnNews, repos: Repositories) -> None:
        self._repos = repos
        self._asking = asking
        self._watcher = watcher
        self._news = news
        self._layout = asking.tree.layout

    async def events(self, after: int, limit: int, kinds: frozenset[str] | None) -> list[str]:
        """Recorded events behind ``after``."""
        page = await asyncio.to_thread(
            self._asking.reader.events.after, max(0, after), min(limit, 10_000), kinds
        )
        return [event.text for event in page]

    async def past(
        self, before: int | None, limit: int, kinds: frozenset[str] | None, agent: str | None
    ) -> list[str]:
        """Recorded events older than ``before``, newest first."""
        read = self._asking.reader.events.before
        return [
            event.text for event in await asyncio.to_thread(read, before, min(limit, 1_000), kinds, agent)
        ]

    async def messages(self, peer: str | None, after: int, limit: int) -> tuple[MessageView, ...]:
        """Messages behind ``after``."""
        read = self._asking.reader.messages.conversation
        return tuple(await asyncio.to_thread(read, peer, max(0, after), min(limit, 1000)))

    # -- turns

    async def turns(self, name: str, after: int, limit: int) -> tuple[TurnItem, ...]:
        """Turn events behind ``after``."""
        self._asking.address(name)
        return await asyncio.to_thread(self._items, name, max(0, after), min(limit, 1000))

    def follow_turns(self, name: str, after: int) -> AsyncIterator[TurnItem]:
        """The same, and then live."""
        self._asking.address(name)
        return self._news.follow(name, lambda seen: self._items(name, seen, 500), max(0, after))

    def _items(self, name: str, after: int, limit: int) -> tuple[TurnItem, ...]:
        return tuple(self._asking.reader.turns.items(name, after=after, limit=limit))

    async def stats(self, since: float, agent: str | None) -> bytes:
        """One row a finished turn, as JSON."""
        if agent is not None:
            self._asking.address(agent)
        start = self._asking.tree.now() - timedelta(seconds=max(0.0, min(since, 366 * 86400.0)))
        return await asyncio.to_thread(self._series, start, agent)

    def _series(self, start: datetime, agent: str | None) -> bytes:
        """Read and encoded page by page, beside the loop: of all of them only the text is held at once."""
        pages: list[str] = []
        count, before, page = 0, None, self._asking.reader.turns.stats
        while count < MAX_STATS and (rows := page(start, agent, before=before)):
            pages.append(json.dumps(rows, ensure_ascii=False, separators=(",", ":"))[1:-1])
            count, before = count + len(rows), rows[0]["turn"]
        return f"[{','.join(reversed(pages))}]".encode()

    # -- logs

    async def logs(self, name: str, lines: int) -> str:
        """The tail of the container's log."""
        self._asking.address(name)
        path, wanted = self._layout.agent(name).log, max(0, min(lines, _MAX_LINES))
        return await asyncio.to_thread(lambda: tail(path, lines=wanted, max_bytes=_MAX_BYTES))

    async def follow_logs(self, name: str, lines: int) -> AsyncIterator[str]:
        """The tail, and then what is appended."""
        start = await self.logs(name, lines)
        path = self._layout.agent(name).log
        async for line in follow_file(path, start, self._asking.bridge, self._watcher):
            yield line

    async def build_log(self, name: str) -> str:
        """What the last or present build said."""
        self._built(name)
        path = self._layout.agent(name).build_log
        return await asyncio.to_thread(lambda: tail(path, lines=_MAX_LINES, max_bytes=_MAX_BYTES))

    async def follow_build(self, name: str) -> AsyncIterator[str]:
        """The same, and then what is appended, until the build has ended."""
        self._built(name)
        path, bridge = self._layout.agent(name).build_log, self._asking.bridge
        with bridge.feed.changes() as changed:
            async for line in follow_until(
                path, bridge, self._watcher, going_on=lambda: self._building(name), changed=changed
            ):
                yield line

    def _built(self, name: str) -> None:
        """A draft may have been built too: what it says is why it is a draft again."""
        check_name(name)
        if all(draft.name != name for draft in self._asking.tree.board.snapshot.drafts):
            self._asking.address(name)

    def _building(self, name: str) -> bool:
        record = self._asking.reader.agents.get(name)
        if record is None:
            return False
        return record.transient in _BUILDS or self._asking.reader.approvals.to_build(name) is not None

    # -- configs

    async def agent_config(self, name: str) -> str:
        """The config file the container was built from."""
        self._asking.address(name)
        record = await asyncio.to_thread(self._asking.reader.agents.get, name)
        if record is None or not record.built_config:
            raise Refused(f"'{name}' was not built yet; there is no config to show.", code="not-built")
        return record.built_config

    async def agent_prompt(self, name: str) -> str | None:
        """``prompt.md`` of the commit the container was built from."""
        self._asking.address(name)

        def read() -> str | None:
            record = self._asking.reader.agents.get(name)
            if record is None or not record.built_commit:
                return None
            found = self._repos.read(name, record.built_commit, PROMPT_FILE, MAX_PROMPT)
            return None if found is None else found.decode(errors="replace")

        return await asyncio.to_thread(read)

    async def history(self, name: str) -> tuple[GenerationView, ...]:
        """An agent's generations, newest first."""
        self._asking.address(name)
        return await asyncio.to_thread(self._generations, name)

    def _generations(self, name: str) -> tuple[GenerationView, ...]:
        paths = self._layout.agent(name)
        return tuple(
            replace(view, here=paths.has_generation(view.number))
            for view in self._asking.reader.generations.of(name)
        )
