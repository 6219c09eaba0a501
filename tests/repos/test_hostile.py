"""What a proposer may try, each with its one clear refusal; and nothing of theirs is run, followed or waited for."""

import os
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path

import pytest

from hyperhive.errors import Invalid, Refused
from hyperhive.repos import pinning, quarantine
from hyperhive.repos.quarantine import MAX_OBJECT
from hyperhive.repos.values import Tag
from tests.repos.rig import CONFIG, NAME, Proposer, Rig, entry, run_git

pytestmark = pytest.mark.slow


def refusal(rig: Rig, ref: str) -> str:
    """The refusal of a pin, which must leave nothing behind."""
    with pytest.raises(Refused) as refused:
        rig.repos.pin(NAME, ref)
    message = refused.value.message
    assert "\n" not in message and message.isprintable() and len(message) < 700
    assert rig.git("for-each-ref", "refs/hyperhive/pins", "refs/tags", "refs/heads") == ""
    assert rig.clean()
    return message


# -- refs


@pytest.mark.parametrize(
    "ref",
    [
        "main", "HEAD", "refs/heads/main", "applied/main", "v1", "", " ", "-x", "--all", "--upload-pack=touch x",
        "abc123", "g" * 40, "a" * 41, "a" * 64, "abcdef1..abcdef2", "abcdef1^", "abcdef1~1", "abcdef1:agent.toml",
        "@{-1}", "@", "abcdef1@{0}", "main@{yesterday}", ":/fix", "abcdef1\n", "\nabcdef1", "abcdef1 ", "abcdef1\0",
        "../abcdef1", "０１２３４５６", "$(touch x)", "abcdef1;touch x", "origin/../../x",
    ],
)  # fmt: skip
def test_what_is_no_commit_is_refused_with_what_to_give(rig: Rig, ref: str) -> None:
    with pytest.raises(Invalid, match="give 7 to 40 hex digits"):
        rig.repos.pin(NAME, ref)


def test_a_branch_with_a_name_like_a_commit_is_not_taken_for_one(rig: Rig) -> None:
    rig.proposer.git("branch", "deadbee")
    assert "begins with 'deadbee'" in refusal(rig, "deadbee")


def test_what_names_several_commits_is_refused(rig: Rig) -> None:
    tree = rig.proposer.tree(("100644", b"agent.toml", rig.proposer.store("blob", CONFIG)))
    first, second = _twins(rig.proposer, tree)
    assert first[:7] == second[:7] and first != second
    message = refusal(rig, first[:7])
    assert "several commits" in message and "more digits" in message
    assert rig.repos.pin(NAME, first).sha == first


def _twins(proposer: Proposer, tree: str) -> tuple[str, str]:
    """Two commits whose names begin alike; about 20,000 tries find a pair of 28 bits."""
    seen: dict[str, bytes] = {}
    for n in range(1_000_000):
        body = b"tree %s\nauthor m <m> 1 +0000\ncommitter m <m> 1 +0000\n\n%d\n" % (tree.encode(), n)
        sha = sha1(b"commit %d\0" % len(body) + body).hexdigest()
        if (other := seen.setdefault(sha[:7], body)) is not body:
            return proposer.store("commit", other), proposer.store("commit", body)
    raise AssertionError("no pair found")


def test_what_names_no_commit_says_what_it_is(rig: Rig) -> None:
    tree = rig.proposer.git("rev-parse", "HEAD^{tree}")
    assert "names a tree, not a commit" in refusal(rig, tree)
    blob = rig.proposer.git("rev-parse", "HEAD:agent.toml")
    assert "names a blob, not a commit" in refusal(rig, blob[:10])
    rig.proposer.git("tag", "-a", "-m", "x", "v1")
    assert "names a tag, not a commit" in refusal(rig, rig.proposer.git("rev-parse", "v1"))


# -- trees


def _blob(rig: Rig, content: bytes = b"x\n") -> str:
    return rig.proposer.store("blob", content)


def _one(mode: str, name: bytes) -> Callable[[Rig], str]:
    """A commit with one odd entry."""

    def make(rig: Rig) -> str:
        oid = rig.proposer.head() if mode == "160000" else _blob(rig)
        if mode == "40000":
            oid = rig.proposer.tree(("100644", b"f", oid))
        return rig.proposer.commit_with((mode, name, oid))

    return make


def _deep(rig: Rig) -> str:
    oid = rig.proposer.tree(("100644", b"f", _blob(rig)))
    for _ in range(20):
        oid = rig.proposer.tree(("40000", b"d", oid))
    return rig.proposer.commit_with(("40000", b"d", oid))


def _abyss(rig: Rig) -> str:
    """Folders in folders, deep enough for who goes down by recursion."""
    stream = b"commit refs/heads/deep\ncommitter m <m@b> 1 +0000\ndata 1\nx\n"
    stream += b"M 644 inline %sf\ndata 1\nx\n" % (b"d/" * 2_500)
    stream += b"M 644 inline agent.toml\ndata %d\n%s\n" % (len(CONFIG), CONFIG)
    rig.proposer.git("fast-import", "--quiet", data=stream)
    return rig.proposer.git("rev-parse", "deep")


def _wide(rig: Rig) -> str:
    blob = _blob(rig)
    many = rig.proposer.tree(*[("100644", b"f%05d" % n, blob) for n in range(2_100)])
    return rig.proposer.commit_with(("40000", b"many", many))


def _exponential(rig: Rig) -> str:
    """Ten folders of ten folders of …: 10^12 files in a dozen objects."""
    oid = rig.proposer.tree(("100644", b"f", _blob(rig)))
    for _ in range(12):
        oid = rig.proposer.tree(*[("40000", b"%d" % n, oid) for n in range(10)])
    return rig.proposer.commit_with(("40000", b"bomb", oid))


def _long_path(rig: Rig) -> str:
    oid = rig.proposer.tree(("100644", b"f" * 250, _blob(rig)))
    for _ in range(3):
        oid = rig.proposer.tree(("40000", b"d" * 200, oid))
    return rig.proposer.commit_with(("40000", b"d", oid))


def _large_file(rig: Rig) -> str:
    return rig.proposer.commit({"agent.toml": CONFIG, "large.bin": os.urandom(MAX_OBJECT + 1)})


def _large_together(rig: Rig) -> str:
    oid = rig.proposer.store("blob", bytes(MAX_OBJECT))
    return rig.proposer.commit_with(*[("100644", b"f%02d" % n, oid) for n in range(40)])


def _large_in_history(rig: Rig) -> str:
    rig.proposer.commit({"agent.toml": CONFIG, "large.bin": os.urandom(MAX_OBJECT + 1)})
    return rig.proposer.commit({"large.bin": None})


def _large_in_a_packs_history(rig: Rig) -> str:
    sha = _large_in_history(rig)
    rig.proposer.git("repack", "-q", "-a", "-d")
    return sha


def _config(content: bytes) -> Callable[[Rig], str]:
    return lambda rig: rig.proposer.commit({"agent.toml": content})


def _prompt(content: bytes) -> Callable[[Rig], str]:
    return lambda rig: rig.proposer.commit({"agent.toml": CONFIG, "prompt.md": content})


def _config_folder(rig: Rig) -> str:
    tree = rig.proposer.tree(("100644", b"x", _blob(rig)))
    return rig.proposer.commit_tree(rig.proposer.tree(("40000", b"agent.toml", tree)))


def _doubled(rig: Rig) -> str:
    """Two files of one name: a reader may take either."""
    good, evil = rig.proposer.store("blob", CONFIG), _blob(rig, b'model = "evil"\n')
    return rig.proposer.commit_tree(
        rig.proposer.tree(("100644", b"agent.toml", good), ("100644", b"agent.toml", evil))
    )


def _unsorted(rig: Rig) -> str:
    config = rig.proposer.store("blob", CONFIG)
    return rig.proposer.commit_tree(
        rig.proposer.tree(("100644", b"z", config), ("100644", b"agent.toml", config))
    )


def _cut_tree(rig: Rig) -> str:
    whole = entry("100644", b"agent.toml", rig.proposer.store("blob", CONFIG))
    return rig.proposer.commit_tree(rig.proposer.store("tree", whole + b"100644 cut\0abc"))


def _missing_blob(rig: Rig) -> str:
    return rig.proposer.commit_with(("100644", b"gone", "12" * 20))


def _missing_parent(rig: Rig) -> str:
    tree = rig.proposer.tree(("100644", b"agent.toml", rig.proposer.store("blob", CONFIG)))
    return rig.proposer.commit_tree(tree, "34" * 20)


def _nonsense_commit(rig: Rig) -> str:
    return rig.proposer.store("commit", b"nonsense\n")


TREES: dict[str, tuple[Callable[[Rig], str], str]] = {
    "a link": (_one("120000", b"state"), r"'state' cannot be in a config: it is a symbolic link; put a file"),
    "a link in place of the config": (
        lambda rig: rig.proposer.commit_tree(rig.proposer.tree(("120000", b"agent.toml", _blob(rig)))),
        "'agent.toml' cannot be in a config: it is a symbolic link",
    ),
    "a submodule": (_one("160000", b"sub"), "'sub' cannot be in a config: it is a submodule"),
    ".gitmodules": (_one("100644", b".gitmodules"), "'.gitmodules' .*git's own"),
    ".git": (_one("40000", b".git"), "git's own"),
    ".GIT": (_one("40000", b".GIT"), "'.GIT/?.*git's own"),
    ".git with what HFS ignores": (_one("40000", ".g\u200cit".encode()), "git's own"),
    ".git with what NTFS ignores": (_one("40000", b".git. "), "git's own"),
    ".git as a stream": (_one("40000", b".git::$INDEX_ALLOCATION"), "git's own"),
    "git~1": (_one("40000", b"git~1"), "git's own"),
    "..": (_one("40000", b".."), "git's own"),
    ".": (_one("40000", b"."), "git's own"),
    "a backslash": (_one("100644", b"..\\x"), "backslash"),
    "a line break in a name": (_one("100644", b"a\nb"), r"'a\\nb' .*control or invisible character"),
    "an escape sequence in a name": (_one("100644", b"\x1b[2J"), "control or invisible character"),
    "a name that reads backwards": (_one("100644", "a\u202etxt.exe".encode()), "invisible character"),
    "a name that is not UTF-8": (_one("100644", b"a\xff"), "not UTF-8"),
    "an empty name": (_one("100644", b""), "empty filename in tree entry"),
    "names that differ in case": (_one("100644", b"AGENT.toml"), "the same as '(agent.toml|AGENT.toml)'"),
    "a mode that is padded": (_one("0100644", b"padded"), "zeroPaddedFilemode"),
    "a deep tree": (_deep, "deeper than 16 folders"),
    "an abyss": (_abyss, "more than 2000 files and folders"),
    "a wide tree": (_wide, "more than 2000 files"),
    "a tree that grows when read": (_exponential, "more than 2000 files"),
    "a long path": (_long_path, "longer than 512 bytes"),
    "a name that no file can have": (
        _one("100644", b"n" * 201),
        "a name on its path is longer than 200 bytes",
    ),
    "a folder's name that no folder can have": (_one("40000", b"n" * 256), "longer than 200 bytes"),
    "a name for what the operator edited": (_one("100644", b"agent.toml.Edited"), r"end with \.edited"),
    "a large file": (_large_file, r"'large\.bin' is larger than 1 MiB .*keep it in state/"),
    "many files": (_large_together, "larger than 32 MiB together"),
    "a large file in the history": (_large_in_history, r"'large\.bin' is larger than 1 MiB"),
    "a large file in a pack": (
        _large_in_a_packs_history,
        r"'large\.bin' is larger than 1 MiB",
    ),
    "two of one name": (_doubled, "duplicateEntries"),
    "an unsorted tree": (_unsorted, "treeNotSorted"),
    "a tree cut short": (_cut_tree, "too-short tree"),
    "a missing file": (_missing_blob, "object (12){20} is missing.*run 'git fsck'"),
    "a missing parent": (_missing_parent, "(34){20}.*run 'git fsck'"),
    "a commit that is none": (_nonsense_commit, "bogus commit object|bad object"),
    "no config": (
        lambda rig: rig.proposer.commit({"agent.toml": None, "x": b""}),
        "agent.toml is missing in this commit; add it",
    ),
    "a config that is a folder": (_config_folder, "agent.toml: it is a folder"),
    "a config that is too long": (_config(b"# " + b"x" * 70_000), "agent.toml: longer than 65536 bytes"),
    "a config that is not UTF-8": (_config(b'model = "\xff"\n'), "agent.toml: not UTF-8"),
    "a config that is not TOML": (_config(b"model =\n"), "agent.toml: not TOML"),
    "an unknown key": (_config(b"modle = 1\n"), "agent.toml: modle: unknown key"),
    "a wrong type": (_config(b"model = 1\n"), "agent.toml: model: "),
    "a server with our name": (
        _config(b'[extraMcpServers.hyperhive]\ncommand = "x"\n'),
        "agent.toml: extraMcpServers.hyperhive: this name is the hive's own",
    ),
    "a prompt that is too long": (_prompt(b"x" * 33_000), "prompt.md: longer than 32768 bytes"),
    "a prompt that is not UTF-8": (_prompt(b"\xff"), "prompt.md: not UTF-8"),
    "a prompt with NUL": (_prompt(b"a\0b"), "prompt.md: it holds a NUL"),
}


@pytest.mark.parametrize("what", TREES)
def test_a_tree_that_no_config_may_have_is_refused(rig: Rig, what: str) -> None:
    make, says = TREES[what]
    sha = make(rig)
    message = refusal(rig, sha)
    assert re.search(says, message), message


def test_an_executable_file_and_plain_attributes_are_taken(rig: Rig) -> None:
    sha = rig.proposer.commit_with(
        ("100755", b"run", _blob(rig)), ("100644", b".gitattributes", _blob(rig, b"* -diff\n"))
    )
    rig.repos.pin(NAME, sha)
    rig.repos.tag(NAME, make={}, main=sha)
    assert os.access(rig.applied / "run", os.X_OK)
    # Attributes would hide what changes.
    assert '+model = "opus"' in rig.repos.diff(NAME, None, sha)


# -- repositories


def _dot_git(rig: Rig) -> Path:
    return rig.proposer.folder / ".git"


def _no_repository(rig: Rig) -> str:
    sha = rig.proposer.head()
    shutil.rmtree(_dot_git(rig))
    return sha


def _no_folder(rig: Rig) -> str:
    sha = rig.proposer.head()
    shutil.rmtree(rig.proposer.folder)
    return sha


def _worktree(rig: Rig) -> str:
    sha = rig.proposer.head()
    _dot_git(rig).rename(rig.home / "elsewhere")
    _dot_git(rig).write_text(f"gitdir: {rig.home / 'elsewhere'}\n")
    return sha


def _linked(*way: str) -> Callable[[Rig], str]:
    """A repository of which a part lies elsewhere, behind a link."""

    def make(rig: Rig) -> str:
        sha = rig.proposer.commit({"agent.toml": CONFIG})
        place = _dot_git(rig).joinpath(*way)
        place.rename(rig.home / "elsewhere")
        place.symlink_to(rig.home / "elsewhere")
        return sha

    return make


def _linked_object(rig: Rig) -> str:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    path = rig.proposer.path_of(sha)
    path.rename(rig.home / "elsewhere")
    path.symlink_to(rig.home / "elsewhere")
    return sha


def _fifo(rig: Rig) -> str:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    rig.proposer.path_of(sha).unlink()
    os.mkfifo(rig.proposer.path_of(sha))
    return sha


def _fifo_pack(rig: Rig) -> str:
    os.mkfifo(_dot_git(rig) / "objects/pack" / f"pack-{'a' * 40}.pack")
    return rig.proposer.head()


def _endless(rig: Rig) -> str:
    """A link to what never ends."""
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    rig.proposer.path_of(sha).unlink()
    rig.proposer.path_of(sha).symlink_to("/dev/zero")
    return sha


def _corrupt(rig: Rig) -> str:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    path = rig.proposer.path_of(sha)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-6])
    return sha


def _garbage(rig: Rig) -> str:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    path = rig.proposer.path_of(sha)
    path.chmod(0o600)
    path.write_bytes(b"not zlib")
    return sha


def _other_name(rig: Rig) -> str:
    return rig.proposer.store("blob", b'model = "evil"\n', name="ab" * 20)


def _swapped_blob(rig: Rig) -> str:
    """The commit is sound; the file it names is another's."""
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    rig.proposer.store("blob", b'model = "evil"\n', name=rig.proposer.git("rev-parse", "HEAD:agent.toml"))
    return sha


def _bomb(rig: Rig) -> str:
    """A tiny file that unpacks to 2 GiB, and says so."""
    packer = zlib.compressobj(9)
    stored = packer.compress(b"blob %d\0" % (2 << 30))
    stored += b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    oid = "cd" * 20
    rig.proposer.path_of(oid).parent.mkdir(exist_ok=True)
    rig.proposer.path_of(oid).write_bytes(stored)
    return rig.proposer.commit_with(("100644", b"bomb", oid))


def _lying_bomb(rig: Rig) -> str:
    """The same, and says that it is small."""
    stored = zlib.compress(b"commit 10\0" + bytes(64 << 20), 9)
    oid = "ce" * 20
    rig.proposer.path_of(oid).parent.mkdir(exist_ok=True)
    rig.proposer.path_of(oid).write_bytes(stored)
    return oid


def _pack_of(rig: Rig, *stored: bytes) -> None:
    body = b"PACK" + struct.pack(">II", 2, len(stored)) + b"".join(stored)
    path = _dot_git(rig) / "objects/pack" / f"pack-{'b' * 40}.pack"
    path.write_bytes(body + sha1(body).digest())


def _packed_head(kind: int, size: int) -> bytes:
    out = [(kind << 4) | (size & 15)]
    size >>= 4
    while size:
        out[-1] |= 0x80
        out.append(size & 0x7F)
        size >>= 7
    return bytes(out)


def _varint(value: int) -> bytes:
    out = []
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _delta_bomb(rig: Rig) -> str:
    """A delta of 5 KiB that asks for 10 GiB of memory."""
    base = bytes(1 << 16)
    target = _packed_head(3, len(base)) + zlib.compress(base)
    copies = (10 << 30) // (1 << 24)
    delta = _varint(len(base)) + _varint(copies << 24) + b"\xf0\xff\xff\xff" * copies
    name = sha1(b"blob %d\0" % len(base) + base).digest()
    _pack_of(rig, target, _packed_head(7, len(delta)) + name + zlib.compress(delta))
    return rig.proposer.head()


def _giant_tree(rig: Rig) -> str:
    """A folder's list of 32 MiB in a small pack."""
    packer = zlib.compressobj(9)
    size = 32 << 20
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    _pack_of(rig, _packed_head(2, size) + body)
    return rig.proposer.head()


def _shallow(rig: Rig) -> str:
    for n in range(3):
        rig.proposer.commit({"agent.toml": CONFIG, "n": b"%d" % n})
    whole = rig.home / "whole"
    rig.proposer.folder.rename(whole)
    run_git(rig.home, "clone", "-q", "--depth=1", f"file://{whole}", str(rig.proposer.folder))
    return rig.proposer.head()


def _alternates(rig: Rig) -> str:
    """Objects borrowed from a place that the proposer cannot read, and we can."""
    secret = rig.home / "secret"
    secret.mkdir()
    run_git(secret, "init", "-q", "-b", "main")
    other = Proposer(secret)
    other.git("config", "user.name", "o")
    other.git("config", "user.email", "o@o")
    sha = other.commit({"agent.toml": CONFIG, "secret": b"secret\n"})
    (_dot_git(rig) / "objects/info").mkdir(exist_ok=True)
    (_dot_git(rig) / "objects/info/alternates").write_text(f"{secret}/.git/objects\n")
    assert rig.proposer.git("cat-file", "-t", sha) == "commit"
    return sha


REPOSITORIES: dict[str, tuple[Callable[[Rig], str], str]] = {
    "no repository": (_no_repository, r"proposed/\.git is missing"),
    "no folder": (_no_folder, "proposed is missing"),
    "a worktree": (_worktree, r"proposed/\.git is no ordinary folder"),
    "a link to a repository": (_linked(), r"proposed/\.git is no ordinary folder"),
    "linked objects": (_linked("objects"), r"proposed/\.git/objects is no ordinary folder"),
    "linked packs": (_linked("objects", "pack"), r"objects/pack is no ordinary folder"),
    "a linked object": (_linked_object, r"objects/../.{38} is no ordinary file"),
    "a pipe as object": (_fifo, "is no ordinary file"),
    "a pipe as pack": (_fifo_pack, "is no ordinary file"),
    "an endless object": (_endless, "is no ordinary file"),
    "an object cut short": (_corrupt, "is corrupt"),
    "an object of garbage": (_garbage, "is corrupt"),
    "an object under another's name": (_other_name, "is corrupt"),
    "a file under another's name": (_swapped_blob, "is corrupt"),
    "a bomb": (_bomb, "'bomb' is larger than 1 MiB"),
    "a bomb that lies": (_lying_bomb, "is corrupt"),
    "a bomb of deltas": (_delta_bomb, r"pack-b{40}\.pack cannot be read"),
    "a giant folder's list": (_giant_tree, r"is a tree larger than 1 MiB|cannot be read"),
    "a shallow clone": (_shallow, "shallow or partial clone"),
    "borrowed objects": (_alternates, "No commit in the config repository .* begins with"),
}


@pytest.mark.parametrize("what", REPOSITORIES)
def test_a_repository_that_is_not_sound_is_refused(rig: Rig, what: str) -> None:
    make, says = REPOSITORIES[what]
    sha = make(rig)
    message = refusal(rig, sha)
    assert re.search(says, message), message


@pytest.mark.parametrize("packed", [False, True])
def test_a_repository_with_more_objects_than_the_limit_is_refused(
    rig: Rig, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_OBJECTS", 40)
    sha = rig.proposer.commit({"agent.toml": CONFIG, **{f"f{n}": b"%d" % n for n in range(41)}})
    if packed:
        rig.proposer.git("gc", "-q")
    assert "more than 40 objects" in refusal(rig, sha)


@pytest.mark.parametrize(("bound", "says"), [("MAX_LOOSE", "loose objects"), ("MAX_UNPACKED", "unpacked")])
def test_a_repository_with_more_bytes_than_the_limit_is_refused(
    rig: Rig, bound: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, bound, 100_000)
    sha = rig.proposer.commit({"agent.toml": CONFIG, "a": os.urandom(60_000), "b": os.urandom(60_000)})
    assert says in refusal(rig, sha)


def test_packs_with_more_bytes_than_the_limit_are_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_PACKS", 50_000)
    sha = rig.proposer.commit({"agent.toml": CONFIG, "a": os.urandom(60_000)})
    rig.proposer.git("gc", "-q")
    assert "of packs" in refusal(rig, sha)


def test_packs_that_take_long_one_by_one_are_refused_together(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = rig.proposer.commit({"agent.toml": b'model = "opus"\n'})
    rig.proposer.git("gc", "-q")
    assert list(_dot_git(rig).glob("objects/pack/*.pack"))
    monkeypatch.setattr(pinning, "MAX_SECONDS", 0.0)
    assert "takes too long to read" in refusal(rig, sha)


def test_a_history_of_more_commits_than_the_limit_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinning, "MAX_COMMITS", 3)
    for _ in range(4):
        sha = rig.proposer.commit({"agent.toml": CONFIG})
    assert "or 3 commits" in refusal(rig, sha)


def test_replaced_and_grafted_objects_are_taken_for_what_they_are(rig: Rig) -> None:
    good = rig.proposer.commit({"agent.toml": CONFIG})
    evil = rig.proposer.commit({"agent.toml": b'model = "evil"\n'})
    rig.proposer.git("replace", good, evil)
    (_dot_git(rig) / "info/grafts").write_text(f"{good}\n")
    (_dot_git(rig) / "shallow").write_text(f"{good}\n")
    assert rig.repos.pin(NAME, good).config == CONFIG.decode()
    rig.repos.tag(NAME, make={}, main=good)
    assert rig.files()["agent.toml"] == CONFIG
    assert len(rig.repos.log(NAME)) == 2


# -- what is planted


def _plant(rig: Rig, witness: Path) -> None:
    """Everything that git would run or read for somebody, each leaving its mark."""
    script = rig.home / "planted"
    script.write_text(f"#!/bin/sh\ntouch '{witness}'\ncat\n")
    script.chmod(0o700)
    git = _dot_git(rig)
    (git / "hooks").mkdir(exist_ok=True)
    for hook in [
        "post-checkout",
        "pre-commit",
        "post-commit",
        "reference-transaction",
        "pre-receive",
        "update",
        "post-update",
        "post-index-change",
        "pre-auto-gc",
        "proc-receive",
        "fsmonitor-watchman",
        "post-rewrite",
    ]:
        shutil.copy(script, git / "hooks" / hook)
    include = rig.home / "included"
    include.write_text(f"[core]\n\tpager = {script}\n")
    settings = {
        "core.hooksPath": str(git / "hooks"), "core.fsmonitor": str(script), "core.sshCommand": str(script),
        "core.editor": str(script), "core.pager": str(script), "core.alternateRefsCommand": str(script),
        "core.gitProxy": str(script), "core.askPass": str(script), "include.path": str(include),
        "filter.planted.clean": str(script), "filter.planted.smudge": str(script),
        "filter.planted.process": str(script), "filter.planted.required": "true",
        "diff.external": str(script), "diff.planted.textconv": str(script), "diff.planted.command": str(script),
        "merge.planted.driver": str(script), "gpg.program": str(script), "log.showSignature": "true",
        "credential.helper": str(script), "uploadpack.packObjectsHook": str(script),
        "alias.rev-list": f"!{script}", "extensions.partialClone": "applied", "remote.applied.promisor": "true",
        "remote.applied.uploadpack": str(script), "remote.applied.url": f"ext::{script}",
        "protocol.ext.allow": "always",
    }  # fmt: skip
    for key, value in settings.items():
        rig.proposer.git("config", key, value)
    (git / "info/attributes").write_text("* filter=planted diff=planted merge=planted\n")


def test_nothing_that_is_planted_runs(rig: Rig, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    sha = rig.proposer.commit(
        {
            "agent.toml": CONFIG,
            ".gitattributes": b"* filter=planted diff=planted merge=planted ident text eol=crlf\n",
        }
    )
    _plant(rig, witness)
    with pytest.raises(subprocess.CalledProcessError):
        rig.proposer.git("status")
        rig.proposer.git("diff", "HEAD~1", "HEAD")
        rig.proposer.git("fetch")
    assert witness.exists(), "the plant does nothing: this test would show nothing"
    witness.unlink()
    rig.repos.pin(NAME, sha)
    rig.repos.check(NAME, sha)
    first = rig.repos.first(NAME)
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha), "denied/2": Tag(sha, "no", "operator")}, main=sha)
    rig.repos.diff(NAME, first, sha)
    rig.repos.stat(NAME, first, sha)
    rig.repos.log(NAME)
    rig.repos.adopt_edit(NAME, 'model = "haiku"\n')
    rig.repos.prepare(NAME, first=True)
    assert not witness.exists()
    assert rig.files()["agent.toml"] == b'model = "haiku"\n'


def test_git_with_what_the_proposer_planted_cannot_turn_the_applied_repository(
    rig: Rig, tmp_path: Path
) -> None:
    """Had somebody got a hook or a setting into our own repository, git would still not heed it."""
    witness = tmp_path / "ran"
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    _plant(rig, witness)
    shutil.copytree(_dot_git(rig) / "hooks", rig.applied / ".git/hooks")
    rig.git("config", "core.fsmonitor", str(rig.home / "planted"))
    rig.git("config", "core.hooksPath", str(rig.applied / ".git/hooks"))
    rig.repos.pin(NAME, sha)
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    rig.repos.diff(NAME, None, sha)
    assert not witness.exists()
