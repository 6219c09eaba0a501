"""Plays the manager that thinks out configs, and the operator who decides them, through the Gatekeeper."""

import os
import subprocess
from typing import Any, Literal

from hyperhive.actors.gatekeeper import Decide, Discard, Draft, Submit, Withdraw
from hyperhive.actors.reply import Waiter
from hyperhive.domain.approvals import Kind, State, tags
from hyperhive.domain.views import ApprovalView, DraftView
from tests.actors.rig import Rig

_WHO = {f"GIT_{role}_{what}": "manager" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(rig: Rig, name: str, *arguments: str, where: str = "proposed") -> str:
    """What git says in one of an agent's repositories."""
    return subprocess.run(
        ("git", "-C", str(rig.layout.agent(name).root / where), *arguments),
        env={**os.environ, **_WHO, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()


def commit(rig: Rig, name: str, config: str, *, summary: str = "Change it") -> str:
    """Commit a config in ``proposed/``; the commit."""
    (rig.layout.agent(name).root / "proposed/agent.toml").write_text(config)
    git(rig, name, "add", "--all")
    git(rig, name, "commit", "--quiet", "--allow-empty", "-m", summary)
    return git(rig, name, "rev-parse", "HEAD")


def gate(rig: Rig, make: Any, timeout: float = 20) -> Any:
    """What the Gatekeeper answers."""
    reply: Waiter[Any] = Waiter()
    rig.tree.services.gatekeeper.tell(make(reply))
    return reply.get(timeout)


def submit(
    rig: Rig,
    kind: Kind,
    name: str,
    sha: str | None = None,
    *,
    by: str = "manager",
    note: str = "",
    ttl: float | None = None,
) -> ApprovalView:
    """Submit a commit, or ask for a spawn."""
    view = gate(rig, lambda reply: Submit(kind, name, sha, by, note, ttl, reply))
    assert isinstance(view, ApprovalView)
    return view


def decide(
    rig: Rig, id: int, decision: Literal["approve", "deny", "revise"] = "approve", note: str = ""
) -> ApprovalView:
    """Decide as the operator, at the dashboard."""
    view = gate(rig, lambda reply: Decide(id, decision, note, "operator", "dashboard", reply))
    assert isinstance(view, ApprovalView)
    return view


def withdraw(rig: Rig, id: int, *, by: str = "manager") -> ApprovalView:
    """Take a request back."""
    view = gate(rig, lambda reply: Withdraw(id, by, "mcp", reply))
    assert isinstance(view, ApprovalView)
    return view


def draft(rig: Rig, name: str) -> DraftView:
    """Begin an agent to be."""
    view = gate(rig, lambda reply: Draft(name, "manager", reply))
    assert isinstance(view, DraftView)
    return view


def discard(rig: Rig, name: str) -> DraftView:
    """Let a draft go."""
    view = gate(rig, lambda reply: Discard(name, "operator", reply))
    assert isinstance(view, DraftView)
    return view


def approval(rig: Rig, id: int) -> ApprovalView:
    """An approval as it is recorded now."""
    view = rig.database.reader().approvals.get(id)
    assert view is not None
    return view


def state(rig: Rig, id: int) -> State:
    """Where an approval is in its life."""
    return approval(rig, id).state


def tagged(rig: Rig, name: str, id: int) -> set[str]:
    """The tags of an approval that ``applied/`` has."""
    found = git(rig, name, "tag", "--list", f"*/{id}", where="applied").split()
    return set(found)


def expected(rig: Rig, id: int) -> set[str]:
    """The tags that it must have."""
    return set(tags(id, state(rig, id)))
