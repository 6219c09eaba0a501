"""What agents are built from: config, generations, builds as they run, drafts, what is kept."""

import re

import pytest
from playwright.sync_api import Page, expect

from hyperhive.errors import Refused
from hyperhive.hive import Action
from tests.e2e.browser import proposals, scenes
from tests.e2e.browser.conftest import Open, Serve, Watch
from tests.e2e.browser.test_acting import calls
from tests.e2e.browser.test_live import change, connected, row
from tests.fakes.repositories import FIRST

pytestmark = pytest.mark.e2e


def opened(page: Page, tab: str) -> None:
    """Alice's row, open at a tab."""
    row(page, "alice").locator(".row-open").click()
    row(page, "alice").get_by_role("button", name=tab, exact=True).click()


def test_the_config_is_fetched_when_it_is_opened_and_again_when_another_was_built(
    serve: Serve, open_page: Open
) -> None:
    served = serve(proposals.generations())
    page = open_page(served)
    connected(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def configs() -> int:
        return sum("/api/agent-config/alice" in url for url in asked)

    row(page, "alice").locator(".row-open").click()
    expect(row(page, "alice").locator(".fact-list")).to_be_visible()
    assert configs() == 0
    row(page, "alice").get_by_role("button", name="Config", exact=True).click()
    expect(row(page, "alice").locator("pre")).to_contain_text("model =")
    assert configs() == 1
    change(served, "alice", inbox_depth=3)
    expect(row(page, "alice").locator(".row-inbox")).to_contain_text("3")
    assert configs() == 1
    with page.expect_request("**/api/agent-config/alice"):
        change(served, "alice", recorded_revision="0.1.0-88ad01e", generation=8, commit="88ad01e")
    expect(row(page, "alice").locator(".config-file code")).to_have_text("88ad01e")
    expect(row(page, "alice").locator(".warnings")).to_contain_text("MCP server weather did not start")


def test_a_prompt_is_shown_below_the_config_where_there_is_one(serve: Serve, open_page: Open) -> None:
    hive = proposals.generations()
    served = serve(hive)
    page = open_page(served, "/agents/alice?tab=config")
    files = page.locator("#panel-config .config-file")
    expect(files).to_contain_text("model =")
    expect(files.locator("pre")).to_have_count(1)
    repository = hive.repository("alice")
    repository.main = repository.commit({"prompt.md": "Be kind to <b>guests</b>."}, "Say how")
    connected(page)
    change(served, "alice", recorded_revision="0.1.0-88ad01e", generation=8, commit="88ad01e")
    expect(files.locator("pre").last).to_have_text("Be kind to <b>guests</b>.")
    repository.main = FIRST.sha
    change(served, "alice", recorded_revision="0.1.0-99ad01e", generation=9, commit="99ad01e")
    expect(files.locator("pre")).to_have_count(1)


def test_one_goes_back_to_an_earlier_generation(serve: Serve, open_page: Open, watch: Watch) -> None:
    watch.allowed = ("Failed to load resource",)
    hive = proposals.generations()
    served = serve(hive)
    page = open_page(served, "/agents/alice?tab=config")
    connected(page)
    rows = page.locator(".generation")
    expect(rows).to_have_count(7)
    expect(rows.locator(".generation-number")).to_have_text([str(n) for n in range(7, 0, -1)])
    expect(page.locator(".generation[aria-current]")).to_contain_text("Change number 7")
    expect(page.get_by_role("button", name=re.compile("Roll back to"))).to_have_count(4)
    page.get_by_role("button", name="Roll back to generation 5").click()
    dialog = page.get_by_role("dialog", name="Roll alice back to generation 5?")
    expect(dialog).to_contain_text("Generation 7, which runs now, stays in the list.")
    hive.fail_with = Refused("'alice' is restarting; wait until that has ended.", code="busy")
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog.get_by_role("alert")).to_have_text("'alice' is restarting; wait until that has ended.")
    hive.fail_with = None
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#agent-state .state-word")).to_have_text("Rebuilding")
    expect(page.get_by_role("button", name="Roll back to generation 6")).to_have_attribute(
        "aria-disabled", "true"
    )
    served.call(hive.settle, "alice")
    expect(page.locator(".generation[aria-current] .generation-number")).to_have_text("5")
    assert [call["generation"] for call in calls(hive, "rollback")] == [5, 5]


def test_a_build_is_read_while_it_runs_and_afterwards(serve: Serve, open_page: Open) -> None:
    hive = proposals.generations()
    served = serve(hive)
    page = open_page(served)
    connected(page)
    opened(page, "Build")
    lines = row(page, "alice").locator(".build .log-lines li")
    expect(lines).to_have_count(4)
    expect(row(page, "alice").locator(".build [role=status]")).to_have_text("What the last build said.")
    served.do(hive.operate(Action.UPDATE, "alice", by="operator"))
    expect(row(page, "alice").locator(".build [role=status]")).to_have_text("Building now.")
    served.call(hive.append_build, "alice", "Rendering generation 8")
    expect(lines.last).to_have_text("Rendering generation 8")
    said = lines.count()
    assert said < 4
    first = lines.first.element_handle()
    served.call(hive.append_build, "alice", "\x1b[32mStarting\x1b[0m <b>the</b> container")
    expect(lines.last).to_have_text("Starting <b>the</b> container")
    assert first is not None
    assert first.evaluate("one => one.isConnected")
    served.call(hive.settle, "alice")
    expect(row(page, "alice").locator(".build [role=status]")).to_have_text("What the last build said.")
    expect(lines.last).to_have_text("Done.")


def test_a_failed_build_is_ranked_with_its_output_and_the_ways_on(serve: Serve, open_page: Open) -> None:
    hive = proposals.generations()
    page = open_page(serve(hive))
    connected(page)
    card = page.locator('.card[data-kind="build"]')
    expect(card.locator(".card-text")).to_contain_text("did not report ready within 30 s")
    card.get_by_role("link", name="Build output").click()
    expect(page).to_have_url(re.compile(r"/agents/alice\?tab=build$"))
    expect(page.locator("#panel-build li").last).to_contain_text("Rebuild failed")
    page.locator('.card[data-kind="build"]').get_by_role("link", name="Roll back…").click()
    expect(page.locator("#panel-config .generation")).to_have_count(7)
    page.locator('.card[data-kind="build"]').get_by_role("button", name="Try again").click()
    expect(page.locator("#agent-state .state-word")).to_have_text("Rebuilding")
    assert calls(hive, "operate")[0]["action"] is Action.UPDATE


def test_what_of_a_config_does_not_hold_is_said_on_the_row(serve: Serve, open_page: Open) -> None:
    served = serve(scenes.of(scenes.agent("manager"), scenes.agent("alice")))
    page = open_page(served)
    connected(page)
    expect(row(page, "alice").locator(".chip")).to_have_count(0)
    change(served, "alice", warnings=("memory = 4G does not hold here.",))
    expect(row(page, "alice").locator(".chip.tone-attention")).to_have_text("1 warning")
    expect(row(page, "alice").locator(".row-error")).to_have_text("memory = 4G does not hold here.")


def test_a_draft_is_begun_by_its_name_and_discarded_by_typing_it(serve: Serve, open_page: Open) -> None:
    hive = proposals.many()
    page = open_page(serve(hive))
    connected(page)
    rows = page.locator("#draft-list .kept-row")
    expect(rows.locator(".name")).to_have_text(["courier", "herald"])
    expect(rows.first).to_contain_text(re.compile("begun 1 d ago by you, 2.1 kB"))
    page.get_by_role("button", name="New draft").click()
    name = page.get_by_label("Name", exact=True)
    name.fill("courier")
    expect(page.locator("#draft-name-error")).to_contain_text("already a draft courier")
    name.fill("porter")
    name.press("Enter")
    expect(rows.locator(".name")).to_have_text(["courier", "herald", "porter"])
    rows.nth(1).get_by_role("button", name="waits for your approval").click()
    expect(page.locator(".card:focus .name")).to_have_text("herald")
    page.get_by_role("button", name="Discard porter").click()
    expect(page.get_by_role("button", name="Discard", exact=True)).to_be_disabled()
    page.get_by_label("Type porter to confirm").fill("porter")
    page.keyboard.press("Enter")
    expect(rows.locator(".name")).to_have_text(["courier", "herald"])
    assert calls(hive, "discard_draft") == [{"name": "porter", "by": "operator"}]


def test_what_is_kept_says_its_size_and_login_and_comes_back_or_goes(serve: Serve, open_page: Open) -> None:
    hive = proposals.many()
    page = open_page(serve(hive))
    connected(page)
    page.locator("#kept summary").click()
    rows = page.locator("#kept-list .kept-row")
    expect(rows.first).to_contain_text("destroyed 2 d ago, 48 MB, still logged in")
    expect(rows.last).to_contain_text("no login")
    page.get_by_role("button", name="Purge scribe").click()
    page.get_by_label("Type scribe to confirm").fill("scribe")
    page.keyboard.press("Enter")
    expect(rows.locator(".name")).to_have_text(["old-hand"])
    page.get_by_role("button", name="Revive old-hand").click()
    expect(row(page, "old-hand").locator(".state-word")).to_have_text("Spawning")
    expect(page.locator("#kept")).to_be_hidden()
