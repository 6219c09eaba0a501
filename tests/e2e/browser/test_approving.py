"""Deciding with the diff before one's eyes: what it shows, that reading it is left alone, who decided what."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Locator, Page, expect

from hyperhive.domain.approvals import Against, State
from hyperhive.domain.diff import Diff
from hyperhive.domain.turns import TurnState
from tests.e2e.browser import proposals, scenes
from tests.e2e.browser.conftest import Open, Serve, Watch
from tests.e2e.browser.test_acting import calls
from tests.e2e.browser.test_live import change, connected
from tests.fakes.hive import FakeHive

pytestmark = pytest.mark.e2e

EVIL = '</script><img src=x onerror="window.pwned=1">'


class Cut(FakeHive):
    """A hive whose diffs are longer than a screen shows."""

    async def approval_changes(self, id: int, *, against: Against = Against.RUNNING) -> Diff:
        whole = await super().approval_changes(id, against=against)
        return whole.model_copy(update={"cut": 1234})


def card(page: Page) -> Locator:
    """The cards of approvals."""
    return page.locator('.card[data-kind="approval"]')


def signs(page: Page, what: str) -> set[str]:
    """What the style sheet draws before lines of a kind, without the numbers."""
    drawn: list[str] = page.eval_on_selector_all(
        what, "all => all.map(one => getComputedStyle(one, '::before').content)"
    )
    return {re.sub(r"[\s\d\"/]|added.*|removed.*", "", text) for text in drawn}


def test_a_small_change_is_told_in_words_and_shown_line_by_line(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(proposals.one()))
    connected(page)
    told = card(page)
    expect(told.locator(".card-kind")).to_have_text("Config change")
    expect(told.locator(".card-text")).to_have_text("Let alice write to the manager only")
    expect(told.locator(".card-said")).to_contain_text("She answered a customer directly")
    expect(told.locator(".deadline")).to_have_text(re.compile(r"expires in 1 h 59 min"))
    expect(told.locator(".card-meta")).to_have_text(re.compile(r"asked by manager.*2 files \+\d+ −\d+"))
    expect(told.locator(".file-path")).to_have_text(["agent.toml", "prompt.md"])
    expect(told.locator(".file-change")).to_have_text(["changed", "added"])
    expect(told.locator(".l-add").get_by_text('allowedRecipients = ["manager"]')).to_be_visible()
    assert (signs(page, ".l-add"), signs(page, ".l-del")) == ({"+"}, {"−"})
    assert told.locator(".l-add").last.evaluate("one => one.textContent") == (
        "Write plainly. Ask before you promise anything."
    )
    told.locator("summary").first.click()
    expect(told.locator(".l-add").first).to_be_hidden()
    told.get_by_role("button", name="Fold all files").click()
    told.get_by_role("button", name="Unfold all files").click()
    expect(told.locator(".l-add").first).to_be_visible()


def test_binary_files_long_lines_and_thousands_of_lines_are_read_in_the_card(
    serve: Serve, open_page: Open
) -> None:
    page = open_page(serve(proposals.huge()))
    connected(page)
    expect(page.locator(".diff")).to_have_count(0)
    page.get_by_role("button", name="Read the diff").click()
    expect(page.locator(".diff[data-whole]")).to_be_visible()
    assert page.locator(".l").count() > 5_000
    expect(page.locator(".file-note")).to_have_text("A binary file: its content is not shown.")
    assert page.evaluate("window.find('line 999 of part 4')") is True
    width = page.locator(".diff-files").evaluate("one => one.scrollWidth - one.clientWidth")
    assert width <= 0, "long lines are wrapped"
    page.get_by_role("button", name="Fold all files").click()
    expect(page.locator(".l:visible")).to_have_count(0)


def test_what_is_beyond_the_bound_is_counted_and_where_to_read_it_is_said(
    serve: Serve, open_page: Open
) -> None:
    hive = Cut(scenes.of(scenes.agent("manager"), scenes.agent("alice")).snapshot())
    proposals.proposed(hive, "alice", {"agent.toml": proposals.POLITE}, summary="Be polite")
    page = open_page(serve(hive))
    expect(page.locator(".diff-cut")).to_have_text(re.compile(r"1.234 more lines: hyperhive diff 1"))


def test_reading_a_diff_survives_live_updates(serve: Serve, open_page: Open) -> None:
    hive = proposals.huge()
    served = serve(hive)
    page = open_page(served)
    connected(page)
    page.keyboard.press("w")
    page.keyboard.press("o")
    expect(page.locator(".diff[data-whole]")).to_be_visible()
    page.locator(".diff-files").focus()
    page.locator(".diff-files").evaluate("one => { one.scrollTop = 4000; }")
    page.locator(".file").nth(7).locator("summary").evaluate("one => one.click()")
    page.evaluate("getSelection().selectAllChildren(document.querySelectorAll('.l')[300])")
    selected = page.evaluate("getSelection().toString()")
    held = page.evaluate_handle("document.activeElement")
    where = """() => [document.querySelector('.diff-files').scrollTop,
      document.querySelectorAll('.file[open]').length]"""
    before = page.evaluate(where)
    lines = page.evaluate_handle("document.querySelectorAll('.l')[300]")

    change(served, "alice", quarantined="3 crashes", inbox_depth=4)
    change(served, "manager", turn=scenes.turning(TurnState.THINKING, seconds=1, turn=9))
    served.do(hive.request_spawn("bob", by="manager"))
    expect(page.locator('.card[data-kind="quarantine"]')).to_have_count(1)
    expect(card(page)).to_have_count(2)

    assert page.evaluate(where) == before
    assert page.evaluate("held => held === document.activeElement", held)
    assert selected
    assert page.evaluate("getSelection().toString()") == selected
    assert page.evaluate("line => line.isConnected", lines)


def test_the_keyboard_reads_and_decides_only_where_it_is(serve: Serve, open_page: Open) -> None:
    hive = proposals.huge()
    page = open_page(serve(hive))
    connected(page)
    for key in ("a", "d", "r", "o"):
        page.keyboard.press(key)
    expect(page.locator(".diff")).to_have_count(0)
    page.keyboard.press("w")
    expect(card(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".diff[data-whole]")).to_be_visible()
    page.keyboard.press("o")
    expect(page.locator(".diff")).to_be_hidden()
    expect(card(page)).to_be_focused()
    assert calls(hive, "decide") == []
    page.keyboard.press("a")
    expect(card(page)).to_have_count(0)
    assert [call["decision"] for call in calls(hive, "decide")] == ["approve"]
    expect(page.locator(".toast")).to_contain_text("alice: approved; it is being rebuilt.")


def test_a_revision_wants_words_and_comes_back_as_a_round(serve: Serve, open_page: Open) -> None:
    hive = proposals.one()
    served = serve(hive)
    page = open_page(served)
    connected(page)
    page.keyboard.press("w")
    page.keyboard.press("r")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_label("What should change?")).to_be_focused()
    assert calls(hive, "decide") == []
    page.keyboard.type("Half the memory, please.")
    page.keyboard.press("Control+Enter")
    expect(card(page)).to_have_count(0)

    def again() -> None:
        proposals.proposed(hive, "alice", {"agent.toml": proposals.POLITER}, summary="With less")

    served.call(again)
    expect(card(page).locator(".card-round")).to_have_text("2nd round")
    expect(card(page).locator(".round").first).to_contain_text("You asked: Half the memory, please.")


def test_an_approval_that_somebody_else_decided_says_who_and_what_and_then_goes(
    serve: Serve, open_page: Open
) -> None:
    hive = proposals.one()
    served = serve(hive)
    page, other = open_page(served), open_page(served)
    for each in (page, other):
        connected(each)
    page.mouse.move(0, 0)
    page.get_by_role("button", name="Ask for a revision…").click()
    page.get_by_label("What should change?").fill("Half the")
    other.get_by_role("button", name="Deny…").click()
    other.get_by_label("Why not?").fill("Not before the review.")
    other.keyboard.press("Control+Enter")
    expect(card(other)).to_have_count(0)
    told = card(page)
    expect(told.locator(".card-outcome")).to_contain_text("Denied by you, at the dashboard from 127.0.0.1")
    expect(told.locator(".card-outcome")).to_contain_text("Not before the review.")
    expect(told.get_by_role("button", name="Approve")).to_be_hidden()
    expect(told).to_be_focused()
    expect(page.locator("#waiting-badge")).to_be_hidden()
    expect(page).to_have_title("hive")
    expect(told.locator(".l").first).to_be_visible()
    told.get_by_role("button", name="Close").click()
    expect(told).to_have_count(0)
    expect(page.locator("#waiting-none")).to_be_visible()


def test_a_decision_that_came_too_late_is_refused_with_who_decided(
    serve: Serve, open_page: Open, watch: Watch
) -> None:
    watch.allowed = ("Failed to load resource",)
    hive = proposals.one()
    served = serve(hive)
    page = open_page(served)
    connected(page)

    def decided_in_between() -> None:
        hive.record[1] = replace(
            hive.record[1], state=State.DENIED, by="operator"
        )  # and no page has heard of it yet

    served.call(decided_in_between)
    card(page).get_by_role("button", name="Approve").click()
    expect(card(page).get_by_role("alert")).to_contain_text("decided already: denied by operator")


def test_a_proposal_is_compared_with_what_there_is(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(proposals.rounds()))
    connected(page)
    told = card(page)
    expect(told.locator(".card-round")).to_have_text("3rd round")
    expect(told.locator(".segment")).to_have_text(["What runs", "The last proposal"])
    expect(told.locator(".file-path")).to_have_text(["agent.toml", "prompt.md"])
    told.get_by_role("button", name="The last proposal").click()
    expect(told.locator(".file-path")).to_have_text(["agent.toml"])
    expect(told.locator(".l-add")).to_have_text(["tasks = 128", "cpus = 0.5"])
    expect(told.locator(".l-add b")).to_have_text(["128"])
    expect(told.get_by_role("button", name="The last proposal")).to_have_attribute("aria-pressed", "true")


def test_an_only_proposal_has_nothing_to_switch(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(proposals.one()))
    expect(page.locator(".l").first).to_be_visible()
    expect(page.locator(".diff-against")).to_be_hidden()


def test_what_runs_and_changed_meanwhile_is_warned_of(serve: Serve, open_page: Open) -> None:
    served = serve(proposals.one())
    page = open_page(served)
    connected(page)
    expect(page.locator(".l").first).to_be_visible()
    expect(page.locator(".card-warning")).to_be_hidden()
    change(served, "alice", commit="88ad01e" + "0" * 33)
    expect(page.locator(".card-warning")).to_contain_text("has changed since this was proposed")
    expect(page.locator(".card-warning")).to_contain_text("now 88ad01e")
    expect(page.locator(".diff-stale")).to_be_visible()
    expect(page.locator(".l").first).to_be_visible()


def test_hostile_words_in_a_diff_are_words(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    files = {f"{EVIL[:20].replace('/', '_')}.md": EVIL, "agent.toml": f"# {EVIL}\n"}
    proposals.proposed(hive, "alice", files, summary=EVIL, note=EVIL)
    page = open_page(serve(hive))
    expect(page.locator(".l-add").get_by_text("onerror").first).to_be_visible()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src='x']").count() == 0


def test_a_change_that_reads_otherwise_than_it_is_shows_it(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    turned = '# \u202e" dlog\u202c \u2066harmless\u2069\n# ad\u200bmin\n'
    summary = "Allow \u202etig\u202c only"
    proposals.proposed(hive, "alice", {"agent.toml": f'model = "sonnet"\n{turned}'}, summary=summary)
    page = open_page(serve(hive))
    connected(page)
    lines = card(page).locator(".l-add")
    expect(lines.filter(has_text="harmless")).to_have_text('# U+202E" dlogU+202C U+2066harmlessU+2069')
    expect(lines.filter(has_text="min")).to_have_text("# adU+200Bmin")
    expect(lines.locator(".odd").first).to_be_visible()
    told = card(page).locator(".card-text")
    assert told.evaluate("one => getComputedStyle(one).unicodeBidi") in ("isolate", "plaintext")
