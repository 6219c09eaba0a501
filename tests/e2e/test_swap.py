"""The swap: whatever a proposer does after it asked, or before, what is built is the commit that was pinned."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.applied import Applied, applied, built
from tests.e2e.hive import RealHive, hive

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SCENARIO = Path(__file__).with_name("approvals.toml")

GOOD = b'model = "opus"\nallowedRecipients = ["manager"]\n'
PROMPT = b"Be honest.\n"

HOOKS = (
    "post-checkout", "pre-commit", "post-commit", "commit-msg", "prepare-commit-msg", "pre-push", "pre-receive",
    "update", "post-receive", "post-update", "push-to-checkout", "reference-transaction", "pre-auto-gc",
    "post-merge", "post-rewrite", "pre-rebase", "post-index-change", "fsmonitor-watchman", "proc-receive",
    "applypatch-msg", "sendemail-validate",
)  # fmt: skip

AMEND = """
printf 'model = "evil"\\n' > agent.toml
printf 'Be evil.\\n' > prompt.md
git commit -qa --amend -m 'Evil' && git checkout -q -B other && git branch -f main HEAD && git checkout -q main
git config receive.denyCurrentBranch ignore
git clone -q . /tmp/fork && git -C /tmp/fork commit -q --allow-empty -m 'Worse' &&
git -C /tmp/fork push -q --force origin HEAD:main && rm -rf /tmp/fork
git reflog expire --expire=now --all && git -c gc.pruneExpire=now gc -q --prune=now
git cat-file -e "$PINNED" 2>/dev/null && echo 'STILL THERE'
echo "swapped for $(git log -1 --format=%s main)"
"""
"""Rewrites the branch, from inside and by a push, and forgets what was there before."""

SPOIL = """
git update-ref refs/tags/proposal/1 HEAD
mkdir -p .git/refs/replace && git rev-parse HEAD > ".git/refs/replace/$PINNED"
echo "$PINNED" | tee .git/info/grafts > .git/shallow
for object in .git/objects/??/* .git/objects/pack/*; do chmod u+w "$object"; printf 'evil' > "$object"; done
"""
"""Says that the pinned commit is another, in every way git has, and spoils every object."""

SAY = "echo propose: $(git rev-parse HEAD)"

FRESH = """
find . ../state/odd ../state/fresh -mindepth 1 -delete 2>/dev/null
rmdir ../state/odd ../state/fresh 2>/dev/null
git clone -q ../applied ../state/fresh && mv ../state/fresh/.git . &&
rm -rf ../state/fresh && git checkout -q -f main || exit
"""
"""Begins the config repository anew, as a refusal says."""

REACH = """
git push -q --force applied HEAD:main 2>&1 && echo REACHED
git -C ../applied update-ref refs/heads/main HEAD 2>&1 && echo REACHED
touch ../applied/.git/hooks/post-checkout 2>&1 && echo REACHED
rm -rf ../applied/.git/refs 2>&1; test -e ../applied/.git/refs || echo REACHED
mount -o remount,rw,bind ../applied 2>&1 && echo REACHED
ln -sfn /agents/alice/applied /tmp/way && touch /tmp/way/agent.toml 2>&1 && echo REACHED
echo tried
"""
"""Ways to write into what the container is built from."""


def plant(canary: Path) -> str:
    """A script that plants all that git runs or follows for somebody who comes near; each leaves the canary."""
    mark = f"touch {canary}"
    settings = {
        "core.hooksPath": ".git/hooks",
        "core.fsmonitor": mark,
        "core.sshCommand": mark,
        "core.editor": mark,
        "core.pager": mark,
        "core.alternateRefsCommand": mark,
        "core.askPass": mark,
        "filter.planted.clean": f"{mark}; cat",
        "filter.planted.smudge": f"{mark}; cat",
        "filter.planted.required": "true",
        "diff.external": mark,
        "diff.planted.textconv": mark,
        "diff.planted.command": mark,
        "merge.planted.driver": mark,
        "gpg.program": mark,
        "credential.helper": f"!{mark}",
        "uploadpack.packObjectsHook": mark,
        "remote.applied.uploadpack": mark,
        "remote.applied.promisor": "true",
        "protocol.ext.allow": "always",
        "include.path": "../planted.conf",
    }
    lines = [f"git config {key} '{value}'" for key, value in settings.items()]
    hooks = " ".join(HOOKS)
    return "\n".join(
        [
            "mkdir -p .git/hooks .git/info",
            f"for hook in {hooks}; do printf '#!/bin/sh\\n{mark}\\nexit 0\\n' > .git/hooks/$hook; done",
            "chmod 755 .git/hooks/*",
            "printf '* filter=planted diff=planted merge=planted ident eol=crlf\\n' > .gitattributes",
            "cp .gitattributes .git/info/attributes",
            f"printf '[core]\\n\\tpager = {mark}\\n' > planted.conf",
            *lines,
        ]
    )


@dataclass(frozen=True, slots=True)
class Swap:
    """A hive whose manager went astray. ``canary``: a file of the host that only what was planted would make."""

    real: RealHive
    canary: Path

    def propose(self, name: str, script: str, *, new: bool = False) -> tuple[str, str]:
        """Run a script in the config folder, from inside; ask for the commit it says. The commit, what came of it."""
        word = "new" if new else "known"
        said = self.real.ask("manager", f"propose {word} {name}\n{script}")
        sha, _, rest = said.partition("\n")
        return sha, rest

    def inside(self, name: str, script: str) -> str:
        """Run a script in the config folder, from inside."""
        return self.real.ask("manager", f'run: cd "$HYPERHIVE_AGENTS/{name}/config" || exit\n{script}')

    def pending(self, name: str) -> dict[str, Any]:
        (found,) = (view for view in self.real.state()["approvals"] if view["agent"] == name)
        return dict(found)

    def approve(self, name: str, told: str) -> dict[str, Any]:
        """Approve what waits for this agent and wait until it is deployed."""
        view, after = self.pending(name), self.real.seq
        self.real.post(f"/api/approvals/{view['id']}/approve", {"note": ""})
        event = self.real.wait(told, after=after, agent=name)
        assert event["ok"], event
        self.real.shows(name, commit=view["sha"], ready=True, transient=None, revision="up-to-date")
        return view

    def holds(self, name: str, id: int, sha: str, config: bytes, prompt: bytes) -> None:
        """What is deployed and runs is this, byte for byte, and nothing of the planted ran."""
        kept: Applied = applied(self.real, name)
        assert kept.main() == sha == kept.tags(id)["deployed"]
        assert kept.file(sha, "agent.toml") == config == built(self.real, name)
        assert (kept.folder / "agent.toml").read_bytes() == config
        assert (kept.folder / "prompt.md").read_bytes() == prompt
        assert self.real.http.get(f"/api/agent-config/{name}").content == config
        number = self.real.agent(name)["generation"]
        launch = self.real.folder(name) / "generations" / str(number) / "launch.json"
        assert prompt.decode().strip() in launch.read_text()
        assert not self.canary.exists()


@pytest.fixture(scope="module")
def swap() -> Iterator[Swap]:
    with hive(scenario=SCENARIO) as made:
        made.up()
        made.spawn("alice")
        made.quiet()
        yield Swap(made, made.place / "canary")


def commit(config: bytes, prompt: bytes = PROMPT) -> str:
    """A script that commits everything, and says the commit."""
    files = {"agent.toml": config.decode(), "prompt.md": prompt.decode()}
    lines = [f"printf '%s' '{text}' > {path}" for path, text in files.items()]
    return "\n".join([*lines, "git add -A && git commit -qm 'Good'", SAY])


def test_what_was_asked_for_is_built_whatever_became_of_it(swap: Swap) -> None:
    sha, asked = swap.propose("alice", commit(GOOD, PROMPT))
    assert '"state":"pending"' in asked.replace(" ", ""), asked
    view = swap.pending("alice")
    assert view["sha"] == sha
    said = swap.inside("alice", f"PINNED={sha}\n{AMEND}\n{REACH}\n{SPOIL}\n{plant(swap.canary)}")
    assert "swapped for Worse" in said and "STILL THERE" not in said, said
    assert "tried" in said and "REACHED" not in said, said
    for against in ("running", "proposal", "approved"):
        diff = swap.real.http.get(f"/api/approvals/{view['id']}/diff?against={against}").text
        assert "+Be honest." in diff and "evil" not in diff
    assert swap.real.cli("diff", str(view["id"])).count("Be honest.") == 1
    swap.approve("alice", "rebuilt")
    swap.holds("alice", view["id"], sha, GOOD, PROMPT)
    _is_live(swap, "alice", "status")


def _is_live(swap: Swap, name: str, *words: str) -> None:
    """What was planted would have run, had anybody's git been there; or this showed nothing."""
    copy = swap.real.place / "copy"
    shutil.copytree(swap.real.folder(name) / "proposed", copy, symlinks=True)
    git = ["git", "-c", "safe.directory=*", "-C", str(copy), *words]
    subprocess.run(git, capture_output=True, check=False, timeout=60)
    assert swap.canary.exists(), f"git {words} runs nothing that was planted"
    swap.canary.unlink()
    shutil.rmtree(copy)


def test_a_draft_that_comes_with_everything_planted_is_built_though_its_repository_is_gone(
    swap: Swap,
) -> None:
    assert '"config"' in swap.real.ask("manager", "begin mole")
    config = b'# $Id$\nmodel = "opus"\nallowedRecipients = ["manager"]\n'
    sha, asked = swap.propose("mole", f"{plant(swap.canary)}\n{commit(config)}", new=True)
    assert '"pending"' in asked and swap.pending("mole")["summary"] == "Good", asked
    for words in (("-c", "core.fsmonitor=", "-c", "core.hooksPath=/x", "checkout", "-f", "HEAD", "--", "."),
                  ("-c", "core.fsmonitor=", "commit", "--allow-empty", "-m", "x")):  # fmt: skip
        _is_live(swap, "mole", *words)
    left = swap.inside("mole", "find . -mindepth 1 -delete; ls -A | wc -l")
    assert left.strip() == "ran: 0", left
    shutil.rmtree(swap.real.folder("mole") / "proposed")
    view = swap.pending("mole")
    diff = swap.real.cli("diff", str(view["id"]))
    assert "+# $Id$" in diff and "filter=planted" in diff
    swap.approve("mole", "spawned")
    swap.holds("mole", view["id"], sha, config, PROMPT)


def test_a_repository_that_was_spoiled_is_refused_and_works_again_when_begun_anew(swap: Swap) -> None:
    _, asked = swap.propose("alice", "echo propose: 1234567")
    assert "corrupt; run 'git fsck' there and mend it, or clone applied/ anew." in asked or (
        "cannot be read" in asked and "or clone applied/ anew." in asked
    ), asked
    config = GOOD + b"# anew\n"
    sha, asked = swap.propose("alice", FRESH + commit(config))
    assert '"pending"' in asked, asked
    view = swap.approve("alice", "rebuilt")
    swap.holds("alice", view["id"], sha, config, PROMPT)


ODDLY = f"echo '# odd' >> agent.toml; git commit -qam Odd; {SAY}"
ODD = {
    ".git elsewhere": (
        f"{ODDLY}; mv .git ../state/odd; ln -s ../state/odd .git",
        "proposed/.git is no ordinary folder",
    ),
    ".git a file": (
        f"{ODDLY}; mv .git ../state/odd; echo gitdir: ../state/odd > .git",
        "proposed/.git is no ordinary folder",
    ),
    "objects elsewhere": (
        f"{ODDLY}; mv .git/objects ../state/odd; ln -s ../../state/odd .git/objects",
        "proposed/.git/objects is no ordinary folder",
    ),
    "a link for a config": (
        f"ln -sf /etc/passwd agent.toml; git commit -qam Odd; {SAY}",
        "'agent.toml' cannot be in a config: it is a symbolic link",
    ),
    "a link beside it": (
        f"ln -s /etc passwords; git add -A; git commit -qm Odd; {SAY}",
        "'passwords' cannot be in a config: it is a symbolic link",
    ),
    "a submodule": (
        f"git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; git commit -qm Odd; {SAY}",
        "'sub' cannot be in a config: it is a submodule",
    ),
    "a branch": ("echo '# odd' >> agent.toml; git commit -qam Odd; echo propose: main", "hex digits"),
    "no repository": (f"{SAY}; find .git -delete", "proposed/.git is missing"),
}
"""What a proposer did in its folder: the script, and how the refusal begins."""


@pytest.mark.parametrize("what", ODD)
def test_what_cannot_be_pinned_gets_its_one_refusal(swap: Swap, what: str) -> None:
    script, refusal = ODD[what]
    before = swap.real.seq
    _, asked = swap.propose("alice", FRESH + script)
    said = asked.partition("\n")[0]
    assert refusal in said, asked
    assert "approval_requested" not in [event["kind"] for event in swap.real.events(before)]
    assert not swap.canary.exists()


def test_a_link_in_the_work_tree_alone_is_no_obstacle_and_is_not_followed(swap: Swap) -> None:
    config = GOOD + b"# linked\n"
    turn = "; ln -sf /etc/passwd agent.toml; ln -s /etc etc; rm prompt.md; ln -s /etc/passwd prompt.md"
    sha, asked = swap.propose("alice", FRESH + commit(config) + turn)
    assert '"pending"' in asked, asked
    view = swap.approve("alice", "rebuilt")
    swap.holds("alice", view["id"], sha, config, PROMPT)


RACE = """
cp -a .git ../state/odd && ln -s ../state/odd ../state/way
setsid timeout 4 sh -c 'while :; do
mv .git ../state/mine; mv ../state/way .git; mv .git ../state/way; mv ../state/mine .git
mv .git/objects .git/held; ln -s /etc .git/objects; rm .git/objects; mv .git/held .git/objects
done' < /dev/null > /dev/null 2>&1 &
"""
"""Swaps the repository and its objects for links and back, as fast as it can, for a while."""


def test_a_swap_while_it_is_asked_for_is_refused_or_gives_what_was_asked_for(swap: Swap) -> None:
    texts = [GOOD + b"# %d\n" % n for n in range(2)]
    said = swap.inside("alice", FRESH + "".join(commit(text) + "\n" for text in texts) + RACE)
    shas = [line.partition("propose: ")[2] for line in said.splitlines() if "propose: " in line]
    assert len(shas) == 2, said
    after, kept = swap.real.seq, applied(swap.real, "alice")
    for n in range(8):
        answer = swap.real.http.post("/api/approvals", json={"name": "alice", "commit": shas[n % 2]})
        if answer.is_success:
            assert answer.json()["sha"] == shas[n % 2]
            assert kept.file(shas[n % 2], "agent.toml") == texts[n % 2]
        else:
            detail = answer.json()["detail"]
            assert "proposed/" in detail and "\n" not in detail, detail
    asked = [e for e in swap.real.events(after) if e["kind"] == "approval_requested"]
    assert not swap.canary.exists() and len(asked) <= 8
