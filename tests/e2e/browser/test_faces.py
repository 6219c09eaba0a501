"""Every face of the pages: without scripts, on a phone, in both themes, and against hostile words."""

import json
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from hyperhive.domain import events
from hyperhive.domain.messages import Message
from hyperhive.domain.turns import TurnItem
from tests.e2e.browser import proposals, scenes
from tests.e2e.browser.conftest import Open, Serve, Watch
from tests.e2e.browser.test_live import connected, row
from tests.fakes.hive import FakeHive

pytestmark = pytest.mark.e2e

EVIL = '</script><img src=x onerror="window.pwned=1"><svg onload="window.pwned=1">{{7*7}}\u2028\u202e'


def hostile() -> FakeHive:
    """A hive in which every free text is an attack."""
    hive = scenes.of(
        scenes.agent("manager", last_error=EVIL, model="sonnet"),
        scenes.agent("alice", quarantined=EVIL, container="stopped"),
        hive=scenes.hive_view(name=EVIL[:60], trouble=(EVIL,)),
        questions=(scenes.question(agent="manager", question=EVIL, options=(EVIL, "b")),),
    )
    hive.letters.append(Message(id=1, sender="manager", to="operator", body=EVIL, ts=scenes.past(minutes=1)))
    hive.publish(events.MessageSent(agent="manager", id=1, sender="manager", to="operator"))
    hive.publish(events.AgentQuarantined(agent="alice", error=EVIL))
    hive.append_log("manager", EVIL)
    hive.add_turn_item(
        "manager", TurnItem(turn=1, ts=scenes.past(minutes=1), type=EVIL, text=EVIL, data={"name": EVIL})
    )
    return hive


HOSTILE = (
    "/",
    "/?view=events",
    "/agents/manager",
    "/agents/manager?tab=logs",
    "/agents/manager?tab=messages",
)


def test_hostile_words_are_words(serve: Serve, open_page: Open) -> None:
    hive = hostile()
    served = serve(hive)
    page = open_page(served, HOSTILE[0])
    for path in HOSTILE:
        page.goto(served.url + path)
        connected(page)
        served.call(hive.publish, events.ContainerCrash(agent="manager", note=EVIL, exit=EVIL))
        expect(page.locator(".toast")).to_contain_text("onerror")
        expect(page.get_by_text("window.pwned=1").first).to_be_attached()
        assert page.evaluate("window.pwned") is None
        assert page.locator("img[src='x'], svg").count() == 0


def test_the_page_reads_without_scripts_and_as_the_scripts_draw_it(
    serve: Serve, open_page: Open, browser: Browser
) -> None:
    served = serve(scenes.few())
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    plain = context.new_page()
    plain.goto(served.entry())
    plain.goto(served.url + "/")
    drawn = open_page(served)
    connected(drawn)
    rows = """found => found.map((one) => one.dataset.tone + ' ' + [...one.querySelectorAll(
      '.name, .state-word, .chip, .row-error, .row-inbox:not([hidden])',
    )].map((part) => part.innerText.trim()).join(' | '))"""
    assert drawn.eval_on_selector_all(".agent", rows) == plain.eval_on_selector_all(".agent", rows)
    kinds = "found => found.map(one => one.dataset.kind)"
    assert drawn.eval_on_selector_all(".card", kinds) == plain.eval_on_selector_all(".card", kinds)
    expect(plain.locator(".message")).to_have_count(5)
    context.close()


def test_rehearsal_and_missing_walls_are_said_plainly(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.empty()))
    expect(page.get_by_text("Rehearsal.")).to_be_visible()
    expect(page.get_by_text("No walls.")).to_be_hidden()
    other = open_page(serve(scenes.unconfined()))
    expect(other.get_by_text("Rehearsal.")).to_be_hidden()
    expect(other.get_by_text("No walls.")).to_be_visible()
    expect(other.locator("#runtime")).to_have_text("process · unconfined")


def test_a_phone_scrolls_in_one_direction(serve: Serve, open_page: Open) -> None:
    served = serve(scenes.turns())
    page = open_page(served, width=390, height=844)
    for path in ("/", "/?view=messages", "/?view=events", "/agents/alice", "/agents/alice?tab=facts"):
        page.goto(served.url + path)
        connected(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert wider_than(page, 390) == [], path


def test_a_phone_scrolls_in_one_direction_where_one_decides(serve: Serve, open_page: Open) -> None:
    for hive, paths in (
        (proposals.many(), ("/", "/agents/alice")),
        (proposals.huge(50), ("/",)),
        (proposals.generations(), ("/agents/alice?tab=config", "/agents/alice?tab=build")),
        (proposals.decided(), ("/history", "/history?view=trail")),
    ):
        served = serve(hive)
        page = open_page(served, width=390, height=844)
        for path in paths:
            page.goto(served.url + path)
            connected(page)
            page.eval_on_selector_all(
                "button.card-toggle[aria-expanded=false]", "all => all.forEach(one => one.click())"
            )
            expect(page.get_by_text("Loading").locator("visible=true")).to_have_count(0)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert wider_than(page, 390) == [], path


def test_a_phone_tells_long_names_apart_and_keeps_the_hives_when_the_connection_is_lost(
    serve: Serve, open_page: Open, watch: Watch
) -> None:
    watch.allowed = ("Failed to load resource", "net::ERR")
    names = [f"reports-of-the-night-shift-no-{number}" for number in (1, 2)]
    live = scenes.hive_view(name="night-shift", mode="live")
    served = serve(scenes.of(scenes.agent("manager"), *map(scenes.agent, names), hive=live))
    page = open_page(served, width=390, height=844)
    page.goto(f"{served.url}/agents/{names[0]}")
    connected(page)
    glyph, title = page.locator("#agent-glyph").bounding_box(), page.locator("h1").bounding_box()
    assert glyph is not None and title is not None
    assert title["y"] < glyph["y"] < title["y"] + title["height"]  # beside it, on however many lines
    page.goto(served.url)
    connected(page)
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    assert page.eval_on_selector_all(".row-name", cut) == []
    served.stop()
    expect(page.locator("#lost")).to_be_visible()
    assert page.eval_on_selector_all(".brand > span", cut) == []


def wider_than(page: Page, width: int) -> list[str]:
    """Visible elements that stick out to the right, save in what scrolls sideways by itself."""
    found: list[str] = page.evaluate(
        """width => [...document.querySelectorAll('body *')].filter(one => {
          const box = one.getBoundingClientRect();
          return box.width > 1 && box.right > width + 1 && one.checkVisibility()
            && !one.closest('.log-lines, .more-tabs, .tabs, .visually-hidden');
        }).map(one => one.outerHTML.slice(0, 120))""",
        width,
    )
    return found


def test_on_a_phone_the_views_are_tabs_below_and_actions_a_sheet(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(scenes.few()), width=390, height=844)
    connected(page)
    page.get_by_role("link", name="Messages").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    page.get_by_role("link", name="Agents").click()
    page.get_by_role("button", name="Actions for erin").click()
    box = page.get_by_role("menu").bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 390)
    assert box["y"] + box["height"] == pytest.approx(844, abs=1)


FACES = {
    "hive": "/",
    "events": "/?view=events",
    "turns": "/agents/alice",
    "logs": "/agents/alice?tab=logs",
    "messages": "/agents/alice?tab=messages",
    "config": "/agents/alice?tab=config",
    "unknown": "/agents/nobody",
}


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def faults(page: Page, axe: str) -> list[str]:
    """What axe-core calls serious or critical, in light and in dark."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(axe)
    return [fault for scheme in SCHEMES for fault in _faults(page, scheme)]


def _faults(page: Page, scheme: Literal["light", "dark"]) -> list[str]:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert isinstance(found, dict)
    return [
        json.dumps(
            [
                scheme,
                fault["id"],
                fault["help"],
                [node["html"][:160] + " " + node["failureSummary"][:200] for node in fault["nodes"][:3]],
            ]
        )
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def test_axe_finds_nothing_serious(serve: Serve, open_page: Open, axe: str, watch: Watch) -> None:
    watch.allowed = ("404",)
    served = serve(scenes.turns())
    page = open_page(served)
    for face, path in FACES.items():
        page.goto(served.url + path)
        if "No agent" not in page.title():
            connected(page)
        assert faults(page, axe) == [], face


def test_axe_finds_nothing_serious_in_what_opens(serve: Serve, open_page: Open, axe: str) -> None:
    page = open_page(serve(scenes.few()))
    connected(page)
    page.locator('[data-name="alice"] .row-open').click()
    page.get_by_role("button", name="Events", exact=True).click()
    assert faults(page, axe) == []
    page.keyboard.press("Control+k")
    page.keyboard.type("al")
    assert faults(page, axe) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Spawn agent").click()
    page.get_by_label("Name", exact=True).fill("alice")
    assert faults(page, axe) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Actions for erin").click()
    assert faults(page, axe) == []


def test_axe_finds_nothing_serious_where_one_decides(serve: Serve, open_page: Open, axe: str) -> None:
    served = serve(proposals.many())
    page = open_page(served)
    connected(page)
    page.get_by_role("button", name="Read the diff").first.click()
    expect(page.locator(".diff[data-whole]")).to_be_visible()
    page.locator("#kept summary").click()
    row(page, "alice").locator(".row-open").click()
    for tab in ("Config", "Build"):
        row(page, "alice").get_by_role("button", name=tab, exact=True).click()
        assert faults(page, axe) == [], tab
    page.get_by_role("button", name="Deny…").first.click()
    assert faults(page, axe) == []
    page.get_by_role("button", name="New draft").click()
    assert faults(page, axe) == []


def test_axe_finds_nothing_serious_in_rounds_generations_and_history(
    serve: Serve, open_page: Open, axe: str
) -> None:
    for hive, paths in (
        (proposals.rounds(), ("/", "/agents/alice")),
        (proposals.generations(), ("/agents/alice?tab=config", "/agents/alice?tab=build")),
        (proposals.decided(), ("/history", "/history?view=trail", "/history?agent=Nobody")),
    ):
        served = serve(hive)
        page = open_page(served)
        for path in paths:
            page.goto(served.url + path)
            connected(page)
            expect(page.get_by_text("Loading").locator("visible=true")).to_have_count(0)
            assert faults(page, axe) == [], path


@pytest.mark.parametrize("scene", ["empty", "unconfined", "fifty", "failing"])
def test_axe_finds_nothing_serious_on_a_phone(serve: Serve, open_page: Open, axe: str, scene: str) -> None:
    page = open_page(serve(scenes.SCENES[scene]()), width=390, height=844)
    connected(page)
    assert faults(page, axe) == []


def test_axe_finds_nothing_serious_in_a_diff_on_a_phone(serve: Serve, open_page: Open, axe: str) -> None:
    page = open_page(serve(proposals.one()), width=390, height=844)
    connected(page)
    expect(page.locator(".l").first).to_be_visible()
    assert faults(page, axe) == []


def test_axe_finds_nothing_serious_at_the_door(serve: Serve, browser: Browser, axe: str) -> None:
    served = serve(scenes.empty())
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.url + "/")
    expect(page.get_by_label("Operator token")).to_be_focused()
    assert faults(page, axe) == []
    context.close()
