"""Nothing changes without the operator: drafted, revised, failed, rolled back, from browser to container."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hyperhive.domain.limits import Limits
from hyperhive.runtimes import proc
from hyperhive.runtimes.bubblewrap import Bubblewrap
from tests.claude_versions import need_other_claude
from tests.e2e.applied import applied, built
from tests.e2e.browser.test_live import row
from tests.e2e.dashboard import approval, dashboard, write
from tests.e2e.hive import LONG, RealHive, hive, in_order
from tests.e2e.processes import program
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SCENARIO = Path(__file__).with_name("approvals.toml")
SOON = LONG * 1000
"""Milliseconds for what takes a second on a machine that does nothing else."""

CONFIG = 'model = "opus"\nallowedRecipients = ["manager"]\n\n[bash]\nallow = ["git *"]'
CHANGED = CONFIG.replace("opus", "haiku") + "\n\n[notes]\ncompactAboveKiB = 32"
BROKEN = CHANGED.replace("haiku", "sonnet") + '\n\n[limits]\nmemory = "8M"'


@pytest.fixture(scope="module")
def real() -> Iterator[RealHive]:
    with hive(scenario=SCENARIO) as made:
        made.up()
        made.spawn("bob")
        made.quiet()
        yield made


@pytest.fixture(scope="module")
def page(real: RealHive) -> Iterator[Page]:
    """What the operator has open all the time; nothing in it is loaded twice."""
    with dashboard(real, allowed=("409",)) as opened:
        opened.evaluate("window.loadedOnce = true")
        yield opened


def by_keyboard(page: Page, key: str) -> None:
    """Go to what waits and decide there; nothing is focused before."""
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("w")
    expect(approval(page)).to_be_focused()
    page.keyboard.press(key)


def decided(real: RealHive, after: int) -> dict[str, Any]:
    return real.wait("approval_resolved", after=after, agent="carol")


def test_a_draft_becomes_an_agent_that_lives_by_its_policies(real: RealHive, page: Page) -> None:
    after = real.seq
    write(page, f"draft carol\n{CONFIG}")
    asked = real.wait("approval_requested", after=after, agent="carol")
    card = approval(page)
    expect(card.locator(".card-kind")).to_have_text("New agent from a draft", timeout=SOON)
    expect(card.locator(".card-said")).to_have_text("An agent that reports to me.")
    expect(page.locator("#draft-list")).to_contain_text("carol")
    expect(card.locator(".file-path")).to_have_text(["agent.toml", "prompt.md"])
    expect(card.locator(".l-add").get_by_text('allowedRecipients = ["manager"]')).to_be_visible()
    assert real.agent("carol") == {}
    by_keyboard(page, "a")
    resolved = decided(real, after)
    assert (resolved["decision"], resolved["by"]) == ("approved", "operator")
    assert resolved["where"].startswith("dashboard")
    told = real.wait("spawned", after=after, agent="carol")
    assert told["ok"], told
    expect(row(page, "carol").locator(".state-word")).to_have_text("Idle", timeout=SOON)
    expect(page.locator("#draft-list .kept-row")).to_have_count(0)
    assert built(real, "carol").decode() == CONFIG + "\n"
    kept = applied(real, "carol")
    assert kept.tags(asked["id"])["deployed"] == kept.main() == resolved["sha"]
    assert in_order(
        real.events(after),
        {"kind": "draft_created", "agent": "carol"},
        {"kind": "approval_requested", "approval": "spawn-commit"},
        {"kind": "approval_resolved", "decision": "approved"},
        {"kind": "config_applied", "agent": "carol", "sha": resolved["sha"]},
    )
    real.quiet("carol", "manager")
    assert (real.folder("carol") / "state" / "notes.md").read_text() == "Drafted by manager.\n"


def _policies_hold(real: RealHive) -> None:
    assert "git version" in real.ask("carol", "run: git --version")
    denied = real.ask("carol", "run: touch /state/forbidden")
    assert "ermission" in denied, denied
    assert not (real.folder("carol") / "state" / "forbidden").exists()
    eventually(lambda: len(program("claude", real.inside("carol"))) == 1)
    (claude, *_) = program("claude", real.inside("carol"))
    words = proc.cmdline(claude.pid)
    assert words[words.index(b"--model") + 1] == b"opus"
    assert any(b"You report to the manager, in a few lines." in word for word in words)


def test_its_policies_hold_in_its_turns(real: RealHive) -> None:
    before = real.newest()
    assert "'carol' may not write to 'bob'; it may write to: manager" in real.ask("carol", "tell bob: psst")
    assert '"to":"manager"' in real.ask("carol", "tell manager: hello").replace(" ", "")
    assert [m for m in real.messages() if m["id"] > before and m["to"] == "bob"] == []
    _policies_hold(real)


def test_a_change_goes_back_with_a_note_and_comes_again_in_the_same_thread(
    real: RealHive, page: Page
) -> None:
    after = real.seq
    write(page, f"change carol\n{CHANGED.replace('haiku', 'sonnet')}")
    first = real.wait("approval_requested", after=after, agent="carol")["id"]
    card = approval(page)
    expect(card.locator(".card-kind")).to_have_text("Config change", timeout=SOON)
    expect(card.locator(".l-del").get_by_text('model = "opus"')).to_be_visible()
    by_keyboard(page, "r")
    page.keyboard.type("Too dear: take the model haiku, please.")
    page.keyboard.press("Control+Enter")
    sent_back = decided(real, after)
    assert (sent_back["id"], sent_back["decision"], sent_back["tag"]) == (first, "revise", f"revise/{first}")
    expect(card.locator(".card-round")).to_have_text("2nd round", timeout=SOON)
    expect(card.locator(".round").first).to_contain_text("You asked: Too dear: take the model haiku")
    expect(card.locator(".card-said")).to_have_text("With haiku now.")
    second = real.wait("approval_requested", after=sent_back["seq"], agent="carol")["id"]
    assert [view["id"] for view in real.get(f"/api/approvals/{second}")["thread"]] == [first, second]
    kept = applied(real, "carol")
    was, before = kept.main(), real.agent("carol")["generation"]
    assert "take the model haiku" in kept.words(f"revise/{first}")
    card.get_by_role("button", name="Approve").click()
    approved = decided(real, sent_back["seq"])
    told = real.wait("rebuilt", after=after, agent="carol")
    assert told["ok"], told
    expect(row(page, "carol").locator(".state-word")).to_have_text("Idle", timeout=SOON)
    assert kept.tags(first) == {"proposal": kept.tags(first)["proposal"], "revise": sent_back["sha"]}
    assert kept.tags(second)["deployed"] == kept.main() == approved["sha"] != was
    assert kept.git("log", "--format=%s", "-1", "main").decode() == "Take haiku, as the operator asked\n"
    real.shows("carol", model="haiku", generation=before + 1, commit=approved["sha"], ready=True)
    assert built(real, "carol").decode() == CHANGED + "\n"
    real.quiet("manager")


def test_what_cannot_work_any_more_is_not_approved_and_can_be_denied(real: RealHive, page: Page) -> None:
    folder = real.home / "environments"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "station.env").touch(mode=0o600)
    after, main = real.seq, applied(real, "carol").main()
    write(page, f'change carol\nenvironment = "station"\n{CHANGED}')
    card = approval(page)
    expect(card.locator(".l-add").get_by_text("station")).to_be_visible(timeout=SOON)
    (folder / "station.env").unlink()
    card.get_by_role("button", name="Approve").click()
    id = real.wait("approval_requested", after=after, agent="carol")["id"]
    refusal = card.get_by_role("alert")
    expect(refusal).to_contain_text(
        f"Approval {id} cannot be carried out and waits on: agent.toml: environment"
    )
    assert [view["state"] for view in real.state()["approvals"]] == ["pending"]
    card.get_by_role("button", name="Deny…").click()
    page.keyboard.type("There is no station.")
    page.keyboard.press("Control+Enter")
    denied = decided(real, after)
    assert (denied["decision"], denied["note"], denied["tag"]) == (
        "denied",
        "There is no station.",
        f"denied/{id}",
    )
    assert "There is no station." in applied(real, "carol").words(f"denied/{id}")
    assert applied(real, "carol").main() == main
    real.quiet("manager")


def test_one_that_fails_its_build_leaves_what_ran(real: RealHive, page: Page) -> None:
    if unheld := Bubblewrap().unheld(Limits(memory="8M")):
        pytest.skip(f"nothing that passes every check fails its build here: {unheld[0]}")
    before, after, mail = real.agent("carol"), real.seq, real.newest()
    kept = applied(real, "carol")
    main = kept.main()
    write(page, f"change carol\n{BROKEN}")
    card = approval(page)
    expect(card.locator(".l-add").get_by_text('memory = "8M"')).to_be_visible(timeout=SOON)
    card.get_by_role("button", name="Approve").click()
    id = decided(real, after)["id"]
    told = real.wait("rebuilt", after=after, agent="carol")
    assert not told["ok"]
    assert f"went back to generation {before['generation']}" in told["note"], told
    assert "before its harness was ready" in told["note"] and "harness of carol ended" not in told["note"]
    real.shows("carol", container="running", ready=True, transient=None)
    same = ("model", "generation", "commit", "recorded_revision", "restart")
    now = real.agent("carol")
    assert {key: now.get(key) for key in same} == {key: before.get(key) for key in same}
    assert kept.main() == main
    assert kept.tags(id)["failed"] == kept.tags(id)["proposal"] != main
    assert kept.words(f"failed/{id}").strip() == told["note"].strip()
    assert "config_applied" not in [event["kind"] for event in real.events(after)]
    assert built(real, "carol").decode() == CHANGED + "\n"
    real.until(lambda: [m for m in real.messages() if m["id"] > mail and m["from"] == "manager"])
    heard = real.word("manager", after=mail)
    assert heard.startswith("carol did not come up:") and '"ok":false' in heard
    assert "git version" in real.ask("carol", "run: git --version")
    real.quiet("carol")
    failed = page.locator('.card[data-kind="build"]')
    expect(failed.locator(".name")).to_have_text("carol", timeout=SOON)
    expect(failed.locator(".card-text")).to_contain_text(told["note"][:60])
    assert told["note"] in real.cli("build", "carol")


def test_one_goes_back_by_a_click_and_by_command(real: RealHive, page: Page) -> None:
    now = real.agent("carol")["generation"]
    after = real.seq
    row(page, "carol").get_by_role("link", name="carol").click()
    page.get_by_role("tab", name="Config").click()
    page.get_by_role("button", name="Roll back to generation 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    told = real.wait("rebuilt", after=after, agent="carol")
    assert (told["ok"], told["note"]) == (True, "went back to generation 1")
    real.shows("carol", generation=1, model="opus", ready=True, transient=None, revision="up-to-date")
    expect(page.locator(".generation[aria-current] .generation-number")).to_have_text("1", timeout=SOON)
    kept = applied(real, "carol")
    assert kept.main() == real.agent("carol")["commit"]
    assert kept.file("main", "agent.toml").decode() == built(real, "carol").decode() == CONFIG + "\n"
    real.cli("rollback", "carol", str(now))
    real.shows("carol", generation=now, model="haiku", ready=True, revision="up-to-date")
    assert built(real, "carol").decode() == CHANGED + "\n"
    assert kept.file("main", "agent.toml").decode() == CHANGED + "\n"
    expect(page.locator(".generation[aria-current] .generation-number")).to_have_text(str(now), timeout=SOON)
    real.quiet("carol")
    assert "git version" in real.ask("carol", "run: git --version")
    audit = [event for event in real.events(after) if event["kind"] == "audit"]
    assert [(event["action"], event["agent"], event["by"]) for event in audit] == [
        ("rollback", "carol", "operator"),
        ("rollback", "carol", "operator"),
    ]
    assert audit[0]["where"].startswith("dashboard") and audit[1]["where"].startswith("command")


def test_the_other_version_of_claude_code_drafts_and_lives_by_policies_too() -> None:
    with hive(scenario=SCENARIO, env={"HYPERHIVE_CLAUDE": str(need_other_claude())}) as other:
        other.up()
        other.quiet()
        after = other.seq
        other.send("manager", f"draft carol\n{CONFIG}")
        id = other.wait("approval_requested", after=after, agent="carol")["id"]
        assert "+allowedRecipients" in other.cli("diff", str(id))
        other.cli("approve", str(id))
        told = other.wait("spawned", after=after, agent="carol")
        assert told["ok"], told
        _policies_hold(other)
