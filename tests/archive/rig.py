"""A hive's home as files, without a daemon; and archives as somebody else might make them."""

import gzip
import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from hyperhive.archive.manifest import FIRST, LAST
from hyperhive.domain.records import Intended
from hyperhive.store.database import Database

LOGIN = json.dumps({"claudeAiOauth": {"accessToken": "sk-ant-secret"}})


def made(home: Path, *agents: str) -> Path:
    """A home with these agents, each with a repository, a note, a login and what a container leaves."""
    home.mkdir(mode=0o700)
    database = Database(home / "hive.sqlite")
    database.open()
    with database.transaction() as tx:
        for name in agents:
            tx.agents.insert(name, "agent", Intended.RUNNING)
            tx.messages.insert("operator", name, f"hello {name}")
    database.close()
    for name in agents:
        root = home / "agents" / name
        for folder in ("state", "claude", "container", "generations/1", "applied"):
            (root / folder).mkdir(parents=True, mode=0o700)
        (root / "state" / "notes.md").write_text(f"I am {name}\n")
        (root / "claude" / ".credentials.json").write_text(LOGIN)
        (root / "container" / "status.json").write_text("a container of today")
        (root / "generations" / "1" / "launch.json").write_text("{}")
        git(root / "applied", "init", "-q", "-b", "main")
        (root / "applied" / "agent.toml").write_text('model = "haiku"\n')
        git(root / "applied", "add", "agent.toml")
        git(root / "applied", "commit", "-q", "-m", "First")
    (home / "operator.token").write_text("t" * 43)
    (home / "sessions.json").write_text("{}")
    (home / "hyperhive.toml").write_text('name = "mine"\n')
    (home / "environments").mkdir()
    (home / "environments" / "weather.env").write_text("KEY=secret\n")
    return home


def git(folder: Path, *words: str) -> str:
    """What git prints."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@b"}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def tree(root: Path) -> dict[str, tuple[int, object]]:
    """All that is below a folder: its mode, and its content or where it leads."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        content: object = None
        if stat.S_ISLNK(info.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(info.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (stat.S_IMODE(info.st_mode), content)
    return found


def names(file: Path) -> list[str]:
    """The members of a backup."""
    with tarfile.open(file) as tar:
        return tar.getnames()


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member for ``forged``."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def forged(
    file: Path,
    *members: tuple[tarfile.TarInfo, bytes],
    manifest: dict[str, object] | None = None,
    database: bytes = b"",
    entries: int | None = None,
) -> Path:
    """An archive that says of itself that it is a backup, with whatever members."""
    says = {
        "format": 1,
        "version": "9",
        "made": "2026-01-01T00:00:00+00:00",
        "home": "/x",
        "uid": 0,
        "secrets": False,
    }
    count = len(members) + 1 if entries is None else entries
    ends: Sequence[tuple[tarfile.TarInfo, bytes]] = [
        member(FIRST, json.dumps(says | (manifest or {})).encode()),
        member("hive.sqlite", database),
        *members,
        member(LAST, json.dumps({"entries": count}).encode()),
    ]
    with gzip.open(file, "wb") as plain, tarfile.open(fileobj=plain, mode="w|") as tar:
        for info, content in ends:
            tar.addfile(info, io.BytesIO(content))
    return file
