"""A real browser against the real daemon, with real Claude Code: what the operator sees is what is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser.conftest import Open, Watch
from tests.e2e.browser.test_live import connected, row
from tests.e2e.hive import LONG, RealHive, contiguous, hive
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

UNTOLD = ("transient_cleared", "audit")
"""What the log on the page leaves out; the history has it."""

SOON = LONG * 1000
"""Milliseconds for what takes a second on a machine that does nothing else."""


@dataclass(frozen=True)
class Real:
    """The daemon's dashboard."""

    hive: RealHive

    @property
    def url(self) -> str:
        return self.hive.url

    def entry(self) -> str:
        """A link as ``hyperhive open`` prints it."""
        return self.hive.cli("open").strip()


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    """The manager and alice, idle, in the built-in scenario."""
    with hive(scenario=None) as made:
        made.up()
        made.spawn("alice")
        made.quiet()
        yield Real(made)


def state(page: Page, name: str) -> Locator:
    """How an agent stands, in a word."""
    return row(page, name).locator(".state-word")


def log(page: Page) -> list[int]:
    """The numbers of the event log, oldest first."""
    numbers: list[int] = page.eval_on_selector_all(".event", "all => all.map(one => Number(one.dataset.seq))")
    return sorted(numbers)


def test_the_entry_link_logs_in_once_and_leaves_no_code_behind(
    real: Real, open_page: Open, browser: Browser, watch: Watch
) -> None:
    link = real.entry()
    context = browser.new_context()
    page = context.new_page()
    page.on("console", watch.console)
    page.goto(link)
    expect(page).to_have_url(f"{real.url}/")
    connected(page)
    code = link.partition("entry=")[2]
    assert code
    assert code not in page.content() + page.evaluate("document.referrer + history.state + location.href")
    page.go_back()
    assert code not in page.url
    context.clear_cookies()
    assert (page.goto(link) or pytest.fail()).status == 401
    expect(page.get_by_role("alert")).to_contain_text("used or is too old")
    watch.allowed = ("401",)
    context.close()


def test_a_wish_comes_back_as_the_managers_report(real: Real, open_page: Open) -> None:
    page = open_page(real)
    connected(page)
    expect(page.get_by_text("Begin here")).to_be_visible()
    page.get_by_role("button", name="Write to the manager").click()
    page.keyboard.type("How is the machine?")
    page.keyboard.press("Control+Enter")
    report = page.locator(".message.to-you").last
    expect(report).to_contain_text("Report of alice", timeout=SOON)
    expect(page.locator(".message.from-you")).to_contain_text("How is the machine?")
    expect(report.locator(".message-head")).to_contain_text("manager")
    expect(page.get_by_text("Begin here")).to_be_hidden()
    page.get_by_role("tab", name="Events").click()
    expect(page.locator("#event-list")).to_contain_text("you wrote to manager")
    expect(page.locator("#event-list")).to_contain_text("manager wrote to you")
    real.hive.quiet()


def test_what_changes_elsewhere_shows_without_a_reload(real: Real, open_page: Open) -> None:
    page = open_page(real)
    connected(page)
    page.evaluate("window.loadedOnce = true")
    expect(state(page, "alice")).to_have_text("Idle")
    real.hive.cli("stop", "alice")
    expect(state(page, "alice")).to_have_text("Stopped")
    expect(page.locator('.group[data-group="stopped"] .agent')).to_have_count(1)
    row(page, "alice").hover()
    row(page, "alice").get_by_role("button", name="Start alice").click()
    page.mouse.move(0, 0)
    expect(state(page, "alice")).to_have_text("Idle", timeout=SOON)
    assert real.hive.agent("alice")["container"] == "running"
    row(page, "alice").get_by_role("button", name="Actions for alice").click()
    page.get_by_role("menuitem", name="Stop").click()
    expect(state(page, "alice")).to_have_text("Stopped", timeout=SOON)
    assert real.hive.agent("alice")["container"] == "stopped"
    real.hive.cli("start", "alice")
    expect(state(page, "alice")).to_have_text("Idle", timeout=SOON)
    assert page.evaluate("window.loadedOnce") is True
    real.hive.shows("alice", ready=True)


def test_a_rebuild_shows_from_its_first_moment_to_its_last(real: Real, open_page: Open) -> None:
    page = open_page(real)
    connected(page)
    real.hive.change("alice")
    expect(row(page, "alice").locator(".chip")).to_have_text("Stale", timeout=SOON)
    page.evaluate(
        """() => {
          const word = document.querySelector('[data-name="alice"] .state-word');
          window.said = [word.textContent];
          new MutationObserver(() => window.said.push(word.textContent)).observe(word, {childList: true});
        }"""
    )
    after = real.hive.seq
    row(page, "alice").get_by_role("button", name="Actions for alice").click()
    page.get_by_role("menuitem", name="Rebuild").click()
    real.hive.wait("transient_cleared", after=after, agent="alice")
    real.hive.shows("alice", ready=True, revision="up-to-date")
    expect(row(page, "alice").locator(".chip")).to_have_count(0)
    expect(state(page, "alice")).to_have_text("Idle")
    said = [word for word in page.evaluate("window.said") if word != "Connecting"]
    assert said == ["Idle", "Rebuilding", "Idle"]
    page.get_by_role("tab", name="Events").click()
    expect(page.locator("#event-list")).to_contain_text("alice was rebuilt")
    expect(page.locator("#event-list")).not_to_contain_text("cleared")


def test_a_question_is_answered_on_its_card(real: Real, open_page: Open) -> None:
    page = open_page(real)
    connected(page)
    real.hive.send("alice", "ask me something")
    card = page.locator('.card[data-kind="question"]')
    expect(card).to_contain_text("Which report would you like?", timeout=SOON)
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    card.get_by_label("memory").check()
    card.get_by_role("button", name="Answer").click()
    expect(card).to_have_count(0)
    expect(page.locator(".message.to-you").last).to_contain_text("You chose: memory", timeout=SOON)
    real.hive.quiet()


def test_a_turn_is_seen_while_it_runs(real: Real, open_page: Open) -> None:
    page = open_page(real, "/agents/alice")
    connected(page)
    real.hive.send("alice", "run until test -e go; do sleep 0.1; done; echo gone")
    turn = page.locator(".turn").last
    use = turn.locator('.item[data-type="tool_use"]')
    expect(use).to_contain_text("until test -e go", timeout=SOON)
    expect(use.locator(".item-kind")).to_have_text("Bash")
    expect(page.locator("#agent-state .state-word")).to_have_text("Thinking")
    expect(turn.locator('.item[data-type="prompt"]')).to_contain_text("you run until")
    expect(turn.locator(".turn-use")).to_be_empty()
    (real.hive.folder("alice") / "state" / "go").touch()
    expect(turn.locator('.item[data-type="tool_result"]').first).to_have_text(re.compile("gone"))
    expect(turn.locator('.item[data-type="result"]')).to_contain_text("Done.", timeout=SOON)
    expect(turn.get_by_text("Done.")).to_have_count(1)
    expect(turn.locator(".turn-use")).to_contain_text("tokens in")
    expect(use.nth(1)).to_contain_text("to you: gone")
    expect(page.locator("#agent-state .state-word")).to_have_text("Idle")
    page.get_by_role("tab", name="Config").click()
    expect(page.locator("#panel-config pre")).to_contain_text("model")


def test_a_killed_daemon_is_told_and_what_it_missed_is_not_missing(
    real: Real, open_page: Open, watch: Watch
) -> None:
    watch.allowed = ("Failed to load resource", "net::ERR")
    page = open_page(real, "/?view=events")
    connected(page)
    real.hive.kill()
    expect(page.locator("#lost-title")).to_have_text("Connection lost.")
    expect(page.locator("#link-text")).to_contain_text("Reconnecting")
    expect(page.get_by_role("button", name="Spawn agent").first).to_have_attribute("aria-disabled", "true")
    lasted = row(page, "alice").locator(".row-state time")
    stood = lasted.inner_text()
    age = page.locator("#lost-text").inner_text()
    expect(page.locator("#lost-text")).not_to_have_text(age)
    expect(lasted).to_have_text(stood)

    real.hive.up()
    real.hive.cli("pause", "alice")
    real.hive.cli("resume", "alice")
    page.evaluate("dispatchEvent(new Event('online'))")  # it may have come back by itself before
    connected(page)
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#event-list")).to_contain_text("alice was resumed")
    expect(state(page, "alice")).to_have_text("Idle", timeout=SOON)
    assert contiguous(real.hive.events())

    def nothing_missing() -> bool:
        told = [event["seq"] for event in real.hive.events() if event["kind"] not in UNTOLD]
        shown = log(page)
        return shown == [seq for seq in told if seq >= shown[0]]

    eventually(nothing_missing)
    page.reload()
    expect(page).to_have_url(re.compile(r"/\?view=events$"))
    connected(page)


def test_a_session_that_ends_elsewhere_ends_here(real: Real, open_page: Open, watch: Watch) -> None:
    watch.allowed = ("Failed to load resource",)
    page = open_page(real, "/agents/alice")
    connected(page)
    other = page.context.new_page()
    other.goto(real.url)
    other.get_by_role("button", name="Menu").click()
    other.get_by_role("menuitem", name="Log out").click()
    expect(other.get_by_role("heading", name="Log in to the hive")).to_be_visible()
    dialog = page.get_by_role("dialog", name="Your session is over")
    expect(dialog).to_be_visible(timeout=SOON)
    dialog.get_by_role("link", name="Log in").click()
    page.get_by_label("Operator token").fill(real.hive.token)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile("/agents/alice$"))
    connected(page)


def test_what_was_destroyed_is_kept_revived_and_purged(real: Real, open_page: Open, watch: Watch) -> None:
    watch.allowed = ("404",)
    real.hive.spawn("brief")
    page = open_page(real)
    connected(page)
    real.hive.cli("destroy", "brief")
    page.get_by_text("Destroyed agents whose folders").click()
    page.get_by_role("button", name="Revive brief").click()
    expect(state(page, "brief")).to_have_text("Idle", timeout=SOON)
    expect(page.locator("#kept")).to_be_hidden()
    real.hive.quiet()
    real.hive.cli("destroy", "brief")
    page.get_by_role("button", name="Purge brief").click()
    page.get_by_label("Type brief to confirm").fill("brief")
    page.get_by_role("button", name="Purge", exact=True).click()
    expect(page.locator("#kept")).to_be_hidden()
    assert not real.hive.folder("brief").exists()
    page.goto(f"{real.url}/agents/brief")
    expect(page.get_by_role("heading")).to_have_text("No agent is called brief")
    page.goto(f"{real.url}/nowhere")
    expect(page.get_by_role("heading")).to_have_text("There is nothing here")
