"""The browser's own notifications: only when asked for, only when nobody looks, with the question itself."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import proposals, scenes
from tests.e2e.browser.conftest import Open, Serve
from tests.e2e.browser.serving import Served
from tests.e2e.browser.test_live import change, connected
from tests.fakes.hive import FakeHive

pytestmark = pytest.mark.e2e

OBSERVE = """
  window.told = [];
  window.asked = 0;
  const Real = window.Notification;
  const ask = Real.requestPermission.bind(Real);
  window.Notification = class extends Real {
    constructor(title, options) {
      super(title, options);
      window.told.push({title, body: options.body, tag: options.tag, closed: false, notice: this});
    }
    close() {
      window.told.filter(({notice}) => notice === this).forEach((one) => { one.closed = true; });
      super.close();
    }
    static requestPermission() {
      window.asked += 1;
      return ask();
    }
  };
"""
"""Notes what a page tells; everything goes on to the browser's own."""


def watched(open_page: Open, served: Served, path: str = "/") -> Page:
    """A page that may notify, was asked to, and that nobody looks at."""
    page = open_page(served, path)
    page.context.grant_permissions(["notifications"], origin=served.url)
    page.context.add_init_script(OBSERVE)
    page.reload()
    connected(page)
    return page


def look_away(page: Page) -> None:
    """Nobody looks at this page any more."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    other = page.context.new_page()
    other.bring_to_front()
    page.wait_for_function("() => document.hidden || !document.hasFocus()")


def told(page: Page) -> list[dict[str, Any]]:
    """What the page told."""
    found: list[dict[str, Any]] = page.evaluate(
        "told.map(({title, body, tag, closed}) => ({title, body, tag, closed}))"
    )
    return found


def hive() -> FakeHive:
    """Three agents, and nothing that waits."""
    return scenes.of(scenes.agent("manager"), scenes.agent("alice"), scenes.agent("bob"))


def wish(made: FakeHive, summary: str) -> None:
    """A proposal of the manager's."""
    proposals.proposed(made, "bob", {"agent.toml": f"# {summary}\n"}, summary=summary, note="Please.")


def test_leave_is_asked_for_by_a_click_alone(serve: Serve, open_page: Open) -> None:
    made = hive()
    served = serve(made)
    page = watched(open_page, served)
    served.call(wish, made, "Think harder")
    expect(page.locator(".card")).to_have_count(1)
    assert page.evaluate("asked") == 0
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("button", name="Mute")).to_be_visible()
    assert page.evaluate("asked") == 1
    page.get_by_role("button", name="Mute").click()
    page.reload()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()


def test_a_notice_carries_the_question_and_goes_when_it_is_answered(serve: Serve, open_page: Open) -> None:
    made = hive()
    served = serve(made)
    page = watched(open_page, served)
    page.get_by_role("button", name="Notify me").click()
    served.do(made.ask("bob", question="While you look?"))
    expect(page.locator(".card")).to_have_count(1)
    assert told(page) == []
    look_away(page)
    served.do(made.ask("alice", question="Drop them, or keep them?", options=("Drop", "Keep")))
    page.wait_for_function("() => told.length === 1")
    [notice] = told(page)
    assert (notice["title"], notice["body"]) == ("alice asks", "Drop them, or keep them?\nDrop · Keep")
    served.do(made.answer(2, answer="Keep", by="operator"))
    page.wait_for_function("() => told[0].closed")


def test_one_agent_is_told_of_once_a_minute_and_approvals_always(serve: Serve, open_page: Open) -> None:
    made = hive()
    served = serve(made)
    page = watched(open_page, served)
    page.get_by_role("button", name="Notify me").click()
    look_away(page)
    served.do(made.ask("bob", question="One?"))
    page.wait_for_function("() => told.length === 1")
    served.do(made.ask("bob", question="Two?"))
    change(served, "bob", quarantined="3 crashes")
    served.do(made.request_spawn("carol", by="manager", note="To sort the mail."))
    served.call(wish, made, "Think harder")
    page.wait_for_function("() => told.length === 3")
    assert [one["title"] for one in told(page)] == ["bob asks", "New agent: carol", "Config change: bob"]
    assert told(page)[2]["body"] == "Think harder\nPlease."
    assert len({one["tag"] for one in told(page)}) == 3


def test_several_tabs_tell_once_and_a_click_leads_to_the_card(serve: Serve, open_page: Open) -> None:
    made = hive()
    served = serve(made)
    page = watched(open_page, served)
    page.get_by_role("button", name="Notify me").click()
    second = page.context.new_page()
    second.goto(f"{served.url}/agents/alice")
    connected(second)
    for each in (page, second):
        each.context.new_cdp_session(each).send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    look_away(second)
    page.wait_for_function("() => document.hidden || !document.hasFocus()")
    served.call(wish, made, "Think harder")
    page.wait_for_function("() => told.length === 1")
    expect(second.locator("#waiting-number")).to_have_text("1")
    assert second.evaluate("told.length") == 0
    page.evaluate("told[0].notice.dispatchEvent(new Event('click'))")
    page.wait_for_function("() => document.activeElement.dataset.kind === 'approval'")


def test_muted_is_silent(serve: Serve, open_page: Open) -> None:
    made = hive()
    served = serve(made)
    page = watched(open_page, served)
    page.get_by_role("button", name="Notify me").click()
    page.get_by_role("button", name="Mute").click()
    look_away(page)
    served.call(wish, made, "Think harder")
    expect(page.locator(".card")).to_have_count(1)
    served.call(wish, made, "Think again")
    expect(page.locator(".card-text").last).to_have_text("Think again")
    assert told(page) == []
