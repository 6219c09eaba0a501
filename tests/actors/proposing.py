"""The manager's part in a test: commits in ``proposed/``, asked for and decided."""

import os
import subprocess
from pathlib import Path
from typing import Literal

from hyperhive.actors.gatekeeper import Decide, Draft, Submit
from hyperhive.actors.reply import Waiter
from hyperhive.domain.approvals import Kind, State
from hyperhive.domain.views import ApprovalView, DraftView
from tests.actors.rig import Rig
from tests.waiting import eventually

_WHO = {f"GIT_{who}_{what}": "manager" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
_ENV = {**os.environ, **_WHO, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(
        ("git", "-C", str(folder), *args), env=_ENV, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def commit(rig: Rig, name: str, text: str, **more: str) -> str:
    """Commit a config, and ``prompt`` as ``prompt.md``, in ``proposed/``; the commit."""
    folder = rig.layout.agent(name).proposed
    (folder / "agent.toml").write_text(text)
    for file, content in more.items():
        (folder / f"{file}.md").write_text(content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", f"Change {name}")
    return git(folder, "rev-parse", "HEAD")


def submit(rig: Rig, name: str, sha: str | None, kind: Kind = Kind.APPLY_COMMIT) -> ApprovalView:
    reply: Waiter[ApprovalView] = Waiter()
    rig.tree.services.gatekeeper.tell(Submit(kind, name, sha, "manager", reply=reply))
    return reply.get(60)


def decide(
    rig: Rig, id: int, decision: Literal["approve", "deny", "revise"] = "approve", note: str = ""
) -> ApprovalView:
    reply: Waiter[ApprovalView] = Waiter()
    rig.tree.services.gatekeeper.tell(Decide(id, decision, note, "operator", "test", reply))
    return reply.get(60)


def draft(rig: Rig, name: str) -> DraftView:
    reply: Waiter[DraftView] = Waiter()
    rig.tree.services.gatekeeper.tell(Draft(name, "manager", reply))
    return reply.get(60)


def approve(rig: Rig, name: str, text: str, kind: Kind = Kind.APPLY_COMMIT, **more: str) -> ApprovalView:
    """Propose a config and approve it at once."""
    return decide(rig, submit(rig, name, commit(rig, name, text, **more), kind).id)


def approval(rig: Rig, id: int) -> ApprovalView:
    view = rig.database.reader().approvals.get(id)
    assert view is not None
    return view


def ended(rig: Rig, id: int) -> ApprovalView:
    """The approval, once its build came to something."""
    eventually(lambda: approval(rig, id).state in (State.DEPLOYED, State.FAILED))
    return approval(rig, id)


def tags(rig: Rig, name: str) -> dict[str, str]:
    """The tags in ``applied/`` and the commits they lead to."""
    form = "--format=%(refname:short) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
    lines = git(rig.layout.agent(name).applied, "for-each-ref", form, "refs/tags").splitlines()
    return dict(line.split(" ") for line in lines)
