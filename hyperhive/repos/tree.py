"""What files a commit holds, and which ones no config may have."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from hyperhive.domain.agent_config import MAX_CONFIG, parse
from hyperhive.errors import Invalid, Refused
from hyperhive.repos.git import Git, GitFailed, TooMuch
from hyperhive.repos.quarantine import MAX_OBJECT
from hyperhive.repos.skeleton import CONFIG_FILE

MAX_FILES = 2_000
"""Files and folders of one commit."""
MAX_DEPTH = 16
MAX_PATH = 512
"""Bytes of one path."""
MAX_NAME = 200
"""Bytes of one name on it: a file system takes 255, some less, and ours adds to it."""
MAX_TREE = 32 * 1024 * 1024
"""Bytes of all files of one commit."""
PROMPT_FILE = "prompt.md"
MAX_PROMPT = 32 * 1024
"""Bytes of ``prompt.md``."""

_SHOWN = 120
# What HFS+ leaves out when it compares names.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
EDITED = ".edited"
"""What the operator's own text is kept under, beside the file of the commit."""
_GIT = re.compile(r"\.git|git~[0-9]+|\.gitmodules|gitmod~[0-9]+|gi7eba~[0-9]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a commit. ``size``: of a file, in bytes."""

    path: str
    kind: str
    mode: str
    oid: str
    size: int


def list_tree(git: Git, sha: str) -> list[Entry]:
    """All files and folders of a commit, unchecked but for their number.

    Raises:
        Refused: too many, or a name that is not UTF-8.
        GitFailed: an object is missing or broken.
    """
    try:
        raw = git.run(
            "ls-tree", "-r", "-t", "-z", "-l", "--full-tree", sha, limit=MAX_FILES * (MAX_PATH + 80)
        )
    except TooMuch:
        raise _too_many() from None
    lines = raw.split(b"\0")[:-1]
    if len(lines) > MAX_FILES:
        raise _too_many()
    return [_entry(line) for line in lines]


def _entry(line: bytes) -> Entry:
    facts, _, name = line.partition(b"\t")
    mode, kind, oid, size = facts.decode().split()
    if size == "BAD":
        raise GitFailed(f"object {oid} is missing or broken")
    try:
        path = name.decode()
    except UnicodeDecodeError:
        raise _bad(name.decode(errors="replace"), "its name is not UTF-8", "rename it") from None
    return Entry(path=path, kind=kind, mode=mode, oid=oid, size=0 if size == "-" else int(size))


def check_tree(entries: Iterable[Entry]) -> None:
    """Refuse what no config may have.

    Raises:
        Refused: with path, reason and what to do.
    """
    seen: dict[str, str] = {}
    total = 0
    for entry in entries:
        _check_kind(entry)
        _check_path(entry.path)
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", entry.path).casefold())
        if (other := seen.setdefault(folded, entry.path)) != entry.path:
            raise _bad(
                entry.path, f"it is the same as {_shown(other)} where case does not count", "rename one"
            )
        if entry.kind == "blob" and entry.size > MAX_OBJECT:
            raise _bad(entry.path, f"it is larger than {MAX_OBJECT >> 20} MiB", "keep it in state/ instead")
        total += entry.size
    if total > MAX_TREE:
        raise Refused(
            f"The files of this commit are larger than {MAX_TREE >> 20} MiB together; keep large ones in state/.",
            code="too-large",
        )


def _check_kind(entry: Entry) -> None:
    if entry.mode == "120000":
        raise _bad(entry.path, "it is a symbolic link", "put a file in its place")
    if entry.mode == "160000" or entry.kind == "commit":
        raise _bad(entry.path, "it is a submodule", "put its files in its place")
    if entry.kind == "tree" and entry.mode == "040000":
        return
    if entry.kind != "blob" or entry.mode not in ("100644", "100755", "100664"):
        raise _bad(entry.path, f"its mode {entry.mode} is no ordinary file's", "add it again as a file")


def _check_path(path: str) -> None:
    if len(path.encode()) > MAX_PATH:
        raise _bad(path, f"its path is longer than {MAX_PATH} bytes", "shorten it")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise _bad(path, f"it lies deeper than {MAX_DEPTH} folders", "flatten them")
    for part in parts:
        if len(part.encode()) > MAX_NAME:
            raise _bad(path, f"a name on its path is longer than {MAX_NAME} bytes", "shorten it")
        if part.casefold().endswith(EDITED):
            raise _bad(path, f"names that end with {EDITED} are for what the operator edits", "rename it")
        if "\\" in part:
            raise _bad(path, "its name holds a backslash", "rename it")
        # First, for what hides a name is not printable either.
        plain = _IGNORED.sub("", part).casefold().split(":")[0].rstrip(" .")
        if part in ("", ".", "..") or _GIT.fullmatch(plain):
            raise _bad(path, "its name is git's own", "remove it")
        if not part.isprintable():
            raise _bad(path, "its name holds a control or invisible character", "rename it")


def read_config(git: Git, entries: Iterable[Entry]) -> str:
    """The commit's ``agent.toml``, which parses; its ``prompt.md`` is looked at as well.

    Raises:
        Refused: one of them is missing or cannot work, with file, key and reason.
    """
    by_path = {entry.path: entry for entry in entries}
    config = by_path.get(CONFIG_FILE)
    if config is None:
        raise Invalid(f"{CONFIG_FILE} is missing in this commit; add it.", code="bad-config")
    text = _text(git, config, MAX_CONFIG)
    parse(text, file=CONFIG_FILE)
    prompt = by_path.get(PROMPT_FILE)
    if prompt is not None and "\0" in _text(git, prompt, MAX_PROMPT):
        raise Invalid(f"{PROMPT_FILE}: it holds a NUL character; remove it.", code="bad-config")
    return text


def _text(git: Git, entry: Entry, limit: int) -> str:
    if entry.kind != "blob":
        raise Invalid(f"{entry.path}: it is a folder; it must be a file.", code="bad-config")
    if entry.size > limit:
        raise Invalid(f"{entry.path}: longer than {limit} bytes; shorten it.", code="bad-config")
    try:
        return git.run("cat-file", "blob", entry.oid, limit=limit).decode()
    except UnicodeDecodeError:
        raise Invalid(f"{entry.path}: not UTF-8; save it as UTF-8.", code="bad-config") from None


def _too_many() -> Refused:
    return Refused(
        f"This commit has more than {MAX_FILES} files and folders; a config needs few, remove the rest.",
        code="too-large",
    )


def _bad(path: str, why: str, what: str) -> Refused:
    return Refused(f"{_shown(path)} cannot be in a config: {why}; {what}.", code="bad-tree")


def _shown(path: str) -> str:
    shown = ascii(path) if not path.isprintable() else f"'{path}'"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…'"
