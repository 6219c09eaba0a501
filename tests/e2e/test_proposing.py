"""The manager proposes with the built-in scenario, the operator decides, and the agents become what was approved."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from hyperhive.domain.limits import Limits
from hyperhive.runtimes.bubblewrap import Bubblewrap
from tests.e2e.hive import RealHive, hive

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive(scenario=None) as made:
        made.up()
        made.spawn("bob")
        made.quiet()
        yield made


def proposed(real: RealHive, words: str) -> dict[str, Any]:
    """What the manager asks for when the operator says this."""
    after = real.seq
    real.send("manager", words)
    return asked(real, after)


def asked(real: RealHive, after: int) -> dict[str, Any]:
    id = real.wait("approval_requested", after=after, agent="carol")["id"]
    return next(a for a in real.state()["approvals"] if a["id"] == id)


def decide(real: RealHive, request: dict[str, Any], answer: str, **body: str) -> dict[str, Any]:
    decided: dict[str, Any] = real.post(f"/api/approvals/{request['id']}/{answer}", body)
    return decided


def tags(real: RealHive) -> dict[str, str]:
    git = ["git", "-c", "safe.directory=*", "-C", str(real.folder("carol") / "applied")]
    show = [*git, "for-each-ref", "--format=%(refname:short) %(objectname) %(*objectname)", "refs/tags"]
    said = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    words = (line.split() for line in said.splitlines())
    return {name: objects[-1] for name, *objects in words}


def test_a_draft_is_edited_committed_approved_and_comes_to_life_with_its_policies(real: RealHive) -> None:
    request = proposed(real, "draft carol")
    assert (request["kind"], request["requested_by"]) == ("spawn-commit", "manager")
    assert [draft["name"] for draft in real.state()["drafts"]] == ["carol"]
    diff = real.http.get(f"/api/approvals/{request['id']}/diff").text
    assert '+allowedRecipients = ["manager"]' in diff and "+You report to the manager" in diff
    after = real.seq
    decide(real, request, "approve")
    told = real.wait("spawned", after=after, agent="carol")
    assert told["ok"], told
    real.shows("carol", commit=request["sha"], container="running", ready=True)
    assert 'allowedRecipients = ["manager"]' in real.http.get("/api/agent-config/carol").text
    assert real.state()["drafts"] == []
    assert tags(real)[f"deployed/{request['id']}"] == request["sha"]
    real.quiet()
    assert (real.folder("carol") / "state" / "notes.md").read_text() == "Drafted by manager.\n"
    before = real.newest()
    real.send("carol", "tell bob: psst")
    real.send("carol", "tell manager: hello")
    real.until(lambda: [m for m in real.messages() if m["id"] > before and m["from"] == "carol"])
    real.quiet()
    written = {m["to"] for m in real.messages() if m["id"] > before and m["from"] == "carol"}
    assert written == {"manager"}


def test_a_change_is_sent_back_changed_asked_for_again_and_applied(real: RealHive) -> None:
    first = proposed(real, 'change carol: model = "opus"')
    after = real.seq
    decide(real, first, "revise", note='Smaller, please: model = "haiku"')
    second = asked(real, after)
    assert second["thread"] == first["id"] and second["sha"] != first["sha"]
    decide(real, second, "approve")
    told = real.wait("rebuilt", after=after, agent="carol")
    assert told["ok"], told
    real.shows("carol", model="haiku", commit=second["sha"])
    found = tags(real)
    assert found[f"revise/{first['id']}"] == first["sha"]
    assert found[f"deployed/{second['id']}"] == second["sha"]
    real.quiet()


def test_one_that_cannot_come_up_fails_its_build_and_what_ran_runs_again(real: RealHive) -> None:
    if unheld := Bubblewrap().unheld(Limits(memory="8M")):
        pytest.skip(f"nothing that can be approved fails its build here: {unheld[0]}")
    before = real.agent("carol")
    broken = proposed(real, 'change carol: limits.memory = "8M"')
    after = real.seq
    decide(real, broken, "approve")
    told = real.wait("rebuilt", after=after, agent="carol")
    assert not told["ok"] and told["note"], told
    real.shows("carol", container="running", ready=True, transient=None)
    now = real.agent("carol")
    same = ("model", "generation", "commit", "recorded_revision")
    assert [now[key] for key in same] == [before[key] for key in same]
    assert tags(real)[f"failed/{broken['id']}"] == broken["sha"]
    manager = [m["body"] for m in real.messages() if m["to"] == "manager"]
    assert '"kind":"rebuilt"' in manager[-1] and '"ok":false' in manager[-1]
    real.quiet()
    assert real.ask("carol", "run: echo well").strip() == "well"
