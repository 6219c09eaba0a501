"""What an agent's next build would be built from: a commit of ``applied/``, or an edit by hand on top of it."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import read_regular
from hyperhive.domain.agent_config import MAX_CONFIG
from hyperhive.domain.records import AgentRecord
from hyperhive.errors import Broken, Invalid
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.skeleton import CONFIG_FILE
from hyperhive.repos.tree import MAX_PROMPT, PROMPT_FILE

_REMEMBERED = 256
"""Commits whose files are remembered."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a build aims at.

    Args:
        revision: the revision it gives. An edit has a name of its own, until it is a commit.
        commit: what it is built from; with ``edit``, what that is an edit of.
        edit: ``agent.toml`` as it was edited by hand in ``applied/``, not committed yet.
        exact: this commit was decided on: whatever else is edited does not count.
    """

    revision: str
    commit: str
    edit: str | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What a commit holds that is of use to a build."""

    config: str
    prompt: str
    summary: str


class Sources:
    """Finds and reads what agents are built from.

    Args:
        own: hyperhive's own revision.
        check: refuses a config that cannot work, before it is committed.
    """

    def __init__(
        self, *, layout: Layout, repos: Repositories, own: str, check: Callable[[str], object]
    ) -> None:
        self._layout = layout
        self._repos = repos
        self._own = own
        self._check = check
        self._read: OrderedDict[str, Source] = OrderedDict()
        self._lock = threading.Lock()
        self._adopting: dict[str, Aim] = {}

    def current(self, name: str, record: AgentRecord | None = None) -> str | None:
        """The revision a rebuild would give now, see ``aim``; ``None`` also while the config cannot be read."""
        text = self._text(name)
        if text is None and os.path.lexists(self._layout.agent(name).config):
            return None
        try:
            aim = self._aim(name, record, text)
        except Broken:  # nobody knows, then
            return None
        return None if aim is None else aim.revision

    def aim(self, name: str, record: AgentRecord | None = None) -> Aim | None:
        """What a rebuild would be built from now. Runs no process.

        Args:
            record: what the agent was built from last, to compare an edit with.

        Returns:
            ``None`` when there is nothing to build from.
        """
        return self._aim(name, record, self._text(name))

    def _aim(self, name: str, record: AgentRecord | None, text: str | None) -> Aim | None:
        commit = self._repos.main(name) or self._repos.first(name)
        if commit is None:
            return None
        aim, known = Aim(self.revision(commit), commit), self._known(commit, record)
        if text is not None and known is not None and text != known:
            digest = hashlib.sha256(_bytes(text)).hexdigest()[:8]
            aim = Aim(f"{aim.revision}-edited-{digest}", commit, text)
        # While an edit is being committed main has moved, and nobody else knows yet that it is the same still.
        adopting = self._adopting.get(name)
        return adopting if adopting is not None and adopting.edit == text else aim

    def revision(self, commit: str) -> str:
        """The revision that a build from this commit gives."""
        return f"{self._own}-{commit[:12]}"

    def at(self, commit: str) -> Aim:
        """A build from exactly this commit."""
        return Aim(self.revision(commit), commit, exact=True)

    def settle(self, name: str, aim: Aim | None, aimed: Callable[[str], None]) -> Aim:
        """The commit to build for an aim: an edit is committed first, as the operator's.

        Args:
            aim: ``None``: what is current.
            aimed: hears the revision that an edit has as a commit, before anyone else can.

        Raises:
            Broken: there is nothing to build from.
            Invalid: the edit cannot work; it stays as it is.
        """
        aim = self._told_apart(name, aim or self.aim(name))
        if aim is None:
            raise Broken(f"{self._layout.agent(name).applied} holds no commit to build '{name}' from.")
        if aim.edit is None:
            return aim
        self._check(aim.edit)
        return self._adopt(name, aim, aim.edit, aimed)

    def source(self, name: str, commit: str) -> Source:
        """A commit's files; they cannot change, so each is read once.

        Raises:
            Invalid: what is needed is not there, or is no text.
        """
        with self._lock:
            if (source := self._read.get(commit)) is not None:
                self._read.move_to_end(commit)
                return source
        raw = self._repos.read(name, commit, CONFIG_FILE, MAX_CONFIG)
        if raw is None:
            raise Invalid(f"{CONFIG_FILE}: commit {commit[:12]} of '{name}' has none.", code="bad-config")
        said = self._repos.read(name, commit, PROMPT_FILE, MAX_PROMPT) or b""
        try:
            prompt = said.decode()
        except UnicodeDecodeError:
            raise Invalid(f"{PROMPT_FILE}: not UTF-8.", code="bad-config") from None
        source = Source(_string(raw), prompt, self._repos.summary(name, commit))
        self._remember(commit, source)
        return source

    def _told_apart(self, name: str, aim: Aim | None) -> Aim | None:
        """The aim with its edit, if its commit was not read yet when that was looked for."""
        if aim is None or aim.exact or aim.edit is not None:
            return aim
        self.source(name, aim.commit)
        now = self.aim(name)
        return now if now is not None and now.commit == aim.commit else aim

    def _adopt(self, name: str, aim: Aim, text: str, aimed: Callable[[str], None]) -> Aim:
        prompt, config = self.source(name, aim.commit).prompt, self._layout.agent(name).config
        beside = config.with_name(f"{config.name}.edited")
        before = _inode(beside)
        self._adopting[name] = aim
        try:
            commit = self._repos.adopt_edit(name, text)
            if _inode(beside) not in (None, before):  # it was edited again meanwhile: that counts next
                beside.rename(config)
            self._remember(commit, Source(text, prompt, self._repos.summary(name, commit)))
            adopted = self.at(commit)
            aimed(adopted.revision)
        finally:
            del self._adopting[name]
        return adopted

    def _remember(self, commit: str, source: Source) -> None:
        with self._lock:
            self._read[commit] = source
            while len(self._read) > _REMEMBERED:
                self._read.popitem(last=False)

    def _known(self, commit: str, record: AgentRecord | None) -> str | None:
        """The config of a commit, where it can be told without reading the repository."""
        if (source := self._read.get(commit)) is not None:
            return source.config
        return record.built_config if record is not None and record.built_commit == commit else None

    def _text(self, name: str) -> str | None:
        raw = read_regular(self._layout.agent(name).config, MAX_CONFIG)
        return None if raw is None else _string(raw)


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def _string(raw: bytes) -> str:
    """The bytes of a file as text that says exactly them; what is not UTF-8 is refused when it is parsed."""
    return raw.decode("utf-8", errors="surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
