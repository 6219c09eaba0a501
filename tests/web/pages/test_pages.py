"""The pages before any script runs: what they carry, what they say, what they never let through."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from jinja2 import meta
from starlette.applications import Starlette
from starlette.routing import Route

from hyperhive.domain.approvals import Kind
from hyperhive.domain.turns import TurnState
from hyperhive.domain.views import AgentView, MessageView, QuestionView, TurnView
from hyperhive.errors import Broken
from hyperhive.hive import Action
from hyperhive.web import pages, standing
from tests.fakes.hive import FakeHive
from tests.fakes.samples import NOON, agent_view, busy_snapshot, snapshot


async def get(hive: FakeHive, path: str = "/") -> httpx.Response:
    """The page at ``path``, without the door before it."""
    app = Starlette(routes=[Route("/", pages.hive_page), Route("/agents/{name}", pages.agent_page)])
    app.state.hive = hive
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hive") as client:
        return await client.get(path)


def carried(text: str, id: str) -> object:
    """The JSON that the page carries under ``id``."""
    found = re.search(rf'<script type="application/json" id="{id}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


async def test_the_page_carries_the_snapshot() -> None:
    hive = FakeHive(busy_snapshot(12))
    page = await get(hive)
    assert carried(page.text, "snapshot") == json.loads(hive.snapshot_json())


async def test_half_a_character_is_shown_as_one_that_is_not_known_and_does_not_end_the_page() -> None:
    question = QuestionView(id=1, agent="manager", question="caf\udce9?", options=("\ud800",), asked=NOON)
    page = await get(FakeHive(snapshot(agents=(agent_view("manager"),), questions=(question,))))
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "caf??" in page.text
    shown = carried(page.text, "snapshot")["questions"][0]  # type: ignore[index]
    assert (shown["question"], shown["options"]) == ("caf\udce9?", ["\ud800"])


async def test_no_text_can_end_the_script_element_it_stands_in() -> None:
    evil = "</script><script>alert(1)</script><!--\u2028"
    hive = FakeHive(snapshot(agents=(agent_view("manager", last_error=evil),)))
    page = await get(hive)
    assert "<script>alert" not in page.text
    assert carried(page.text, "snapshot")["agents"][0]["last_error"] == evil  # type: ignore[index]


async def test_no_page_has_a_script_or_a_style_of_its_own_in_it() -> None:
    hive = FakeHive(busy_snapshot(12))
    for path in ("/", "/agents/manager", "/agents/nobody"):
        page = await get(hive, path)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page.text)
        for script in re.findall(r"<script[^>]*>", page.text):
            assert 'src="/static/' in script or 'type="application/json"' in script


def test_what_is_prepared_first_is_all_that_the_first_page_is_made_of() -> None:
    def made_of(name: str) -> set[str]:
        text = (pages.HERE / "templates" / name).read_text()
        named = meta.find_referenced_templates(pages._environment().parse(text))
        return {name}.union(*(made_of(part) for part in named if part))

    assert made_of("hive.html") == set(pages._FIRST)


def test_what_is_no_file_has_no_part_in_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    version = pages.static_version.__wrapped__()
    (tmp_path / "js" / ".#a.js").symlink_to("me@host.1")
    assert pages.static_version.__wrapped__() == version
    (tmp_path / "js" / "b.js").write_text("1")
    assert pages.static_version.__wrapped__() != version


async def test_everything_a_page_loads_exists_under_the_current_version() -> None:
    page = await get(FakeHive(busy_snapshot(3)))
    loaded = re.findall(rf'"/static/{pages.static_version()}/([^"]+)"', page.text)
    assert len(loaded) > 10
    assert [path for path in loaded if not (pages.STATIC / path).is_file()] == []


def test_every_module_imports_only_modules_that_exist() -> None:
    for module in (pages.STATIC / "js").glob("*.js"):
        for path in re.findall(r'from "\./([^"]+)"', module.read_text()):
            assert (pages.STATIC / "js" / path).is_file(), f"{module.name} imports {path}"


def test_no_file_of_the_pages_outgrows_its_budget() -> None:
    files = [
        *(pages.STATIC / "js").iterdir(),
        *(pages.STATIC / "css").iterdir(),
        *(pages.HERE / "templates").glob("*.html"),
    ]
    assert [file.name for file in files if len(file.read_text().splitlines()) >= 400] == []


async def test_what_waits_for_approval_reads_at_first_paint_with_its_rounds() -> None:
    hive = FakeHive(snapshot("manager", "alice"))
    sha = hive.commit("alice", {"agent.toml": 'model = "opus"\n'}, summary="Think harder")
    first = await hive.request_commit(Kind.APPLY_COMMIT, "alice", sha, by="manager", note="It is <hard>.")
    await hive.decide(first.id, decision="revise", note="Say why.", by="operator")
    sha = hive.commit("alice", {"prompt.md": "Think.\n"}, summary="Think harder, for the audit")
    await hive.request_commit(Kind.APPLY_COMMIT, "alice", sha, by="manager", ttl=7260)
    hive.replace(replace(hive.snapshot().agents[1], commit="88ad01e" + "0" * 33))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (await get(hive)).text.split("<aside")[0]))
    for words in (
        "Config change alice 2nd round",
        "expires in 2 h",
        "Think harder, for the audit",
        "You asked: Say why.",
        f"no. {first.id + 1}, asked by manager {sha[:7]} 2 files +2",
        "What alice runs has changed since this was proposed",
    ):
        assert words in text
    assert f'href="/api/approvals/{first.id + 1}/diff"' in (await get(hive, "/agents/alice")).text


async def test_without_scripts_all_that_waits_can_be_read() -> None:
    hive = FakeHive(snapshot("manager"))
    for count in range(9):
        await hive.request_spawn(f"worker-{count}", by="operator" if count else "manager")
    page = (await get(hive)).text
    shown, rest = page.split("<noscript>")[0], page.split("<noscript>")[1].split("</noscript>")[0]
    assert 0 < shown.count('<li class="card') < 9
    assert shown.count('<li class="card') + rest.count('<li class="card') == 9
    assert "manager asks for a new agent, worker-0" in shown
    assert "You asked for a new agent, worker-8" in rest
    assert "hyperhive pending" in rest


async def test_an_agents_page_carries_its_own_last_events_however_long_ago() -> None:
    hive = FakeHive(snapshot("manager", "alice"))
    await hive.operate(Action.RESTART, "alice", by="operator")
    for _ in range(pages.RECENT_EVENTS):
        await hive.send(sender="operator", to="manager", body="Hello.")
    told = carried((await get(hive, "/agents/alice")).text, "events-data")
    assert isinstance(told, list)
    numbers = [event["seq"] for event in told]
    assert numbers == sorted(set(numbers))
    assert "alice" in {event["agent"] for event in told}
    assert "alice" not in str(carried((await get(hive)).text, "events-data"))


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (2_100, "2.1 kB"), (48_300_000, "48 MB"), (999_960, "1.0 MB")],
)
def test_sizes_are_short_words(count: int, words: str) -> None:
    assert pages.size(count) == words


@pytest.mark.parametrize(("count", "words"), [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")])
def test_rounds_are_counted_in_words(count: int, words: str) -> None:
    assert pages.ordinal(count) == words


async def test_the_page_comes_even_when_the_store_cannot_tell() -> None:
    hive = FakeHive(busy_snapshot(3))
    hive.fail_with = Broken("The disk is full.")
    page = await get(hive)
    assert page.status_code == 200
    assert "manager" in page.text


async def test_an_unknown_agent_has_a_page_that_says_what_to_do() -> None:
    page = await get(FakeHive(busy_snapshot(3)), "/agents/nobody")
    assert page.status_code == 404
    assert "No agent is called nobody" in page.text
    kept = await get(FakeHive(busy_snapshot(3)), "/agents/old-hand")
    assert "its folders are kept" in kept.text


async def test_the_view_in_the_url_is_the_view_of_the_first_paint() -> None:
    hive = FakeHive(busy_snapshot(3))
    assert 'data-view="events" tabindex' in (await get(hive, "/?view=events")).text
    assert 'data-view="" tabindex' in (await get(hive, "/?view=%3Cb%3E")).text


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        (None, "/"),
        ("/", "/"),
        ("/?q=stale", "/?q=stale"),
        ("/agents/alice?tab=logs", "/agents/alice?tab=logs"),
        ("/history", "/history"),
        ("/history?view=trail", "/history?view=trail"),
        ("/history.evil", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/agents/\\..\\evil", "/"),
        ("https://evil.example/agents/", "/"),
        ("/agents/a\r\nSet-Cookie: x", "/"),
        ("/logout", "/"),
        ("/agents/" + "a" * 600, "/"),
    ],
)
def test_after_the_login_one_goes_on_inside_only(target: str | None, safe: str) -> None:
    assert pages.safe_next(target) == safe


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=3, seconds=20), "3 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=3, hours=4), "3 d"),
    ],
)
def test_durations_are_short_words(passed: timedelta, words: str) -> None:
    assert pages.lasted(NOON, NOON + passed) == words


def turn(state: TurnState) -> TurnView:
    """A turn loop in ``state``."""
    return TurnView(state=state, since=NOON)


STOPPED = {"container": "stopped", "pid": None, "ready": False}


@pytest.mark.parametrize(
    ("agent", "group", "tone", "state"),
    [
        (agent_view("a"), "idle", "fine", "Idle"),
        (agent_view("a", turn=turn(TurnState.THINKING)), "working", "working", "Thinking"),
        (agent_view("a", turn=turn(TurnState.OFFLINE)), "attention", "attention", "API unreachable"),
        (agent_view("a", turn=turn(TurnState.RATE_LIMITED)), "idle", "attention", "Rate-limited"),
        (agent_view("a", transient="rebuilding", **STOPPED), "working", "working", "Rebuilding"),
        (agent_view("a", login="needs-login"), "attention", "attention", "Needs login"),
        (agent_view("a", quarantined="5 crashes", transient="starting"), "attention", "fault", "Quarantined"),
        (agent_view("a", container="unknown"), "attention", "attention", "Unknown"),
        (agent_view("a", **STOPPED), "stopped", "off", "Stopped"),
        (agent_view("a", restart_at=NOON, **STOPPED), "attention", "fault", "Crashed"),
        (agent_view("a", last_error="Rebuild failed: no space."), "attention", "fault", "Idle"),
        (agent_view("a", paused=True), "idle", "off", "Paused"),
        (agent_view("a", ready=False), "working", "working", "Connecting"),
    ],
)
def test_an_agent_stands_where_its_facts_put_it(agent: AgentView, group: str, tone: str, state: str) -> None:
    stand = standing.of(agent)
    assert (stand.group, stand.tone, stand.state) == (group, tone, state)


def test_healthy_axes_say_nothing_and_sick_ones_speak_up() -> None:
    assert standing.of(agent_view("a")).chips == ()
    sick = standing.of(agent_view("a", login="needs-login", revision="stale", paused=True, **STOPPED))
    assert [chip.text for chip in sick.chips] == ["Needs login", "Stale", "Paused"]


def test_what_waits_is_ranked_trouble_first_and_logins_last() -> None:
    whole = busy_snapshot(12)
    troubled = replace(whole, hive=replace(whole.hive, trouble=("No space.",)))
    kinds = [item.kind for item in standing.waiting(troubled)]
    assert kinds == ["trouble", "quarantine", "approval", "question", "login"]


def test_the_same_trouble_of_several_agents_is_one_card() -> None:
    broken = [agent_view(f"w{n}", last_error="Rebuild failed: no space.") for n in range(5)]
    other = agent_view("x", last_error="Rebuild failed: a wrong key.")
    cards = standing.gathered(standing.waiting(snapshot(agents=(agent_view("manager"), *broken, other))))
    assert [(card.agent, card.agents) for card in cards] == [
        (None, ("w0", "w1", "w2", "w3", "w4")),
        ("x", ()),
    ]
    two = standing.waiting(snapshot(agents=tuple(broken[:2])))
    assert standing.gathered(two) == two


def test_the_list_shows_what_has_room_and_always_something() -> None:
    def items(*kinds: str) -> list[standing.Waiting]:
        return [standing.Waiting(kind, "fault", None, str(n)) for n, kind in enumerate(kinds)]

    def kinds(*given: str) -> list[str]:
        return [item.kind for item in standing.first(items(*given))]

    assert kinds(*["question"] * 5, "build") == ["question", "question", "build"]
    assert kinds(*["build"] * 9) == ["build"] * 7
    assert kinds("question") == ["question"]


def test_the_oldest_of_each_kind_shows_however_much_of_another_kind_waits() -> None:
    kinds = ("trouble", *["approval"] * 9, *["question"] * 3, "login")
    items = [standing.Waiting(kind, "attention", None, str(n)) for n, kind in enumerate(kinds)]
    assert [item.text for item in standing.first(items)] == ["0", "1", "10", "13"]


def test_a_newcomer_is_shown_how_to_begin_until_the_operator_wrote() -> None:
    two = snapshot(agents=(agent_view("manager"), agent_view("alice")))
    wrote = MessageView(sender="operator", to="manager", id=1, body="Hi", ts=NOON, state="read")
    told = replace(wrote, sender="system")
    assert standing.beginning(two, (told,))
    assert not standing.beginning(two, (told, wrote))
    assert not standing.beginning(busy_snapshot(12), ())


def test_the_manager_comes_first_in_its_group_then_names_as_people_sort_them() -> None:
    names = ("a10", "alice", "a9", "manager", "zoe", "a-2", "a", "a9-b")
    made = standing.groups([agent_view(name) for name in names])
    idle = next(members for key, _, members in made if key == "idle")
    assert [agent.name for agent, _ in idle] == ["manager", "a", "a-2", "a9", "a9-b", "a10", "alice", "zoe"]
