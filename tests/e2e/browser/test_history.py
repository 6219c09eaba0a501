"""Reading back what was decided and done."""

import re

import pytest
from playwright.sync_api import Browser, expect

from hyperhive.domain.events import Audit
from tests.e2e.browser import proposals, scenes
from tests.e2e.browser.conftest import Open, Serve
from tests.e2e.browser.test_live import connected

pytestmark = pytest.mark.e2e


def test_decisions_are_filtered_and_paged_in_the_address(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(proposals.decided()))
    connected(page)
    page.get_by_role("link", name="History: decisions").click()
    expect(page).to_have_url(re.compile("/history$"))
    entries = page.locator(".decision")
    expect(entries).to_have_count(50)
    expect(entries.first).to_contain_text("Denied by you")
    expect(entries.first).to_contain_text("That is enough of it.")
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile(r"before=14$"))
    expect(entries).to_have_count(13)
    page.get_by_role("link", name="Newest").click()
    page.get_by_label("Show").select_option("Sent back for a revision")
    expect(page).to_have_url(re.compile("show=revise"))
    expect(entries).to_have_count(2)
    page.reload()
    expect(entries).to_have_count(2)
    expect(page.get_by_label("Show")).to_have_value("revise")
    page.get_by_label("Agent").fill("bob")
    page.get_by_label("Agent").press("Enter")
    expect(page.get_by_text("Nothing like it is on record.")).to_be_visible()


def test_a_decision_opens_its_diff_and_leads_to_its_thread(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(proposals.decided()), "/history?show=approved")
    connected(page)
    entry = page.locator(".decision")
    expect(entry).to_have_count(1)
    entry.get_by_role("link", name="Diff").click()
    expect(entry.locator(".l-add").first).to_be_visible()
    entry.get_by_role("link", name="Diff").click()
    expect(entry.locator(".diff")).to_be_hidden()
    entry.get_by_role("link", name="a later round of no. 1").click()
    expect(page.locator(".decision")).to_have_count(3)
    expect(page.locator(".decision").last).to_contain_text("Half the memory, please.")


def test_the_trail_tells_who_asked_for_what_through_which_door(serve: Serve, open_page: Open) -> None:
    hive = scenes.few()
    hive.publish(Audit(agent="alice", action="stop", by="operator", where="dashboard 10.0.0.7"))
    served = serve(hive)
    page = open_page(served, "/history?view=trail")
    connected(page)
    entry = page.locator(".trail .event").first
    expect(entry).to_contain_text("alice: you asked to stop it at the dashboard from 10.0.0.7")
    served.call(hive.publish, Audit(agent="bob", action="start", by="operator", where="command line"))
    expect(page.locator("#history-news")).to_contain_text("1 entry since.")
    expect(page.locator(".trail .event").first).to_contain_text("alice")
    page.locator("#history-news a").click()
    expect(page.locator(".trail .event").first).to_contain_text(
        "bob: you asked to start it at the command line"
    )
    page.get_by_label("Show").select_option("Trouble")
    expect(page.locator(".trail .event .name")).to_have_text(["carol", "dave", "dave"])


def test_the_history_reads_without_scripts(serve: Serve, browser: Browser) -> None:
    served = serve(proposals.decided())
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.entry())
    page.goto(served.url + "/history?show=denied&agent=alice")
    expect(page.locator(".decision")).to_have_count(1)
    page.get_by_label("Agent").fill("Nobody!")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_be_visible()
    context.close()
