"""The page lives: what changes in the hive shows without a reload, and never moves what one is at."""

import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from hyperhive.domain import events
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import TurnView
from tests.e2e.browser import scenes
from tests.e2e.browser.conftest import Open, Serve, Watch
from tests.e2e.browser.serving import Served
from tests.fakes.hive import FakeHive

pytestmark = pytest.mark.e2e


def row(page: Page, name: str) -> Locator:
    """The row of an agent."""
    return page.locator(f'.agent[data-name="{name}"]')


def connected(page: Page) -> None:
    """Wait until the page hears from the hive."""
    expect(page.locator("#link-text")).to_have_text("Connected")


def change(served: Served, name: str, **fields: Any) -> None:
    """Change an agent as the hive does."""
    hive = served.hive
    assert isinstance(hive, FakeHive)
    agent = hive.snapshot().agent(name)
    assert agent is not None
    served.call(hive.replace, replace(agent, **fields))


def test_an_axis_that_changes_shows_without_a_reload(serve: Serve, open_page: Open) -> None:
    served = serve(scenes.of(scenes.agent("manager"), scenes.agent("alice")))
    page = open_page(served)
    connected(page)
    page.evaluate("window.loadedOnce = true")
    expect(row(page, "alice").locator(".state-word")).to_have_text("Idle")
    expect(page).to_have_title("hive")

    change(served, "alice", login="needs-login")

    expect(row(page, "alice").locator(".state-word")).to_have_text("Needs login")
    expect(page.locator('.group[data-group="attention"] .agent')).to_have_count(1)
    expect(page.locator('.card[data-kind="login"] code')).to_have_text("hyperhive login alice")
    expect(page).to_have_title("(1) hive")

    change(served, "alice", login="logged-in", revision="stale")

    expect(row(page, "alice").locator(".chip")).to_have_text("Stale")
    expect(page.locator("#waiting-none")).to_be_visible()
    expect(page).to_have_title("hive")
    assert page.evaluate("window.loadedOnce") is True


def test_a_rebuild_shows_from_its_first_moment_to_its_last(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice", revision="stale"))
    served = serve(hive)
    page = open_page(served, "/agents/alice")
    connected(page)
    page.get_by_role("button", name="Rebuild").click()
    expect(page.locator("#agent-state .state-word")).to_have_text("Rebuilding")
    expect(page.get_by_role("button", name="Stop")).to_have_attribute("aria-disabled", "true")
    served.call(hive.settle, "alice")
    expect(page.locator("#agent-state .state-word")).to_have_text("Idle")
    expect(page.locator("#event-list")).to_contain_text("was rebuilt")


def test_updates_move_neither_focus_nor_scroll_nor_an_opened_row(serve: Serve, open_page: Open) -> None:
    served = serve(scenes.fifty())
    page = open_page(served)
    connected(page)
    opened = row(page, "worker-20")
    opened.locator(".row-open").click()
    opened.get_by_role("button", name="Config").click()
    expect(opened.locator("pre")).to_contain_text("model =")
    where = "() => Math.round(document.querySelector('[data-name=worker-20]').getBoundingClientRect().top)"
    before = page.evaluate(where)
    page.evaluate(
        "getSelection().selectAllChildren(document.querySelector('[data-name=worker-20] pre'))",
    )
    selected = page.evaluate("getSelection().toString()")
    held = page.evaluate_handle("document.activeElement")

    for name in ("worker-20", "worker-01", "worker-22", "manager"):
        change(served, name, turn=scenes.turning(TurnState.THINKING, seconds=1, turn=9), inbox_depth=7)
    expect(opened.locator(".row-inbox")).to_contain_text("7")
    expect(row(page, "worker-22").locator(".state-word")).to_have_text("Thinking")

    assert page.evaluate("held => held === document.activeElement", held)
    assert page.evaluate("getSelection().toString()") == selected
    assert page.evaluate(where) == before
    expect(opened.locator("pre")).to_be_visible()
    expect(opened.locator(".state-word")).to_have_text("Thinking")


def test_what_is_typed_in_a_card_survives_updates_and_a_reload(serve: Serve, open_page: Open) -> None:
    served = serve(scenes.few())
    page = open_page(served)
    connected(page)
    answer = page.get_by_label("Answer to alice")
    answer.fill("Drop them, but keep a copy")
    change(served, "bob", transient=None, quarantined="3 crashes")
    expect(page.locator("#waiting-more")).to_have_text("Show 1 more")
    expect(answer).to_be_focused()
    expect(answer).to_have_value("Drop them, but keep a copy")
    page.get_by_label("Message", exact=True).fill("half a thought")
    page.reload()
    expect(answer).to_have_value("Drop them, but keep a copy")
    expect(page.get_by_label("Message", exact=True)).to_have_value("half a thought")


def test_only_the_row_that_changed_is_touched(serve: Serve, open_page: Open) -> None:
    served = serve(scenes.many(200))
    page = open_page(served)
    connected(page)
    page.evaluate(
        """() => {
          window.touched = new Set();
          new MutationObserver((records) => records.forEach(({target}) => {
            const row = (target.nodeType === 1 ? target : target.parentElement).closest('.agent');
            if (row && !(target.tagName === 'TIME')) window.touched.add(row.dataset.name);
          })).observe(document.querySelector('#groups'), {
            subtree: true, childList: true, characterData: true, attributes: true,
          });
        }"""
    )
    change(served, "worker-150", inbox_depth=3)
    expect(row(page, "worker-150").locator(".row-inbox")).to_contain_text("3")
    assert page.evaluate("[...window.touched]") == ["worker-150"]


def test_a_lost_connection_is_told_and_comes_back_without_gap_or_double(
    serve: Serve, open_page: Open, watch: Watch
) -> None:
    watch.allowed = ("Failed to load resource", "net::ERR")
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    served = serve(hive)
    page = open_page(served)
    connected(page)
    served.call(hive.publish, events.Paused(agent="alice"))
    expect(page.locator(".event")).to_have_count(1)

    served.stop()
    expect(page.locator("#link-text")).to_contain_text("Reconnecting")
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#lost-text")).to_contain_text(re.compile(r"What you see is \d+ s old"))
    expect(page.get_by_role("button", name="Spawn agent")).to_have_attribute("aria-disabled", "true")
    page.get_by_label("Message", exact=True).fill("are you there?")
    page.get_by_role("button", name="Send").click(force=True)
    expect(page.locator("#composer-error")).to_contain_text("Not connected")
    for n in range(3):
        served.call(hive.publish, events.TurnEnded(agent="alice", turn=n, ok=True))
    change(served, "alice", paused=True)

    served.start()
    page.get_by_role("button", name="Try now").click()
    connected(page)
    expect(page.locator("#lost")).to_be_hidden()
    expect(row(page, "alice").locator(".state-word")).to_have_text("Paused")
    expect(page.locator(".event")).to_have_count(4)
    seqs = page.eval_on_selector_all(".event", "found => found.map(one => Number(one.dataset.seq))")
    assert seqs == [4, 3, 2, 1]
    expect(page.get_by_label("Message", exact=True)).to_have_value("are you there?")
    expect(page.get_by_role("button", name="Spawn agent")).not_to_have_attribute("aria-disabled", "true")


def test_a_stream_that_fell_behind_begins_afresh_and_says_what_is_missing(
    serve: Serve, open_page: Open
) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    served = serve(hive)
    page = open_page(served, "/?view=events")
    connected(page)

    def fall_behind() -> None:
        hive.feed.resync()
        hive.publish(events.Paused(agent="alice"))

    served.call(fall_behind)
    change(served, "alice", paused=True)
    expect(row(page, "alice").locator(".state-word")).to_have_text("Paused")
    connected(page)
    expect(page.locator(".event-gap")).to_contain_text("Events 1 to 1")
    served.call(hive.publish, events.Resumed(agent="alice"))
    expect(page.locator("#event-list")).to_contain_text("was resumed")


def test_a_session_that_is_over_says_so_and_leads_to_the_login(
    serve: Serve, open_page: Open, watch: Watch
) -> None:
    watch.allowed = ("Failed to load resource",)
    served = serve(scenes.few())
    page = open_page(served, "/agents/alice?tab=logs")
    connected(page)
    page.context.clear_cookies()
    served.stop()
    served.start()
    dialog = page.get_by_role("dialog", name="Your session is over")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    dialog.get_by_role("link", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/login\?next=%2Fagents%2Falice%3Ftab%3Dlogs$"))
    page.get_by_label("Operator token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the operator's token")


def test_a_turn_streams_onto_the_agents_page(serve: Serve, open_page: Open) -> None:
    hive = scenes.turns()
    served = serve(hive)
    page = open_page(served, "/agents/alice")
    expect(page.locator(".turn")).to_have_count(2)
    last = hive.turns_of["alice"][-1]
    news = replace(last, turn=9, type="text", text="A new turn begins.")
    served.call(hive.add_turn_item, "alice", news)
    expect(page.locator(".turn").last).to_contain_text("A new turn begins.")
    page.get_by_role("tab", name="Logs").click()
    expect(page.locator("#log-lines li")).to_have_count(60)
    served.call(hive.append_log, "alice", "\x1b[31mthe newest line\x1b[0m")
    expect(page.locator("#log-lines li").last).to_have_text("the newest line")


def test_a_turn_reads_in_lines_and_unfolds(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.turns()), "/agents/alice")
    turn = page.locator(".turn").first
    uses = turn.locator('.item[data-type="tool_use"]')
    expect(uses.locator(".item-kind")).to_have_text(["Bash", "Read", "ask_operator", "send"])
    expect(uses.nth(1).locator("summary")).to_have_text("/state/imports/2026-11-21.csv, 200 lines")
    expect(uses.nth(3).locator("summary")).to_have_text("to manager: Counted 18 402 rows. …")
    uses.nth(3).locator("summary").click()
    expect(uses.nth(3).get_by_text("The rest follows.")).to_be_visible()
    expect(turn.get_by_text("214 lack a country")).to_have_count(1)
    expect(turn.locator(".item").last.locator(".item-kind")).to_have_text("Answer")
    page.keyboard.press("j")
    expect(page.locator(".turn").last).to_be_focused()
    page.keyboard.press("k")
    expect(turn).to_be_focused()


BELOW = """() => {
  const {scrollHeight, scrollTop, clientHeight} = document.querySelector('#flow');
  return scrollHeight - scrollTop - clientHeight %s;
}"""


def test_a_long_message_that_comes_while_one_reads_at_the_end_is_seen_to_its_end(
    serve: Serve, open_page: Open
) -> None:
    hive = scenes.few()
    served = serve(hive)
    page = open_page(served)
    body = "\n".join(
        f"{n}. A line that is long enough to be broken once or twice on its way." for n in range(11)
    )
    for n in range(6):
        served.do(hive.send(sender="alice", to="operator", body=f"{body}\nnumber {n}"))
    expect(page.locator(".message").last).to_contain_text("number 5")
    page.wait_for_function(BELOW % "< 2")
    page.locator("#flow").hover()
    page.mouse.wheel(0, -600)
    page.wait_for_function(BELOW % "> 300")
    top = page.evaluate("document.querySelector('#flow').scrollTop")
    served.do(hive.send(sender="alice", to="operator", body="one more"))
    page.get_by_role("button", name="New messages").click()
    expect(page.locator(".message").last).to_be_in_viewport()
    assert page.evaluate("document.querySelector('#flow').scrollTop") > top


def test_an_agent_that_is_destroyed_elsewhere_leaves_the_page(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"), scenes.agent("bob"))
    served = serve(hive)
    page = open_page(served)
    connected(page)
    served.do(hive.destroy("alice", by="operator"))
    expect(row(page, "alice")).to_have_count(0)
    expect(page.locator("#agents-count")).to_have_text("2")
    expect(page.locator("#composer-to option")).to_have_text(["manager", "bob"])


def test_a_rate_limit_says_when_it_goes_on(serve: Serve, open_page: Open) -> None:
    until = scenes.past(minutes=-30)
    limited = TurnView(state=TurnState.RATE_LIMITED, since=scenes.past(minutes=1), until=until)
    served = serve(scenes.of(scenes.agent("manager", turn=limited)))
    page = open_page(served)
    expect(row(page, "manager").locator(".row-until")).to_have_text(re.compile(r"goes on in (29|30) min"))
