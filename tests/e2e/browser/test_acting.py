"""What the operator does: by pointer, by keyboard, by name; and what happens when it is refused."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from hyperhive.errors import Refused
from tests.e2e.browser import scenes
from tests.e2e.browser.conftest import Open, Serve, Watch
from tests.e2e.browser.test_live import connected, row
from tests.fakes.hive import FakeHive

pytestmark = pytest.mark.e2e


def calls(hive: FakeHive, verb: str) -> list[dict[str, object]]:
    """How the hive was asked for ``verb``."""
    return [call.args for call in hive.calls if call.verb == verb]


def test_an_agent_is_stopped_and_started_from_its_row(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    served = serve(hive)
    page = open_page(served)
    connected(page)
    row(page, "alice").hover()
    row(page, "alice").get_by_role("button", name="Actions for alice").click()
    page.get_by_role("menuitem", name="Stop").click()
    expect(row(page, "alice").locator(".state-word")).to_have_text("Stopping")
    served.call(hive.settle, "alice")
    page.mouse.move(0, 0)
    expect(row(page, "alice").locator(".state-word")).to_have_text("Stopped")
    row(page, "alice").hover()
    row(page, "alice").get_by_role("button", name="Start alice").click()
    expect(row(page, "alice").locator(".state-word")).to_have_text("Starting")
    served.call(hive.settle, "alice")
    expect(row(page, "alice").locator(".state-word")).to_have_text("Idle")


def test_a_message_goes_to_whom_one_chose_and_appears_in_the_flow(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    page = open_page(serve(hive))
    connected(page)
    page.get_by_label("To", exact=True).select_option("alice")
    body = page.get_by_label("Message", exact=True)
    body.fill("Good morning")
    body.press("Control+Enter")
    expect(page.locator(".message")).to_have_count(1)
    expect(page.locator(".message")).to_contain_text("Good morning")
    expect(body).to_have_value("")
    assert calls(hive, "send") == [{"sender": "operator", "to": "alice", "body": "Good morning"}]


def test_a_refused_message_stays_where_it_was_typed(serve: Serve, open_page: Open, watch: Watch) -> None:
    watch.allowed = ("Failed to load resource",)
    hive = scenes.of(scenes.agent("manager"))
    page = open_page(serve(hive))
    connected(page)
    body = page.get_by_label("Message", exact=True)
    body.fill("Hello")
    hive.fail_with = Refused("The inbox of manager is full; wait until it has read some.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#composer-error")).to_have_text(
        "The inbox of manager is full; wait until it has read some."
    )
    expect(body).to_have_value("Hello")


def test_a_name_is_checked_while_it_is_typed_and_then_spawned(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    served = serve(hive)
    page = open_page(served)
    connected(page)
    page.get_by_role("button", name="Spawn agent").click()
    name = page.get_by_label("Name", exact=True)
    for typed, reason in (
        ("alice", "already an agent alice"),
        ("Bob", "letter from a to z"),
        ("hive", "reserved"),
        ("a_b", "only a-z"),
    ):
        name.fill(typed)
        expect(page.locator("#spawn-name-error")).to_contain_text(reason)
    name.fill("bob")
    expect(page.locator("#spawn-name-error")).to_have_text("")
    name.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(row(page, "bob").locator(".state-word")).to_have_text("Spawning")
    served.call(hive.settle, "bob")
    expect(row(page, "bob").locator(".state-word")).to_have_text("Idle")


def test_to_destroy_one_types_the_name(serve: Serve, open_page: Open) -> None:
    hive = scenes.of(scenes.agent("manager"), scenes.agent("alice"))
    page = open_page(serve(hive))
    connected(page)
    row(page, "alice").get_by_role("button", name="Actions for alice").click()
    page.get_by_role("menuitem", name="Destroy…").click()
    destroy = page.get_by_role("button", name="Destroy", exact=True)
    expect(destroy).to_be_disabled()
    page.get_by_label("Type alice to confirm").fill("alic")
    page.keyboard.press("Enter")
    expect(destroy).to_be_disabled()
    page.get_by_label("Type alice to confirm").fill("alice")
    destroy.click()
    expect(row(page, "alice")).to_have_count(0)
    assert calls(hive, "destroy") == [{"name": "alice", "purge": False, "by": "operator"}]


def test_the_manager_cannot_be_destroyed(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.empty()))
    connected(page)
    row(page, "manager").get_by_role("button", name="Actions for manager").click()
    expect(page.get_by_role("menuitem", name="Destroy…")).to_have_attribute("aria-disabled", "true")


def test_a_question_takes_an_option_and_own_words(serve: Serve, open_page: Open) -> None:
    hive = scenes.few()
    page = open_page(serve(hive))
    connected(page)
    card = page.locator('.card[data-kind="question"]')
    card.get_by_role("button", name="Answer").click()
    expect(card.get_by_role("alert")).to_contain_text("Choose an option")
    card.get_by_label("Drop them").check()
    card.get_by_label("Answer to alice").fill("and tell the customer")
    card.get_by_role("button", name="Answer").click()
    expect(card).to_have_count(0)
    assert calls(hive, "answer")[0]["answer"] == "Drop them\nand tell the customer"


def test_an_approval_is_decided_from_the_keyboard_only_while_it_has_the_focus(
    serve: Serve, open_page: Open
) -> None:
    hive = scenes.few()
    page = open_page(serve(hive))
    connected(page)
    page.keyboard.press("a")
    page.keyboard.press("w")
    expect(page.locator('.card[data-kind="quarantine"]')).to_be_focused()
    page.keyboard.press("a")
    assert calls(hive, "decide") == []
    page.keyboard.press("w")
    expect(page.locator('.card[data-kind="approval"]')).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.type("add a budget, please")
    page.keyboard.press("Escape")
    expect(page.locator('.card[data-kind="approval"]')).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator('.card[data-kind="approval"]')).to_have_count(0)
    assert calls(hive, "decide") == [{"id": 7, "decision": "approve", "note": "", "by": "operator"}]
    expect(row(page, "scribe")).to_have_count(1)


def test_an_approval_is_denied_without_a_reason(serve: Serve, open_page: Open) -> None:
    hive = scenes.few()
    page = open_page(serve(hive))
    connected(page)
    card = page.locator('.card[data-kind="approval"]')
    card.get_by_role("button", name="Deny").click()
    expect(card.get_by_label("Why not?")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(card).to_have_count(0)
    assert calls(hive, "decide") == [{"id": 7, "decision": "deny", "note": "", "by": "operator"}]


def test_no_kind_hides_below_many_of_another(serve: Serve, open_page: Open) -> None:
    few = scenes.few().snapshot().approvals[0]
    approvals = tuple(replace(few, id=n, agent=f"new-{n}") for n in range(10, 19))
    asked = (scenes.question(id=3, agent="alice"), scenes.question(id=4, agent="alice"))
    served = serve(
        scenes.of(scenes.agent("manager"), scenes.agent("alice"), approvals=approvals, questions=asked)
    )
    page = open_page(served)
    connected(page)
    cards = page.locator("#waiting-list .card")
    expect(page.get_by_role("button", name="Show 8 more")).to_be_visible()
    assert [card.get_attribute("data-kind") for card in cards.all()] == ["approval", "approval", "question"]


def test_what_waits_alike_is_one_card_and_the_rest_unfolds(serve: Serve, open_page: Open) -> None:
    hive = scenes.failing()
    served = serve(hive)
    page = open_page(served)
    connected(page)
    cards = page.locator("#waiting-list .card")
    expect(page.locator("#waiting-badge")).to_have_text("9")
    expect(cards).to_have_count(3)
    assert row(page, "worker-1").bounding_box()["y"] < 900  # type: ignore[index]
    page.get_by_role("button", name="Show 2 more").click()
    expect(cards).to_have_count(5)
    page.get_by_role("button", name="Show fewer").click()
    build = page.locator('.card[data-kind="build"]')
    expect(build.locator(".name")).to_have_text([f"worker-{n}" for n in range(1, 6)])
    expect(build.locator(".card-text")).to_contain_text("no space left on device")
    build.get_by_role("button", name="Rebuild all 5").click()
    expect(build).to_have_count(0)
    assert sorted(str(call["name"]) for call in calls(hive, "operate")) == [
        f"worker-{n}" for n in range(1, 6)
    ]


def test_a_quarantined_agent_is_resumed_from_its_card(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.few()))
    connected(page)
    page.locator('.card[data-kind="quarantine"]').get_by_role("button", name="Resume").click()
    expect(page.locator('.card[data-kind="quarantine"]')).to_have_count(0)


def test_the_keyboard_reaches_rows_filter_messages_and_help(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.few()))
    connected(page)
    page.keyboard.press("j")
    focused_row(page, "carol")
    page.keyboard.press("j")
    focused_row(page, "dave")
    page.keyboard.press("k")
    focused_row(page, "carol")
    page.keyboard.press("Enter")
    expect(row(page, "carol").locator(".row-more")).to_be_visible()
    page.keyboard.press("m")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    expect(page.get_by_label("To", exact=True)).to_have_value("carol")
    page.keyboard.type("jw/?")
    expect(page.get_by_label("Message", exact=True)).to_have_value("jw/?")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys").locator("dt")).to_have_text(
        ["?", "/", "j", "k", "Enter", "w", "o", "a", "d", "r", "m", "CtrlK"]
    )
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Filter agents")).to_be_focused()


def focused_row(page: Page, name: str) -> None:
    """The keyboard is at this row."""
    expect(row(page, name).locator(".row-open")).to_be_focused()


def test_the_filter_lives_in_the_url(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.few()))
    connected(page)
    page.keyboard.press("/")
    page.keyboard.type("stale")
    expect(page.locator(".agent:visible")).to_have_count(1)
    expect(page.locator("#agents-count")).to_have_text("1 of 10")
    expect(page).to_have_url(re.compile(r"\?q=stale$"))
    page.reload()
    expect(page.locator(".agent:visible")).to_have_count(1)
    page.get_by_label("Filter agents").fill("nothing like it")
    expect(page.locator("#agents-none")).to_have_text("No agent matches “nothing like it”.")
    page.get_by_label("Filter agents").press("Escape")
    expect(page.locator(".agent:visible")).to_have_count(10)


def test_tabs_live_in_the_url_and_in_the_arrows(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.turns()), "/agents/alice?tab=logs&lines=part-00")
    connected(page)
    expect(page.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#log-lines li:visible")).to_have_count(10)
    page.get_by_role("tab", name="Logs").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-config pre")).to_contain_text("model =")
    expect(page).to_have_url(re.compile("tab=config"))


def test_the_palette_finds_everything_by_name(serve: Serve, open_page: Open) -> None:
    hive = scenes.few()
    page = open_page(serve(hive))
    connected(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("pause al")
    expect(page.locator(".palette-item").first).to_contain_text("Pause alice")
    page.keyboard.press("Enter")
    expect(row(page, "alice").locator(".state-word")).to_have_text("Paused")
    page.keyboard.press("Control+k")
    page.keyboard.type("heidi")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/agents/heidi$"))


def test_the_theme_is_remembered_on_this_device(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.empty()))
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("menuitemradio", name="Dark theme").click()
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == dark


def test_one_logs_out_from_the_menu(serve: Serve, open_page: Open, watch: Watch) -> None:
    watch.allowed = ("Failed to load resource",)
    page = open_page(serve(scenes.empty()))
    connected(page)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("menuitem", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in to the hive")).to_be_visible()
